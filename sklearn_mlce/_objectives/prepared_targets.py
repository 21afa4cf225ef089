"""From encoded targets to the form in which a batch's loss is cheapest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernels.orders import SIDES, Orders
from sklearn_mlce._kernels.row_layouts import MatrixRows
from sklearn_mlce._objectives.first_order import BatchLoss, LabelCounts
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._objectives.target_tensors import EncodedTargets, encode
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.sparse import dense_tensor

# Cells of a batch, rows times labels, up to which hard labels are cheaper in dense form: listed
# cells take fewer passes over the memory and more calls.
_DENSE_CELLS = {"cpu": 2**16, "cuda": 2**22}
_SIGNED_CELLS = {"cpu": 2**18, "cuda": 2**22}  # the dense form of a sum over labels is cheap


class TargetEncoder:
    """Makes tensors of targets, once for a fit or once for a block of its rows.

    Nothing is checked: :class:`~sklearn_mlce._targets.targets.Targets` and options are valid.

    Parameters
    ----------
    options : LossOptions
        Scale, margins and orders of the loss.
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
        options: LossOptions,
        batch_rows: int,
        dtype: np.dtype,
        device: torch.device,
        label_weight: np.ndarray | None = None,
        counts: LabelCounts | None = None,
    ) -> None:
        self._options = options
        self._batch_rows = batch_rows
        self._dtype = np.dtype(dtype)
        self._device = device
        self._label_weight = None if label_weight is None else label_weight.astype(dtype)
        self._counts = counts
        self._loss: BatchLoss | None = None

    def __call__(self, targets: Targets) -> LossTargets:
        """Targets in their cheapest form."""
        return self._form(targets)(targets)

    def bytes_per_row(self, targets: Targets) -> int:
        """Memory of a row in that form; 0 where it is that of the targets themselves."""
        form = self._form(targets)
        return 0 if form == self._listed else 2 * targets.n_outputs * self._dtype.itemsize

    def _form(self, targets: Targets) -> Callable[[Targets], LossTargets]:
        if self._options.loss != "mlce":
            return self._listed
        if targets.dense is not None:
            return self._soft
        cells = self._batch_rows * targets.n_outputs
        every = self._options.orders == ("all", "all")
        limits = _SIGNED_CELLS if every else _DENSE_CELLS
        if cells > limits.get(self._device.type, 2**22):
            return self._listed
        return self._signed if every else self._hard

    def _soft(self, targets: Targets) -> TwoSides:
        assert targets.dense is not None
        share = targets.dense.astype(self._dtype, copy=False)
        added = np.empty((2, *share.shape), dtype=self._dtype)
        with np.errstate(divide="ignore"):  # the logarithm of 0 is -inf: takes no part
            np.log1p(-share, out=added[0])
            np.log(share, out=added[1])
        added[np.isnan(added)] = -np.inf
        for side in (0, 1):
            added[side] += self._base(side)
        return self._two_sides(added)

    def _hard(self, targets: Targets) -> TwoSides:
        rows, columns = self._positive_cells(targets)
        added = np.empty((2, targets.n_rows, targets.n_outputs), dtype=self._dtype)
        added[0] = self._base(0)
        added[1] = -np.inf
        added[0, rows, columns] = -np.inf
        added[1, rows, columns] = np.broadcast_to(self._base(1), targets.n_outputs)[columns]
        return self._two_sides(added)

    def _signed(self, targets: Targets) -> SignedLabels:
        rows, columns = self._positive_cells(targets)
        added = np.empty((targets.n_rows, targets.n_outputs), dtype=self._dtype)
        added[:] = self._base(0)
        added[rows, columns] = np.broadcast_to(self._base(1), targets.n_outputs)[columns]
        signs = np.full_like(added, self._options.scale)
        signs[rows, columns] = -self._options.scale
        scale = self._options.scale
        return SignedLabels(self._tensor(added), self._tensor(signs), scale)

    def _listed(self, targets: Targets) -> ListedTargets:
        if self._loss is None:  # one for all blocks of rows: a module may count its calls
            weight = None if self._label_weight is None else self._tensor(self._label_weight)
            self._loss = BatchLoss(self._options, targets.n_outputs, weight, self._counts)
        return ListedTargets(encode(targets, self._dtype, self._device), self._loss)

    def _two_sides(self, added: np.ndarray) -> TwoSides:
        scale = self._options.scale
        signs = np.array([scale, -scale], dtype=self._dtype)[:, None, None]
        return TwoSides(self._tensor(added), self._tensor(signs), scale, self._options.orders)

    def _base(self, side: int) -> np.ndarray:
        """What is added to a label's scaled score on a side it is wholly on; (n_labels,) or ()."""
        shift = np.asarray(self._options.scale * self._options.margins[side], dtype=self._dtype)
        return shift if self._label_weight is None else shift + np.log(self._label_weight)

    @staticmethod
    def _positive_cells(targets: Targets) -> tuple[np.ndarray, np.ndarray]:
        assert targets.positives is not None
        counts = np.diff(targets.positives.indptr)
        return np.repeat(np.arange(targets.n_rows), counts), targets.positives.indices

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return dense_tensor(array, self._device)


