"""Measures over the labels that are known, where others are NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score, label_ranking_average_precision_score

from sklearn_mlce._targets.encoding import label_names_of
from sklearn_mlce._targets.label_names import check_column_order
from sklearn_mlce._targets.targets import Targets, row_blocks
from sklearn_mlce.metrics._inputs import (
    check_same_shape,
    check_zero_division,
    hard_labels_of,
    labels_of,
    mean_of_defined,
    scores_of,
    weights_of,
)

_AVERAGES = ("micro", "macro", None)


def masked_f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    average: str | None = "micro",
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> float | np.ndarray:
    r"""F1 of the cells whose label is known.

    A cell of `y_true` that is NaN counts neither for nor against a prediction. Without such cells
    this is :func:`~sklearn.metrics.f1_score`, of sparse or dense labels.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row: 0, 1, or NaN where unknown. A soft label in between counts as
        that fraction of a positive, F1 being :math:`2 \sum t p / (\sum t + \sum p)` for labels
        :math:`t` and predictions :math:`p`.
    y_pred : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Predicted labels, 0 or 1, for all cells.
    average : {"micro", "macro"} or None, default="micro"
        F1 of all cells together, its mean over labels, or each label's.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row.
    zero_division : {0.0, 1.0, np.nan}, default=0.0
        F1 of a label that is neither carried nor predicted where it is known. With NaN it is left
        out of the mean.

    Returns
    -------
    float or ndarray of shape (n_labels,)
        Between 0 and 1, or `zero_division`.

    Raises
    ------
    ValueError
        If `y_true` is not a matrix of labels, or the others do not go with it.

    See Also
    --------
    f1_by_label_frequency : Of frequent and rare labels by themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.metrics import masked_f1_score
    >>> y_true = [[1, 0, np.nan], [np.nan, 1, 0]]
    >>> y_pred = [[1, 1, 1], [0, 1, 0]]
    >>> masked_f1_score(y_true, y_pred)
    0.8
    >>> masked_f1_score(y_true, y_pred, average=None).round(2)
    array([1.  , 0.67, 0.  ])
    """
    if average not in _AVERAGES:
        raise ValueError(f"average must be 'micro', 'macro' or None, got {average!r}")
    targets = labels_of(y_true, "y_true")
    predicted = predictions_of(y_pred, targets)
    weight = weights_of(sample_weight, y_true)
    return f1_of(targets, predicted, average, weight, check_zero_division(zero_division))


def masked_label_ranking_average_precision_score(
    y_true: Any, y_score: Any, *, sample_weight: Any = None
) -> float:
    """Label ranking average precision among the labels that are known.

    Each row is judged by the order of its known labels, as
    :func:`~sklearn.metrics.label_ranking_average_precision_score` would if the row had no others.
    Of equal scores each has the worst of their ranks.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row: 0, 1, or NaN where unknown.
    y_score : array-like of shape (n_samples, n_labels)
        Scores or probabilities, for all cells.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row in the mean.

    Returns
    -------
    float
        Between 0 and 1. A row whose known labels are all 0 or all 1 counts 1; one without any is
        left out, and if that leaves no row the value is NaN.

    Raises
    ------
    ValueError
        If `y_true` is not a matrix of 0, 1 and NaN, or the others do not go with it.

    See Also
    --------
    sklearn.metrics.label_ranking_average_precision_score : The same, for labels that are all known.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.metrics import masked_label_ranking_average_precision_score
    >>> y_true = [[1, 0, np.nan], [np.nan, 1, 0]]
    >>> y_score = [[0.5, 0.2, 0.9], [0.9, 0.3, 0.6]]
    >>> masked_label_ranking_average_precision_score(y_true, y_score)
    0.75
    """
    targets = labels_of(y_true, "y_true")
    weight = weights_of(sample_weight, y_true)
    scores = scores_of(y_score, (targets.n_rows, targets.n_outputs), targets.label_names)
    if targets.positives is not None:
        return label_ranking_average_precision_score(
            targets.positives, scores, sample_weight=weight
        )
    assert targets.dense is not None
    return _ranking_of_known(targets.dense, scores, weight)


def _ranking_of_known(labels: np.ndarray, scores: np.ndarray, weight: np.ndarray) -> float:
    unknown = np.isnan(labels)
    if ((labels > 0) & (labels < 1)).any():
        raise ValueError(
            "y_true must hold only 0, 1 and NaN here, got soft labels between 0 and 1. "
            "sklearn.metrics.ndcg_score takes them"
        )
    weight = np.where(unknown.all(axis=1), 0.0, weight)
    if not weight.any():
        return float("nan")
    # A label's precision counts the labels that score as high as it does or higher: to score below
    # all others, and not to be carried, is to be left out.
    lowest = np.nextafter(scores.min(axis=1, keepdims=True), -np.inf)
    return label_ranking_average_precision_score(
        labels == 1, np.where(unknown, lowest, scores), sample_weight=weight
    )


def predictions_of(y_pred: Any, targets: Targets) -> sp.csr_array:
    """Predicted labels ``(n, L)``.

    Raises
    ------
    ValueError
        If they are not 0 and 1, or not of the shape of the labels.
    """
    predicted = hard_labels_of(y_pred, "y_pred")
    check_same_shape(predicted.shape, (targets.n_rows, targets.n_outputs), "y_pred")
    check_column_order(label_names_of(y_pred), targets.label_names, "y_pred")
    return predicted


def f1_of(
    targets: Targets,
    predicted: sp.csr_array,
    average: str | None,
    weight: np.ndarray,
    zero_division: float,
    labels: np.ndarray | None = None,
) -> Any:
    """F1 of some labels, by their column numbers, or of all; see :func:`masked_f1_score`."""
    if targets.positives is not None:
        return f1_score(
            targets.positives,
            predicted,
            labels=labels,
            average=average,
            sample_weight=weight,
            zero_division=zero_division,
        )
    assert targets.dense is not None
    twice_hits, total = _twice_hits_and_totals(targets.dense, predicted, weight)
    if labels is not None:
        twice_hits, total = twice_hits[labels], total[labels]
    if average == "micro":
        twice_hits, total = twice_hits.sum(keepdims=True), total.sum(keepdims=True)
    f1 = np.full(len(total), zero_division)
    np.divide(twice_hits, total, out=f1, where=total > 0)
    return f1 if average is None else mean_of_defined(f1)


def _twice_hits_and_totals(
    labels: np.ndarray, predicted: Any, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Twice the hits, and positives plus predictions, of each label over its known cells."""
    twice_hits, total = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for rows in row_blocks(*labels.shape):
        known = ~np.isnan(labels[rows])
        carried = np.where(known, labels[rows], 0.0)
        answered = predicted[rows].toarray() * known
        twice_hits += 2 * (weight[rows] @ (carried * answered))
        total += weight[rows] @ (carried + answered)
    return twice_hits, total
