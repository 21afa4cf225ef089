"""Scores and probabilities of any multi-label estimator, in one form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._utils.pipelines import split_transformers, transformed
from sklearn_mlce._utils.sparse_format import check_sparse

# Of columns (n, k), their probabilities (n, k).
ProbabilitiesAt = Callable[[np.ndarray], np.ndarray]


def check_predicts(estimator: Any) -> None:
    """Raise TypeError unless something is an estimator that predicts, and no class of them."""
    if isinstance(estimator, type) or not hasattr(estimator, "predict"):
        raise TypeError(
            f"estimator is {estimator!r:.80}; expected a fitted estimator. Pass one, such as "
            "MLCEClassifier().fit(X, y)"
        )


def default_threshold(estimator: Any) -> float:
    """Threshold that the estimator's own predictions use: 0, or 0.5 of a probability.

    Raises
    ------
    TypeError
        If it has neither kind of scores.
    """
    if hasattr(estimator, "decision_function"):
        return 0.0
    if hasattr(estimator, "predict_proba"):
        return 0.5
    raise TypeError(
        f"{type(estimator).__name__} has neither decision_function nor predict_proba; expected an "
        "estimator whose scores can be compared with a threshold. Wrap labels one by one with "
        "sklearn.multiclass.OneVsRestClassifier"
    )


def scores_of(estimator: Any, X: Any, n_outputs: int) -> np.ndarray:
    """Scores ``(n, n_outputs)`` of a fitted estimator, finite and floating.

    Problem transformations of scikit-multilearn give sparse matrices, whose entries that are not
    stored are scores of zero.

    Raises
    ------
    ValueError
        If they have another shape, or are NaN.
    """
    if default_threshold(estimator) != 0:
        return checked_probabilities(estimator, X, n_outputs)
    check_sparse(X, "X")  # which estimators of other packages do not
    scores = np.asarray(to_dense(estimator.decision_function(X)))
    return _checked_scores(estimator, "decision_function", scores, n_outputs)


def scores_and_probabilities(
    estimator: Any, X: Any, n_outputs: int
) -> tuple[np.ndarray, ProbabilitiesAt | None]:
    """Scores ``(n, n_outputs)``, as :func:`scores_of` has them, and probabilities on demand.

    A function gives the probabilities of some columns of each row; None where there are none. Our
    estimators score the rows once for both, and map no other column. Others are asked for all their
    probabilities when the function is called.
    """
    transformers, estimator = split_transformers(estimator)
    X = transformed(transformers, X)
    if hasattr(estimator, "_scores_and_probabilities"):
        scores, probabilities_at = estimator._scores_and_probabilities(X)
        return _checked_scores(estimator, "decision_function", scores, n_outputs), probabilities_at
    scores = scores_of(estimator, X, n_outputs)
    if default_threshold(estimator) > 0:
        return scores, partial(at_columns, scores)
    if not hasattr(estimator, "predict_proba"):
        return scores, None
    return scores, lambda columns: at_columns(probabilities_of(estimator, X), columns)


def at_columns(matrix: Any, columns: np.ndarray) -> np.ndarray:
    """Entries ``(n, k)`` of a matrix, dense or sparse, in columns ``(n, k)`` of each row."""
    if sp.issparse(matrix):
        rows = np.arange(len(columns))[:, None]
        return np.asarray(matrix.tocsr()[rows, columns].todense())
    return np.take_along_axis(np.asarray(matrix), columns, axis=1)


def checked_probabilities(estimator: Any, X: Any, n_outputs: int) -> np.ndarray:
    """Probabilities ``(n, n_outputs)`` of a fitted estimator; of two classes, the second's.

    Raises
    ------
    ValueError
        If they have another shape, or are NaN.
    """
    scores = np.asarray(probabilities_of(estimator, X))
    if n_outputs == 1 and scores.ndim == 2:
        scores = scores[:, -1]
    return _checked_scores(estimator, "predict_proba", scores, n_outputs)


def _checked_scores(estimator: Any, name: str, scores: np.ndarray, n_outputs: int) -> np.ndarray:
    """Scores as a floating matrix ``(n, n_outputs)`` of finite numbers."""
    scores = scores[:, None] if scores.ndim == 1 else scores
    if scores.ndim != 2 or scores.shape[1] != n_outputs:
        raise ValueError(
            f"{name} of {type(estimator).__name__} gave an array of shape {scores.shape}; expected "
            f"one column for each of {n_outputs} labels"
        )
    return finite_scores(scores, f"{name} of {type(estimator).__name__} gave")


def finite_scores(scores: np.ndarray, seen: str) -> np.ndarray:
    """Scores as floats, infinite ones as the largest numbers.

    Raises
    ------
    ValueError
        If one is NaN; the message begins with `seen`.
    """
    scores = scores.astype(np.result_type(scores.dtype, np.float32), copy=False)
    if np.isnan(scores).any():
        raise ValueError(f"{seen} NaN; expected numbers")
    largest = np.finfo(scores.dtype).max
    return np.clip(scores, -largest, largest) if np.isinf(scores).any() else scores


def probabilities_of(estimator: Any, X: Any) -> Any:
    """Probabilities of the labels; of a list, as forests give, the column of class 1 each."""
    check_sparse(X, "X")
    probabilities = to_dense(estimator.predict_proba(X))
    if not isinstance(probabilities, list):
        return probabilities
    check_outputs_are_labels(estimator)
    columns = [
        _of_class_one(part, classes)
        for part, classes in zip(probabilities, _classes_of_labels(estimator), strict=True)
    ]
    return np.column_stack(columns)


def check_outputs_are_labels(estimator: Any) -> None:
    """Raise ValueError if an estimator predicts classes of several outputs, and not labels."""
    classes = getattr(estimator, "classes_", None)
    for number, known in enumerate(classes if isinstance(classes, list) else ()):
        known = np.asarray(known).tolist()
        if not set(known) <= {0, 1}:
            raise ValueError(
                f"{type(estimator).__name__} was fitted on the classes of several outputs, such as "
                f"{known[:5]} of output {number}; expected labels of 0 and 1. Fit it on a matrix "
                "of labels, or use its predict and predict_proba"
            )


def _classes_of_labels(estimator: Any) -> list[np.ndarray]:
    """Classes of each label; a wrapper's own `classes_` are the numbers of the labels."""
    while not isinstance(estimator.classes_, list):
        estimator = estimator.estimator_
    return estimator.classes_


def to_dense(scores: Any) -> Any:
    """Scores, or each of a list, as they are but for sparse matrices, which become arrays."""
    if isinstance(scores, list):
        return [to_dense(part) for part in scores]
    return scores.toarray(order="C") if sp.issparse(scores) else scores


def _of_class_one(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    position = np.flatnonzero(np.asarray(classes) == 1)
    return probabilities[:, position[0]] if len(position) else np.zeros(len(probabilities))
