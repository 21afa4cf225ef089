"""Thresholds of scores that somebody already has."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._utils.typing import validate_params
from sklearn_mlce.model_selection._f_measure import f_measure_of
from sklearn_mlce.model_selection._given_scores import given_scores
from sklearn_mlce.model_selection._sweep import resolve_shrinkage, tune
from sklearn_mlce.model_selection._tuned_threshold import SWEEP_CONSTRAINTS


@validate_params(SWEEP_CONSTRAINTS, prefer_skip_nested_validation=True)
def tune_thresholds(
    y_true: Any,
    y_score: Any,
    *,
    scoring: Any = "f1_micro",
    thresholds: str = "global",
    threshold_shrinkage: Any = "auto",
    sample_weight: Any = None,
    label_names: Any = None,
) -> float | np.ndarray:
    """Thresholds of given scores that maximise an F-measure.

    Use it for scores that come from elsewhere: those that a network gives held-out rows, or the
    out-of-fold scores of :func:`~sklearn.model_selection.cross_val_predict`. The thresholds are
    found exactly, as by :class:`MultilabelTunedThresholdClassifierCV`.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
        Labels of each row: 0/1, soft in [0, 1], or NaN where unknown; or tags, a list, tuple or set
        of text for each row; or two classes.
    y_score : array-like of shape (n_samples,) or (n_samples, n_labels)
        Scores or probabilities of rows that the model was not fitted on.
    scoring : {"f1_micro", "f1_macro", "f1_samples"}, dict or scorer, default="f1_micro"
        Score to maximise: F1 of all cells of `y_true` together, or its mean over labels or over
        rows. A dict of these names and their weights stands for the weighted mean, as
        ``{"f1_micro": 1, "f1_macro": 4}``. A scorer will do that
        :func:`~sklearn.metrics.make_scorer` makes of :func:`~sklearn.metrics.fbeta_score` with such
        an `average`.
    thresholds : {"global", "per_label"}, default="global"
        One threshold for all labels, or one for each. Thresholds per label are shrunk towards the
        global one for micro-F1, the more so the fewer positives the label has.
    threshold_shrinkage : float or "auto", default="auto"
        How much each label's own threshold is shrunk towards the global one, as in
        :class:`MultilabelTunedThresholdClassifierCV`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row.
    label_names : array-like of shape (n_labels,), default=None
        Names of the columns of `y_score`, in order, such as `label_names_` of the model. None
        takes those of a DataFrame. Needed where `y_true` is tags; the columns of a DataFrame
        `y_true` are compared with them.

    Returns
    -------
    float or ndarray of shape (n_labels,)
        Threshold that a score has to exceed: predict ``y_score > thresholds``. A label without a
        positive row has the global threshold.

    Raises
    ------
    ValueError
        If the labels or the scores are not usable, or no row carries a label.

    See Also
    --------
    MultilabelTunedThresholdClassifierCV : Fits the estimator, and finds its thresholds.
    sklearn_mlce.inspection.label_report : What thresholds do to each label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce.model_selection import tune_thresholds
    >>> y_true = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    >>> y_score = np.array([[0.4, 0.1], [0.3, 0.4], [0.1, 0.3], [0.2, 0.2]])
    >>> threshold = tune_thresholds(y_true, y_score)
    >>> round(threshold, 2)
    0.25
    >>> (y_score > threshold).astype(int)
    array([[1, 0],
           [1, 1],
           [0, 1],
           [0, 0]])
    """
    measure = f_measure_of(scoring, thresholds)
    shrinkage = resolve_shrinkage(threshold_shrinkage, thresholds, measure)
    given = given_scores(y_true, y_score, sample_weight, label_names)
    measure.check_kind(given.targets.kind)
    held_out = given.held_out()
    if not held_out.positives.nnz:
        raise ValueError(
            "no row of y_true carries a label, so that no threshold can be found; expected rows "
            "with positives, of weight above zero"
        )
    return tune(held_out, measure, thresholds, 0.0, shrinkage)[0]
