"""Step sizes of stochastic gradient descent, from the data instead of from a search."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.extmath import row_norms

from sklearn_mlce._solvers.design import check_squares
from sklearn_mlce._solvers.row_batches import RowBatches

_SAMPLED_BATCHES = 3
_POWER_ITERATIONS = 30


def gram_eigenvalue(batches: RowBatches, rng: np.random.Generator) -> float:
    """Largest eigenvalue that the Gram matrix of a batch of centred, weighted rows may have.

    The largest of a few batches drawn at random, and of the squared norms of all rows: a batch
    that holds the longest row has at least that.

    Parameters
    ----------
    batches : RowBatches
        The rows.
    rng : numpy.random.Generator
        Draws the batches.

    Returns
    -------
    float
        The eigenvalue; 1 where all rows are zero, and no step moves.

    Raises
    ------
    ValueError
        If the rows are so long that it overflows.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        largest = _largest_of_batches(batches, rng)
    check_squares(largest, batches.X.dtype)
    return largest or 1.0


def _largest_of_batches(batches: RowBatches, rng: np.random.Generator) -> float:
    largest = _largest_square(batches)
    if not np.isfinite(largest):
        return largest
    n_rows, size = batches.n_rows, min(batches.batch_size, batches.n_rows)
    for _ in range(_SAMPLED_BATCHES if n_rows > size else 1):
        rows = rng.choice(n_rows, size, replace=False)
        gram = _gram(batches.X[rows], batches.offset)
        if batches.weight is not None:
            root = np.sqrt(batches.weight[rows])
            gram *= root[:, None] * root
        largest = max(largest, _largest_eigenvalue(gram, rng))
    return largest


def _gram(X: Any, offset: np.ndarray | None) -> np.ndarray:
    """Products of all pairs of centred rows."""
    if not sp.issparse(X):
        X = X if offset is None else X - offset
        return (X @ X.T).astype(np.float64)
    gram = (X @ X.T).toarray().astype(np.float64)
    if offset is None:
        return gram
    at_offset = X @ offset
    return gram - at_offset[:, None] - at_offset + offset @ offset


def _largest_eigenvalue(gram: np.ndarray, rng: np.random.Generator) -> float:
    vector = rng.normal(size=len(gram))
    norm = 0.0
    for _ in range(_POWER_ITERATIONS):
        vector = gram @ (vector / np.linalg.norm(vector))
        norm = float(np.linalg.norm(vector))
        if norm == 0:
            break
    return norm


def _largest_square(batches: RowBatches) -> float:
    """Largest weighted squared norm of a centred row."""
    offset, weight = batches.offset, batches.weight
    largest = 0.0
    for rows in batches.blocks():
        X = batches.X[rows]
        squares = row_norms(X, squared=True)
        if offset is not None:
            squares = squares - 2 * (X @ offset) + offset @ offset
        squares = squares if weight is None else squares * weight[rows]
        largest = float(np.maximum(largest, squares.max()))  # NaN where it overflows
    return largest
