"""The kernel of the thresholded losses: from scores and targets to the two sides.

Every thresholded loss of a row is a sum of two sides. A side takes exponents ``z_i``, one per
label, and a threshold logit ``z_0``; its order says what it makes of them
(:mod:`sklearn_mlce._orders`). Of order 1 it is ``log(e^{z_0} + sum_i e^{z_i})``.

The negatives' side has ``z_i = scale * (s_i + margin) + log(weight_i)``, the positives' side
``z_i = -scale * (s_i - margin) + log(weight_i)``; a label that does not take part has weight 0,
hence the exponent -inf.

Work goes by blocks of rows that stay in the processor's cache. Hard positives are few, so they
are kept as a list of cells and their side is reduced over that list; soft ones are dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._layouts import CellRows, MatrixRows
from sklearn_mlce._orders import SIDES, Order, Side

# Elements per block: 4 MiB of float32 stay in cache; a GPU wants fewer, larger blocks.
_BLOCK_ELEMENTS = {"cpu": 2**20, "cuda": 2**24}


class Affine(NamedTuple):
    """How a score becomes an exponent: ``±scale * (score ± margin) + log_weight``."""

    scale: float = 1.0
    margins: tuple[float, float] = (0.0, 0.0)  # of the negatives' side, of the positives' side
    log_weight: Tensor | None = None  # broadcastable to the scores


class Cells(NamedTuple):
    """Hard targets as lists of cells, row-major; every cell not listed is a negative."""

    rows: Tensor  # (n_positives,) row of each positive cell
    columns: Tensor  # (n_positives,)
    positive: Tensor  # (n_positives,) flat index, row * n_labels + column
    masked: Tensor  # (n_masked,) flat index of positive or unknown cells


def cells_from_indices(indptr: Tensor, indices: Tensor, n_labels: int) -> Cells:
    """Cells of hard targets given in compressed sparse row form."""
    n_rows = len(indptr) - 1
    if indices.device.type == "cpu":  # a fifth of the time of torch's repeat_interleave
        rows = torch.from_numpy(np.repeat(np.arange(n_rows), np.diff(indptr.numpy())))
    else:
        rows = torch.repeat_interleave(
            torch.arange(n_rows, device=indices.device), indptr.diff(), output_size=len(indices)
        )
    positive = torch.add(indices, rows, alpha=n_labels)
    return Cells(rows, indices, positive, positive)


def cells_from_dense(targets: Tensor) -> Cells | None:
    """Cells of dense targets ``(n, L)``, or None when some target is soft."""
    masked = _flat_nonzero(targets)
    values = targets.reshape(-1)[masked]
    hard = values == 1
    if bool(hard.all()):
        positive = masked
    elif targets.is_floating_point() and bool((hard | values.isnan()).all()):
        positive = masked[hard]
    else:
        return None
    n_labels = targets.shape[1]
    rows = torch.div(positive, n_labels, rounding_mode="floor")
    return Cells(rows, positive - rows * n_labels, positive, masked)


def _flat_nonzero(targets: Tensor) -> Tensor:
    mask = targets.bool()  # NaN is True; a tenth of the time of a comparison with 0
    if mask.device.type == "cpu":  # NumPy's scan of a sparse mask is ten times torch.nonzero's
        return torch.from_numpy(np.flatnonzero(mask.detach().numpy()))
    return mask.reshape(-1).nonzero().squeeze(1)


def row_blocks(scores: Tensor) -> Iterator[slice]:
    """Slices of rows of a matrix ``(n, L)``, each small enough to stay in cache."""
    n_rows, n_labels = scores.shape
    step = max(1, _BLOCK_ELEMENTS.get(scores.device.type, 2**24) // max(n_labels, 1))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


class BlockMemory:
    """Where the exponents of a block of rows are written.

    In place where the result goes anyway: no scratch memory, one pass less.
    """

    def __init__(self, scores: Tensor, dtype: torch.dtype, out: Tensor | None) -> None:
        # Without labels there is nothing to write, and the sides are their threshold logits.
        self.slices = list(row_blocks(scores)) if scores.shape[1] else []
        self.in_place = out is not None and out.dtype == dtype
        if self.in_place:
            self._memory = out
        else:
            n_rows = self.slices[0].stop if self.slices else 0
            self._memory = scores.new_empty(n_rows, scores.shape[1], dtype=dtype)

    def of(self, block: slice) -> Tensor:
        """Memory of a block; that of the last one unless it is in place."""
        assert self._memory is not None
        return self._memory[block] if self.in_place else self._memory[: block.stop - block.start]


def _fill_exponents(exponents: Tensor, scores: Tensor, sign: float, affine: Affine) -> None:
    """Write ``sign * scale * (scores + sign * margin)`` into ``exponents``."""
    if scores.dtype != exponents.dtype:  # or the product would be rounded to the scores' dtype
        scores = exponents.copy_(scores)
    torch.mul(scores, sign * affine.scale, out=exponents)
    margin = affine.margins[0 if sign > 0 else 1]
    if margin:
        exponents.add_(affine.scale * margin)


def _block_log_weight(affine: Affine, scores: Tensor, block: slice) -> Tensor | None:
    if affine.log_weight is None or affine.log_weight.ndim < 2:
        return affine.log_weight
    return affine.log_weight.expand_as(scores)[block]


def soft_blocks(
    scores: Tensor, targets: Tensor, affine: Affine, sign: int, memory: BlockMemory
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows and the exponents of one side of soft targets.

    ``sign`` is +1 for the negatives, whose weight is ``1 - targets``, and -1 for the positives,
    whose weight is ``targets``.
    """
    for block in memory.slices:
        exponents = memory.of(block)
        _fill_exponents(exponents, scores[block], sign, affine)
        target = targets[block].to(exponents.dtype)
        weight = torch.log1p(-target) if sign > 0 else torch.log(target)
        exponents += weight.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            exponents += log_weight
        yield block, exponents


