r"""The pairwise loss of rows, with gradient and Hessian.

With the log-sum-exps :math:`a` of a row's negatives and :math:`b` of its positives, the loss is
:math:`\log(1 + e^{a + b})`. With the softmax p of the negatives, q of the positives and
:math:`c = \sigma(a + b)` it has the gradient :math:`g = c (p - q)` in the scores and, scale aside,
the Hessian

.. math:: c (\mathrm{diag}(p) - p p^T + \mathrm{diag}(q) - q q^T) + c (1 - c) (p - q)(p - q)^T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import (
    DenseReduction,
    SegmentReduction,
    plain_log_sum_exp,
    softmax_,
    softplus,
    weighted_total,
)
from sklearn_mlce._kernels.hard_targets import DenseTargets, PositiveEntries, cheaper_form
from sklearn_mlce._kernels.loss_function import empty_gradient
from sklearn_mlce._kernels.mlce import (
    NEGATIVES,
    POSITIVES,
    BlockMemory,
    LogitTransform,
    exponent_blocks,
    exponent_matrix,
    exponents_of_positives,
    near_zero_sides,
    plain_exponents,
)


def pairwise_rows(
    scores: Tensor,
    targets: Tensor | DenseTargets | PositiveEntries,
    weight: Tensor | None,
    *,
    transform: LogitTransform,
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their weights, and the gradient ``(n, L)`` of their sum."""
    if (sides := near_zero_sides(scores, targets, transform)) is not None:
        return _near_zero_pairs(*sides, transform.scale, weight)
    targets = cheaper_form(targets)
    out = empty_gradient(scores)
    if isinstance(targets, PositiveEntries):
        return _pairs_of_entries(scores, targets, transform, weight, out), out
    return _pairs_of_matrix(scores, targets, transform, weight, out), out


def plain_pairs(scores: Tensor, *, targets: Tensor, transform: LogitTransform) -> Tensor:
    """Losses ``(n,)`` of rows by differentiable operations, of targets as a matrix."""
    negatives, positives = (
        plain_log_sum_exp(plain_exponents(scores, targets, transform, sign))
        for sign in (NEGATIVES, POSITIVES)
    )
    return softplus(negatives + positives)


def _near_zero_pairs(
    negatives: Tensor, positives: Tensor, scale: float, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their weights, and their gradient, of exponentials."""
    of_negatives, of_positives = (side.sum(dim=1, keepdim=True) for side in (negatives, positives))
    paired = of_negatives * of_positives
    losses = paired.log1p().squeeze(1)
    slope = paired.add_(1).reciprocal_().mul_(scale)
    if weight is not None:
        losses, slope = losses.mul_(weight), slope.mul_(weight[:, None])
    positives.mul_(of_negatives.mul_(slope))
    return losses, negatives.mul_(of_positives.mul_(slope)).sub_(positives)


def _pairs_of_entries(
    scores: Tensor,
    entries: PositiveEntries,
    transform: LogitTransform,
    factor: Tensor | None,
    out: Tensor,
) -> Tensor:
    """Losses ``(n,)`` of rows times their factors; their gradient is written to ``out``."""
    rows = SegmentReduction(entries.rows, len(scores))
    positives = exponents_of_positives(scores, entries, transform)
    log_sums = softmax_(positives, rows)
    losses = torch.zeros_like(log_sums)
    slopes = torch.zeros_like(losses)
    memory = BlockMemory(scores, out)
    for block, negatives in exponent_blocks(scores, entries, transform, NEGATIVES, memory):
        paired = softmax_(negatives, DenseReduction()).add_(log_sums[block])
        losses[block], slopes[block] = _losses_and_slopes(paired, transform, factor, block)
        negatives.mul_(slopes[block, None])  # in place, in out
    at_positives = positives.mul_(rows.broadcast(slopes)).neg_()
    out.view(-1).index_copy_(0, entries.flat_index, at_positives)
    return losses


def _pairs_of_matrix(
    scores: Tensor,
    targets: Tensor | DenseTargets,
    transform: LogitTransform,
    factor: Tensor | None,
    out: Tensor,
) -> Tensor:
    """Losses ``(n,)`` of rows times their factors; their gradient is written to ``out``."""
    losses = scores.new_zeros(len(scores))
    blocks = zip(
        exponent_blocks(scores, targets, transform, NEGATIVES, BlockMemory(scores, out)),
        exponent_blocks(scores, targets, transform, POSITIVES, BlockMemory(scores, None)),
        strict=True,
    )
    for (block, negatives), (_, positives) in blocks:
        paired = softmax_(negatives, DenseReduction())
        paired += softmax_(positives, DenseReduction())
        losses[block], slopes = _losses_and_slopes(paired, transform, factor, block)
        negatives.sub_(positives).mul_(slopes[:, None])  # in place, in out
    return losses


def _losses_and_slopes(
    paired: Tensor, transform: LogitTransform, factor: Tensor | None, block: slice
) -> tuple[Tensor, Tensor]:
    """Losses of a block of rows and their slopes, both times the rows' factors."""
    losses, slopes = softplus(paired), torch.sigmoid(paired).mul_(transform.scale)
    if factor is None:
        return losses, slopes
    return losses.mul_(factor[block]), slopes.mul_(factor[block])


class PairwiseSecondOrder:
    """Pairwise loss of targets; ``weight`` sums the rows, the loss is divided by the scale."""

    def __init__(
        self, targets: PositiveEntries | Tensor, weight: Tensor, transform: LogitTransform
    ) -> None:
        self.targets = targets
        self.weight = weight
        self.transform = transform

    def evaluate(self, scores: Tensor) -> _PairwiseDerivatives:
        """Value and derivatives at ``scores``."""
        (p, of_negatives), (q, of_positives) = (
            self._softmax(scores, NEGATIVES),
            self._softmax(scores, POSITIVES),
        )
        paired = of_negatives.add_(of_positives)
        value = weighted_total(softplus(paired), self.weight, self.transform.scale)
        return _PairwiseDerivatives(value, p, q, torch.sigmoid(paired), self.weight, self.transform)

    def _softmax(self, scores: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """Softmax ``(n, L)`` of one side, 0 off it, and the log-sum-exp ``(n,)``."""
        softmax = exponent_matrix(scores, self.targets, self.transform, sign)
        return softmax, softmax_(softmax, DenseReduction())


class _PairwiseDerivatives:
    def __init__(
        self,
        value: float,
        p: Tensor,
        q: Tensor,
        c: Tensor,
        weight: Tensor,
        transform: LogitTransform,
    ) -> None:
        self.value = value
        self._p, self._q = p, q
        self._c = c[:, None]
        self._weight, self._scale = weight[:, None], transform.scale

    def gradient(self) -> Tensor:
        return torch.sub(self._p, self._q).mul_(self._c * self._weight)

    def curvature_diagonal(self) -> Tensor:
        p, q, c = self._p, self._q, self._c
        diagonal = (p - p.square()).add_(q - q.square())
        diagonal.addcmul_(1 - c, (p - q).square_())
        return diagonal.mul_(c * self._weight * self._scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        p, q, c = self._p, self._q, self._c
        p_dot = torch.linalg.vecdot(p, direction)[:, None]
        q_dot = torch.linalg.vecdot(q, direction)[:, None]
        between = (1 - c) * (p_dot - q_dot)
        # p (d - p.d + between) + q (d - q.d - between)
        of_positives = (direction - (q_dot + between)).mul_(q)
        direction.sub_(p_dot - between).mul_(p).add_(of_positives)
        return direction.mul_(c * self._weight * self._scale)
