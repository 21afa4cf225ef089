"""The loss of a batch of rows and its gradient, for fits that take rows a few at a time."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.focal import LabelTermBatches
from sklearn_mlce._objectives.mlce import ThresholdedBatches
from sklearn_mlce._objectives.module import ModuleBatches
from sklearn_mlce._objectives.multioutput import MultioutputBatches
from sklearn_mlce._objectives.options import LABEL_TERMS, LossOptions
from sklearn_mlce._objectives.pairwise import PairwiseBatches
from sklearn_mlce._objectives.pointwise import PointwiseBatches
from sklearn_mlce._objectives.softmax import SoftmaxBatches
from sklearn_mlce._objectives.target_tensors import EncodedTargets
from sklearn_mlce._targets.targets import Targets, weighted_label_counts
from sklearn_mlce._utils.sparse import dense_tensor


class LabelCounts(NamedTuple):
    """What the rows of a fit say of its labels."""

    positive: Tensor  # (L,), float64: weight of the rows that carry a label
    total: float  # weight of all rows


def label_counts(
    options: LossOptions, targets: Targets, sample_weight: np.ndarray | None, device: torch.device
) -> LabelCounts | None:
    """Counts of training rows, where the loss asks for them."""
    if not options.counted:
        return None
    weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
    weight = weight.astype(np.float64)
    positive, _ = weighted_label_counts(targets, weight)
    return LabelCounts(dense_tensor(positive, device), float(weight.sum()))


class BatchForm(Protocol):
    """A loss in the form in which batches are evaluated."""

    bounded: bool  # whether the gradient in a score is

    @property
    def curvature(self) -> float:
        """Bound of the second derivative of a row's loss in one of its scores."""

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`BatchLoss.__call__`."""


class BatchLoss:
    """Losses of rows, divided by the scale.

    Parameters
    ----------
    options : LossOptions
        The loss.
    n_outputs : int
        Number L of scores of a row.
    label_weight : Tensor of shape (L,) or None
        Weight of each output; one of weight 0 takes no part.
    counts : LabelCounts or None
        Of the training rows, where `options` says that the loss needs them.
    """

    def __init__(
        self,
        options: LossOptions,
        n_outputs: int,
        label_weight: Tensor | None = None,
        counts: LabelCounts | None = None,
    ) -> None:
        self._options = options
        self._form = _form(options, n_outputs, label_weight, counts)

    @property
    def curvature(self) -> float:
        """Bound of the second derivative of a row's loss in one of its scores."""
        return self._form.curvature

    def intercept_curvatures(self, positive_share: Tensor) -> Tensor:
        """Second derivatives ``(L,)`` of the mean loss in the intercepts, near their optimum.

        A logistic term is curved where its label is in doubt, as about as many rows as have it
        are: the share of them in all, where it is less than half.
        """
        if not self.bounded:
            return torch.full_like(positive_share, self.curvature)
        in_doubt = torch.minimum(positive_share, 1 - positive_share)
        return in_doubt.clamp(max=1 / 4) * 4 * self.curvature

    @property
    def bounded(self) -> bool:
        """Whether the gradient in a score is."""
        return self._form.bounded

    @property
    def unit(self) -> float:
        """Change of a score that changes its exponent by 1."""
        return 1 / self._options.scale

    def __call__(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Losses of the rows times their weights, and the gradient ``(n, L)`` of their sum.

        `weight` is of shape (n,), or (1,) where all rows have the same. The losses are of shape
        (n,), or (1,) where only their sum is known.
        """
        return self._form.evaluate(scores, targets, weight)


def _form(
    options: LossOptions,
    n_outputs: int,
    label_weight: Tensor | None,
    counts: LabelCounts | None,
) -> BatchForm:
    if options.module is not None:
        return ModuleBatches(options.module, n_outputs)
    if options.loss == "mlce":
        return ThresholdedBatches(options, n_outputs, label_weight)
    if options.loss == "softmax":
        return SoftmaxBatches(options, label_weight)
    if options.loss == "multioutput":
        return MultioutputBatches(options.sizes, label_weight)
    if options.loss == "pairwise":
        return PairwiseBatches(options, n_outputs, label_weight)
    if options.loss in LABEL_TERMS:
        return LabelTermBatches(options.loss, n_outputs, label_weight, counts)
    return PointwiseBatches(options.loss, n_outputs, label_weight)
