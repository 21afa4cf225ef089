"""Targets of a block of rows as tensors, to be cut into batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernels.hard_targets import Cells, cells_from_dense, cells_from_indices
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.sparse import dense_tensor


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


@dataclass(frozen=True)
class ClassCodes:
    """Multiclass: the index of each row's class, int64 of shape (n,)."""

    codes: Tensor

    def cut(self, start: int, stop: int) -> ClassCodes:
        """Those of some rows."""
        return ClassCodes(self.codes[start:stop])


@dataclass(frozen=True)
class SoftTargets:
    """Soft or unknown: a matrix of shape (n, L) with entries in [0, 1] or NaN."""

    dense: Tensor

    def cut(self, start: int, stop: int) -> SoftTargets:
        """Those of some rows."""
        return SoftTargets(self.dense[start:stop])


@dataclass(frozen=True)
class Positives:
    """Row r's positives are ``indices[indptr[r]:indptr[r + 1]]``.

    Of a binary, a multi-label or a multiclass-multioutput y, which has one for each output.
    """

    indptr: np.ndarray  # (n + 1,), int64, starts at 0; on the host, where it is cut
    indices: Tensor  # int64

    def cut(self, start: int, stop: int) -> Positives:
        """Those of some rows."""
        ends = self.indptr[start : stop + 1]
        return Positives(ends - ends[0], self.indices[ends[0] : ends[-1]])

    def row_ends(self) -> Tensor:
        """`indptr` as a tensor beside `indices`."""
        return dense_tensor(self.indptr, self.indices.device)


EncodedTargets = ClassCodes | SoftTargets | Positives


def encode(targets: Targets, dtype: np.dtype, device: torch.device) -> EncodedTargets:
    """Targets as tensors on a device; soft ones in the precision of the features."""
    if targets.codes is not None:
        return ClassCodes(dense_tensor(targets.codes, device))
    if targets.dense is not None:
        return SoftTargets(dense_tensor(targets.dense.astype(dtype, copy=False), device))
    assert targets.positives is not None  # one of the three always is given
    indices = targets.positives.indices.astype(np.int64, copy=False)
    indptr = targets.positives.indptr.astype(np.int64, copy=False)
    return Positives(indptr, dense_tensor(indices, device))
