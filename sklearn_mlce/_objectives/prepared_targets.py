"""Targets of a network's rows in the form in which the loss of a batch is cheapest.

They are built once, for a fit or for a block of rows; a batch is a view of them, and its loss and
gradient are computed without a graph and without a second check. Where a batch has few entries the
positives are not listed: both sides of the loss are matrices, which takes fewer calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import DenseReduction, LogSumExp, exponentiate_
from sklearn_mlce._kernels.mlce import NEGATIVES, POSITIVES, log_target_weights
from sklearn_mlce._kernels.pointwise import LOGISTIC
from sklearn_mlce._objectives.batch_loss import BatchLoss
from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._objectives.target_tensors import EncodedTargets, encode
from sklearn_mlce._targets.targets import LabelCounts, Targets
from sklearn_mlce._utils.tensors import dense_tensor

# Entries of a batch, rows times labels, up to which hard labels are cheaper in dense form: listed
# entries take fewer passes over the memory and more calls.
_DENSE_ENTRIES = {"two_sided": {"cpu": 2**16, "cuda": 2**22}, "signed": {"cpu": 2**18}}
_DENSE_ENTRIES_OTHERWISE = 2**22
_ROWS = DenseReduction()


class PreparedTargets(Protocol):
    """Targets of some rows, with their loss."""

    def slice_rows(self, start: int, stop: int) -> Any:
        """Targets of consecutive rows."""

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted sum of the rows' losses, and its gradient ``(n, n_outputs)`` in the scores.

        ``weight`` is of shape (n,), or (1,) where all rows have the same. The loss is divided by
        its scale.
        """


@dataclass(frozen=True)
class ListedTargets:
    """Targets in the form of any loss: classes, the positives as a list, or a matrix."""

    encoded: EncodedTargets
    loss: BatchLoss

    def slice_rows(self, start: int, stop: int) -> ListedTargets:
        return ListedTargets(self.encoded.slice_rows(start, stop), self.loss)

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradient = self.loss.value_and_gradient(scores, self.encoded, weight)
        return losses.sum(), gradient


@dataclass(frozen=True)
class TwoSidedTargets:
    """Labels of MLCE: for both sides of the loss what is added to the scaled scores.

    An entry is ``scale * margin`` plus the logarithm of a label's weight on that side; -inf
    where it takes no part.
    """

    added: Tensor  # (2, n, n_labels), the negatives first
    factors: Tensor  # (2, 1, 1): the scale and minus the scale

    def slice_rows(self, start: int, stop: int) -> TwoSidedTargets:
        return replace(self, added=self.added[:, start:stop])

    def index_rows(self, rows: Tensor) -> TwoSidedTargets:
        """Targets of chosen rows."""
        return replace(self, added=self.added.index_select(1, rows))

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        n_rows, n_labels = scores.shape
        exponents = torch.addcmul(self.added, scores, self.factors)
        both = weight if len(weight) == 1 else weight.repeat(2)
        # One pass over the rows of both sides.
        exponentials = exponentiate_(exponents.view(2 * n_rows, n_labels), _ROWS)
        sides = LogSumExp(exponentials, None, both, _ROWS)
        gradient = sides.release_gradient().view(2, n_rows, n_labels)
        loss = sides.values.mul_(both).sum().div_(self.factors[0, 0, 0])
        return loss, gradient[0].sub_(gradient[1])


@dataclass(frozen=True)
class SignedTargets:
    """Hard labels of binary cross-entropy: each is on one side only."""

    added: Tensor  # (n, n_labels): scale * margin
    factors: Tensor  # (n, n_labels): the scale of a negative, minus the scale of a positive
    scale: float
    label_weight: Tensor | None  # (n_labels,)

    def slice_rows(self, start: int, stop: int) -> SignedTargets:
        return replace(self, added=self.added[start:stop], factors=self.factors[start:stop])

    def index_rows(self, rows: Tensor) -> SignedTargets:
        """Targets of chosen rows."""
        return replace(self, added=self.added[rows], factors=self.factors[rows])

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        slopes = torch.addcmul(self.added, scores, self.factors)
        values = LOGISTIC.evaluate_(slopes)
        weight = weight / self.scale
        gradient = slopes.mul_(weight[:, None]).mul_(self.factors)
        if self.label_weight is None:
            return values.sum(dim=1).mul_(weight).sum(), gradient
        losses = (values @ self.label_weight).mul_(weight)
        return losses.sum(), gradient.mul_(self.label_weight)