_ROWS = MatrixRows()


class LossTargets(Protocol):
    """Targets of some rows, with their loss."""

    def cut(self, start: int, stop: int) -> Any:
        """Those of consecutive rows."""

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted sum of the rows' losses, and its gradient ``(n, n_outputs)`` in the scores.

        ``weight`` is of shape (n,), or (1,) where all rows have the same. The loss is that of
        :func:`sklearn_mlce.losses.mlce_loss`, divided by the scale.
        """


@dataclass(frozen=True)
class ListedTargets:
    """Targets in the form of any loss: classes, the positives as a list of cells, or a matrix."""

    encoded: EncodedTargets
    loss: BatchLoss

    def cut(self, start: int, stop: int) -> ListedTargets:
        return ListedTargets(self.encoded.cut(start, stop), self.loss)

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        losses, gradient = self.loss(scores, self.encoded, weight)
        return losses.sum(), gradient


@dataclass(frozen=True)
class TwoSides:
    """Multi-label and soft: for both sides of the loss what is added to the scaled scores.

    An entry is ``scale * margin`` plus the logarithm of a label's weight on that side; -inf
    where it takes no part.
    """

    added: Tensor  # (2, n, n_labels), the negatives first
    signs: Tensor  # (2, 1, 1): the scale and minus the scale
    scale: float
    orders: Orders

    def cut(self, start: int, stop: int) -> TwoSides:
        return TwoSides(self.added[:, start:stop], self.signs, self.scale, self.orders)

    def take(self, rows: Tensor) -> TwoSides:
        """Those of chosen rows."""
        return TwoSides(self.added.index_select(1, rows), self.signs, self.scale, self.orders)

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        n_rows, n_labels = scores.shape
        exponents = torch.addcmul(self.added, scores, self.signs)
        if self.orders[0] == self.orders[1]:  # one pass over the rows of both
            both = weight if len(weight) == 1 else weight.repeat(2)
            side = SIDES[self.orders[0]]
            values, at = side.evaluate(exponents.view(2 * n_rows, n_labels), None, both, _ROWS)
            gradient = at.gradient_().view(2, n_rows, n_labels)
            losses = values.mul_(both)
            return losses.sum().div_(self.scale), gradient[0].sub_(gradient[1])
        parts = [
            SIDES[order].evaluate(exponents[side], None, weight, _ROWS)
            for side, order in enumerate(self.orders)
        ]
        losses = (parts[0][0] + parts[1][0]).mul_(weight)
        gradient = parts[0][1].gradient_().sub_(parts[1][1].gradient_())
        return losses.sum().div_(self.scale), gradient


@dataclass(frozen=True)
class SignedLabels:
    """Hard labels where the loss is a sum over labels: each is on one side only."""

    added: Tensor  # (n, n_labels), as in :class:`TwoSides`
    signs: Tensor  # (n, n_labels): the scale of a negative, minus the scale of a positive
    scale: float

    def cut(self, start: int, stop: int) -> SignedLabels:
        return SignedLabels(self.added[start:stop], self.signs[start:stop], self.scale)

    def take(self, rows: Tensor) -> SignedLabels:
        """Those of chosen rows."""
        return SignedLabels(self.added[rows], self.signs[rows], self.scale)

    def evaluate(self, scores: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        exponents = torch.addcmul(self.added, scores, self.signs)
        weight = weight / self.scale
        values, side = SIDES["all"].evaluate(exponents, None, weight, _ROWS)
        return values.mul_(weight).sum(), side.gradient_().mul_(self.signs)
