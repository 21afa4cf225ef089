"""Measures of each label, of groups of labels, and their averages, from scores or an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce._targets.label_names import in_label_order
from sklearn_mlce._targets.targets import Targets, weighted_label_counts
from sklearn_mlce._utils.estimator_scores import default_threshold, scores_of
from sklearn_mlce._utils.numeric_input import array_of_numbers
from sklearn_mlce.inspection._average_precision import average_precisions, pooled_average_precision
from sklearn_mlce.inspection._fitted_scores import (
    matrix_of_tags,
    names_of_labels,
    tuned_thresholds,
)
from sklearn_mlce.inspection._label_report import LabelReport
from sklearn_mlce.metrics import label_frequency_groups
from sklearn_mlce.metrics._inputs import (
    check_zero_division,
    labels_of,
    mean_of_defined,
    weights_of,
)
from sklearn_mlce.metrics._label_frequency import GROUPS
from sklearn_mlce.model_selection._f_measure import Counts, HeldOut
from sklearn_mlce.model_selection._given_scores import checked_scores
from sklearn_mlce.model_selection._out_of_fold import beside_targets


def label_report(
    y_true: Any,
    scores_or_estimator: Any,
    X: Any = None,
    *,
    thresholds: Any = None,
    label_names: Any = None,
    label_counts: Any = None,
    cuts: tuple[float, float] = (20, 100),
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> LabelReport:
    """Precision, recall, F1 and average precision of each label, of frequent and rare ones, of all.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row: 0, 1, or NaN where unknown, which are left out. A soft label in between
        counts as that fraction of a positive. A DataFrame names its labels. Or tags, where an
        estimator is given that has learned their names.
    scores_or_estimator : array-like of shape (n_samples, n_labels) or estimator
        Scores or probabilities of the rows. Or a fitted multi-label estimator with
        `decision_function` or else `predict_proba`; a pipeline, a search or a tuner will do.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
        The rows, where an estimator is given.
    thresholds : float or array-like of shape (n_labels,), default=None
        Threshold that a score has to exceed for a label to be predicted. None is 0, and 0.5 for an
        estimator that has probabilities alone. A tuned estimator has subtracted its own thresholds
        already, and these are shown. Required where all scores lie in [0, 1], as probabilities do.
        A Series goes by its index.
    label_names : array-like of shape (n_labels,), default=None
        Names of the labels. None takes the columns of `y_true`, or the names that the estimator
        has, or column numbers.
    label_counts : array-like of shape (n_labels,), default=None
        How many training rows carry each label, by which the labels are grouped;
        ``y_train.sum(axis=0)`` will do; a Series goes by its index. None takes the rows of
        `y_true`, of which there may be few.
    cuts : tuple of two numbers, default=(20, 100)
        Labels of fewer rows than the first are tail, of more than the second head, the others
        medium.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row.
    zero_division : {0.0, 1.0, np.nan}, default=0.0
        Precision, recall or F1 where it is 0/0. With NaN it is left out of the means.

    Returns
    -------
    LabelReport
        Shows itself as text or, in notebooks, as a table; `to_frame` and `averages_to_frame` make
        DataFrames of it.

    Raises
    ------
    TypeError
        If the estimator has no scores.
    ValueError
        If `y_true` is not a matrix of labels, or the others do not go with it.

    See Also
    --------
    sklearn_mlce.metrics.f1_by_label_frequency : F1 of the groups, as a number for scorers.
    sklearn_mlce.model_selection.tune_thresholds : Thresholds of given scores.

    Notes
    -----
    The measures of a group, and "macro", are means over labels; "samples" is the mean over rows
    of what is measured in each. Average precision is NaN for a label (or a row) without
    positives, and the means leave it out. Micro average precision ranks all cells together.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.inspection import label_report
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=4, n_labels=2, random_state=0
    ... )
    >>> model = MLCEClassifier().fit(X[:400], Y[:400])
    >>> label_report(Y[400:], model, X[400:], label_counts=Y[:400].sum(axis=0))
    Label report: 200 rows, 4 labels
               group     support  threshold  precision  recall     F1     AP
      0        head           98          0      0.650   0.949  0.772  0.880
      1        head          101          0      0.634   0.960  0.764  0.875
      2        head           96          0      0.704   0.917  0.796  0.892
      3        head           91          0      0.637   0.945  0.761  0.891
    <BLANKLINE>
      head     4 labels      386                 0.656   0.943  0.773  0.885
      medium   0 labels        0                     -       -      -      -
      tail     0 labels        0                     -       -      -      -
      micro    4 labels      386                 0.655   0.943  0.773  0.885
      macro    4 labels      386                 0.656   0.943  0.773  0.885
      samples  4 labels      386                 0.647   0.864  0.711  0.976
    """
    y_true = matrix_of_tags(y_true, scores_or_estimator)
    targets = labels_of(y_true, "y_true")
    weight = weights_of(sample_weight, y_true)
    zero_division = check_zero_division(zero_division)
    scores, compared, shown = _read(targets, scores_or_estimator, X, thresholds)
    model = scores_or_estimator if hasattr(scores_or_estimator, "fit") else None
    names = names_of_labels(targets, label_names, model)
    if targets.dense is not None:
        weight = np.where(np.isnan(targets.dense).all(axis=1), 0.0, weight)
    held_out = beside_targets(targets, scores, None if (weight == 1).all() else weight)
    of_labels, of_rows = held_out.counts(compared)
    by_label = _measures(of_labels, zero_division)
    by_label["average_precision"] = average_precisions(held_out.by_label(), weight)
    group = _groups(targets, _row_counts(targets) if label_counts is None else label_counts, cuts)
    return LabelReport(
        n_samples=targets.n_rows,
        label_names=names,
        group=group,
        support=of_labels.positives,
        threshold=shown,
        averages={
            **_averages_of_groups(by_label, of_labels, group),
            **_averages(held_out, by_label, of_labels, of_rows, zero_division),
        },
        **by_label,
    )


def _read(
    targets: Targets, given: Any, X: Any, thresholds: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, and the thresholds to compare them with and to show."""
    n_labels = targets.n_outputs
    own = None
    if hasattr(given, "fit"):
        default = default_threshold(given)
        check_is_fitted(given)
        if X is None:
            raise ValueError(
                f"{type(given).__name__} needs rows to score, but X is None. Type "
                "label_report(y_true, estimator, X)"
            )
        scores = checked_scores(scores_of(given, X, n_labels), targets)
        own = tuned_thresholds(given)
    else:
        default = 0.0
        scores = checked_scores(given, targets)
        if thresholds is None and scores.size and scores.min() >= 0 and scores.max() <= 1:
            raise ValueError(
                "all scores lie between 0 and 1, as probabilities do, and no thresholds are given. "
                "Pass thresholds=0.5, or those of tune_thresholds(y, scores) on other rows; for "
                "scores whose threshold is zero thresholds=0"
            )
    thresholds = in_label_order(thresholds, targets.label_names, "thresholds")
    compared = _checked_thresholds(default if thresholds is None else thresholds, n_labels)
    shown = compared if thresholds is not None or own is None else np.broadcast_to(own, n_labels)
    return scores, compared, shown


