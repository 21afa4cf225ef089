"""Multi-label softmax cross-entropy (MLCE) of rows: value, gradient and Hessian.

A row's loss is the sum of two log-sum-exps beside a threshold logit ``z_0``,

    log(e^{z_0} + sum_i e^{z_i}),    z_i = scale * (s_i + margin) + log(weight_i)    negatives,
    log(e^{-z_0} + sum_i e^{z_i}),   z_i = -scale * (s_i - margin) + log(weight_i)   positives;

a label that takes no part in one of them has weight 0 there, hence the exponent -inf.

Work goes by blocks of rows that stay in the processor's cache. Hard positives that are few are
kept as a list of entries, over which their log-sum-exp is reduced; else both sides are matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import (
    NEAR_ZERO,
    DenseReduction,
    LogSumExp,
    SegmentReduction,
    exponentiate_,
    plain_log_sum_exp,
    row_blocks,
    softmax_hessian_diagonal_,
    softplus,
    subtract_sides_,
    weighted_total,
    within,
)
from sklearn_mlce._kernels.hard_targets import DenseTargets, PositiveEntries, cheaper_form
from sklearn_mlce._kernels.loss_function import empty_gradient, is_small

NEGATIVES, POSITIVES = 1, -1  # the sign of a score in the exponents of each


class LogitTransform(NamedTuple):
    """How a score becomes an exponent: ``±scale * (score ± margin) + log_weight``."""

    scale: float
    margins: tuple[float, float]  # of the negatives, of the positives
    log_weight: Tensor | None = None  # broadcastable to the scores


def logit_transform(
    scale: float, margins: tuple[float, float], label_weight: Tensor | None
) -> LogitTransform:
    """Scores to exponents, label weights inside the logarithms."""
    return LogitTransform(scale, margins, None if label_weight is None else label_weight.log())


class BlockMemory:
    """Where the exponents of a block of rows are written.

    In place where the result goes anyway: no scratch memory, one pass less.
    """

    def __init__(self, scores: Tensor, out: Tensor | None) -> None:
        # Without labels there is nothing to write, and the values are the threshold logits.
        self.slices = list(row_blocks(scores)) if scores.shape[1] else []
        self._in_place = out is not None
        if out is not None:
            self._memory = out
        else:
            n_rows = self.slices[0].stop if self.slices else 0
            self._memory = scores.new_empty(n_rows, scores.shape[1])

    def of(self, block: slice) -> Tensor:
        """Memory of a block; that of the last one unless it is in place."""
        return self._memory[block] if self._in_place else self._memory[: block.stop - block.start]


def exponent_blocks(
    scores: Tensor,
    targets: Tensor | DenseTargets | PositiveEntries,
    transform: LogitTransform,
    sign: int,
    memory: BlockMemory,
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows and the exponents of one side, -inf where an entry takes no part.

    The negatives have the weights ``1 - targets``, the positives the weights ``targets``. The
    positives of a list of entries are no matrix: see :func:`exponents_of_positives`.
    """
    masked = _masked_places(scores, targets, memory)
    hard = targets if isinstance(targets, DenseTargets) else None
    for number, block in enumerate(memory.slices):
        exponents = memory.of(block)
        if hard is not None:
            hard.fill_excluded(exponents, block, sign)
        _fill_exponents(exponents, scores[block], sign, transform, hard is not None)
        if (log_weight := _block_log_weight(transform, scores, block)) is not None:
            exponents += log_weight
        if masked is not None:
            exponents.view(-1).index_fill_(0, masked[number], -torch.inf)
        elif isinstance(targets, Tensor):
            exponents += log_target_weights(targets[block].to(exponents.dtype), sign)
        yield block, exponents


