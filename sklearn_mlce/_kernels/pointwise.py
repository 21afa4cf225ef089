"""Losses that are a sum over labels of a convex function of the score: logistic, squared hinge.

The loss of a label is ``f(z)``, with ``z = scale * (s + margin)`` where the label is negative and
``z = -scale * (s - margin)`` where it is positive; a soft target t gives ``(1 - t)`` of the one
plus ``t`` of the other. The weight of a label multiplies its loss. All is divided by the scale, as
the estimators divide it: the gradient in the score is ``f'(z)`` or ``-f'(z)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from sklearn_mlce._kernels.exponentials import (
    SPENT,
    row_blocks,
    softplus,
    subtract_sides_,
    weighted_total,
)
from sklearn_mlce._kernels.hard_targets import PositiveEntries
from sklearn_mlce._kernels.loss_function import full_precision_product
from sklearn_mlce._kernels.mlce import LogitTransform

# Writes over its first argument.
Combine = Callable[[Tensor, Tensor], Tensor]


class PointwiseFunction(NamedTuple):
    """A convex function of one number, taken entry by entry."""

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


LOGISTIC = PointwiseFunction(_logistic_, lambda slope: slope * (1 - slope))
# The second derivative jumps where the margin is met; either side serves Newton's method.
SQUARED_HINGE = PointwiseFunction(_squared_hinge_, lambda slope: slope.sign().mul_(2))


class PointwiseLoss:
    """A sum over labels at scores ``(n, L)``.

    Parameters
    ----------
    function : PointwiseFunction
        The function of each label.
    scores : Tensor of shape (n, L)
        Scores, which are left as they are.
    targets : PositiveEntries or Tensor of shape (n, L)
        Hard targets without unknown labels, or soft ones, NaN where unknown.
    transform : LogitTransform
        Scale and margins.
    label_weight : Tensor of shape (L,), default=None
        Factor of each label's loss.

    Attributes
    ----------
    values : Tensor of shape (n,)
        Losses of the rows.
    """

    def __init__(
        self,
        function: PointwiseFunction,
        scores: Tensor,
        targets: Tensor | PositiveEntries,
        transform: LogitTransform,
        label_weight: Tensor | None = None,
    ) -> None:
        self._function, self._targets, self._scale = function, targets, transform.scale
        self._label_weight = label_weight
        self.values = scores.new_zeros(len(scores))
        self._slopes: list[Tensor] | None = self._arguments(scores, transform)
        for slope, target_weight in zip(self._slopes, self._target_weights(), strict=True):
            for block in row_blocks(slope):
                values = function.evaluate_(slope[block])
                values = values if target_weight is None else values.mul_(target_weight[block])
                self.values[block] += (
                    values.sum(dim=1)
                    if label_weight is None
                    else full_precision_product(values, label_weight)
                )
        if self._scale != 1:
            self.values /= self._scale

    def _arguments(self, scores: Tensor, transform: LogitTransform) -> list[Tensor]:
        """The ``z`` of hard targets, or those of the negatives and of the positives."""
        scale, (of_negatives, of_positives) = transform.scale, transform.margins
        z = scores * scale
        if of_negatives:
            z += scale * of_negatives
        if not isinstance(self._targets, PositiveEntries):
            return [z, (scores - of_positives).mul_(-scale)]
        places = self._targets.flat_index
        at_positives = scores.reshape(-1).index_select(0, places)
        at_positives.sub_(of_positives).mul_(-scale)
        z.view(-1).index_copy_(0, places, at_positives)
        return [z]

    def gradient(self) -> Tensor:
        """Gradient of the rows' losses in the scores ``(n, L)``, a copy."""
        assert self._slopes is not None, SPENT
        return self._signed([slope.clone() for slope in self._slopes], subtract_sides_)

    def release_gradient(self) -> Tensor:
        """Gradient of the rows' losses in the scores, in the object's memory; spends the object."""
        assert self._slopes is not None, SPENT
        slopes, self._slopes = self._slopes, None
        return self._signed(slopes, Tensor.sub_)

    def curvature(self) -> Tensor:
        """Second derivatives in the scores, shape (n, L); labels have none in common."""
        assert self._slopes is not None, SPENT
        parts = [self._function.curvature(slope) for slope in self._slopes]
        curvature = self._weighted(parts, Tensor.add_)
        return curvature if self._scale == 1 else curvature.mul_(self._scale)

    def _signed(self, slopes: list[Tensor], subtract_: Combine) -> Tensor:
        gradient = self._weighted(slopes, subtract_)
        if not isinstance(self._targets, PositiveEntries):
            return gradient
        flat, places = gradient.view(-1), self._targets.flat_index
        flat.index_copy_(0, places, flat.index_select(0, places).neg_())
        return gradient

    def _target_weights(self) -> list[Tensor | None]:
        """Factors of the negatives' and of the positives' part; None of hard targets' only one."""
        if isinstance(self._targets, PositiveEntries):
            return [None]
        return [(1 - self._targets).nan_to_num_(), self._targets.nan_to_num()]

    def _weighted(self, parts: list[Tensor], combine_: Combine) -> Tensor:
        """Parts as the rows' losses hold them, written over the first."""
        negatives, *positives = (
            part if target_weight is None else part.mul_(target_weight)
            for part, target_weight in zip(parts, self._target_weights(), strict=True)
        )
        for part in positives:
            combine_(negatives, part)
        return negatives if self._label_weight is None else negatives.mul_(self._label_weight)


def pointwise_rows(
    scores: Tensor,
    targets: Tensor | PositiveEntries,
    weight: Tensor | None,
    *,
    function: PointwiseFunction,
    transform: LogitTransform,
    label_weight: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their weights, and the gradient ``(n, L)`` of their sum."""
    loss = PointwiseLoss(function, scores, targets, transform, label_weight)
    values, gradient = loss.values, loss.release_gradient()
    if weight is None:
        return values, gradient
    return values.mul_(weight), gradient.mul_(weight[:, None])


class PointwiseSecondOrder:
    """A sum over labels for second-order solvers; ``weight`` (n,) sums the rows."""

    def __init__(
        self,
        function: PointwiseFunction,
        targets: Tensor | PositiveEntries,
        weight: Tensor,
        transform: LogitTransform,
        label_weight: Tensor | None = None,
    ) -> None:
        self.function, self.targets, self.weight = function, targets, weight
        self.transform, self.label_weight = transform, label_weight

    def evaluate(self, scores: Tensor) -> _PointwiseDerivatives:
        """Value and derivatives at ``scores``."""
        loss = PointwiseLoss(self.function, scores, self.targets, self.transform, self.label_weight)
        return _PointwiseDerivatives(loss, self.weight)


class _PointwiseDerivatives:
    def __init__(self, loss: PointwiseLoss, weight: Tensor) -> None:
        self.value = weighted_total(loss.values, weight)
        self._loss, self._weight = loss, weight

    def gradient(self) -> Tensor:
        return self._loss.gradient().mul_(self._weight[:, None])

    def curvature_diagonal(self) -> Tensor:
        return self._loss.curvature().mul_(self._weight[:, None])

    def curvature_product(self, direction: Tensor) -> Tensor:
        return direction.mul_(self.curvature_diagonal())
