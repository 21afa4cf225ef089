"""Intercepts that fit the frequencies of labels, where the loss is a sum over labels."""

from __future__ import annotations

import numpy as np

from sklearn_mlce._loss_options import LossOptions


def separable_intercepts(
    positive: np.ndarray,
    negative: np.ndarray,
    options: LossOptions,
    label_weight: np.ndarray | None = None,
) -> np.ndarray:
    """Best constant score of each label, for losses that are sums over labels.

    With masses ``P`` and ``N`` of a label's positive and negative rows, the derivative of order
    "all" vanishes where

        N v^2 + (N - P) e^h v - P = 0,    v = e^(scale (b - (m_1 - m_0) / 2)),
        h = scale (m_0 + m_1) / 2 + log w,

    a quadratic with one positive root, taken in logarithms as ``h`` may be large. Orders 1 and 2
    start from there as well. Squared hinge has ``b = (P - N) / (P + N)``.

    Parameters
    ----------
    positive, negative : ndarray of shape (n_labels,)
        Masses, each positive.
    options : LossOptions
        The loss.
    label_weight : ndarray of shape (n_labels,), default=None
        Weights inside the logarithms.

    Returns
    -------
    ndarray of shape (n_labels,), float64
    """
    total = positive + negative
    if options.loss == "squared_hinge":
        return (positive - negative) / total
    half_sum, half_difference = sum(options.margins) / 2, np.diff(options.margins)[0] / 2
    h = np.full_like(total, options.scale * half_sum)
    if label_weight is not None and options.loss == "mlce":
        h += np.log(label_weight)
    with np.errstate(divide="ignore"):  # as many positive as negative rows
        log_gap = np.log(np.abs(positive - negative))
    log_root = np.logaddexp(2 * log_gap, np.log(4 * positive * negative) - 2 * h) / 2
    log_sum = np.logaddexp(log_gap, log_root) + h
    # Of the two forms of the root, the one whose sum does not cancel.
    rare, frequent = np.log(2 * positive) - log_sum, log_sum - np.log(2 * negative)
    return np.where(positive < negative, rare, frequent) / options.scale + half_difference
