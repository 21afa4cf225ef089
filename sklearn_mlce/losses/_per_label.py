"""Losses that are a weighted sum over labels, of hard targets, with their gradient.

Nearly all cells are negative. A block of rows is therefore evaluated as if all of it were, and
the few positive cells, kept as a list, are written over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_mlce._closed_form import closed_form_loss, empty_gradient
from sklearn_mlce._hard_targets import Cells, cells_from_dense
from sklearn_mlce._loss_arguments import (
    check_label_weight,
    check_reduction,
    check_same_shape,
    check_soft_targets,
    computed_rows,
    flatten_rows,
    row_factors,
)
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


# Of the cells of hard targets, the flattened scores, which tell the number of rows, the dtype and
# the device, and the checked label weights.
MakeLoss = Callable[[Cells, Tensor, Tensor | None], LabelLoss]


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
    flat = computed_rows(scores)
    cells = hard_cells(scores, targets, name)
    loss = make_loss(cells, flat, check_label_weight(label_weight, scores, flat.dtype))
    factor = row_factors(sample_weight, scores, reduction, flat.dtype)

    def evaluate(scores: Tensor, *, with_gradient: bool) -> tuple[Tensor, tuple[Tensor] | None]:
        out = empty_gradient(scores) if with_gradient else None
        losses = evaluate_labels(scores, cells, loss, factor, out)
        return losses, None if out is None else (out,)

    rows = closed_form_loss(evaluate, flat)
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
    out: Tensor | None,
) -> Tensor:
    """Losses ``(n,)`` of rows times their factors; their gradient is written to ``out``."""
    losses = scores.new_zeros(len(scores))
    positive_values, positive_slopes = _positives(scores, cells, loss)
    for block, span, positive, unknown in _blocks(scores, cells):
        z = scores[block].contiguous()
        if loss.shift is not None:
            z = z - loss.shift
        values, slopes = loss.negative.evaluate(z)
        for entries, of_positives in ((values, positive_values), (slopes, positive_slopes)):
            if unknown is not None:
                entries.view(-1).index_fill_(0, unknown, 0)
            entries.view(-1).index_copy_(0, positive, of_positives[span])
        weight = loss.weight(block)
        losses[block] = _sum_labels(values, weight)
        if out is not None:
            if weight is not None:
                slopes.mul_(weight)
            torch.mul(slopes, 1 if factor is None else factor[block, None], out=out[block])
    return losses if factor is None else losses.mul_(factor)


def _positives(scores: Tensor, cells: Cells, loss: LabelLoss) -> tuple[Tensor, Tensor]:
    """Values ``(n_positives,)`` of the positive cells and their slopes in the scores."""
    z = scores.reshape(-1).index_select(0, cells.positive).neg_()
    if loss.shift is not None:
        z += loss.shift[cells.columns]
    values, slopes = loss.positive.evaluate(z)
    return values, slopes.neg_()


def _sum_labels(values: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return values.sum(dim=1)
    if weight.ndim < 2:
        return values @ weight
    return torch.linalg.vecdot(values, weight.expand_as(values))


def _blocks(scores: Tensor, cells: Cells) -> Iterator[tuple[slice, slice, Tensor, Tensor | None]]:
    """Blocks of rows, where their positives are listed, and the flat places of cells in them.

    The places are those of the positive cells and, where there are unknown ones, those of all
    masked cells.
    """
    n_rows, n_labels = scores.shape
    if n_labels == 0:
        return
    elements = _BLOCK_ELEMENTS.get(scores.device.type, 2**24)
    step = max(1, elements // n_labels)
    edges = [row * n_labels for row in (*range(0, n_rows, step), n_rows)]
    positive = _spans(cells.positive, edges)
    all_known = cells.masked is cells.positive
    masked = positive if all_known else _spans(cells.masked, edges)
    for number, first in enumerate(edges[:-1]):
        block = slice(first // n_labels, edges[number + 1] // n_labels)
        span = positive[number]
        unknown = None if all_known else cells.masked[masked[number]] - first
        yield block, span, cells.positive[span] - first, unknown


def _spans(places: Tensor, edges: list[int]) -> list[slice]:
    """Which of the ascending places lie from one edge to the next."""
    bounds = torch.searchsorted(places, torch.tensor(edges, device=places.device)).tolist()
    return [slice(low, high) for low, high in pairwise(bounds)]
