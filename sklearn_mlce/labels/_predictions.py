"""Predictions by the names of the labels, a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from sklearn_mlce._targets.containers import container_of
from sklearn_mlce._targets.targets import TargetFormatMixin, row_blocks
from sklearn_mlce._targets.top_k import largest_scores
from sklearn_mlce._utils.estimator_scores import (
    at_columns,
    check_outputs_are_labels,
    check_predicts,
    scores_and_probabilities,
)
from sklearn_mlce._utils.numbers import check_k
from sklearn_mlce._utils.optional import pandas_for
from sklearn_mlce._utils.pipelines import split_transformers, transformed
from sklearn_mlce._utils.sparse_format import check_sparse
from sklearn_mlce.labels._names import names_of_labels
from sklearn_mlce.labels._tags import y_to_tags


def predicted_labels(estimator: Any, X: Any, *, labels: Any = None) -> list[tuple[Any, ...] | None]:
    """Names of the labels that an estimator predicts for each row.

    Parameters
    ----------
    estimator : estimator instance
        A fitted multi-label classifier, or a pipeline or search of one.
    X : array-like of shape (n_samples, ...)
        Rows, in any form that the estimator takes: texts, a DataFrame, a matrix.
    labels : array-like of shape (n_labels,), default=None
        Names of the labels, such as ``y.columns``. None takes `label_names_` of the estimator,
        inside wrappers and pipelines too, or column numbers if there are none.

    Returns
    -------
    list of tuple
        Names for each row, in the order of the columns; empty where none is predicted.

    Raises
    ------
    ValueError
        If the estimator predicts one class per row, or `labels` are not as many as its labels.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.labels import predicted_labels
    >>> texts = ["sun, sea", "grey sky", "blue sea", "sun, sky"]
    >>> tags = [["sun", "sea"], ["sky"], ["sea"], ["sun", "sky"]]
    >>> model = make_pipeline(CountVectorizer(), MLCEClassifier(C=10)).fit(texts, tags)
    >>> predicted_labels(model, ["grey sky", "sun, sea"])
    [('sky',), ('sea', 'sun')]
    """
    n_labels = _n_labels(estimator, X)
    names = names_of_labels(estimator, labels, n_labels)
    found: list[tuple[Any, ...] | None] = []
    for predictor, part in _blocks(estimator, X, n_labels):
        found += y_to_tags(predictor.predict(part), names)
    return found


def top_labels(estimator: Any, X: Any, k: int = 5, *, labels: Any = None) -> Any:
    """Table of the `k` labels with the highest scores of each row.

    Scores are made for a block of rows at a time, so that memory is that of the table.

    Parameters
    ----------
    estimator : estimator instance
        A fitted multi-label classifier with `decision_function` or `predict_proba`, or a pipeline
        or search of one.
    X : array-like of shape (n_samples, ...)
        Rows, in any form that the estimator takes: texts, a DataFrame, a matrix.
    k : int, default=5
        Number of labels of each row, from 1 to all.
    labels : array-like of shape (n_labels,), default=None
        Names of the labels, such as ``y.columns``. None takes `label_names_` of the estimator,
        inside wrappers and pipelines too, or column numbers if there are none.

    Returns
    -------
    DataFrame of shape (n_samples * k, 6)
        Columns `row`, from the index of X where it has one; `rank`, from 1; `label`; `score` and
        `probability`; and `predicted`, whether `predict` gives the row that label. `score` is that
        of `decision_function`, or else the probability. `probability` is NaN where the estimator
        has none. Of equal scores the label of the lower column ranks first.

    Raises
    ------
    ImportError
        If pandas is not installed.
    TypeError
        If the estimator has neither scores nor probabilities.
    ValueError
        If `k` is no such number, the estimator predicts one class per row, or `labels` are not as
        many as its labels.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_mlce import MLCEClassifier
    >>> from sklearn_mlce.labels import top_labels
    >>> texts = ["sun, sea", "grey sky", "blue sea", "sun, sky"]
    >>> tags = [["sun", "sea"], ["sky"], ["sea"], ["sun", "sky"]]
    >>> model = make_pipeline(CountVectorizer(), MLCEClassifier(C=10)).fit(texts, tags)
    >>> top_labels(model, ["grey sky"], k=2)[["row", "rank", "label", "predicted"]]
       row  rank label  predicted
    0    0     1   sky       True
    1    0     2   sun      False
    """
    pd = pandas_for("top_labels")
    n_labels = _n_labels(estimator, X)
    k = check_k(k, n_labels)
    names = names_of_labels(estimator, labels, n_labels)
    index = X.index if container_of(X) == "pandas" else pd.RangeIndex(_num_samples(X))
    best = [
        _best_of_block(predictor, part, k, n_labels)
        for predictor, part in _blocks(estimator, X, n_labels)
    ]
    columns, scores, probabilities, predicted = map(np.concatenate, zip(*best, strict=True))
    n_rows = len(columns)
    return pd.DataFrame(
        {
            "row": index.repeat(k),
            "rank": np.tile(np.arange(1, k + 1), n_rows),
            "label": names[columns.ravel()],
            "score": scores.ravel(),
            "probability": probabilities.ravel(),
            "predicted": predicted.ravel(),
        }
    )


def _best_of_block(
    predictor: Any, X: Any, k: int, n_labels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Columns, scores, probabilities and predictions ``(n, k)`` of the best labels of rows."""
    scores, probabilities_at = scores_and_probabilities(predictor, X, n_labels)
    columns, best = largest_scores(scores, k)
    del scores  # two matrices at a time are enough
    if probabilities_at is None:
        probabilities = np.full(best.shape, np.nan)
    else:
        probabilities = probabilities_at(columns)
    if isinstance(predictor, TargetFormatMixin):  # ours, which predict where scores are above zero
        predicted = best > 0
    else:
        predicted = at_columns(predictor.predict(X), columns) == 1
    return columns, best, probabilities, predicted


def _blocks(estimator: Any, X: Any, n_labels: int) -> Iterator[tuple[Any, Any]]:
    """What predicts, and what it is given of X for some rows at a time."""
    transformers, predictor = split_transformers(estimator)
    for rows in row_blocks(_num_samples(X), n_labels):
        yield predictor, transformed(transformers, _safe_indexing(X, rows))


def _n_labels(estimator: Any, X: Any) -> int:
    """Number of labels, told by the prediction of one row.

    Raises
    ------
    ValueError
        If it is no row of labels.
    """
    check_predicts(estimator)
    check_sparse(X, "X")
    predicted = estimator.predict(_safe_indexing(X, slice(0, 1)))
    if len(getattr(predicted, "shape", ())) != 2 or predicted.dtype.kind not in "biuf":
        raise ValueError(
            f"{type(estimator).__name__} predicts {np.asarray(predicted)[:1].tolist()} for the "
            "first row, which is one class, or the classes of several outputs; expected a row of 0 "
            "and 1. Fit it on a matrix of labels, or use its predict"
        )
    check_outputs_are_labels(estimator)
    return predicted.shape[1]
