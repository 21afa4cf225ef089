"""Exponentials of scores and their sums over the labels of a row.

The entries of a row lie along a row of a matrix, or in a list of entries; a :class:`RowReduction`
sums them to their rows and broadcasts values of rows to them, so that each formula stands once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

_LOG2_OF_E = 1 / math.log(2)
_FEW = 2**16
# A million squared exponentials of less still have a sum in float32, and a row whose largest one
# is not below loses 1e-24 of it at most.
NEAR_ZERO = 30.0
# Elements per block: 4 MiB of float32 stay in cache; a GPU wants fewer, larger blocks.
_BLOCK_ELEMENTS = 2**20
_BLOCK_ELEMENTS_OF_GPU = 2**24
_ROUNDING_UNITS = 32  # of a side of the loss, by the rounding of scores and exponentials
SPENT = "the gradient was released, and its memory with it: evaluate the scores anew"


def row_blocks(scores: Tensor, elements: int | None = None) -> Iterator[slice]:
    """Slices of rows of a matrix ``(n, L)``, each small enough to stay in cache.

    ``elements`` is the most entries of a block on a CPU, `_BLOCK_ELEMENTS` where None.
    """
    n_rows, n_labels = scores.shape
    if scores.device.type != "cpu":
        elements = _BLOCK_ELEMENTS_OF_GPU
    elif elements is None:
        elements = _BLOCK_ELEMENTS
    step = max(1, elements // max(n_labels, 1))
    # scikit-learn's gen_batches checks its arguments for longer than a small batch takes.
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def softplus(values: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``log(1 + exp(values))``."""
    # Beyond 40 the value is its argument in float64 too; torch's own bound is meant for float32.
    return torch.nn.functional.softplus(values, threshold=40, out=out)  # type: ignore[call-arg]


def exp_(values: Tensor) -> Tensor:
    """Exponential in place, as a power of 2: of large tensors on a CPU in about half the time.

    The rounding of the product leaves a relative error of a few units in the last place for
    each ten that the argument is off zero.
    """
    if values.numel() < _FEW:  # the second call takes longer than the arithmetic
        return values.exp_()
    return values.mul_(_LOG2_OF_E).exp2_()


def need_no_shift(exponents: Tensor) -> bool:
    """Whether all are so near zero that sums of their exponentials are in range as they are.

    Always False on a GPU, which would have to be waited for.
    """
    if exponents.device.type != "cpu" or not exponents.numel():
        return False
    return within(exponents, NEAR_ZERO)


def within(values: Tensor, bound: float) -> bool:
    """Whether all of some values, which may not be empty, are smaller than a bound."""
    smallest, largest = values.aminmax()
    return smallest.item() > -bound and largest.item() < bound


class RowReduction(Protocol):
    """How entries belong to rows."""

    def sum(self, entries: Tensor) -> Tensor:
        """Sums ``(n,)`` of the entries of each row."""

    def broadcast(self, row_values: Tensor) -> Tensor:
        """Values ``(n,)`` of rows, in a shape that broadcasts to the entries."""

    def largest(self, entries: Tensor) -> Tensor:
        """Largest entry ``(n,)`` of each row, -inf where it has none."""


class DenseReduction:
    """Entries are a matrix ``(n, L)``, L > 0."""

    def sum(self, entries: Tensor) -> Tensor:
        return entries.sum(dim=1)

    def broadcast(self, row_values: Tensor) -> Tensor:
        return row_values[:, None]

    def largest(self, entries: Tensor) -> Tensor:
        return entries.amax(dim=1)


class SegmentReduction:
    """Entries are a list ``(n_entries,)`` in ascending order of their rows."""

    def __init__(self, rows: Tensor, n_rows: int) -> None:
        self._rows = rows
        self._n_rows = n_rows

    def sum(self, entries: Tensor) -> Tensor:
        return entries.new_zeros(self._n_rows).index_add_(0, self._rows, entries)

    def broadcast(self, row_values: Tensor) -> Tensor:
        return row_values.index_select(0, self._rows)  # half the time of indexing

    def largest(self, entries: Tensor) -> Tensor:
        largest = entries.new_full((self._n_rows,), -torch.inf)
        return largest.scatter_reduce_(0, self._rows, entries, "amax")


class Exponentials(NamedTuple):
    """Exponentials ``exp(exponents - shift)`` of rows, in the memory of the exponents."""

    terms: Tensor
    shift: Tensor  # (n,), -inf for a row without exponents
    sums: Tensor  # (n,), of the terms of each row, above zero; 1 for a row without


