"""The kernel of the thresholded losses: log-sum-exps beside a threshold term.

Every thresholded loss of order 1 is a sum of two sides. A side takes exponents ``z_i``, one
per label, and a threshold logit ``z_0``, and gives

    log(e^{z_0} + sum_i e^{z_i})        and        softmax([z_0, z_1, ..., z_L]),

its value and its derivative. The negatives' side has ``z_i = scale * (s_i + margin) +
log(weight_i)``, the positives' side ``z_i = -scale * (s_i - margin) + log(weight_i)``; a label
that does not take part has weight 0, hence the exponent -inf. The threshold logit stands in
column 0 of the working buffer: it is finite, so that no row is without a maximum.

Work goes by blocks of rows that stay in the processor's cache. Hard positives are few, so they
are kept as a list of cells and their side is reduced over that list; soft ones are dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Elements per block: 2 MiB of float32 stays in a core's cache; a GPU wants fewer, larger blocks.
_BLOCK_ELEMENTS = {"cpu": 2**19, "cuda": 2**24}


class Affine(NamedTuple):
    """How a score becomes an exponent: ``±scale * (score ± margin) + log_weight``."""

    scale: float = 1.0
    margin: float = 0.0
    log_weight: Tensor | None = None  # broadcastable to the scores


class Cells(NamedTuple):
    """Hard targets as lists of cells, row-major; every cell not listed is a negative."""

    rows: Tensor  # (n_positives,) row of each positive cell
    columns: Tensor  # (n_positives,)
    masked: Tensor  # (n_masked,) flat index row * n_labels + column of positive or unknown cells


class Side(NamedTuple):
    """One side of the loss for every row."""

    value: Tensor  # (n_rows,) the log-sum-exp
    threshold: Tensor  # (n_rows,) the softmax's share of the threshold term


def cells_from_indices(indptr: Tensor, indices: Tensor, n_labels: int) -> Cells:
    """Cells of hard targets given in compressed sparse row form."""
    n_rows = len(indptr) - 1
    rows = torch.repeat_interleave(
        torch.arange(n_rows, device=indices.device), indptr.diff(), output_size=len(indices)
    )
    return Cells(rows, indices, rows * n_labels + indices)


def cells_from_dense(targets: Tensor) -> Cells | None:
    """Cells of dense targets ``(n, L)``, or None when some target is soft."""
    masked = _flat_nonzero(targets)
    values = targets.reshape(-1)[masked]
    unknown = values.isnan() if targets.is_floating_point() else None
    hard = values == 1
    if unknown is None or not bool(unknown.any()):
        if not bool(hard.all()):
            return None
        positive = masked
    else:
        if not bool((hard | unknown).all()):
            return None
        positive = masked[hard]
    n_labels = targets.shape[1]
    rows = torch.div(positive, n_labels, rounding_mode="floor")
    return Cells(rows, positive - rows * n_labels, masked)


def _flat_nonzero(targets: Tensor) -> Tensor:
    mask = targets if targets.dtype == torch.bool else targets.ne(0)
    if mask.device.type == "cpu":  # NumPy's scan of a sparse mask is ten times torch.nonzero's
        return torch.from_numpy(np.flatnonzero(mask.detach().numpy()))
    return mask.reshape(-1).nonzero().squeeze(1)


def _row_blocks(scores: Tensor) -> Iterator[slice]:
    n_rows, n_labels = scores.shape
    step = max(1, _BLOCK_ELEMENTS.get(scores.device.type, 2**24) // (n_labels + 1))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _new_buffer(scores: Tensor, dtype: torch.dtype) -> Tensor:
    block = next(_row_blocks(scores), slice(0, 0))
    return torch.empty(block.stop, scores.shape[1] + 1, dtype=dtype, device=scores.device)


def _softmax_with_threshold(buffer: Tensor) -> tuple[Tensor, Tensor]:
    """Replace exponents by their softmax, in place; return the log-sum-exp and column 0.

    Relative to the threshold where its share is a normal number, so that small losses keep
    their digits; relative to the largest exponent where the threshold's share underflows.
    """
    threshold_logit = buffer[:, 0].clone()
    largest = buffer.amax(dim=1)
    torch.softmax(buffer, dim=1, out=buffer)
    share = buffer[:, 0].clone()
    over_threshold = threshold_logit + torch.log1p(buffer[:, 1:].sum(dim=1) / share)
    over_largest = largest - torch.log(buffer.amax(dim=1))
    normal = share > torch.finfo(buffer.dtype).tiny
    return torch.where(normal, over_threshold, over_largest), share


def _fill_exponents(exponents: Tensor, scores: Tensor, sign: float, affine: Affine) -> None:
    """Write ``sign * scale * (scores + sign * margin)`` into ``exponents``."""
    torch.mul(scores, sign * affine.scale, out=exponents)
    if affine.margin:
        exponents.add_(affine.scale * affine.margin)


def _block_log_weight(affine: Affine, scores: Tensor, block: slice) -> Tensor | None:
    if affine.log_weight is None or affine.log_weight.ndim < 2:
        return affine.log_weight
    return affine.log_weight.expand_as(scores)[block]


def dense_side(
    scores: Tensor,
    targets: Tensor,
    affine: Affine,
    threshold_logit: Tensor,
    *,
    sign: int,
    out: Tensor | None = None,
    factor: Tensor | None = None,
) -> Side:
    """Side of soft targets.

    ``sign`` is +1 for the negatives, whose weight is ``1 - targets``, and -1 for the positives,
    whose weight is ``targets``. ``out += sign * factor * softmax``, where ``out`` is given.
    """
    buffer = _new_buffer(scores, threshold_logit.dtype)
    values, shares = torch.empty_like(threshold_logit), torch.empty_like(threshold_logit)
    for block in _row_blocks(scores):
        working = buffer[: block.stop - block.start]
        working[:, 0] = threshold_logit[block]
        _fill_exponents(working[:, 1:], scores[block], sign, affine)
        target = targets[block].to(working.dtype)
        weight = torch.log1p(-target) if sign > 0 else torch.log(target)
        working[:, 1:] += weight.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            working[:, 1:] += log_weight
        values[block], shares[block] = _softmax_with_threshold(working)
        if out is not None:
            scaled = working[:, 1:] if factor is None else working[:, 1:] * factor[block, None]
            out[block] += sign * scaled
    return Side(values, shares)


def negatives_of_cells(
    scores: Tensor,
    cells: Cells,
    affine: Affine,
    threshold_logit: Tensor,
    *,
    out: Tensor | None = None,
    factor: Tensor | None = None,
) -> Side:
    """Side of the negatives of hard targets; ``out = factor * softmax``, where ``out`` is given.

    The softmax is zero at the cells that are masked.
    """
    n_rows, n_labels = scores.shape
    buffer = _new_buffer(scores, threshold_logit.dtype)
    values, shares = torch.empty_like(threshold_logit), torch.empty_like(threshold_logit)
    blocks = list(_row_blocks(scores))
    edges = torch.tensor([b.start * n_labels for b in blocks] + [n_rows * n_labels])
    bounds = torch.searchsorted(cells.masked, edges.to(scores.device)).tolist()
    rows = torch.div(cells.masked, n_labels, rounding_mode="floor")
    padded = cells.masked + rows + 1  # the buffer is one column wider, at its left
    for number, block in enumerate(blocks):
        working = buffer[: block.stop - block.start]
        working[:, 0] = threshold_logit[block]
        _fill_exponents(working[:, 1:], scores[block], 1, affine)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            working[:, 1:] += log_weight
        masked = padded[bounds[number] : bounds[number + 1]] - block.start * (n_labels + 1)
        working.view(-1).index_fill_(0, masked, -torch.inf)
        values[block], shares[block] = _softmax_with_threshold(working)
        if out is not None:
            probabilities = working[:, 1:]
            out[block] = probabilities if factor is None else probabilities * factor[block, None]
    return Side(values, shares)


def positives_of_cells(
    scores: Tensor, cells: Cells, affine: Affine, threshold_logit: Tensor
) -> tuple[Side, Tensor]:
    """Side of the positives of hard targets, and its softmax at the positive cells."""
    rows, columns, _ = cells
    exponents = scores[rows, columns].to(threshold_logit.dtype)
    exponents = (exponents - affine.margin).mul_(-affine.scale)
    if affine.log_weight is not None:
        weight = affine.log_weight
        exponents += weight[columns] if weight.ndim < 2 else weight.expand_as(scores)[rows, columns]
    largest = threshold_logit.scatter_reduce(0, rows, exponents, "amax")
    exponentials = exponents.sub_(largest[rows]).exp_()
    labels = torch.zeros_like(largest).index_add_(0, rows, exponentials)
    threshold = torch.exp(threshold_logit - largest)
    total = threshold + labels
    at_threshold = threshold == 1  # log1p keeps the digits of a small loss
    value = largest + torch.where(at_threshold, torch.log1p(labels), torch.log(total))
    return Side(value, threshold / total), exponentials.div_(total[rows])
