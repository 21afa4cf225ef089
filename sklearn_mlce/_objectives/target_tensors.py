"""Targets of a block of rows as tensors, to be cut into batches, and the forms losses take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernels.hard_targets import (
    PositiveEntries,
    entries_from_dense,
    entries_from_indices,
)
from sklearn_mlce._kernels.multioutput import ClassColumns, ClassProbabilities
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.tensors import dense_tensor


@dataclass(frozen=True)
class ClassCodes:
    """Multiclass: the index of each row's class, int64 of shape (n,)."""

    codes: Tensor

    def slice_rows(self, start: int, stop: int) -> ClassCodes:
        """Targets of consecutive rows."""
        return ClassCodes(self.codes[start:stop])


@dataclass(frozen=True)
class SoftTargets:
    """Soft or unknown: a matrix of shape (n, L) with entries in [0, 1] or NaN."""

    dense: Tensor
    sizes: tuple[int, ...]  # number of classes of each of several outputs

    def slice_rows(self, start: int, stop: int) -> SoftTargets:
        """Targets of consecutive rows."""
        return SoftTargets(self.dense[start:stop], self.sizes)


@dataclass(frozen=True)
class Positives:
    """Row r's positives are ``indices[indptr[r]:indptr[r + 1]]``.

    Of a binary, a multi-label or a multiclass-multioutput y, which has one for each known output.
    """

    indptr: np.ndarray  # (n + 1,), int64, starts at 0; on the host, where it is cut
    indices: Tensor  # int64
    sizes: tuple[int, ...]  # number of classes of each of several outputs

    def slice_rows(self, start: int, stop: int) -> Positives:
        """Targets of consecutive rows."""
        ends = self.indptr[start : stop + 1]
        return Positives(ends - ends[0], self.indices[ends[0] : ends[-1]], self.sizes)

    def row_ends(self) -> Tensor:
        """`indptr` as a tensor beside `indices`."""
        return dense_tensor(self.indptr, self.indices.device)


EncodedTargets = ClassCodes | SoftTargets | Positives


def encode(targets: Targets, dtype: np.dtype, device: torch.device) -> EncodedTargets:
    """Targets as tensors on a device; soft ones in the precision of the features."""
    if targets.codes is not None:
        return ClassCodes(dense_tensor(targets.codes, device))
    if targets.dense is not None:
        dense = dense_tensor(targets.dense.astype(dtype, copy=False), device)
        return SoftTargets(dense, targets.format.sizes)
    assert targets.positives is not None  # one of the three always is given
    indices = targets.positives.indices.astype(np.int64, copy=False)
    indptr = targets.positives.indptr.astype(np.int64, copy=False)
    return Positives(indptr, dense_tensor(indices, device), targets.format.sizes)


def entries_or_matrix(targets: EncodedTargets, n_outputs: int) -> PositiveEntries | Tensor:
    """Entries of hard targets, the classes of a multiclass y being labels; a matrix of others."""
    if isinstance(targets, Positives):
        return entries_from_indices(targets.row_ends(), targets.indices, n_outputs)
    if isinstance(targets, ClassCodes):
        row_ends = torch.arange(len(targets.codes) + 1, device=targets.codes.device)
        return entries_from_indices(row_ends, targets.codes, n_outputs)
    return targets.dense


def hard_entries(targets: EncodedTargets, n_outputs: int) -> PositiveEntries:
    """Entries of targets that are 0, 1 or unknown."""
    found = entries_or_matrix(targets, n_outputs)
    entries = entries_from_dense(found) if isinstance(found, Tensor) else found
    assert entries is not None  # a fit has refused soft targets before
    return entries


def class_codes(targets: EncodedTargets, n_outputs: int) -> Tensor:
    """Index ``(n,)`` of the class of each row of a multiclass y."""
    assert isinstance(targets, ClassCodes)
    return targets.codes


def class_columns(targets: EncodedTargets, n_outputs: int) -> ClassColumns:
    """Columns of the classes of several outputs, -1 where unknown."""
    assert isinstance(targets, Positives)
    n_rows, sizes = len(targets.indptr) - 1, targets.sizes
    if len(targets.indices) == n_rows * len(sizes):
        return ClassColumns(targets.indices, sizes)
    device = targets.indices.device
    of_columns = torch.repeat_interleave(
        torch.arange(len(sizes), device=device), torch.tensor(sizes, device=device)
    )
    rows = dense_tensor(np.repeat(np.arange(n_rows), np.diff(targets.indptr)), device)
    columns = targets.indices.new_full((n_rows * len(sizes),), -1)
    columns[rows * len(sizes) + of_columns[targets.indices]] = targets.indices
    return ClassColumns(columns, sizes)


def class_probabilities(targets: EncodedTargets, n_outputs: int) -> ClassProbabilities:
    """Probabilities of the classes of several outputs."""
    assert isinstance(targets, SoftTargets)
    return ClassProbabilities(targets.dense, targets.sizes)


def dense_matrix(targets: EncodedTargets, n_outputs: int) -> Tensor:
    """A copy of targets ``(n, n_outputs)``: 0, 1, between, or NaN; hard ones as float32."""
    found = entries_or_matrix(targets, n_outputs)
    if isinstance(found, Tensor):
        return found.clone()
    assert not isinstance(targets, SoftTargets)
    n_rows = len(targets.codes) if isinstance(targets, ClassCodes) else len(targets.indptr) - 1
    matrix = torch.zeros(n_rows, n_outputs, device=found.rows.device)
    matrix.view(-1).index_fill_(0, found.flat_index, 1)
    return matrix


#: What losses take as targets, made of encoded ones and the number of outputs.
FORMS: dict[str, Callable[[EncodedTargets, int], Any]] = {
    "entries": entries_or_matrix,
    "hard_entries": hard_entries,
    "codes": class_codes,
    "columns": class_columns,
    "probabilities": class_probabilities,
    "matrix": dense_matrix,
}
