"""Step sizes of stochastic gradient descent, from the data instead of from a search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils.extmath import row_norms
from torch import Tensor

from sklearn_mlce._objectives.batch_loss import BatchLoss
from sklearn_mlce._solvers.row_batches import RowBatches
from sklearn_mlce._solvers.standardisation import Standardisation, check_squares
from sklearn_mlce._utils.tensors import dense_tensor

_SAMPLED_BATCHES = 3
_POWER_ITERATIONS = 30
_SLOW_STEPS = 50  # of a stream, before they fall
# Steps in units of 1 / curvature. At 2 a quadratic bowl neither gains nor loses; as the steps end
# at zero, all of its directions are then gone through.
_STEP = 2.0
_LARGEST_STEP = 4.0
_STEP_OF_UNBOUNDED = 1.5
# By how much the penalty should shrink coefficients over a fit, as a power of e: about what the
# optimum needs to forget the start.
_FORGETTING = 4.0
_STEP_OF_INTERCEPTS = 0.5
# No row moves an intercept by more than this, in units of an exponent: labels that are rare in a
# batch, which are curved least, would leap at their first positive row.
_INTERCEPT_REACH = 0.25
_TINY = 1e-12


class StepSizes(NamedTuple):
    """Sizes of the steps of a descent."""

    first: float | Tensor  # eta_0, of all labels or (L,)
    of_intercepts: Tensor  # (L,), beta
    fraction: Callable[[int], float]  # of the first step, at the number of a batch from 0


def linear_decay(n_steps: int) -> Callable[[int], float]:
    """Return fractions of the first step that fall to zero after ``n_steps``."""
    return lambda number: 1 - number / n_steps


def stream_decay(number: int) -> float:
    """Return the fraction of the first step of a stream, whose end is not known."""
    return (1 + number / _SLOW_STEPS) ** -0.5


def first_step(loss: BatchLoss, gram: float, passed: float | None = None) -> float | Tensor:
    """Return the first step, of all labels or ``(L,)`` where their weights differ.

    It is larger where the penalty, ``passed`` being its strength times the rows passed over and
    the mean fraction of the first step, would shrink coefficients too little; None for a stream.
    """
    unit = 1 / (loss.curvature * gram)
    if not loss.bounded:
        return _STEP_OF_UNBOUNDED * unit
    if passed is None:  # each row is passed once: there is no later epoch to make up for it
        return _LARGEST_STEP * unit
    # In units, which a label's own step has too.
    wanted = _FORGETTING / (passed * unit)
    if isinstance(wanted, Tensor):
        return wanted.clamp(_STEP, _LARGEST_STEP) * unit
    return min(max(wanted, _STEP), _LARGEST_STEP) * unit


def steps_of_intercepts(
    batches: RowBatches, loss: BatchLoss, positive: np.ndarray, negative: np.ndarray
) -> Tensor:
    """Return the first step ``(L,)`` of each intercept, by the weights of a label's rows."""
    prevalence = np.clip(positive / np.maximum(positive + negative, _TINY), _TINY, 1 - _TINY)
    curvatures = loss.intercept_curvatures(torch.from_numpy(prevalence))
    steps = _STEP_OF_INTERCEPTS / (batches.batch_size * curvatures)
    if loss.bounded:
        steps = steps.clamp(max=_INTERCEPT_REACH * loss.unit)
    return dense_tensor(steps.numpy().astype(batches.X.dtype), batches.device)


def gram_eigenvalue(batches: RowBatches, rng: np.random.Generator) -> float:
    """Estimate the largest eigenvalue of the Gram matrix of a batch of centred, weighted rows.

    It is the largest of a few batches drawn at random, and of the squared norms of all rows: a
    batch that holds the longest row has at least that.

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
        gram = _gram(batches.X[rows], batches.standardisation)
        if batches.weight is not None:
            root = np.sqrt(batches.weight[rows])
            gram *= root[:, None] * root
        largest = max(largest, _largest_eigenvalue(gram, rng))
    return largest


def _gram(X: Any, standardisation: Standardisation) -> np.ndarray:
    """Return the products of all pairs of centred rows."""
    if not sp.issparse(X):
        X = standardisation.of_dense(X)
        return (X @ X.T).astype(np.float64)
    X, offset = standardisation.of_sparse(X), standardisation.divided_offset
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
    standardisation, weight = batches.standardisation, batches.weight
    largest = 0.0
    for rows in batches.blocks():
        squares = _squared_norms(batches.X[rows], standardisation)
        squares = squares if weight is None else squares * weight[rows]
        largest = float(np.maximum(largest, squares.max()))  # NaN where it overflows
    return largest


def _squared_norms(X: Any, standardisation: Standardisation) -> np.ndarray:
    """Squared norms of centred rows."""
    if not sp.issparse(X):
        return row_norms(standardisation.of_dense(X), squared=True)
    X, offset = standardisation.of_sparse(X), standardisation.divided_offset
    squares = row_norms(X, squared=True)
    return squares if offset is None else squares - 2 * (X @ offset) + offset @ offset
