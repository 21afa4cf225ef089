"""Losses that are a weighted sum over labels, of hard targets, with their gradient.

A cell is a label of a row. Where nearly all cells are negative, a block of rows is evaluated as
if all its cells were. Then the few positive cells, kept as a list, are written over it. Where many
cells are positive, the scores of positives change their sign, and one pass serves both kinds. That
needs a loss of one form: up to constants, a positive costs what a negative of the opposite score
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import row_blocks
from sklearn_mlce._kernels.focal_terms import (
    FRESH,
    N_BUFFERS,
    Buffers,
    FocalTerm,
    Term,
)
from sklearn_mlce._kernels.hard_targets import (
    DenseTargets,
    HardTargets,
    PositiveEntries,
    entries_from_dense,
    hard_from_dense,
    is_hard,
)
from sklearn_mlce._kernels.loss_function import (
    check_label_weight,
    check_reduction,
    check_same_shape,
    check_soft_targets,
    computed_rows,
    empty_gradient,
    flatten_rows,
    full_precision_product,
    is_small,
    is_traced,
    reduced_loss,
)

# A dozen passes are made over a block, so on a CPU it had better stay in the cache.
_BLOCK_ELEMENTS = 2**18


class LabelLoss(NamedTuple):
    """Terms of a negative and of a positive label, with the shift of their scores and weights."""

    negative: Term
    positive: Term
    shift: Tensor | None = None  # (n_labels,), subtracted from the scores
    # Factors of a block of rows: None, or (n_labels,), or (n_block, n_labels).
    weight: Callable[[slice], Tensor | None] = lambda block: None

    @property
    def of_one_form(self) -> bool:
        """Whether a positive costs what a negative of the opposite score does, up to constants."""
        negative, positive = self.negative, self.positive
        return type(negative) is type(positive) is FocalTerm and negative.gamma == positive.gamma


# A function of hard targets, flattened scores and checked label weights. The scores tell the number
# of rows, the precision and the device.
MakeLoss = Callable[[HardTargets, Tensor, Tensor | None], LabelLoss]


def per_label_loss(
    scores: Tensor,
    targets: Tensor,
    make_loss: MakeLoss,
    *,
    name: str,
    sample_weight: Tensor | None,
    label_weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """Reduced loss of scores and hard targets ``(..., L)``."""
    check_reduction(reduction)
    check_same_shape(scores, targets)
    flat, targets = computed_rows(scores), flatten_rows(targets.detach())
    label_weight = check_label_weight(label_weight, scores, flat.dtype)
    traced = is_traced(flat, targets)
    hard = DenseTargets(targets, all_known=False) if traced else _hard_form(targets, name)
    loss = make_loss(hard, flat, label_weight)
    if isinstance(hard, DenseTargets) and not (loss.of_one_form or traced or is_small(flat)):
        hard = _hard_entries(targets, name)
        loss = make_loss(hard, flat, label_weight)

    return reduced_loss(
        partial(evaluate_labels, targets=hard, loss=loss),
        partial(plain_labels, targets=targets, loss=loss),
        flat,
        sample_weight=sample_weight,
        rows=scores.shape[:-1],
        reduction=reduction,
        traced=traced,
    )


def _hard_form(targets: Tensor, name: str) -> HardTargets:
    """Hard targets ``(n, L)`` in the form that is cheapest for a loss of one form.

    Raises
    ------
    ValueError
        If a target is not 0, 1 or NaN.
    """
    if is_small(targets) and is_hard(targets):
        return DenseTargets(targets, all_known=True)
    hard = hard_from_dense(targets)
    if hard is None or (isinstance(hard, DenseTargets) and not hard.all_known):
        return _hard_entries(targets, name)
    return hard


def _hard_entries(targets: Tensor, name: str) -> PositiveEntries:
    """Positive entries of targets ``(n, L)``.

    Raises
    ------
    ValueError
        If a target is not 0, 1 or NaN.
    """
    entries = entries_from_dense(targets)
    if entries is None:
        check_soft_targets(targets)
        raise ValueError(
            f"{name} takes targets 0, 1 and NaN (unknown), but some lie between 0 and 1, where "
            "its minimum would not be at the target; use mlce_loss or binary_cross_entropy_loss"
        )
    return entries


def weights_of(label_weight: Tensor | None) -> Callable[[slice], Tensor | None]:
    """Factors of a block of rows, from checked label weights."""
    if label_weight is None or label_weight.ndim < 2:
        return lambda block: label_weight
    return lambda block: label_weight[block]


def plain_labels(scores: Tensor, *, targets: Tensor, loss: LabelLoss) -> Tensor:
    """Losses ``(n,)`` of rows in operations that torch differentiates; targets are a matrix."""
    z = scores if loss.shift is None else scores - loss.shift
    cells = torch.where(targets == 1, loss.positive.plain(-z), loss.negative.plain(z))
    cells = torch.where(targets.isnan(), 0.0, cells)
    weight = loss.weight(slice(None))
    return (cells if weight is None else cells * weight).sum(dim=1)


def evaluate_labels(
    scores: Tensor,
    targets: HardTargets,
    loss: LabelLoss,
    weight: Tensor | None,
    with_gradient: bool = True,
) -> tuple[Tensor, tuple[Tensor] | None]:
    """Losses ``(n,)`` of rows times their weights, and the gradient ``(n, L)`` of their sum.

    Targets may be a matrix if the loss is of one form, or if scores are few.
    """
    if is_small(scores):
        return _few_labels(scores, targets, loss, weight)
    losses = scores.new_zeros(len(scores))
    out = empty_gradient(scores) if with_gradient else None
    if isinstance(targets, DenseTargets):
        evaluated = _of_matrix(scores, targets, loss)
    else:
        evaluated = _of_entries(scores, targets, loss)
    for block, values, slopes in evaluated:
        factor = loss.weight(block)
        losses[block] = _sum_labels(values, factor)
        if out is not None:
            if factor is not None:
                slopes.mul_(factor)
            torch.mul(slopes, 1 if weight is None else weight[block, None], out=out[block])
    losses = losses if weight is None else losses.mul_(weight)
    return losses, None if out is None else (out,)


def _few_labels(
    scores: Tensor, targets: HardTargets, loss: LabelLoss, weight: Tensor | None
) -> tuple[Tensor, tuple[Tensor]]:
    """Losses and gradient as `evaluate_labels` returns them, of few scores in one block.

    Targets may be a matrix whatever the form of the loss.
    """
    scores = scores.contiguous()
    z = scores if loss.shift is None else scores - loss.shift
    if not isinstance(targets, DenseTargets):
        values, slopes = loss.negative.evaluate(z, FRESH)
        unknown = None if targets.masked is targets.flat_index else targets.masked
        positives = _positives(scores, targets, loss)
        _write_positives_(values, slopes, positives, targets.flat_index, unknown)
    elif loss.of_one_form:
        values, slopes = _mixed(z, targets.targets, loss, FRESH)
    else:
        values, slopes = loss.negative.evaluate(z, FRESH)
        of_positives, slopes_of_positives = loss.positive.evaluate(-z, FRESH)
        is_positive = targets.targets.to(z.dtype)
        values.lerp_(of_positives, is_positive)  # exact at 0 and at 1
        slopes.lerp_(slopes_of_positives.neg_(), is_positive)
    factor = loss.weight(slice(None))
    losses = _sum_labels(values, factor)
    if factor is not None:
        slopes.mul_(factor)
    if weight is None:
        return losses, (slopes,)
    return losses.mul_(weight), (slopes.mul_(weight.unsqueeze(1)),)


def _mixed(z: Tensor, targets: Tensor, loss: LabelLoss, buffers: Buffers) -> tuple[Tensor, Tensor]:
    """Values and slopes of a loss of one form."""
    negative, positive = cast(FocalTerm, loss.negative), cast(FocalTerm, loss.positive)
    return negative.mixed(positive, z, targets.to(z.dtype), buffers)


def _write_positives_(
    values: Tensor,
    slopes: Tensor,
    positives: tuple[Tensor, Tensor],
    places: Tensor,
    unknown: Tensor | None,
) -> None:
    """Write the values and slopes of positives at their flat places, and 0 at unknown labels."""
    for matrix, of_positives in zip((values, slopes), positives, strict=True):
        flat = matrix.view(-1)
        if unknown is not None:
            flat.index_fill_(0, unknown, 0)
        flat.index_copy_(0, places, of_positives)


def _of_matrix(
    scores: Tensor, matrix: DenseTargets, loss: LabelLoss
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield blocks of rows with the values and slopes of their cells, in memory that is reused."""
    for block, z, buffers in _shifted_blocks(scores, loss.shift):
        yield block, *_mixed(z, matrix.targets[block], loss, buffers)


