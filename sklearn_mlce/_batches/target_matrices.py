"""The targets of a batch in the forms that losses take them in."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._batches.targets import (
    ClassCodes,
    EncodedTargets,
    Positives,
    SoftTargets,
)
from sklearn_mlce._kernels.hard_targets import Cells, cells_from_dense, cells_from_indices


def cells_or_matrix(targets: EncodedTargets, n_outputs: int) -> Cells | Tensor:
    """Cells of hard targets, the classes of a multiclass y being labels; a matrix of others."""
    if isinstance(targets, Positives):
        return cells_from_indices(targets.row_ends(), targets.indices, n_outputs)
    if isinstance(targets, ClassCodes):
        row_ends = torch.arange(len(targets.codes) + 1, device=targets.codes.device)
        return cells_from_indices(row_ends, targets.codes, n_outputs)
    return targets.dense


def hard_cells(targets: EncodedTargets, n_outputs: int) -> Cells:
    """Cells of targets that are 0, 1 or unknown."""
    found = cells_or_matrix(targets, n_outputs)
    cells = cells_from_dense(found) if isinstance(found, Tensor) else found
    assert cells is not None  # a fit has refused soft targets before
    return cells


def dense_matrix(targets: EncodedTargets, n_outputs: int, dtype: torch.dtype) -> Tensor:
    """A copy of targets ``(n, n_outputs)``: 0, 1, between, or NaN."""
    found = cells_or_matrix(targets, n_outputs)
    if isinstance(found, Tensor):
        return found.to(dtype, copy=True)
    assert not isinstance(targets, SoftTargets)
    n_rows = len(targets.codes) if isinstance(targets, ClassCodes) else len(targets.indptr) - 1
    matrix = torch.zeros(n_rows, n_outputs, dtype=dtype, device=found.rows.device)
    matrix.view(-1).index_fill_(0, found.positive, 1)
    return matrix