def negative_blocks(
    scores: Tensor, cells: Cells, affine: Affine, memory: BlockMemory
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows and the exponents of the negatives of hard targets.

    They are -inf at the cells that are masked.
    """
    n_rows, n_labels = scores.shape
    bounds = [0, len(cells.masked)]
    if len(memory.slices) != 1:
        edges = [block.start * n_labels for block in memory.slices] + [n_rows * n_labels]
        bounds = torch.searchsorted(
            cells.masked, torch.tensor(edges, device=scores.device)
        ).tolist()
    for number, block in enumerate(memory.slices):
        exponents = memory.of(block)
        _fill_exponents(exponents, scores[block], 1, affine)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            exponents += log_weight
        masked = cells.masked[bounds[number] : bounds[number + 1]]
        exponents.view(-1).index_fill_(0, masked - block.start * n_labels, -torch.inf)
        yield block, exponents


def positive_exponents(scores: Tensor, cells: Cells, affine: Affine, dtype: torch.dtype) -> Tensor:
    """Exponents ``(n_positives,)`` of the positives of hard targets."""
    exponents = scores.reshape(-1).index_select(0, cells.positive).to(dtype)
    exponents = (exponents - affine.margins[1]).mul_(-affine.scale)
    if affine.log_weight is not None:
        weight = affine.log_weight
        at_columns = weight.ndim < 2
        exponents += weight[cells.columns] if at_columns else weight[cells.rows, cells.columns]
    return exponents


def evaluate_blocks(
    blocks: Iterator[tuple[slice, Tensor]], order: Order, logit: Tensor | None, weight: Tensor
) -> Iterator[tuple[slice, Tensor, Side]]:
    """Blocks of rows, their values ``(n_block,)`` and their sides, each in its block's memory."""
    for block, exponents in blocks:
        of_block = None if logit is None else logit[block]
        yield block, *SIDES[order].evaluate(exponents, of_block, weight[block], MatrixRows())


def soft_side(
    scores: Tensor,
    targets: Tensor,
    affine: Affine,
    order: Order,
    logit: Tensor | None,
    *,
    sign: int,
    factor: Tensor,
    out: Tensor | None = None,
) -> Tensor:
    """Values ``(n,)`` of one side of soft targets, whose sign is as in :func:`soft_blocks`.

    ``out += sign * factor * gradient`` in the exponents, where ``out`` is given.
    """
    values = torch.zeros_like(factor) if logit is None else logit.clone()
    memory = BlockMemory(scores, factor.dtype, None)
    blocks = soft_blocks(scores, targets, affine, sign, memory)
    for block, block_values, side in evaluate_blocks(blocks, order, logit, factor):
        values[block] = block_values
        if out is not None:
            out[block] += sign * side.gradient_()
    return values


def negatives_of_cells(
    scores: Tensor,
    cells: Cells,
    affine: Affine,
    order: Order,
    logit: Tensor | None,
    *,
    factor: Tensor,
    out: Tensor | None = None,
) -> Tensor:
    """Values ``(n,)`` of the side of the negatives of hard targets.

    ``out = factor * gradient`` in the exponents, where ``out`` is given; it is zero at the
    cells that are masked.
    """
    values = torch.zeros_like(factor) if logit is None else logit.clone()
    memory = BlockMemory(scores, factor.dtype, out)
    blocks = negative_blocks(scores, cells, affine, memory)
    for block, block_values, side in evaluate_blocks(blocks, order, logit, factor):
        values[block] = block_values
        if out is not None:
            gradient = side.gradient_()
            if not memory.in_place:
                out[block] = gradient
    return values


def positives_of_cells(
    scores: Tensor,
    cells: Cells,
    affine: Affine,
    order: Order,
    logit: Tensor | None,
    *,
    factor: Tensor,
) -> tuple[Tensor, Side]:
    """Values ``(n,)`` of the side of the positives of hard targets, and the side.

    Its entries are those of the positive cells.
    """
    exponents = positive_exponents(scores, cells, affine, factor.dtype)
    rows = CellRows(cells.rows, len(scores))
    return SIDES[order].evaluate(exponents, logit, factor, rows)