def _of_entries(
    scores: Tensor, entries: PositiveEntries, loss: LabelLoss
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield blocks of rows with the values and slopes of their cells, in memory that is reused."""
    positive_values, positive_slopes = _positives(scores, entries, loss)
    blocks = zip(_shifted_blocks(scores, loss.shift), _places(scores, entries), strict=False)
    for (block, z, buffers), (span, positive, unknown) in blocks:
        values, slopes = loss.negative.evaluate(z, buffers)
        of_block = (positive_values[span], positive_slopes[span])
        _write_positives_(values, slopes, of_block, positive, unknown)
        yield block, values, slopes


def _positives(scores: Tensor, entries: PositiveEntries, loss: LabelLoss) -> tuple[Tensor, Tensor]:
    """Values ``(n_positives,)`` of the positive cells and their slopes in the scores."""
    z = scores.reshape(-1).index_select(0, entries.flat_index).neg_()
    if loss.shift is not None:
        z += loss.shift[entries.columns]
    values, slopes = loss.positive.evaluate(z, FRESH)
    return values, slopes.neg_()


def _sum_labels(values: Tensor, weight: Tensor | None) -> Tensor:
    """Weighted sums of the values of rows, which are overwritten."""
    if weight is None:
        return values.sum(dim=1)
    if weight.ndim < 2:
        return full_precision_product(values, weight)
    return values.mul_(weight).sum(dim=1)


def _shifted_blocks(
    scores: Tensor, shift: Tensor | None
) -> Iterator[tuple[slice, Tensor, Buffers]]:
    """Yield blocks of rows, their scores less the shift, and buffers for a term.

    The buffers are the same memory for every block: fresh memory costs as much as a pass.
    """
    n_labels = scores.shape[1]
    blocks = list(row_blocks(scores, _BLOCK_ELEMENTS)) if n_labels else []
    longest = blocks[0].stop if blocks else 0
    n_buffers = N_BUFFERS + (shift is not None)
    memory = scores.new_empty(n_buffers, longest, n_labels)
    whole = memory.unbind()
    for block in blocks:
        n_rows = block.stop - block.start
        buffers = whole if n_rows == longest else memory[:, :n_rows].unbind()
        z = scores[block]
        if shift is not None:
            z = torch.sub(z, shift, out=buffers[N_BUFFERS])
        yield block, z, buffers[:N_BUFFERS]


def _places(
    scores: Tensor, entries: PositiveEntries
) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """Yield for each block the slice of its positives, and the flat places of cells in it.

    The first places are those of the positive cells. The second ones are those of all masked
    cells, or None where no label is unknown.
    """
    n_rows, n_labels = scores.shape
    blocks = list(row_blocks(scores, _BLOCK_ELEMENTS))
    edges = [*(block.start * n_labels for block in blocks), n_rows * n_labels]
    positive = _spans(entries.flat_index, edges)
    all_known = entries.masked is entries.flat_index
    masked = positive if all_known else _spans(entries.masked, edges)
    for number, first in enumerate(edges[:-1]):
        span = positive[number]
        unknown = None if all_known else entries.masked[masked[number]] - first
        yield span, entries.flat_index[span] - first, unknown


def _spans(places: Tensor, edges: list[int]) -> list[slice]:
    """Slices of the ascending places, each from one edge to the next."""
    bounds = torch.searchsorted(places, torch.tensor(edges, device=places.device)).tolist()
    return [slice(low, high) for low, high in pairwise(bounds)]


# Where slopes are compared: beyond it every term is a straight line.
_REACH, _SPACING = 30.0, 0.01


class HardRows:
    """Losses of rows of hard targets, as a fit needs them, from a loss and weights of labels."""

    def __init__(self, make_loss: MakeLoss, label_weight: Tensor | None) -> None:
        self._make_loss, self._label_weight = make_loss, label_weight

    def __call__(
        self, scores: Tensor, targets: PositiveEntries, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Losses ``(n,)`` of rows times their weights, and the gradient ``(n, L)`` of their sum."""
        loss = self._make_loss(targets, scores, self._label_weight)
        losses, gradients = evaluate_labels(scores, targets, loss, weight)
        assert gradients is not None
        return losses, gradients[0]

    def curvature(self, n_labels: int) -> float | Tensor:
        """Largest second derivative of a weighted term, times the weight of each label."""
        weight = self._label_weight
        none = torch.empty(0, dtype=torch.int64, device=None if weight is None else weight.device)
        scores = torch.zeros(1, n_labels, dtype=torch.float64, device=none.device)
        # A row without positives, which has the largest weights where these depend on the row.
        loss = self._make_loss(PositiveEntries(none, none, none, none), scores, None)
        factors = loss.weight(slice(0, 1))
        largest = 1.0 if factors is None else float(factors.max())
        curvature = largest * max(_steepest(loss.negative), _steepest(loss.positive))
        return curvature if weight is None else curvature * weight


def _steepest(term: Term) -> float:
    """Largest second derivative of a term, by differences of its slopes."""
    z = torch.arange(-_REACH, _REACH, _SPACING, dtype=torch.float64)
    _, slopes = term.evaluate(z, FRESH)
    return float(slopes.diff().abs().max()) / _SPACING
