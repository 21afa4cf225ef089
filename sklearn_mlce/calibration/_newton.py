"""Newton's method for many slopes and intercepts at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning

MAX_ITER = 100

# Decrease that is not worth another step, relative to the loss. The error that is left is far
# smaller, since the last step is still taken.
_TOLERANCE = 1e-10

# Keeps the matrix of a step invertible where all scores are the same.
_RIDGE = 1e-12

# Maps points ``(2, g)`` of some of the functions, whose numbers ``(g,)`` follow, to an array
# ``(6, g)``: their values, their two derivatives, and the entries (slope, slope),
# (slope, intercept) and (intercept, intercept) of the Hessian.
Functions = Callable[[np.ndarray, np.ndarray], np.ndarray]


def minimise(functions: Functions, start: np.ndarray, lowest: float) -> tuple[np.ndarray, int]:
    """Minimise G convex functions of a slope and an intercept each, each until it is done.

    Parameters
    ----------
    functions : callable
        See `Functions`.
    start : ndarray of shape (2, G)
        Slopes, at least `lowest`, and intercepts.
    lowest : float
        Least slope.

    Returns
    -------
    points : ndarray of shape (2, G)
        The minimisers.
    n_left : int
        Number of the functions that did not converge.
    """
    points, left = start.copy(), np.arange(start.shape[1])
    value = functions(points, left)
    for _ in range(MAX_ITER):
        step, decrease = _bounded_step(points[:, left], value, lowest)
        slack = _TOLERANCE * (1 + np.abs(value[0]))
        done = decrease <= slack
        points[:, left[done]] += step[:, done]
        left = left[~done]
        if not len(left):
            break
        limit = (value[0] + slack)[~done]
        points[:, left], value = _descend(functions, points[:, left], left, limit, step[:, ~done])
    return points, len(left)


def warn_not_converged(n_left: int, n_maps: int) -> None:
    """Warn of maps that did not converge, if there are any."""
    if n_left:
        warnings.warn(
            f"{n_left} of {n_maps} calibration maps did not converge in {MAX_ITER} iterations",
            ConvergenceWarning,
            stacklevel=3,
        )


def _bounded_step(
    point: np.ndarray, value: np.ndarray, lowest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Steps ``(2, G)`` to the minima of the quadratic models, and the decrease they promise."""
    _, g_slope, g_intercept, h_slope, h_both, h_intercept = value
    ridge = _RIDGE * (1 + h_slope + h_intercept)
    h_slope, h_intercept = h_slope + ridge, h_intercept + ridge
    determinant = h_slope * h_intercept - h_both**2
    slope = (h_both * g_intercept - h_intercept * g_slope) / determinant
    slope = np.maximum(slope, lowest - point[0])
    intercept = -(g_intercept + h_both * slope) / h_intercept
    linear = g_slope * slope + g_intercept * intercept
    quadratic = h_slope * slope**2 + 2 * h_both * slope * intercept + h_intercept * intercept**2
    return np.stack([slope, intercept]), -(linear + quadratic / 2)


def _descend(
    functions: Functions,
    point: np.ndarray,
    numbers: np.ndarray,
    limit: np.ndarray,
    step: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Points along the steps whose functions are at most `limit`, and what is known of them."""
    value = functions(point + step, numbers)
    for _ in range(60):
        worse = ~(value[0] <= limit)
        if not worse.any():
            return point + step, value
        step = np.where(worse, step / 2, step)
        value[:, worse] = functions((point + step)[:, worse], numbers[worse])
    step = np.where(worse, 0.0, step)
    return point + step, functions(point + step, numbers)
