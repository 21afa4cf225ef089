"""Losses of rows of several outputs, with their gradient.

The outputs of a class are in one logarithm, ``log(1 + sum_i e^{d_i})``: what is needed of each
output is its exponent and how that moves with its scores.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import (
    NEAR_ZERO,
    exp_,
    need_no_shift,
    plain_log_sum_exp,
    softplus,
    weighted_total,
)
from sklearn_mlce._kernels.loss_function import full_precision_product, is_small
from sklearn_mlce._kernels.output_layout import ABSENT, OutputLayout


def hard_rows(
    scores: Tensor,
    codes: Tensor,
    log_weight: Tensor | None = None,
    factor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their factors, and their gradient."""
    own = codes.clamp(min=0)[..., None]  # an unknown output's code is -1
    softmax = scores.clone()
    target_scores = softmax.gather(2, own)
    softmax.scatter_(2, own, -torch.inf)
    in_range = need_no_shift(scores)
    log_sums = _softmax_of_others(softmax, in_range)
    exponents = log_sums.sub_(target_scores)
    if log_weight is not None:
        exponents.add_(log_weight.expand_as(scores).gather(2, own))
    exponents = exponents.squeeze(2).masked_fill_(codes < 0, -torch.inf)
    in_range = in_range and log_weight is None
    losses, pull = _pool_by_class(exponents, own.squeeze(2), scores.shape[2], in_range)
    if factor is not None:
        losses, pull = losses * factor, pull * factor[:, None]
    gradient = softmax.mul_(pull[..., None]).scatter_(2, own, -pull[..., None])
    return losses, gradient


def plain_hard_rows(scores: Tensor, *, codes: Tensor, log_weight: Tensor | None = None) -> Tensor:
    """Losses ``(n,)`` of rows by differentiable operations."""
    own = codes.clamp(min=0)[..., None]
    is_own = own == torch.arange(scores.shape[2], device=scores.device)
    others = plain_log_sum_exp(scores.masked_fill(is_own, -torch.inf), 2)[..., None]
    exponents = others - scores.gather(2, own)
    if log_weight is not None:
        exponents = exponents + log_weight.expand_as(scores).gather(2, own)
    counts = is_own & (codes >= 0)[..., None]
    pooled = plain_log_sum_exp(torch.where(counts, exponents, -torch.inf), 1)
    return softplus(pooled).sum(dim=1)