def _fill_exponents(
    exponents: Tensor, scores: Tensor, sign: int, transform: LogitTransform, excluding: bool
) -> None:
    """Write ``sign * scale * (scores + sign * margin)`` into ``exponents``.

    If ``excluding``, `exponents` holds a mask on entry: inf for excluded entries, which become
    -inf, and 0 for the rest.
    """
    if excluding:
        torch.sub(scores, exponents, alpha=sign, out=exponents).mul_(sign * transform.scale)
    else:
        torch.mul(scores, sign * transform.scale, out=exponents)
    if margin := transform.margins[0 if sign == NEGATIVES else 1]:
        exponents.add_(transform.scale * margin)


def _block_log_weight(transform: LogitTransform, scores: Tensor, block: slice) -> Tensor | None:
    if transform.log_weight is None or transform.log_weight.ndim < 2:
        return transform.log_weight
    return transform.log_weight.expand_as(scores)[block]


def _masked_places(
    scores: Tensor, targets: Tensor | DenseTargets | PositiveEntries, memory: BlockMemory
) -> list[Tensor] | None:
    """Flat places within each block of the entries that are no negatives; None of a matrix."""
    if not isinstance(targets, PositiveEntries):
        return None
    if len(memory.slices) == 1:
        return [targets.masked]
    n_rows, n_labels = scores.shape
    firsts = [block.start * n_labels for block in memory.slices]
    edges = torch.tensor([*firsts, n_rows * n_labels], device=scores.device)
    bounds = torch.searchsorted(targets.masked, edges).tolist()
    return [
        targets.masked[low:high] - first
        for first, (low, high) in zip(firsts, pairwise(bounds), strict=True)
    ]


def log_target_weights(targets: Tensor, sign: int) -> Tensor:
    """Logarithms of the weights of soft targets on a side; -inf where unknown or zero."""
    logs = torch.log1p(-targets) if sign == NEGATIVES else torch.log(targets)
    return logs.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)


def exponents_of_positives(
    scores: Tensor, positives: PositiveEntries, transform: LogitTransform
) -> Tensor:
    """Exponents ``(n_positives,)`` of the positives of hard targets."""
    exponents = scores.reshape(-1).index_select(0, positives.flat_index)
    exponents = (exponents - transform.margins[1]).mul_(-transform.scale)
    if transform.log_weight is not None:
        weight = transform.log_weight
        by_label = weight.ndim < 2
        exponents += (
            weight[positives.columns] if by_label else weight[positives.rows, positives.columns]
        )
    return exponents


def exponent_matrix(
    scores: Tensor, targets: Tensor | PositiveEntries, transform: LogitTransform, sign: int
) -> Tensor:
    """Exponents ``(n, L)`` of one side, -inf where an entry takes no part."""
    matrix = torch.full_like(scores, -torch.inf)
    if isinstance(targets, PositiveEntries) and sign == POSITIVES:
        exponents = exponents_of_positives(scores, targets, transform)
        matrix.view(-1).index_copy_(0, targets.flat_index, exponents)
        return matrix
    memory = BlockMemory(scores, None)
    for block, exponents in exponent_blocks(scores, targets, transform, sign, memory):
        matrix[block] = exponents
    return matrix


def plain_rows(
    scores: Tensor, threshold: Tensor | None = None, *, targets: Tensor, transform: LogitTransform
) -> Tensor:
    """Losses ``(n,)`` of rows by differentiable operations, of targets as a matrix.

    ``threshold`` is as in :func:`evaluate_rows`, which gives the same values.
    """
    logit = None if threshold is None else transform.scale * threshold
    negatives, positives = (
        _beside_threshold(
            plain_log_sum_exp(plain_exponents(scores, targets, transform, sign)),
            None if logit is None else sign * logit,
        )
        for sign in (NEGATIVES, POSITIVES)
    )
    return negatives + positives


def _beside_threshold(labels: Tensor, logit: Tensor | None) -> Tensor:
    """Log-sum-exp of the labels and the threshold's logit."""
    # The second derivative of torch.logaddexp is NaN where one is far below the other.
    return softplus(labels) if logit is None else logit + softplus(labels - logit)


