"""Targets of rows as tensors that know their loss, to be cut into batches.

They are built once, for a fit or for a block of rows; a batch is a view of them, and its loss and
gradient are computed without a graph and without a second check. Where a batch has few cells the
positives are not listed: both sides are matrices, which takes fewer calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sklearn_mlce._batches.losses import BatchLoss
from sklearn_mlce._batches.targets import EncodedTargets
from sklearn_mlce._kernels.orders import SIDES, Orders
from sklearn_mlce._kernels.row_layouts import MatrixRows

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
