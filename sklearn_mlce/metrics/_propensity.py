"""Precision at k weighted by inverse propensities: rare labels are missed more often."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._targets.encoding import label_names_of
from sklearn_mlce._targets.label_names import in_label_order
from sklearn_mlce._utils.numbers import check_k, check_number
from sklearn_mlce._utils.numeric_input import array_of_numbers
from sklearn_mlce.metrics._inputs import (
    hard_labels_of,
    hits_at_k,
    scores_of,
    weights_of,
)


def label_propensities(y: Any, *, A: float = 0.55, B: float = 1.5) -> np.ndarray:
    r"""Probability that a label was noted in a row to which it applies, by the model of Jain et al.

    .. math::

        p_l &= \frac{1}{1 + C (N_l + B)^{-A}}, \\
        C &= (\ln N - 1) (B + 1)^A

    for a label that :math:`N_l` of the :math:`N` training rows carry.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of the training rows, 0 or 1; three rows at least.
    A : float, default=0.55
        How fast the propensity grows with the number of rows. The authors give 0.5 for Wikipedia
        and 0.6 for Amazon; 0.55 is the custom for other data.
    B : float, default=1.5
        Shift of the number of rows. The authors give 0.4 for Wikipedia and 2.6 for Amazon.

    Returns
    -------
    ndarray of shape (n_labels,), float64
        Propensities in (0, 1), the higher the more frequent the label.

    Raises
    ------
    ValueError
        If `y` is not a 0/1 matrix of three rows, or `A` or `B` is not positive.

    See Also
    --------
    propensity_scored_precision_at_k : What they are for.

    References
    ----------
    .. [1] Jain, Prabhu, Varma, "Extreme Multi-label Loss Functions for Recommendation, Tagging,
       Ranking & Other Missing Label Applications", https://doi.org/10.1145/2939672.2939756, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.metrics import label_propensities
    >>> y_train = np.zeros((1000, 3), dtype=int)
    >>> y_train[:500, 0] = y_train[:50, 1] = y_train[:5, 2] = 1
    >>> label_propensities(y_train).round(2)
    array([0.76, 0.47, 0.22])
    """
    check_number("A", A, above=0, at_most=10)
    check_number("B", B, above=0, at_most=1e6)
    positives = hard_labels_of(y, "y")
    n_rows, n_labels = positives.shape
    if n_rows < 3:
        raise ValueError(f"y must have three rows or more for propensities below 1, got {n_rows}")
    counts = np.bincount(positives.indices, minlength=n_labels)
    C = (np.log(n_rows) - 1) * (B + 1) ** A
    return 1 / (1 + C * (counts + B) ** -A)


def propensity_scored_precision_at_k(
    y_true: Any, y_score: Any, *, propensities: Any, k: int = 5, sample_weight: Any = None
) -> float:
    r"""Precision at k with labels weighted by inverse propensity, divided by the best possible.

    With :math:`p_l` the propensities, :math:`P_i` the labels of row :math:`i` and :math:`T_i` the
    `k` of highest score, it is

    .. math::
        \frac{\sum_i \sum_{l \in T_i \cap P_i} 1 / p_l}
        {\sum_i \max_{|T| = k} \sum_{l \in T \cap P_i} 1 / p_l},

    which is the form that tables of extreme classification report: one division after the sums
    over rows.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row, 0 or 1.
    y_score : array-like of shape (n_samples, n_labels)
        Scores or probabilities. Of equal scores the label of the lower column number ranks first.
    propensities : array-like of shape (n_labels,)
        Propensity of each label, in (0, 1]. :func:`label_propensities` has them for the labels of
        training rows. A Series goes by its index.
    k : int, default=5
        How many labels to look at, from 1 to `n_labels`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row in both sums.

    Returns
    -------
    float
        Between 0 and 1; 0 if no row carries a label.

    Raises
    ------
    ValueError
        If `y_true` is not a 0/1 matrix, or the others do not go with it.

    See Also
    --------
    precision_at_k : Counts all labels alike.

    References
    ----------
    .. [1] Jain, Prabhu, Varma, "Extreme Multi-label Loss Functions for Recommendation, Tagging,
       Ranking & Other Missing Label Applications", https://doi.org/10.1145/2939672.2939756, 2016.

    Examples
    --------
    >>> from sklearn_mlce.metrics import propensity_scored_precision_at_k
    >>> y_true = [[1, 0, 1], [0, 1, 0]]
    >>> y_score = [[0.9, 0.5, 0.8], [0.2, 0.7, 0.1]]
    >>> propensity_scored_precision_at_k(y_true, y_score, propensities=[0.8, 0.5, 0.2], k=1)
    0.464
    """
    positives = hard_labels_of(y_true, "y_true")
    names = label_names_of(y_true)
    scores = scores_of(y_score, positives.shape, names)
    k = check_k(k, positives.shape[1])
    weight = weights_of(sample_weight, y_true)
    propensities = in_label_order(propensities, names, "propensities")
    gains = 1 / _checked_propensities(propensities, positives.shape[1])
    ranked, hits = hits_at_k(positives, scores, k)
    reached = weight @ (gains[ranked] * hits).sum(axis=1)
    best = weight @ _best_gains(positives, gains, k)
    return float(reached / best) if best > 0 else 0.0


def _checked_propensities(propensities: Any, n_labels: int) -> np.ndarray:
    array = array_of_numbers(propensities, "propensities").astype(np.float64)
    if array.shape != (n_labels,) or not ((array > 0) & (array <= 1)).all():
        raise ValueError(
            f"propensities must be {n_labels} numbers in (0, 1], one per label, got shape "
            f"{array.shape} with values such as {array.ravel()[:3].tolist()}. "
            "label_propensities(y_train) has them"
        )
    return array


def _best_gains(positives: sp.csr_array, gains: np.ndarray, k: int) -> np.ndarray:
    """Sum ``(n,)`` of the k largest gains among the labels of each row."""
    n_positives = np.diff(positives.indptr)
    rows = np.repeat(np.arange(len(n_positives)), n_positives)
    gain = gains[positives.indices]
    gain = gain[np.lexsort((-gain, rows))]
    rank = np.arange(len(rows)) - positives.indptr[rows]
    return np.bincount(rows, gain * (rank < k), minlength=len(n_positives))
