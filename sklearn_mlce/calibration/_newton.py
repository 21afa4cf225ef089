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


def minimise(
    objective: Callable[[np.ndarray], np.ndarray], start: np.ndarray, lowest: float
) -> np.ndarray:
    """Minimise G convex functions of a slope and an intercept each.

    Parameters
    ----------
    objective : callable
        Maps points ``(2, G)`` to an array ``(6, G)``: the functions, their two derivatives, and
        the entries (slope, slope), (slope, intercept) and (intercept, intercept) of the Hessian.
    start : ndarray of shape (2, G)
        Slopes, at least `lowest`, and intercepts.
    lowest : float
        Least slope.

    Returns
    -------
    ndarray of shape (2, G)
        The minimisers.
    """
    point, value = start, objective(start)
    for _ in range(MAX_ITER):
        step, decrease = _bounded_step(point, value, lowest)
        slack = _TOLERANCE * (1 + np.abs(value[0]))
        if (decrease <= slack).all():
            return point + step
        point, value = _descend(objective, point, value[0] + slack, step)
    warnings.warn(
        f"{(decrease > slack).sum()} of {len(decrease)} calibration maps did not converge in "
        f"{MAX_ITER} iterations",
        ConvergenceWarning,
        stacklevel=2,
    )
    return point


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
    objective: Callable[[np.ndarray], np.ndarray],
    point: np.ndarray,
    limit: np.ndarray,
    step: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Points along the steps whose functions are at most `limit`, and what is known of them."""
    for _ in range(60):
        value = objective(point + step)
        worse = ~(value[0] <= limit)
        if not worse.any():
            return point + step, value
        step = np.where(worse, step / 2, step)
    return point, objective(point)
