"""Weighted sums and spread of the rows of X, in float64 whatever X is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

# Entries of X that are looked at at a time: 32 MiB of float64.
_ENTRIES = 2**22
_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a mean


def sum_of_rows(X: Any, weight: np.ndarray) -> np.ndarray:
    """Weighted sum ``(n_features,)`` of the rows, in float64.

    A block of rows at a time: the product of all would first copy X to the precision of the sum.
    """
    total = np.zeros(X.shape[1])
    for rows in _row_blocks(X):
        total += X[rows].T @ weight[rows]
    return total


def mean_squared_distance(X: Any, row_weight: np.ndarray, *, centred: bool) -> float:
    """Weighted mean of the rows' squared distance from their mean, or from zero; any weights.

    1 where it is zero, so that it can be divided by. Distances are summed, never differences of
    large squares: a feature may vary little beside its mean.

    Raises
    ------
    ValueError
        If they overflow.
    """
    weight = row_weight / row_weight.sum(dtype=np.float64)
    mean = sum_of_rows(X, weight) if centred else np.zeros(X.shape[1])
    with np.errstate(over="ignore"):
        distance = (_sparse_distance if sp.issparse(X) else _dense_distance)(X, weight, mean)
    check_squares(distance, X.dtype)
    rounding = _ROUNDING**2 * float(mean @ mean)
    return distance if distance > rounding else 1.0


def _dense_distance(X: np.ndarray, weight: np.ndarray, mean: np.ndarray) -> float:
    distance = 0.0
    for rows in _row_blocks(X):
        centred = X[rows] - mean
        distance += float(weight[rows] @ np.einsum("ij,ij->i", centred, centred))
    return distance


def _sparse_distance(X: Any, weight: np.ndarray, mean: np.ndarray) -> float:
    """By columns: of the entries that are stored, and of the zeros that are not."""
    distance, stored, n_stored = 0.0, np.zeros(X.shape[1]), np.zeros(X.shape[1], dtype=np.intp)
    for rows in _row_blocks(X):
        block = X[rows]
        of_entries = np.repeat(weight[rows], np.diff(block.indptr))
        distance += float(of_entries @ (block.data - mean[block.indices]) ** 2)
        stored += np.bincount(block.indices, weights=of_entries, minlength=X.shape[1])
        n_stored += np.bincount(block.indices, minlength=X.shape[1])
    left = np.where(n_stored == X.shape[0], 0.0, 1 - stored)  # of the weight
    return distance + float(left @ mean**2)


def check_squares(largest: float, dtype: np.dtype) -> None:
    """Raise ValueError where squares of features overflow: no step would have a length.

    Parameters
    ----------
    largest : float
        The largest square, or sum of squares.
    dtype : dtype
        Of the features.
    """
    if np.isfinite(largest):
        return
    wider = "" if dtype == np.float64 else ", or pass X as float64"
    raise ValueError(
        f"the rows of X are so long that their squared norms overflow {dtype}; expected features "
        f"of ordinary size. Scale them, as sklearn.preprocessing.MaxAbsScaler does{wider}"
    )


def _row_blocks(X: Any) -> Iterator[slice]:
    entries_per_row = (X.nnz if sp.issparse(X) else X.size) / max(X.shape[0], 1)
    step = max(1, int(_ENTRIES / max(entries_per_row, 1)))
    for start in range(0, X.shape[0], step):
        yield slice(start, start + step)
