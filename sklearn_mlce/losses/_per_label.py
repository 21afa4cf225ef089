"""Losses that are a weighted sum over labels, of hard targets, with their gradient.

Nearly all cells are negative. A block of rows is therefore evaluated as if all of it were, and
the few positive cells, kept as a list, are written over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_mlce._kernel import Cells, cells_from_dense
from sklearn_mlce._loss_arguments import (
    check_label_weight,
    check_reduction,
    check_same_shape,
    check_soft_targets,
    computing_dtype,
    flatten_rows,
    row_factors,
)
from sklearn_mlce.losses._closed_form import closed_form_loss
from sklearn_mlce.losses._label_terms import Term

# A dozen passes are made over a block, so on a CPU it had better stay in the inner caches.
_BLOCK_ELEMENTS = {"cpu": 2**17}


class LabelLoss(NamedTuple):
    """What a negative and a positive label cost."""

    negative: Term
    positive: Term
    shift: Tensor | None = None  # (n_labels,), subtracted from the scores
    # Factors of a block of rows: None, or (n_labels,), or (n_block, n_labels).
    weight: Callable[[slice], Tensor | None] = lambda block: None


def per_label_loss(
    scores: Tensor,
    targets: Tensor,
    make_loss: Callable[[Cells, Tensor | None], LabelLoss],
    *,
    name: str,
    sample_weight: Tensor | None,
    label_weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """Reduced loss of scores and hard targets ``(..., L)``.

    `make_loss` takes the cells of the flattened targets and the checked label weights.
    """
    check_reduction(reduction)
    flat = flatten_rows(scores)
    cells = hard_cells(scores, targets, name)
    dtype = computing_dtype(scores)
    loss = make_loss(cells, check_label_weight(label_weight, scores, dtype))
    factor = row_factors(sample_weight, scores, reduction, dtype)

    def evaluate(scores: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor | None]:
        out = None
        if with_gradient:
            out = torch.empty_like(scores, memory_format=torch.contiguous_format)
        return evaluate_labels(scores, cells, loss, factor, dtype, out), out

    rows = closed_form_loss(flat, evaluate)
    return rows.reshape(scores.shape[:-1]) if reduction == "none" else rows.sum()


def hard_cells(scores: Tensor, targets: Tensor, name: str) -> Cells:
    """Cells of targets of the scores' shape.

    Raises
    ------
    ValueError
        If the shapes differ, or a target is not 0, 1 or NaN.
    """
    check_same_shape(scores, targets)
    targets = flatten_rows(targets.detach())
    cells = cells_from_dense(targets)
    if cells is None:
        check_soft_targets(targets)
        raise ValueError(
            f"{name} takes targets 0, 1 and NaN (unknown), but some lie between 0 and 1, where "
            "its minimum would not be at the target; use mlce_loss or binary_cross_entropy_loss"
        )
    return cells


def weights_of(label_weight: Tensor | None) -> Callable[[slice], Tensor | None]:
    """Factors of a block of rows, from checked label weights."""
    if label_weight is None or label_weight.ndim < 2:
        return lambda block: label_weight
    return lambda block: label_weight[block]


def evaluate_labels(
    scores: Tensor,
    cells: Cells,
    loss: LabelLoss,
    factor: Tensor | None,
    dtype: torch.dtype,
    out: Tensor | None,
) -> Tensor:
    """Losses ``(n,)`` of rows times their factors; their gradient is written to ``out``."""
    losses = scores.new_zeros(len(scores), dtype=dtype)
    for block, positive, unknown in _blocks(scores, cells):
        z = scores[block].to(dtype).contiguous()
        if loss.shift is not None:
            z = z - loss.shift
        at_positives = z.view(-1).index_select(0, positive).neg_()
        values, slopes = loss.negative.evaluate(z)
        positive_values, positive_slopes = loss.positive.evaluate(at_positives)
        for entries, of_positives in ((values, positive_values), (slopes, positive_slopes.neg_())):
            if unknown is not None:
                entries.view(-1).index_fill_(0, unknown, 0)
            entries.view(-1).index_copy_(0, positive, of_positives)
        weight = loss.weight(block)
        losses[block] = _sum_labels(values, weight)
        if out is not None:
            if weight is not None:
                slopes.mul_(weight)
            torch.mul(slopes, 1 if factor is None else factor[block, None], out=out[block])
    return losses if factor is None else losses.mul_(factor)


def _sum_labels(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.sum(dim=1)
    if weight.ndim < 2:
        return values @ weight.expand(values.shape[1])
    return torch.linalg.vecdot(values, weight.expand_as(values))


def _blocks(scores: Tensor, cells: Cells) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """Blocks of rows, with the flat places of their positive and their masked cells."""
    n_rows, n_labels = scores.shape
    if n_labels == 0:
        return
    elements = _BLOCK_ELEMENTS.get(scores.device.type, 2**24)
    step = max(1, elements // n_labels)
    starts = list(range(0, n_rows, step))
    edges = [start * n_labels for start in [*starts, n_rows]]
    positive = _cut(cells.positive, edges)
    all_known = cells.masked is cells.positive
    masked = positive if all_known else _cut(cells.masked, edges)
    for number, start in enumerate(starts):
        block = slice(start, min(start + step, n_rows))
        yield block, positive[number], None if all_known else masked[number]


def _cut(places: Tensor, edges: list[int]) -> list[Tensor]:
    """Ascending flat places, cut at the edges and counted from them."""
    bounds = torch.searchsorted(places, torch.tensor(edges, device=places.device)).tolist()
    return [
        places[low:high] - edge
        for low, high, edge in zip(bounds[:-1], bounds[1:], edges[:-1], strict=True)
    ]