def plain_exponents(
    scores: Tensor, targets: Tensor, transform: LogitTransform, sign: int
) -> Tensor:
    """Exponents ``(n, L)`` of one side by differentiable operations, -inf of no part."""
    margin = transform.margins[0 if sign == NEGATIVES else 1]
    exponents = sign * transform.scale * (scores + sign * margin)
    if transform.log_weight is not None:
        exponents = exponents + transform.log_weight
    return exponents + log_target_weights(targets.to(scores.dtype), sign)


def evaluate_rows(
    scores: Tensor,
    threshold: Tensor | None = None,
    *,
    targets: Tensor | DenseTargets | PositiveEntries,
    transform: LogitTransform,
    weight: Tensor | None,
    with_gradient: bool = True,
) -> tuple[Tensor, tuple[Tensor, ...] | None]:
    """Losses ``(n,)`` of rows times their weights, and their gradient.

    Parameters
    ----------
    scores : Tensor of shape (n, L)
        Scores.
    threshold : Tensor of shape (n,), default=None
        Threshold scores; zero where None.
    targets : Tensor, DenseTargets or PositiveEntries
        Soft or hard targets.
    transform : LogitTransform
        Scale, margins and label weights.
    weight : Tensor of shape (n,) or None
        Weights of the rows.
    with_gradient : bool, default=True
        Whether the gradient is wanted.

    Returns
    -------
    losses : Tensor of shape (n,)
    gradients : tuple of Tensor, or None
        In the scores and, where there are any, in the threshold scores.
    """
    if threshold is None and (sides := near_zero_sides(scores, targets, transform)) is not None:
        losses, gradient = _near_zero_rows(*sides, transform.scale, weight)
        return losses, (gradient,) if with_gradient else None
    targets = cheaper_form(targets)
    out = empty_gradient(scores) if with_gradient else None
    logit = None if threshold is None else transform.scale * threshold
    scale = transform.scale
    factor = scores.new_full((len(scores),), scale) if weight is None else scale * weight
    losses = _matrix_side(scores, targets, transform, NEGATIVES, logit, factor, out)
    opposite = None if logit is None else -logit
    if isinstance(targets, PositiveEntries):
        losses += _entries_side(scores, targets, transform, opposite, factor, out)
    else:
        losses += _matrix_side(scores, targets, transform, POSITIVES, opposite, factor, out)
    losses = losses if weight is None else losses.mul_(weight)
    if out is None:
        return losses, None
    # The loss depends on the scores less the threshold.
    return losses, (out,) if threshold is None else (out, out.sum(dim=1).neg_())


def near_zero_sides(
    scores: Tensor, targets: Tensor | DenseTargets | PositiveEntries, transform: LogitTransform
) -> tuple[Tensor, Tensor] | None:
    """Weighted exponentials ``(n, L)`` of both sides of few scores that are near zero, or None.

    One exponential serves both sides, and the targets are factors of it: of few scores this takes
    a third of the time of exponents and shifts, which they need not.
    """
    if isinstance(targets, PositiveEntries) or not is_small(scores) or not scores.numel():
        return None
    all_known = isinstance(targets, DenseTargets) and targets.all_known
    matrix = targets.targets if isinstance(targets, DenseTargets) else targets
    scale, log_weight = transform.scale, transform.log_weight
    logits = scores if scale == 1 else scores * scale
    reach = scale * max(map(abs, transform.margins))
    if log_weight is not None:
        reach += max(0.0, log_weight.max().item())
    if not within(logits, NEAR_ZERO - reach):
        return None
    matrix = matrix.to(logits.dtype)
    if not all_known and matrix.sum().isnan():  # a tenth of the time of asking every entry
        weights = (1 - matrix).nan_to_num_(0), matrix.nan_to_num(0)
    else:
        weights = 1 - matrix, matrix
    exponentials = logits.exp()
    positives = weights[1] / exponentials
    negatives = exponentials.mul_(weights[0])
    for side, margin in zip((negatives, positives), transform.margins, strict=True):
        if margin:
            side.mul_(math.exp(scale * margin))
        if log_weight is not None:
            side.mul_(log_weight.exp())
    return negatives, positives


