"""The kernel of the thresholded losses: log-sum-exps beside a threshold term.

Every thresholded loss of order 1 is a sum of two sides. A side takes exponents ``z_i``, one
per label, and a threshold logit ``z_0``, and gives

    log(e^{z_0} + sum_i e^{z_i})        and        softmax([z_0, z_1, ..., z_L]),

its value and its derivative. They are had from the labels' own log-sum-exp ``z`` and softmax,
as ``value = logaddexp(z_0, z)`` and, at the labels, ``sigmoid(z - z_0) * softmax([z_1, ...,
z_L])``; at the threshold the derivative is ``exp(z_0 - value)``.

The negatives' side has ``z_i = scale * (s_i + margin) +
log(weight_i)``, the positives' side ``z_i = -scale * (s_i - margin) + log(weight_i)``; a label
that does not take part has weight 0, hence the exponent -inf.

Work goes by blocks of rows that stay in the processor's cache. Hard positives are few, so they
are kept as a list of cells and their side is reduced over that list; soft ones are dense.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

# Elements per block: 4 MiB of float32 stay in cache; a GPU wants fewer, larger blocks.
_BLOCK_ELEMENTS = {"cpu": 2**20, "cuda": 2**24}


class Affine(NamedTuple):
    """How a score becomes an exponent: ``±scale * (score ± margin) + log_weight``."""

    scale: float = 1.0
    margin: float = 0.0
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


class _Blocks:
    """Rows of exponents worked into softmaxes beside a threshold logit, block by block."""

    def __init__(self, scores: Tensor, threshold_logit: Tensor, out: Tensor | None) -> None:
        self.logit = threshold_logit
        self.slices = list(row_blocks(scores))
        self.labels = torch.empty_like(threshold_logit)  # log-sum-exp of the labels of each row
        # In place where the result goes anyway: no scratch memory, one pass less.
        in_place = out is not None and out.dtype == threshold_logit.dtype
        n_rows = self.slices[0].stop if self.slices else 0
        self._target = out if in_place else None
        self._scratch = None if in_place else threshold_logit.new_empty(n_rows, scores.shape[1])

    def working(self, block: slice) -> Tensor:
        """Where to write a block's exponents."""
        if self._target is not None:
            return self._target[block]
        assert self._scratch is not None
        return self._scratch[: block.stop - block.start]

    def apply_softmax(self, block: slice, working: Tensor, factor: Tensor) -> None:
        """Replace a block's exponents by ``factor`` times their softmax."""
        if working.shape[1] == 0:
            self.labels[block] = -torch.inf
            return
        largest = working.amax(dim=1)
        without_labels = largest == -torch.inf
        if bool(without_labels.any()):
            working[without_labels] = 0.0  # finite, and multiplied by sigmoid(-inf) below
        torch.softmax(working, dim=1, out=working)
        torch.sub(largest, working.amax(dim=1).log_(), out=self.labels[block])
        share = torch.sigmoid(self.labels[block] - self.logit[block])
        working.mul_(share.mul_(factor[block])[:, None])

    def values(self) -> Tensor:
        """Values of the side for all rows, once every block has been worked."""
        return torch.logaddexp(self.labels, self.logit)


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
    factor: Tensor,
    out: Tensor | None = None,
) -> Tensor:
    """Values ``(n,)`` of one side of soft targets.

    ``sign`` is +1 for the negatives, whose weight is ``1 - targets``, and -1 for the positives,
    whose weight is ``targets``. ``out += sign * factor * softmax``, where ``out`` is given.
    """
    blocks = _Blocks(scores, threshold_logit, None)
    for block in blocks.slices:
        working = blocks.working(block)
        _fill_exponents(working, scores[block], sign, affine)
        target = targets[block].to(working.dtype)
        weight = torch.log1p(-target) if sign > 0 else torch.log(target)
        working += weight.nan_to_num_(nan=-torch.inf, neginf=-torch.inf)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            working += log_weight
        blocks.apply_softmax(block, working, factor)
        if out is not None:
            out[block] += sign * working
    return blocks.values()


def negatives_of_cells(
    scores: Tensor,
    cells: Cells,
    affine: Affine,
    threshold_logit: Tensor,
    *,
    factor: Tensor,
    out: Tensor | None = None,
) -> Tensor:
    """Values ``(n,)`` of the side of the negatives of hard targets.

    ``out = factor * softmax``, where ``out`` is given.

    The softmax is zero at the cells that are masked.
    """
    n_rows, n_labels = scores.shape
    blocks = _Blocks(scores, threshold_logit, out)
    bounds = [0, len(cells.masked)]
    if len(blocks.slices) != 1:
        edges = [block.start * n_labels for block in blocks.slices] + [n_rows * n_labels]
        bounds = torch.searchsorted(
            cells.masked, torch.tensor(edges, device=scores.device)
        ).tolist()
    for number, block in enumerate(blocks.slices):
        working = blocks.working(block)
        _fill_exponents(working, scores[block], 1, affine)
        if (log_weight := _block_log_weight(affine, scores, block)) is not None:
            working += log_weight
        masked = cells.masked[bounds[number] : bounds[number + 1]]
        working.view(-1).index_fill_(0, masked - block.start * n_labels, -torch.inf)
        blocks.apply_softmax(block, working, factor)
        if out is not None and out.dtype != working.dtype:
            out[block] = working
    return blocks.values()


def positives_of_cells(
    scores: Tensor, cells: Cells, affine: Affine, threshold_logit: Tensor, *, factor: Tensor
) -> tuple[Tensor, Tensor]:
    """Values ``(n,)`` of the side of the positives of hard targets, and its softmax.

    The softmax is multiplied by `factor` and stands at the positive cells.
    """
    rows = cells.rows
    exponents = scores.reshape(-1)[cells.positive].to(threshold_logit.dtype)
    exponents = (exponents - affine.margin).mul_(-affine.scale)
    if affine.log_weight is not None:
        weight = affine.log_weight
        at_columns = weight.ndim < 2
        exponents += weight[cells.columns] if at_columns else weight[rows, cells.columns]
    largest = threshold_logit.scatter_reduce(0, rows, exponents, "amax")
    exponentials = exponents.sub_(largest[rows]).exp_()
    labels = torch.zeros_like(largest).index_add_(0, rows, exponentials)
    threshold = (threshold_logit - largest).exp_()
    # The threshold's term is 1 where it is the largest: a small loss keeps its digits.
    values = (labels + (threshold - 1)).log1p_().add_(largest)
    return values, exponentials.mul_((factor / labels.add_(threshold))[rows])
