"""Intercepts of the best model without features: where a solver should start.

At zero a large scale leaves every label's loss on its linear part, far from where it bends, and
the solvers crawl. The intercepts that balance each label's positives against its negatives are
known at the price of the targets alone.
"""

from __future__ import annotations

import numpy as np

from sklearn_mlce._loss_options import LossOptions
from sklearn_mlce._solvers.coupled_intercepts import coupled_intercepts
from sklearn_mlce._solvers.label_balance import LabelBalance
from sklearn_mlce._solvers.separable_intercepts import separable_intercepts
from sklearn_mlce._targets.targets import Targets, label_masses


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
    positive, negative = label_masses(targets, weight)
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
