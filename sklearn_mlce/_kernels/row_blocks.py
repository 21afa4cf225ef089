"""The kernel of the thresholded losses: from scores and targets to the two sides.

Every thresholded loss of a row is a sum of two sides. A side takes exponents ``z_i``, one per
label, and a threshold logit ``z_0``; its order says what it makes of them
(:mod:`sklearn_mlce._kernels.orders`). Of order 1 it is ``log(e^{z_0} + sum_i e^{z_i})``.

The negatives' side has ``z_i = scale * (s_i + margin) + log(weight_i)``, the positives' side
``z_i = -scale * (s_i - margin) + log(weight_i)``; a label that does not take part has weight 0,
hence the exponent -inf.

Work goes by blocks of rows that stay in the processor's cache. Hard positives that are few are
kept as a list of cells, and their side is reduced over that list; else both sides are matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_mlce._kernels.hard_targets import Cells, HardMatrix
from sklearn_mlce._kernels.orders import SIDES, Order, Side
from sklearn_mlce._kernels.row_layouts import CellRows, MatrixRows

# Elements per block: 4 MiB of float32 stay in cache; a GPU wants fewer, larger blocks.
_BLOCK_ELEMENTS = 2**20
_BLOCK_ELEMENTS_OF_GPU = 2**24


class Affine(NamedTuple):
    """How a score becomes an exponent: ``±scale * (score ± margin) + log_weight``."""

    scale: float = 1.0
    margins: tuple[float, float] = (0.0, 0.0)  # of the negatives' side, of the positives' side
    log_weight: Tensor | None = None  # broadcastable to the scores


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
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


class BlockMemory:
    """Where the exponents of a block of rows are written.

    In place where the result goes anyway: no scratch memory, one pass less.
    """

    def __init__(self, scores: Tensor, out: Tensor | None) -> None:
        # Without labels there is nothing to write, and the sides are their threshold logits.
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


def _fill_exponents(
    exponents: Tensor, scores: Tensor, sign: int, affine: Affine, left_out: bool
) -> None:
    """Write ``sign * scale * (scores + sign * margin)`` into ``exponents``.

    They hold inf where the cell is left out, which becomes -inf, and 0 elsewhere, if
    ``left_out``.
    """
    if left_out:
        torch.sub(scores, exponents, alpha=sign, out=exponents).mul_(sign * affine.scale)
    else:
        torch.mul(scores, sign * affine.scale, out=exponents)
    margin = affine.margins[0 if sign > 0 else 1]
    if margin:
        exponents.add_(affine.scale * margin)


def _block_log_weight(affine: Affine, scores: Tensor, block: slice) -> Tensor | None:
    if affine.log_weight is None or affine.log_weight.ndim < 2:
        return affine.log_weight
    return affine.log_weight.expand_as(scores)[block]


def matrix_blocks(
    scores: Tensor,
    targets: Tensor | HardMatrix | Cells,
    affine: Affine,
    sign: int,
    memory: BlockMemory,
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of rows and the exponents of one side, -inf where a cell takes no part.

    ``sign`` is +1 for the negatives, whose weight is ``1 - targets``, and -1 for the positives,
    whose weight is ``targets``. The positives of cells are a list, not a matrix.
    """
    masked = _masked_cells(scores, targets, memory) if isinstance(targets, Cells) else None
    hard = targets if isinstance(targets, HardMatrix) else None
    for number, block in enumerate(memory.slices):
        exponents = memory.of(block)
        if hard is not None:
            hard.fill_left_out(exponents, block, sign)
        _fill_exponents(exponents, scores[block], sign, affine, hard is not None)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            exponents += log_weight
        if masked is not None:
            exponents.view(-1).index_fill_(0, masked[number], -torch.inf)
        elif isinstance(targets, Tensor):
            exponents += _log_share(targets[block].to(exponents.dtype), sign)
        yield block, exponents


def _masked_cells(scores: Tensor, cells: Cells, memory: BlockMemory) -> list[Tensor]:
    """Flat indices of the masked cells within each block."""
    if len(memory.slices) == 1:
        return [cells.masked]
    n_rows, n_labels = scores.shape
    firsts = [block.start * n_labels for block in memory.slices]
    edges = torch.tensor([*firsts, n_rows * n_labels], device=scores.device)
    bounds = torch.searchsorted(cells.masked, edges).tolist()
    return [
        cells.masked[low:high] - first
        for first, (low, high) in zip(firsts, pairwise(bounds), strict=True)
    ]


def _log_share(target: Tensor, sign: int) -> Tensor:
    """Logarithm of the weight that a soft target has on a side; -inf where it has none."""
    share = torch.log1p(-target) if sign > 0 else torch.log(target)
    return share.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)


def positive_exponents(scores: Tensor, cells: Cells, affine: Affine) -> Tensor:
    """Exponents ``(n_positives,)`` of the positives of hard targets."""
    exponents = scores.reshape(-1).index_select(0, cells.positive)
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


def matrix_side(
    scores: Tensor,
    targets: Tensor | HardMatrix | Cells,
    affine: Affine,
    order: Order,
    logit: Tensor | None,
    *,
    sign: int,
    factor: Tensor,
    out: Tensor | None = None,
) -> Tensor:
    """Values ``(n,)`` of one side, whose sign is as in :func:`matrix_blocks`.

    Where ``out`` is given, ``factor * gradient`` in the exponents is written to it for the
    negatives, and subtracted from it for the positives.
    """
    values = torch.zeros_like(factor) if logit is None else logit.clone()
    memory = BlockMemory(scores, out if sign > 0 else None)
    blocks = matrix_blocks(scores, targets, affine, sign, memory)
    for block, block_values, side in evaluate_blocks(blocks, order, logit, factor):
        values[block] = block_values
        if out is not None:
            gradient = side.gradient_()
            if sign < 0:  # those of the negatives are in place
                out[block] -= gradient
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
    exponents = positive_exponents(scores, cells, affine)
    rows = CellRows(cells.rows, len(scores))
    return SIDES[order].evaluate(exponents, logit, factor, rows)