def _checked_thresholds(thresholds: Any, n_labels: int) -> np.ndarray:
    array = array_of_numbers(thresholds, "thresholds").astype(np.float64)
    if array.shape not in ((), (n_labels,)) or np.isnan(array).any():
        raise ValueError(
            f"thresholds must be a number, or one for each of {n_labels} labels, got {thresholds!r}"
        )
    return np.broadcast_to(array, n_labels)


def _row_counts(targets: Targets) -> np.ndarray:
    """Number ``(L,)`` of the rows that carry each label, whatever their weight."""
    return weighted_label_counts(targets, np.ones(targets.n_rows))[0]


def _groups(targets: Targets, counts: Any, cuts: tuple[float, float]) -> np.ndarray:
    counts = in_label_order(counts, targets.label_names, "label_counts")
    group = label_frequency_groups(counts, cuts=cuts)
    if len(group) != targets.n_outputs:
        raise ValueError(
            f"label_counts must have one entry for each of the {targets.n_outputs} labels of "
            f"y_true, got {len(group)}"
        )
    return group


def _measures(counts: Counts, zero_division: float) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of counts."""

    def ratio(part: Any, whole: Any) -> np.ndarray:
        out = np.full(np.shape(whole), zero_division)
        return np.divide(part, whole, out=out, where=np.asarray(whole) > 0)

    hits, predicted, positives = counts
    return {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, positives),
        "f1": ratio(2 * hits, predicted + positives),
    }


def _averages_of_groups(
    by_label: dict[str, np.ndarray], counts: Counts, group: np.ndarray
) -> dict[str, dict[str, float]]:
    """Means over the labels of each group."""
    return {
        name: _row(counts, group == name)
        | {key: mean_of_defined(values[group == name]) for key, values in by_label.items()}
        for name in GROUPS
    }


def _averages(
    held_out: HeldOut,
    by_label: dict[str, np.ndarray],
    of_labels: Counts,
    of_rows: Counts,
    zero_division: float,
) -> dict[str, dict[str, float]]:
    """Measures of all cells, their means over labels, and over rows."""
    everything = _row(of_labels, np.ones(len(of_labels.positives), dtype=bool))
    pooled = _measures(Counts(*(part.sum() for part in of_labels)), zero_division)
    by_row = _measures(of_rows, zero_division)
    by_row["average_precision"] = average_precisions(held_out, np.ones(len(by_label["f1"])))
    weight = held_out.row_weight()
    micro = {key: float(value) for key, value in pooled.items()}
    micro["average_precision"] = pooled_average_precision(held_out)
    return {
        "micro": everything | micro,
        "macro": everything | {key: mean_of_defined(values) for key, values in by_label.items()},
        "samples": everything
        | {key: mean_of_defined(values, weight) for key, values in by_row.items()},
    }


def _row(counts: Counts, labels: np.ndarray) -> dict[str, float]:
    """Number of some labels, and their support."""
    return {"n_labels": int(labels.sum()), "support": float(counts.positives[labels].sum())}
