"""Intercepts of the best model without features: where a solver should start.

At zero a large scale leaves every label's loss on its linear part, far from where it bends, and
the solvers crawl. The intercepts that balance each label's positives against its negatives are
known at the price of the targets alone.
"""

from __future__ import annotations

import numpy as np

from sklearn_mlce._objectives.coupled_constant_scores import LabelBalance, coupled_intercepts
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._targets.targets import Targets, weighted_label_counts


def intercept_start(
    targets: Targets,
    options: LossOptions,
    weight: np.ndarray | None = None,
    label_weight: np.ndarray | None = None,
) -> np.ndarray:
    r"""Intercepts near those that minimise the loss while all coefficients are zero.

    Of the convex losses that are sums over labels it is the minimum (of order "all" with soft
    targets, which stand inside its logarithms, only near it); the pairwise loss and those that are
    not convex start at the logits, a module at zero. Of the others a label's condition
    hangs on the sums over the other labels of a row; with these held fixed it is solved label by
    label, which never increases the loss of order 1 (its logarithms are below their tangents),
    and all intercepts are shifted together, the direction in which that is slow.

    Parameters
    ----------
    targets : Targets
        Encoded targets, of outputs that have both a positive and a negative row.
    options : LossOptions
        The loss.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows.
    label_weight : ndarray of shape (n_outputs,), default=None
        Weights of the labels.

    Returns
    -------
    ndarray of shape (n_outputs,), float64
        Finite intercepts.
    """
    if options.module is not None:
        return np.zeros(targets.n_outputs)
    weight = np.ones(targets.n_rows) if weight is None else weight.astype(np.float64)
    positive, negative = weighted_label_counts(targets, weight)
    if options.loss == "softmax":
        return np.log(positive / positive.mean()) / options.scale
    if options.loss == "multioutput":
        return np.log(positive / weight.sum())
    separate = separable_intercepts(positive, negative, options, label_weight)
    if options.separable or options.loss != "mlce" or len(positive) == 1:
        return separate
    log_weight = np.zeros(len(positive)) if label_weight is None else np.log(label_weight)
    balance = LabelBalance(
        options.scale, options.margins, log_weight, positive, negative, float(weight.sum())
    )
    return coupled_intercepts(targets, weight, balance, options.orders, separate)


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