def exponentiate_(exponents: Tensor, reduction: RowReduction) -> Exponentials:
    """Exponentials, less a shift of their row where some are far off zero."""
    largest = reduction.largest(exponents)
    if need_no_shift(largest):
        exp_(exponents)
        return Exponentials(exponents, largest.zero_(), reduction.sum(exponents))
    # Infinite less infinite would be NaN.
    finite = torch.finfo(largest.dtype)
    shift = largest.clamp(min=finite.min, max=finite.max)
    exp_(exponents.sub_(reduction.broadcast(shift)))
    return Exponentials(exponents, largest, reduction.sum(exponents).clamp_(min=1.0))


def softmax_(exponents: Tensor, reduction: RowReduction) -> Tensor:
    """Replace exponents by their softmax within each row; their log-sum-exp ``(n,)``."""
    _, shift, sums = exponentiate_(exponents, reduction)
    exponents.div_(reduction.broadcast(sums))
    return shift.add_(sums.log_())


def plain_log_sum_exp(exponents: Tensor, dim: int = 1) -> Tensor:
    """Log-sum-exp over a dimension, differentiable any number of times.

    Exponents of -inf take no part. Where no other is, the result is the lowest finite number and
    has no slope; that of ``torch.logsumexp`` would be NaN.
    """
    lowest = torch.finfo(exponents.dtype)
    if exponents.shape[dim] == 0:
        return exponents.sum(dim) + lowest.min
    shift = exponents.detach().amax(dim, keepdim=True).clamp(lowest.min, lowest.max)
    # The largest term is 1: only a sum of none is clamped.
    sums = torch.exp(exponents - shift).sum(dim).clamp(min=0.5)
    return shift.squeeze(dim) + sums.log()


class LogSumExp:
    """``log(e^{z_0} + sum_i e^{z_i})`` of each row, with gradient and Hessian in the exponents.

    Parameters
    ----------
    exponentials : Exponentials
        Of the exponents ``z_i``; their memory is taken over.
    threshold : Tensor of shape (n,) or None
        ``z_0``; zero where None.
    weight : Tensor of shape (n,)
        Factor of the gradient and the Hessian of each row, not of the values.
    reduction : RowReduction
        How the entries belong to rows.

    Attributes
    ----------
    values : Tensor of shape (n,)
        Of the rows.
    """

    def __init__(
        self,
        exponentials: Exponentials,
        threshold: Tensor | None,
        weight: Tensor,
        reduction: RowReduction,
    ) -> None:
        terms, shift, sums = exponentials
        labels = shift.add_(sums.log())  # log-sum-exp without the threshold
        probability = torch.sigmoid(labels if threshold is None else labels - threshold)
        # The softmax beside the threshold, which is the gradient.
        terms.mul_(reduction.broadcast(probability.mul_(weight).div_(sums)))
        self.values = softplus(labels) if threshold is None else torch.logaddexp(labels, threshold)
        self._gradient: Tensor | None = terms
        self._weight, self._reduction = weight, reduction

    def gradient(self) -> Tensor:
        """Weighted gradient in the exponents, a copy."""
        assert self._gradient is not None, SPENT
        return self._gradient.clone()

    def release_gradient(self) -> Tensor:
        """Weighted gradient in the exponents, in their memory; spends the object."""
        assert self._gradient is not None, SPENT
        gradient, self._gradient = self._gradient, None
        return gradient

    def hessian_product_(self, direction: Tensor) -> Tensor:
        """Weighted Hessian in the exponents times a direction, written over the direction."""
        assert self._gradient is not None, SPENT
        return softmax_hessian_product_(direction, self._gradient, self._weight, self._reduction)


def softmax_hessian_product_(
    direction: Tensor, softmax: Tensor, weight: Tensor, reduction: RowReduction
) -> Tensor:
    """``w (diag(p) - p p^T)`` times a direction, by the weighted softmax ``w p``."""
    mean = reduction.sum(softmax * direction).div_(weight)
    return direction.sub_(reduction.broadcast(mean)).mul_(softmax)


def softmax_hessian_diagonal_(softmax: Tensor, weight: Tensor) -> Tensor:
    """``w (p - p^2)``, written over the weighted softmax ``w p``."""
    return softmax.sub_(softmax.square().div_(weight))


def subtract_sides_(negatives: Tensor, positives: Tensor) -> Tensor:
    """Gradient of soft targets: negatives less positives, in place, 0 where they cancel.

    What rounding leaves there would be the whole gradient where the labels depend on nothing, and
    a solver would chase it.
    """
    rounding = positives.abs().mul_(_ROUNDING_UNITS * torch.finfo(positives.dtype).eps)
    difference = negatives.sub_(positives)
    return difference.mul_(difference.abs() > rounding)


def weighted_total(losses: Tensor, weight: Tensor, scale: float = 1.0) -> float:
    """Weighted sum of the losses ``(n,)`` of rows, divided by the scale."""
    # In float64: a line search compares values that differ in their last float32 digits.
    return float(torch.dot(losses.double(), weight.double())) / scale
