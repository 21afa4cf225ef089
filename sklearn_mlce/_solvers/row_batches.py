"""Batches of rows in a new order at each epoch, with all their index work done in bulk.

Rows are gathered in blocks of a bounded size and a block is cut into batches, so that an epoch
holds no second copy of X. Of sparse rows a solver needs the products with the coefficients of the
features that occur in the batch, and with their transpose: both are sums of a few weighted rows of
a dense matrix, for which the entries are kept in both orders. The second is added to the
coefficients in place: memory for it, and two more passes over it, would cost more than the product.
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
# Entries of a product that an accelerator makes at a time: memory that is used again.
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


class FeatureEntries(NamedTuple):
    """Entries of a sparse batch in the order of their features, for the CPU.

    Torch adds the entries one after another, each times a row of values: a row of coefficients
    stays in cache until its entries are done.
    """

    places: Tensor  # (2, n_entries) feature and row of each
    values: Tensor  # (n_entries,)

    def add_product_(self, coefficients: Tensor, row_values: Tensor, alpha: float) -> None:
        shape = (len(coefficients), len(row_values))
        transposed = torch.sparse_coo_tensor(
            self.places, self.values, shape, check_invariants=False
        )
        coefficients.addmm_(transposed, row_values, alpha=alpha)


class PresentFeatures(NamedTuple):
    """Features present in a sparse batch, with their entries, for accelerators.

    Each row of coefficients is added to once, so that sums come out the same at each run.
    """

    features: Tensor  # (n_present,)
    transposed: CompressedRows  # a row for each of them

    def add_product_(self, coefficients: Tensor, row_values: Tensor, alpha: float) -> None:
        width = coefficients.shape[1]
        for part in gen_batches(len(self.features), rows_that_fit(width, _PRODUCT_ENTRIES)):
            product = self.transposed.part(part.start, part.stop).matmul(row_values)
            coefficients.index_add_(0, self.features[part], product, alpha=alpha)


class SparseFeatures(NamedTuple):
    """A sparse batch, by rows and by columns."""

    rows: CompressedRows
    by_feature: FeatureEntries | PresentFeatures
    at_offset: Tensor | None

    def product(self, coefficients: Tensor) -> Tensor:
        return self.rows.matmul(coefficients)

    def add_transposed_(self, coefficients: Tensor, row_values: Tensor, alpha: float) -> None:
        if len(self.rows.values):  # of none torch would multiply all coefficients by 1
            self.by_feature.add_product_(coefficients, row_values, alpha)


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
        by_feature = _by_feature(X, self.batch_size, self.device)
        batches = gen_batches(X.shape[0], self.batch_size)
        for batch, rows, entries in zip(batches, by_rows, by_feature, strict=True):
            projected = None if at_offset is None else at_offset[batch]
            yield SparseFeatures(rows, entries, projected)


def _by_rows(X: Any, batch_size: int, device: torch.device) -> Iterator[CompressedRows]:
    """Yield the rows of each batch."""
    indices, values = dense_tensor(X.indices, device), dense_tensor(X.data, device)
    for batch in gen_batches(X.shape[0], batch_size):
        yield _cut(X.indptr[batch.start : batch.stop + 1], indices, values)


def _by_feature(
    X: Any, batch_size: int, device: torch.device
) -> Iterator[FeatureEntries | PresentFeatures]:
    """Yield the entries of each batch in the order of their features.

    Two stable counting sorts, by feature and then by batch, in place of a sort in each batch.
    """
    by_column = X.tocsc()
    batch_of_entry = by_column.indices // batch_size
    n_batches = -(-X.shape[0] // batch_size)
    # Its "data" are places in by_column; entries that share a cell are not added up.
    by_batch = sp.csc_array(
        (np.arange(X.nnz), batch_of_entry, by_column.indptr), shape=(n_batches, X.shape[1])
    ).tocsr()
    sorted_entries = by_batch.data
    rows = by_column.indices[sorted_entries] % batch_size
    values = dense_tensor(by_column.data[sorted_entries], device)
    in_form = _feature_entries if device.type == "cpu" else _present_features
    return in_form(by_batch.indptr, by_batch.indices, rows, values)


def _feature_entries(
    ends: np.ndarray, features: np.ndarray, rows: np.ndarray, values: Tensor
) -> Iterator[FeatureEntries]:
    """Entries of batches, those of each from one end to the next."""
    places = dense_tensor(np.stack([features, rows]).astype(np.int64, copy=False))
    for first, last in itertools.pairwise(ends):
        yield FeatureEntries(places[:, first:last], values[first:last])


def _present_features(
    ends: np.ndarray, features: np.ndarray, rows: np.ndarray, values: Tensor
) -> Iterator[PresentFeatures]:
    """The same by the features present in each batch."""
    begins = np.ones(len(features) + 1, dtype=bool)
    np.not_equal(features[1:], features[:-1], out=begins[1:-1])
    begins[ends] = True
    # The last begin is the end of all entries; an empty batch begins where the next one does.
    begins = np.flatnonzero(begins).astype(rows.dtype)
    in_batches = np.searchsorted(begins, ends)
    indices = dense_tensor(rows, values.device)
    present = dense_tensor(features[begins[:-1]].astype(np.int64), values.device)
    for first, last in itertools.pairwise(in_batches):
        transposed = _cut(begins[first : last + 1], indices, values)
        yield PresentFeatures(present[first:last], transposed)


def _cut(ends: np.ndarray, indices: Tensor, values: Tensor) -> CompressedRows:
    """The compressed rows that end at these entries."""
    entries = slice(ends[0], ends[-1])
    offsets = dense_tensor(ends - ends[0], indices.device).to(indices.dtype)
    return CompressedRows(offsets, indices[entries], values[entries])
