"""Rows of matrices: how many fit into a block, and duplicates among their entries."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
from sklearn.utils import gen_batches

# Entries of unsorted rows that are looked at at a time.
_BLOCK_ENTRIES = 2**22


def rows_that_fit(n_columns: int, n_entries: int) -> int:
    """Number of rows of `n_columns` that hold about `n_entries` together; at least one.

    It is the size of a block for :func:`sklearn.utils.gen_batches`.
    """
    return max(1, n_entries // max(n_columns, 1))


def with_duplicates_summed(X: Any) -> Any:
    """X itself, or a copy without duplicates where rows of CSR hold a column several times.

    Sums over stored entries that are not linear in them, such as those of squares, would
    otherwise be others than those of the same matrix in another form.
    """
    if not (sp.issparse(X) and _has_duplicates(X)):
        return X
    summed = X.copy()
    summed.sum_duplicates()
    return summed


def _has_duplicates(X: Any) -> bool:
    if X.has_canonical_format:  # one pass over the indices, where scipy does not know it yet
        return False
    size = rows_that_fit(X.nnz // max(X.shape[0], 1), _BLOCK_ENTRIES)
    for rows in gen_batches(X.shape[0], size):  # unsorted rows need not have any
        part = X[rows].copy()
        n_stored = part.nnz
        part.sum_duplicates()
        if part.nnz < n_stored:
            return True
    return False
