"""Batches of rows in a new order at each epoch, with all their index work done in bulk.

Rows are gathered in blocks of a bounded size and a block is cut into batches, so that an epoch
holds no second copy of X. Of sparse rows a solver needs the products with the coefficients of the
features that occur in the batch, and with their transpose: both are sums of a few weighted rows of
a dense matrix, for which the entries are kept in both orders.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_mlce._kernels.sparse_rows import CompressedRows
from sklearn_mlce._objectives.target_tensors import EncodedTargets, encode
from sklearn_mlce._solvers.standardisation import Standardisation
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.rows import rows_that_fit
from sklearn_mlce._utils.tensors import dense_tensor

# Stored entries of a block: its index work is spread over many batches, and it stays small next
# to any X that matters.
_BLOCK_ENTRIES = 2**20
# Up to this width torch takes rows out, adds and writes them back in less time than it adds to
# them in place: index_add_ spends longer on a row than on 100 of its entries.
_NARROW = 128
# Entries of a product that are made at a time: memory that is used again and stays in cache, where
# fresh memory for 10^8 of them would cost more than the product.
_PRODUCT_ENTRIES = 2**20


class BatchFeatures(Protocol):
    """Features ``(n, d)`` of a batch, less the offset in effect."""

    @property
    def at_offset(self) -> Tensor | None:
        """Product ``(n,)`` with the offset, where that is still to be taken off."""

    def product(self, coefficients: Tensor) -> Tensor:
        """Product ``(n, L)`` of the stored features with coefficients ``(d, L)``."""

    def add_transposed_(self, coefficients: Tensor, row_values: Tensor, alpha: float) -> None:
        """Add ``alpha`` times the transpose times ``row_values`` (n, L) to ``coefficients``."""


class DenseFeatures(NamedTuple):
    """A dense batch, centred by its maker."""

    matrix: Tensor
    at_offset: None = None

    def product(self, coefficients: Tensor) -> Tensor:
        return self.matrix @ coefficients

    def add_transposed_(self, coefficients: Tensor, row_values: Tensor, alpha: float) -> None:
        coefficients.addmm_(self.matrix.T, row_values, alpha=alpha)


class SparseFeatures(NamedTuple):
    """A sparse batch, by rows and by columns."""

    rows: CompressedRows
    columns: Tensor  # (n_present,) the features present in the batch
    transposed: CompressedRows  # a row for each of them
    at_offset: Tensor | None

    def product(self, coefficients: Tensor) -> Tensor:
        return self.rows.matmul(coefficients)

    def add_transposed_(self, coefficients: Tensor, row_values: Tensor, alpha: float) -> None:
        width = coefficients.shape[1]
        for part in gen_batches(len(self.columns), rows_that_fit(width, _PRODUCT_ENTRIES)):
            columns = self.columns[part]
            product = self.transposed.part(part.start, part.stop).matmul(row_values)
            if width > _NARROW:
                coefficients.index_add_(0, columns, product, alpha=alpha)
            else:
                present = coefficients.index_select(0, columns).add_(product, alpha=alpha)
                coefficients.index_copy_(0, columns, present)


class RowBatch(NamedTuple):
    """Some rows as tensors."""

    features: BatchFeatures
    targets: EncodedTargets
    weight: Tensor | None  # (n,)
    total_weight: float


class RowBatches:
    """Rows to be passed over in batches.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Features.
    targets : Targets
        Encoded targets of the rows.
    weight : ndarray of shape (n_rows,) or None
        Positive weights.
    standardisation : Standardisation
        Division and offset of the features. The offset is subtracted at once from dense rows, in
        effect from sparse ones.
    batch_size : int
        Rows of a batch; the last may have fewer.
    device : torch.device
        Where the batches are put.
    """

    def __init__(
        self,
        X: Any,
        targets: Targets,
        weight: np.ndarray | None,
        standardisation: Standardisation,
        batch_size: int,
        device: torch.device,
    ) -> None:
        self.X, self.targets, self.weight = X, targets, weight
        self.standardisation = standardisation
        self.batch_size = batch_size
        self.device = device
        self.n_rows = X.shape[0]
        self.n_batches = -(-self.n_rows // batch_size)

    def epoch(self, order: np.ndarray) -> Iterator[RowBatch]:
        """Batches of all rows, in an order."""
        for rows in self.blocks():
            yield from self._block(order[rows])

    def blocks(self) -> Iterator[slice]:
        """Slice the rows into as many whole batches as a block may hold, at least one."""
        entries = self.X.nnz if sp.issparse(self.X) else self.X.size
        of_batch = max(1, entries // self.n_rows) * self.batch_size
        # Index work on sparse rows also passes over all columns once a block.
        n_batches = rows_that_fit(of_batch, max(_BLOCK_ENTRIES, self.X.shape[1]))
        return gen_batches(self.n_rows, self.batch_size * n_batches)

    def _block(self, rows: np.ndarray) -> Iterator[RowBatch]:
        X = self.X[rows]
        targets = encode(self.targets.index_rows(rows), X.dtype, self.device)
        weight = None if self.weight is None else self.weight[rows]
        in_batches: Iterator[BatchFeatures] = (
            self._sparse_features(X) if sp.issparse(X) else self._dense_features(X)
        )
        for batch, features in zip(
            gen_batches(len(rows), self.batch_size), in_batches, strict=True
        ):
            in_batch, total = None, float(batch.stop - batch.start)
            if weight is not None:
                total = float(weight[batch].sum(dtype=np.float64))
                in_batch = dense_tensor(weight[batch], self.device)
            yield RowBatch(features, targets.slice_rows(batch.start, batch.stop), in_batch, total)

    def _dense_features(self, X: np.ndarray) -> Iterator[DenseFeatures]:
        matrix = dense_tensor(self.standardisation.of_dense(X), self.device)
        for batch in gen_batches(len(X), self.batch_size):
            yield DenseFeatures(matrix[batch])

    def _sparse_features(self, X: Any) -> Iterator[SparseFeatures]:
        X = self.standardisation.of_sparse(X)
        at_offset, offset = None, self.standardisation.divided_offset
        if offset is not None:
            at_offset = dense_tensor((X @ offset).astype(X.dtype, copy=False), self.device)
        by_rows = _by_rows(X, self.batch_size, self.device)
        by_columns = _by_columns(X, self.batch_size, self.device)
        batches = gen_batches(X.shape[0], self.batch_size)
        for batch, rows, (columns, transposed) in zip(batches, by_rows, by_columns, strict=True):
            projected = None if at_offset is None else at_offset[batch]
            yield SparseFeatures(rows, columns, transposed, projected)


def _by_rows(X: Any, batch_size: int, device: torch.device) -> Iterator[CompressedRows]:
    """Yield the rows of each batch."""
    indices, values = dense_tensor(X.indices, device), dense_tensor(X.data, device)
    for batch in gen_batches(X.shape[0], batch_size):
        yield _cut(X.indptr[batch.start : batch.stop + 1], indices, values)


def _by_columns(
    X: Any, batch_size: int, device: torch.device
) -> Iterator[tuple[Tensor, CompressedRows]]:
    """Yield the features present in each batch, and for each of them its entries in the batch.

    Two stable counting sorts, by column and then by batch, in place of a sort in each batch.
    """
    by_column = X.tocsc()
    batch_of_entry = by_column.indices // batch_size
    n_batches = -(-X.shape[0] // batch_size)
    # Its "data" are places in by_column; entries that share a cell are not added up.
    by_batch = sp.csc_array(
        (np.arange(X.nnz), batch_of_entry, by_column.indptr), shape=(n_batches, X.shape[1])
    ).tocsr()
    places, columns = by_batch.data, by_batch.indices
    rows = by_column.indices[places] % batch_size
    begins = np.ones(len(columns) + 1, dtype=bool)
    np.not_equal(columns[1:], columns[:-1], out=begins[1:-1])
    begins[by_batch.indptr] = True
    # The last begin is the end of all entries; an empty batch begins where the next one does.
    begins = np.flatnonzero(begins).astype(rows.dtype)
    in_batches = np.searchsorted(begins, by_batch.indptr)
    indices, values = dense_tensor(rows, device), dense_tensor(by_column.data[places], device)
    present = dense_tensor(columns[begins[:-1]].astype(np.int64), device)
    for first, last in itertools.pairwise(in_batches):
        yield present[first:last], _cut(begins[first : last + 1], indices, values)


def _cut(ends: np.ndarray, indices: Tensor, values: Tensor) -> CompressedRows:
    """The compressed rows that end at these entries."""
    entries = slice(ends[0], ends[-1])
    offsets = dense_tensor(ends - ends[0], indices.device).to(indices.dtype)
    return CompressedRows(offsets, indices[entries], values[entries])
