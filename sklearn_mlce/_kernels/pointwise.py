"""Losses that are a sum over labels: binary cross-entropy and squared hinge.

They are the comparison to MLCE on the same engine. A label's loss is a convex function f of
``z``, which is its score where it is negative and minus its score where it is positive; a soft
target t gives ``(1 - t) f(s) + t f(-s)``. The weight of a label multiplies its loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from sklearn_mlce._kernels.elementwise import softplus
from sklearn_mlce._kernels.hard_targets import Cells
from sklearn_mlce._kernels.row_blocks import row_blocks


class PointwiseLoss(NamedTuple):
    """A function of one score, taken entry by entry."""

    # Writes the slope over z and returns the values.
    evaluate_: Callable[[Tensor], Tensor]
    # Second derivative from the slope.
    curvature: Callable[[Tensor], Tensor]


def _logistic_(z: Tensor) -> Tensor:
    values = softplus(z)
    z.sigmoid_()
    return values


def _squared_hinge_(z: Tensor) -> Tensor:
    values = z.add_(1).clamp_(min=0).square()
    z.mul_(2)
    return values


POINTWISE = {
    "bce": PointwiseLoss(_logistic_, lambda slope: slope * (1 - slope)),
    # The second derivative jumps where the margin is met; either side serves Newton's method.
    "squared_hinge": PointwiseLoss(_squared_hinge_, lambda slope: slope.sign().mul_(2)),
}


class PointwisePoint:
    """A pointwise loss at scores ``(n, L)``.

    Parameters
    ----------
    loss : str
        "bce" or "squared_hinge".
    scores : Tensor of shape (n, L)
        Scores, which are copied.
    targets : Cells or Tensor of shape (n, L)
        Hard targets without unknown labels, or soft ones, NaN where unknown.
    label_weight : Tensor of shape (L,), default=None
        Factor of each label's loss.
    """

    def __init__(
        self,
        loss: str,
        scores: Tensor,
        targets: Tensor | Cells,
        label_weight: Tensor | None = None,
    ) -> None:
        self._loss = POINTWISE[loss]
        self._targets = targets
        self._label_weight = label_weight
        self.values = scores.new_zeros(len(scores))  # (n,)
        if isinstance(targets, Cells):
            self._slopes = [_negate_(scores.clone(), targets)]
        else:
            self._slopes = [scores.clone(), -scores]
        for slope, share in zip(self._slopes, self._shares(), strict=True):
            for block in row_blocks(slope):
                values = self._loss.evaluate_(slope[block])
                values = values if share is None else values.mul_(share[block])
                self.values[block] += (
                    values.sum(dim=1) if label_weight is None else values @ label_weight
                )

    def gradient(self) -> Tensor:
        """Gradient of the rows' losses in the scores, shape (n, L)."""
        gradient = self._weighted([slope.clone() for slope in self._slopes])
        return _negate_(gradient, self._targets) if len(self._slopes) == 1 else gradient

    def curvature(self) -> Tensor:
        """Second derivatives in the scores, shape (n, L); labels have none in common."""
        return self._weighted([self._loss.curvature(slope) for slope in self._slopes], sign=1)

    def _shares(self) -> list[Tensor | None]:
        """Factors of the negatives' and of the positives' part."""
        if isinstance(self._targets, Cells):
            return [None]
        return [(1 - self._targets).nan_to_num_(), self._targets.nan_to_num()]

    def _weighted(self, parts: list[Tensor], sign: int = -1) -> Tensor:
        """Parts as the rows' losses hold them, written over the first."""
        negatives, *positives = (
            part if share is None else part.mul_(share)
            for part, share in zip(parts, self._shares(), strict=True)
        )
        for part in positives:
            negatives.add_(part, alpha=sign)
        return negatives if self._label_weight is None else negatives.mul_(self._label_weight)


def _negate_(matrix: Tensor, cells: Tensor | Cells) -> Tensor:
    """Matrix with its sign changed at the positive cells, in place."""
    assert isinstance(cells, Cells)
    flat = matrix.view(-1)
    flat.index_copy_(0, cells.positive, flat.index_select(0, cells.positive).neg_())
    return matrix


def pointwise_loss_and_gradient(
    loss: str,
    scores: Tensor,
    targets: Tensor | Cells,
    label_weight: Tensor | None = None,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss ``(n,)`` of each row times its weight, and the gradient ``(n, L)`` of their sum.

    For solvers: nothing is checked and no graph is made.
    """
    point = PointwisePoint(loss, scores, targets, label_weight)
    values, gradient = point.values, point.gradient()
    if weight is None:
        return values, gradient
    return values.mul_(weight), gradient.mul_(weight[:, None])