class TargetPreparer:
    """Makes tensors of targets, once for a fit or once for a block of its rows.

    Nothing is checked: :class:`~sklearn_mlce._targets.targets.Targets` are valid.

    Parameters
    ----------
    objective : Objective
        The loss.
    batch_rows : int
        Rows of a batch.
    dtype : dtype
        Precision of the loss.
    device : torch.device
        Where it is computed.
    label_weight : ndarray of shape (n_labels,), default=None
        Weight of each label; multi-label targets only.
    counts : LabelCounts, default=None
        Of the training rows, where the loss needs them.
    """

    def __init__(
        self,
        objective: Objective,
        batch_rows: int,
        dtype: np.dtype,
        device: torch.device,
        label_weight: np.ndarray | None = None,
        counts: LabelCounts | None = None,
    ) -> None:
        self._objective, self._batch_rows = objective, batch_rows
        self._dtype, self._device = np.dtype(dtype), device
        self._label_weight: Tensor | None = None
        if label_weight is not None:
            self._label_weight = dense_tensor(label_weight.astype(dtype), device)
        self._counts = counts
        self._loss: BatchLoss | None = None

    def __call__(self, targets: Targets) -> PreparedTargets:
        """Targets in their cheapest form."""
        form = self._dense_form(targets)
        if form is None:
            return self._listed(targets)
        return self._signed(targets) if form == "signed" else self._two_sided(targets)

    def bytes_per_row(self, targets: Targets) -> int:
        """Memory of a row in that form; 0 where it is that of the targets themselves."""
        if self._dense_form(targets) is None:
            return 0
        return 2 * targets.n_outputs * self._dtype.itemsize

    def _dense_form(self, targets: Targets) -> str | None:
        """The loss's form of small batches, where targets and batch have it."""
        form = self._objective.dense_form
        if form is None or targets.codes is not None:
            return None
        if targets.dense is not None:
            return form if form == "two_sided" else None
        most = _DENSE_ENTRIES[form].get(self._device.type, _DENSE_ENTRIES_OTHERWISE)
        return form if self._batch_rows * targets.n_outputs <= most else None

    def _listed(self, targets: Targets) -> ListedTargets:
        if self._loss is None:  # one for all blocks of rows: a module may count its calls
            self._loss = self._objective.batch_loss(
                targets.n_outputs, self._label_weight, self._counts
            )
        return ListedTargets(encode(targets, self._dtype, self._device), self._loss)

    def _two_sided(self, targets: Targets) -> TwoSidedTargets:
        scale, margins = self._objective.scale, self._objective.margins
        matrix = self._matrix(targets)
        added = torch.stack(
            [
                log_target_weights(matrix, sign).add_(scale * margin)
                for sign, margin in zip((NEGATIVES, POSITIVES), margins, strict=True)
            ]
        )
        if self._label_weight is not None:
            added += self._label_weight.log()
        factors = matrix.new_tensor([scale, -scale])[:, None, None]
        return TwoSidedTargets(added, factors)

    def _signed(self, targets: Targets) -> SignedTargets:
        scale, margins = self._objective.scale, self._objective.margins
        positive = self._matrix(targets)
        of_negatives, of_positives = (scale * margin for margin in margins)
        added = positive.mul(of_positives - of_negatives).add_(of_negatives)
        factors = positive.mul_(-2 * scale).add_(scale)
        return SignedTargets(added, factors, scale, self._label_weight)

    def _matrix(self, targets: Targets) -> Tensor:
        """Targets ``(n, n_labels)``, a copy."""
        if targets.dense is not None:
            return dense_tensor(targets.dense.astype(self._dtype), self._device)
        assert targets.positives is not None
        matrix = np.zeros((targets.n_rows, targets.n_outputs), dtype=self._dtype)
        counts = np.diff(targets.positives.indptr)
        matrix[np.repeat(np.arange(targets.n_rows), counts), targets.positives.indices] = 1
        return dense_tensor(matrix, self._device)