def _pool_by_class(
    exponents: Tensor, classes: Tensor, n_classes: int, in_range: bool
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of outputs ``(n, n_outputs)`` pooled by class, and their gradient."""
    if in_range:
        terms = exp_(exponents)
        sums = exponents.new_zeros(len(exponents), n_classes).scatter_add_(1, classes, terms)
        losses = sums.log1p().sum(dim=1)
        return losses, terms.div_(sums.add_(1).gather(1, classes))
    largest = exponents.new_zeros(len(exponents), n_classes)  # 0 is the exponent of the 1
    largest.scatter_reduce_(1, classes, exponents, "amax")
    terms = exp_(exponents.sub(largest.gather(1, classes)))
    sums = torch.zeros_like(largest).scatter_add_(1, classes, terms)
    losses, total = _log_one_plus(largest, sums)
    return losses.sum(dim=1), terms.div_(total.gather(1, classes))


def _softmax_of_others(others: Tensor, in_range: bool) -> Tensor:
    """Replace scores, -inf at the own class, by their softmax; their log-sum-exp."""
    if in_range:
        sums = exp_(others).sum(dim=2, keepdim=True)
        others.div_(sums.clamp(min=torch.finfo(sums.dtype).tiny))  # 0 where no other class is
        return sums.log_()
    largest = others.amax(dim=2, keepdim=True).nan_to_num_(neginf=0.0)
    sums = exp_(others.sub_(largest)).sum(dim=2, keepdim=True)
    others.div_(sums.clamp(min=1.0))  # at least 1 where there is any
    return sums.log_().add_(largest)


def soft_rows(
    scores: Tensor, target_weight: Tensor, factor: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their factors, and their gradient."""
    terms = _mean_of_classes(scores).sub(scores)
    if need_no_shift(terms):
        sums = exp_(terms).mul_(target_weight).sum(dim=1, keepdim=True)
        losses, total = sums.log1p(), sums.add(1)
    else:
        terms.add_(target_weight.log())
        largest = _largest(terms, 1).clamp(min=0)  # 0 is the exponent of the 1
        sums = exp_(terms.sub_(largest)).sum(dim=1, keepdim=True)
        losses, total = _log_one_plus(largest, sums)
    pull = terms.div_(total)
    losses = losses.sum(dim=(1, 2))
    if factor is not None:
        losses, pull = losses * factor, pull.mul_(factor[:, None, None])
    return losses, _mean_of_classes(pull).sub(pull)


def plain_soft_rows(scores: Tensor, *, target_weight: Tensor) -> Tensor:
    """Losses ``(n,)`` of rows by differentiable operations."""
    exponents = scores.mean(dim=2, keepdim=True) - scores + target_weight.log()
    return softplus(plain_log_sum_exp(exponents, 1)).sum(dim=1)


def divergence_rows(
    scores: Tensor,
    targets: Tensor,
    label_weight: Tensor | None = None,
    factor: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their factors, and their gradient.

    Targets ``(n, n_outputs, n_classes)`` are 0 throughout for an unknown output. With the ratio
    ``r`` of the target to the softmax, the gradient in the logarithm of the softmax is ``1 - r``
    times the target.
    """
    log_softmax = _log_softmax(scores)
    log_ratio = (
        targets.log().sub_(log_softmax).masked_fill_(targets == 0, 0.0)
    )  # which cost nothing
    weight = targets if label_weight is None else targets * label_weight
    if _is_moderate(log_ratio):
        excess = torch.expm1(log_ratio)  # r - 1
        terms = torch.sub(excess, log_ratio, out=log_ratio).clamp_(min=0).mul_(weight)
        sums = terms.sum(dim=1, keepdim=True)
        losses, pull = sums.log1p(), excess.mul_(weight).div_(sums.add(1))
    else:
        terms, pull, shift = _shifted_terms(log_ratio, weight)
        losses, total = _log_one_plus(shift, terms.clamp_(min=0).sum(dim=1, keepdim=True))
        pull = pull.div_(total)
    losses = losses.sum(dim=(1, 2))
    if factor is not None:
        losses, pull = losses * factor, pull.mul_(factor[:, None, None])
    return losses, exp_(log_softmax).mul_(_sum_of_classes(pull)).sub_(pull)


def plain_divergence_rows(
    scores: Tensor, *, targets: Tensor, label_weight: Tensor | None = None
) -> Tensor:
    """Losses ``(n,)`` of rows by differentiable operations."""
    counts = targets > 0
    log_targets = torch.where(counts, targets, 1.0).log()
    log_ratio = torch.where(counts, log_targets - scores.log_softmax(dim=2), 0.0)
    weight = targets if label_weight is None else targets * label_weight
    terms, _, shift = _shifted_terms(log_ratio, weight)
    losses, _ = _log_one_plus(shift, terms.sum(dim=1, keepdim=True))
    return losses.sum(dim=(1, 2))


def _log_softmax(scores: Tensor) -> Tensor:
    """Logarithm of the softmax of classes; torch's own takes five times as long for few of them."""
    if not need_no_shift(scores):
        scores = scores - _largest(scores, 2)
    return scores - _sum_of_classes(scores.exp()).log()


def _is_moderate(log_ratio: Tensor) -> bool:
    """Whether sums of the ratios are in range; never on a GPU, where that costs time."""
    if log_ratio.device.type != "cpu" or not log_ratio.numel():
        return False
    return log_ratio.max().item() < NEAR_ZERO


def _shifted_terms(log_ratio: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted ``r - 1 - log r`` and ``r - 1``, times ``e^-shift``, and the shift of each class.

    Ratios above e are taken through their logarithm, others as they are: there each form has
    neither an overflow nor a difference that cancels. The shift is a constant of shape
    (n, 1, n_classes), at least 0.
    """
    is_large = log_ratio > 1
    small, large = log_ratio.clamp(max=1), log_ratio.clamp(min=1)
    exponents = weight.log() + large
    shift = torch.where(is_large, exponents.detach(), 0.0)
    shift = _largest(shift, 1).clamp(min=0)  # 0 is the exponent of the 1
    # Of a small ratio the exponent may be beyond the shift: infinite times no slope is NaN.
    ratios = torch.exp(torch.where(is_large, exponents - shift, 0.0))
    excess, scale = torch.expm1(small), weight * torch.exp(-shift)
    of_large = torch.exp(-large)  # 1 / r
    terms = torch.where(is_large, ratios * (1 - (1 + large) * of_large), scale * (excess - small))
    return terms, torch.where(is_large, ratios * (1 - of_large), scale * excess), shift


def _mean_of_classes(entries: Tensor) -> Tensor:
    """Means ``(n, n_outputs, 1)``; few classes of many rows are summed faster by a product."""
    if is_small(entries):
        return entries.mean(dim=2, keepdim=True)
    n_classes = entries.shape[2]
    return full_precision_product(entries, entries.new_full((n_classes, 1), 1 / n_classes))


def _sum_of_classes(entries: Tensor) -> Tensor:
    """Sums ``(n, n_outputs, 1)``."""
    return _mean_of_classes(entries) * entries.shape[2]


def _largest(entries: Tensor, dim: int) -> Tensor:
    """Largest entries over outputs or classes, by halves: a tenth of the time of amax."""
    while entries.shape[dim] > 1:
        half = (entries.shape[dim] + 1) // 2  # the halves may overlap
        rest = entries.shape[dim] - half
        entries = torch.maximum(entries.narrow(dim, 0, half), entries.narrow(dim, rest, half))
    return entries


def _log_one_plus(largest: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    """``log(1 + e^largest sums)`` for ``largest >= 0``, and ``e^-largest + sums``."""
    beyond_one = torch.expm1(-largest).add_(sums)  # small sums keep their digits
    return beyond_one.log1p().add_(largest), torch.exp(-largest).add_(sums)


class ClassColumns(NamedTuple):
    """Column of the class of each output, row by row, and the number of classes of each."""

    columns: Tensor  # (n * n_outputs,), -1 where unknown
    sizes: tuple[int, ...]


class ClassProbabilities(NamedTuple):
    """Probability of each class of each output, and the number of classes of each."""

    matrix: Tensor  # (n, n_scores), NaN for the classes of an unknown output
    sizes: tuple[int, ...]


class _RowsOfOutputs:
    """Losses of several outputs, whose scores stand side by side.

    Parameters
    ----------
    excluded : Tensor of shape (n_scores,) or None
        Mask of the classes that take no part; None where all do.
    """

    def __init__(self, excluded: Tensor | None = None) -> None:
        self._excluded = excluded
        self._layouts: dict[Any, OutputLayout] = {}

    def _layout(self, sizes: tuple[int, ...], device: torch.device) -> OutputLayout:
        layout = self._layouts.get((sizes, device))
        if layout is None:
            layout = self._layouts[sizes, device] = OutputLayout(sizes, device)
        return layout


class MultioutputRows(_RowsOfOutputs):
    """Losses of the classes of several outputs."""

    def __call__(
        self, scores: Tensor, classes: ClassColumns, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Losses ``(n,)`` of rows times their weights, and the gradient of their sum."""
        columns, sizes = classes
        layout = self._layout(sizes, scores.device)
        codes = layout.codes(columns)
        if self._excluded is not None:
            # An output whose only class yet takes no part is as good as unknown.
            unknown = self._excluded[columns].view_as(codes)
            codes = codes.masked_fill(unknown, -1)
            scores = scores.masked_fill(self._excluded, ABSENT)
        values, gradient = hard_rows(layout.split(scores), codes, factor=weight)
        gradient = layout.join(gradient)
        if self._excluded is not None:
            gradient = gradient.masked_fill(self._excluded, 0)
        return values, gradient


class DivergenceRows(_RowsOfOutputs):
    """Losses of the probabilities of the classes of several outputs."""

    def __call__(
        self, scores: Tensor, targets: ClassProbabilities, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Losses ``(n,)`` of rows times their weights, and the gradient of their sum."""
        matrix, sizes = targets
        layout = self._layout(sizes, scores.device)
        known = layout.split(matrix.nan_to_num(0.0), absent=0.0)
        if self._excluded is None:
            values, gradient = divergence_rows(layout.split(scores), known, factor=weight)
            return values, layout.join(gradient)
        # An output that is certain of a class which takes no part yet is as good as unknown.
        excluded = layout.split(self._excluded[None].to(matrix.dtype), absent=0.0)
        known = known.masked_fill(((known * excluded) > 0).any(dim=2, keepdim=True), 0.0)
        scores = scores.masked_fill(self._excluded, ABSENT)
        values, gradient = divergence_rows(layout.split(scores), known, factor=weight)
        return values, layout.join(gradient).masked_fill(self._excluded, 0)


class MultioutputSecondOrder:
    """Loss of class codes; ``weight`` (n,) sums the rows.

    Parameters
    ----------
    classes : ClassColumns
        Classes of the outputs of each row.
    weight : Tensor of shape (n,)
        Weights of the rows.
    """

    def __init__(self, classes: ClassColumns, weight: Tensor) -> None:
        self._layout = OutputLayout(classes.sizes, weight.device)
        self._codes = self._layout.codes(classes.columns)
        self._weight = weight

    def evaluate(self, scores: Tensor) -> _MultioutputDerivatives:
        """Value and derivatives at ``scores``."""
        losses, gradient = hard_rows(self._layout.split(scores), self._codes)
        value = weighted_total(losses, self._weight)
        return _MultioutputDerivatives(value, gradient, self._codes, self._weight, self._layout)


class _MultioutputDerivatives:
    def __init__(
        self, value: float, gradient: Tensor, codes: Tensor, weight: Tensor, layout: OutputLayout
    ) -> None:
        self.value = value
        self._gradient = gradient  # (n, n_outputs, most classes), of the rows' own losses
        # The gradient of an unknown output is zero, and so is all that is made of it.
        self._codes, self._layout = codes.clamp(min=0), layout
        self._weight = weight[:, None]

    def gradient(self) -> Tensor:
        return self._layout.join(self._gradient).mul(self._weight)

    def curvature_diagonal(self) -> Tensor:
        size = self._layout.join(self._gradient).abs()
        return size.sub_(size.square()).mul_(self._weight)

    def curvature_product(self, direction: Tensor) -> Tensor:
        moves = self._layout.split(direction, absent=0.0)
        own = self._codes[..., None]
        probabilities = self._gradient.scatter(2, own, 0.0)
        moves = moves - moves.gather(2, own)  # of the differences
        product = probabilities * moves
        pools = moves.new_zeros(len(moves), moves.shape[2])
        pools.scatter_add_(1, self._codes, product.sum(dim=2))
        product -= probabilities * pools.gather(1, self._codes)[..., None]
        product.scatter_(2, own, -product.sum(dim=2, keepdim=True))
        torch.mul(self._layout.join(product), self._weight, out=direction)
        return direction
