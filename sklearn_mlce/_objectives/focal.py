"""The focal loss and its kin of batches: sums over labels that are not convex."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from sklearn_mlce._kernels.autograd import empty_gradient
from sklearn_mlce._kernels.focal_terms import N_BUFFERS, Term
from sklearn_mlce._kernels.hard_targets import Cells
from sklearn_mlce._objectives.target_tensors import EncodedTargets, hard_cells
from sklearn_mlce.losses._asymmetric import asymmetric_labels
from sklearn_mlce.losses._class_balanced import class_balanced_labels
from sklearn_mlce.losses._distribution_balanced import distribution_balanced_labels
from sklearn_mlce.losses._focal import focal_labels
from sklearn_mlce.losses._per_label import MakeLoss, evaluate_labels

# Where slopes are compared: beyond it every term is a straight line.
_REACH, _SPACING = 30.0, 0.01


class LabelTermBatches:
    """A sum over labels of terms of hard targets; see :class:`BatchLoss`.

    Parameters
    ----------
    loss : str
        One of `LABEL_TERMS`.
    n_outputs : int
        Number L of scores of a row.
    label_weight : Tensor of shape (L,) or None
        Factor of each label's loss.
    counts : (Tensor of shape (L,), float) or None
        Weight of the training rows that carry each label, and of all; for the losses of
        `COUNTED`.
    """

    bounded = True

    def __init__(
        self,
        loss: str,
        n_outputs: int,
        label_weight: Tensor | None,
        counts: tuple[Tensor, float] | None,
    ) -> None:
        self._make_loss = _make_loss(loss, counts)
        self._n_outputs, self._label_weight = n_outputs, label_weight

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        cells = hard_cells(targets, self._n_outputs)
        loss = self._make_loss(cells, scores, self._label_weight)
        if weight is not None:
            weight = weight.expand(len(scores))
        gradient = empty_gradient(scores)
        values = evaluate_labels(scores, cells, loss, weight, gradient)
        return values, gradient

    @cached_property
    def curvature(self) -> float:
        """The largest second derivative: of a term, times the largest factor of a label."""
        weight = self._label_weight
        none = torch.empty(0, dtype=torch.int64, device=None if weight is None else weight.device)
        scores = torch.zeros(1, self._n_outputs, dtype=torch.float64, device=none.device)
        # A row without positives, which has the largest weights where these depend on the row.
        loss = self._make_loss(Cells(none, none, none, none), scores, weight)
        factors = loss.weight(slice(0, 1))
        largest = 1.0 if factors is None else float(factors.max())
        return largest * max(_steepest(loss.negative), _steepest(loss.positive))


def _make_loss(loss: str, counts: tuple[Tensor, float] | None) -> MakeLoss:
    if loss == "focal":
        return focal_labels()
    if loss == "asymmetric":
        return asymmetric_labels()
    assert counts is not None  # of the training rows
    positive, total = counts
    if loss == "class_balanced_focal":
        return class_balanced_labels(positive)
    return distribution_balanced_labels(positive, max(total, 2.0))


def _steepest(term: Term) -> float:
    """Largest change of a term's slope per unit of its score."""
    z = torch.arange(-_REACH, _REACH, _SPACING, dtype=torch.float64)
    _, slopes = term.evaluate(z, z.new_empty(N_BUFFERS, len(z)).unbind())
    return float(slopes.diff().abs().max()) / _SPACING
