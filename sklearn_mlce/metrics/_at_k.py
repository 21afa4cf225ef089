"""Precision, recall and NDCG of the k labels with the highest scores of each row."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._targets.encoding import label_names_of
from sklearn_mlce._utils.numbers import check_k
from sklearn_mlce.metrics._inputs import (
    check_zero_division,
    hard_labels_of,
    hits_at_k,
    mean_of_defined,
    scores_of,
    weights_of,
)


def precision_at_k(y_true: Any, y_score: Any, *, k: int = 5, sample_weight: Any = None) -> float:
    """Fraction of the k labels with the highest scores that a row carries, on average over rows.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row, 0 or 1.
    y_score : array-like of shape (n_samples, n_labels)
        Scores or probabilities. Of equal scores the label of the lower column number ranks first.
    k : int, default=5
        How many labels to look at, from 1 to `n_labels`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row in the mean.

    Returns
    -------
    float
        Between 0 and 1. A row that carries fewer than `k` labels cannot reach 1.

    Raises
    ------
    ValueError
        If `y_true` is not a 0/1 matrix, or the others do not go with it.

    See Also
    --------
    propensity_scored_precision_at_k : Counts rare labels for more.

    Examples
    --------
    >>> from sklearn_mlce.metrics import precision_at_k
    >>> y_true = [[1, 0, 1], [0, 1, 0]]
    >>> y_score = [[0.9, 0.5, 0.8], [0.2, 0.7, 0.1]]
    >>> precision_at_k(y_true, y_score, k=2)
    0.75
    """
    _, hits = _ranked_hits(y_true, y_score, k)
    return float(np.average(hits.mean(axis=1), weights=weights_of(sample_weight, y_true)))


def recall_at_k(
    y_true: Any,
    y_score: Any,
    *,
    k: int = 5,
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> float:
    """Fraction of a row's labels among the k with the highest scores, on average over rows.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row, 0 or 1.
    y_score : array-like of shape (n_samples, n_labels)
        Scores or probabilities. Of equal scores the label of the lower column number ranks first.
    k : int, default=5
        How many labels to look at, from 1 to `n_labels`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row in the mean.
    zero_division : {0.0, 1.0, np.nan}, default=0.0
        Recall of a row that carries no label. With NaN the row is left out of the mean.

    Returns
    -------
    float
        Between 0 and 1. A row that carries more than `k` labels cannot reach 1.

    Raises
    ------
    ValueError
        If `y_true` is not a 0/1 matrix, or the others do not go with it.

    See Also
    --------
    sklearn.metrics.recall_score : Of predicted labels.

    Examples
    --------
    >>> from sklearn_mlce.metrics import recall_at_k
    >>> y_true = [[1, 0, 1], [0, 1, 0]]
    >>> y_score = [[0.9, 0.5, 0.8], [0.2, 0.7, 0.1]]
    >>> recall_at_k(y_true, y_score, k=1)
    0.75
    """
    positives, hits = _ranked_hits(y_true, y_score, k)
    n_positives = np.diff(positives.indptr)
    recall = np.full(len(hits), check_zero_division(zero_division))
    np.divide(hits.sum(axis=1), n_positives, out=recall, where=n_positives > 0)
    return mean_of_defined(recall, weights_of(sample_weight, y_true))


def ndcg_at_k(y_true: Any, y_score: Any, *, k: int = 5, sample_weight: Any = None) -> float:
    r"""Normalised discounted cumulative gain of the k labels with the highest scores.

    A label at rank :math:`r` that the row carries gains :math:`1 / \log_2(1 + r)`. The sum over
    the first `k` ranks is divided by what the best order would give, and averaged over rows.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row, 0 or 1.
    y_score : array-like of shape (n_samples, n_labels)
        Scores or probabilities. Of equal scores the label of the lower column number ranks first.
    k : int, default=5
        How many labels to look at, from 1 to `n_labels`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row in the mean.

    Returns
    -------
    float
        Between 0 and 1. A row that carries no label counts 0, as it does in scikit-learn.

    Raises
    ------
    ValueError
        If `y_true` is not a 0/1 matrix, or the others do not go with it.

    See Also
    --------
    sklearn.metrics.ndcg_score : Takes graded labels, but no sparse ones, and averages over ties.

    References
    ----------
    .. [1] Järvelin, Kekäläinen, "Cumulated gain-based evaluation of IR techniques",
       https://doi.org/10.1145/582415.582418, 2002.

    Examples
    --------
    >>> from sklearn_mlce.metrics import ndcg_at_k
    >>> y_true = [[1, 0, 1], [0, 1, 0]]
    >>> y_score = [[0.9, 0.8, 0.5], [0.2, 0.7, 0.1]]
    >>> round(ndcg_at_k(y_true, y_score, k=2), 3)
    0.807
    """
    positives, hits = _ranked_hits(y_true, y_score, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = np.append(0.0, np.cumsum(discount))[np.diff(positives.indptr).clip(max=k)]
    gain = hits @ discount
    ndcg = np.divide(gain, best, out=np.zeros_like(gain), where=best > 0)
    return float(np.average(ndcg, weights=weights_of(sample_weight, y_true)))


def _ranked_hits(y_true: Any, y_score: Any, k: int) -> tuple[sp.csr_array, np.ndarray]:
    """Positives ``(n, L)``, and whether each row carries its k best labels ``(n, k)``."""
    positives = hard_labels_of(y_true, "y_true")
    scores = scores_of(y_score, positives.shape, label_names_of(y_true))
    _, hits = hits_at_k(positives, scores, check_k(k, positives.shape[1]))
    return positives, hits