def _near_zero_rows(
    negatives: Tensor, positives: Tensor, scale: float, weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their weights, and their gradient, of exponentials."""
    of_negatives, of_positives = (side.sum(dim=1, keepdim=True) for side in (negatives, positives))
    losses = of_negatives.log1p().add_(of_positives.log1p()).squeeze(1)
    negatives.div_(of_negatives.add_(1))
    gradient = negatives.sub_(positives.div_(of_positives.add_(1)))
    if scale != 1:
        gradient.mul_(scale)
    if weight is None:
        return losses, gradient
    return losses.mul_(weight), gradient.mul_(weight.unsqueeze(1))


def loss_and_gradient(
    scores: Tensor,
    targets: Tensor | PositiveEntries,
    weight: Tensor | None,
    *,
    transform: LogitTransform,
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their weights, and the gradient ``(n, L)`` of their sum."""
    losses, gradients = evaluate_rows(scores, targets=targets, transform=transform, weight=weight)
    assert gradients is not None
    return losses, gradients[0]


def _matrix_side(
    scores: Tensor,
    targets: Tensor | DenseTargets | PositiveEntries,
    transform: LogitTransform,
    sign: int,
    logit: Tensor | None,
    factor: Tensor,
    out: Tensor | None,
) -> Tensor:
    """Values ``(n,)`` of one side.

    Where ``out`` is given, ``factor * gradient`` in the exponents is written to it for the
    negatives, and subtracted from it for the positives.
    """
    values = torch.zeros_like(factor) if logit is None else logit.clone()
    memory = BlockMemory(scores, out if sign == NEGATIVES else None)
    rows = DenseReduction()
    for block, exponents in exponent_blocks(scores, targets, transform, sign, memory):
        threshold = None if logit is None else logit[block]
        side = LogSumExp(exponentiate_(exponents, rows), threshold, factor[block], rows)
        values[block] = side.values
        if out is not None and sign == POSITIVES:  # the gradient of the negatives is in place
            out[block] -= side.release_gradient()
    return values


def _entries_side(
    scores: Tensor,
    positives: PositiveEntries,
    transform: LogitTransform,
    logit: Tensor | None,
    factor: Tensor,
    out: Tensor | None,
) -> Tensor:
    """Values ``(n,)`` of the positives of hard targets; their gradient is written to ``out``."""
    rows = SegmentReduction(positives.rows, len(scores))
    exponents = exponents_of_positives(scores, positives, transform)
    side = LogSumExp(exponentiate_(exponents, rows), logit, factor, rows)
    if out is not None:
        out.view(-1).index_copy_(0, positives.flat_index, side.release_gradient().neg_())
    return side.values


class MLCESecondOrder:
    """MLCE of rows for second-order solvers, divided by the scale.

    Parameters
    ----------
    targets : PositiveEntries or Tensor of shape (n, L)
        Hard targets, or soft and unknown (NaN) ones.
    weight : Tensor of shape (n,)
        Positive weights, by which the rows are summed.
    transform : LogitTransform
        Scale, margins and label weights.
    """

    def __init__(
        self, targets: PositiveEntries | Tensor, weight: Tensor, transform: LogitTransform
    ) -> None:
        self.targets, self.weight, self.transform = targets, weight, transform

    def evaluate(self, scores: Tensor) -> _HardDerivatives | _SoftDerivatives:
        """Value and derivatives at ``scores``."""
        negatives = _SideOfRows(scores, self.targets, self.transform, NEGATIVES, self.weight)
        scale = self.transform.scale
        if not isinstance(self.targets, PositiveEntries):
            sides = (
                negatives,
                _SideOfRows(scores, self.targets, self.transform, POSITIVES, self.weight),
            )
            return _SoftDerivatives(sides, self.weight, scale)
        rows = SegmentReduction(self.targets.rows, len(scores))
        exponents = exponents_of_positives(scores, self.targets, self.transform)
        positives = LogSumExp(exponentiate_(exponents, rows), None, self.weight, rows)
        return _HardDerivatives(negatives, positives, self.targets, self.weight, scale)


class _SideOfRows:
    """One side of all rows as matrices, block by block."""

    def __init__(
        self,
        scores: Tensor,
        targets: Tensor | PositiveEntries,
        transform: LogitTransform,
        sign: int,
        weight: Tensor,
    ) -> None:
        self._memory = torch.empty_like(scores)  # of the gradient
        self._blocks: list[tuple[slice, LogSumExp]] = []
        self.values = torch.zeros_like(weight)
        memory, rows = BlockMemory(scores, self._memory), DenseReduction()
        for block, exponents in exponent_blocks(scores, targets, transform, sign, memory):
            side = LogSumExp(exponentiate_(exponents, rows), None, weight[block], rows)
            self._blocks.append((block, side))
            self.values[block] = side.values

    def gradient(self) -> Tensor:
        """Weighted gradient in the exponents ``(n, L)``, a copy."""
        return self._memory.clone()

    def hessian_product_(self, direction: Tensor) -> Tensor:
        """Weighted Hessian in the exponents times a direction, written over it."""
        for block, side in self._blocks:
            side.hessian_product_(direction[block])
        return direction


class _HardDerivatives:
    """Derivatives of hard targets: those of the positives lie in a list of entries."""

    def __init__(
        self,
        negatives: _SideOfRows,  # its gradient is zero at the positives
        positives: LogSumExp,
        entries: PositiveEntries,
        weight: Tensor,
        scale: float,
    ) -> None:
        self.value = weighted_total(negatives.values + positives.values, weight, scale)
        self._negatives, self._positives = negatives, positives
        self._entries, self._weight, self._scale = entries, weight, scale

    def gradient(self) -> Tensor:
        return self._with_positives(self._negatives.gradient(), self._positives.gradient().neg_())

    def curvature_diagonal(self) -> Tensor:
        weight = self._weight
        diagonal = softmax_hessian_diagonal_(self._negatives.gradient(), weight[:, None])
        of_rows = weight[self._entries.rows]
        at_positives = softmax_hessian_diagonal_(self._positives.gradient(), of_rows)
        return self._with_positives(diagonal, at_positives).mul_(self._scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        at_positives = direction.reshape(-1)[self._entries.flat_index]
        at_positives = self._positives.hessian_product_(at_positives)
        product = self._with_positives(self._negatives.hessian_product_(direction), at_positives)
        return product.mul_(self._scale) if self._scale != 1 else product

    def _with_positives(self, matrix: Tensor, values: Tensor) -> Tensor:
        """Matrix with the values written at the positive entries, in place."""
        matrix.view(-1).index_copy_(0, self._entries.flat_index, values)
        return matrix


class _SoftDerivatives:
    """Derivatives of targets that take part on both sides."""

    def __init__(self, sides: tuple[_SideOfRows, _SideOfRows], weight: Tensor, scale: float):
        self.value = weighted_total(sides[0].values + sides[1].values, weight, scale)
        self._sides, self._weight, self._scale = sides, weight, scale

    def gradient(self) -> Tensor:
        negatives, positives = self._sides
        return subtract_sides_(negatives.gradient(), positives.gradient())

    def curvature_diagonal(self) -> Tensor:
        negatives, positives = (
            softmax_hessian_diagonal_(side.gradient(), self._weight[:, None])
            for side in self._sides
        )
        return negatives.add_(positives).mul_(self._scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        negatives, positives = self._sides
        product = positives.hessian_product_(direction.clone())
        return product.add_(negatives.hessian_product_(direction)).mul_(self._scale)
