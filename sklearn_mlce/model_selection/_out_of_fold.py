"""Scores of any multi-label estimator, and the loop that makes them out of fold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from sklearn_mlce._objectives.objective import is_module
from sklearn_mlce._objectives.registry import AUTO, resolve_objective
from sklearn_mlce._targets.targets import (
    TargetFormat,
    Targets,
    constant_label_scores,
    is_never_positive,
    weighted_label_counts,
)
from sklearn_mlce._utils.warnings import ignored_warnings
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._output_codes import text_codes
from sklearn_mlce.model_selection._splits import Splits

# Warning of OneVsRestClassifier for a label that a fold's training rows never, or always, carry.
_CONSTANT_LABEL = r"Label (not )?.* is present in all training examples"

# Positives of a label from which on a warning says that none could be scored. Of three shuffled
# folds one holds all of fewer easily by chance, and where there are hundreds of labels it will.
FEWEST_POSITIVES = 5


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
    scores = np.asarray(to_dense(estimator.decision_function(X)))
    return _checked_scores(estimator, "decision_function", scores, n_outputs)


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
    scores = scores.astype(np.result_type(scores.dtype, np.float32), copy=False)
    if np.isnan(scores).any():
        raise ValueError(f"{name} of {type(estimator).__name__} gave NaN; expected numbers")
    largest = np.finfo(scores.dtype).max
    return np.clip(scores, -largest, largest) if np.isinf(scores).any() else scores


def probabilities_of(estimator: Any, X: Any) -> Any:
    """Probabilities of the labels; of a list, as forests give, the column of class 1 each."""
    probabilities = to_dense(estimator.predict_proba(X))
    if not isinstance(probabilities, list):
        return probabilities
    columns = [
        _of_class_one(part, classes)
        for part, classes in zip(probabilities, estimator.classes_, strict=True)
    ]
    return np.column_stack(columns)


def to_dense(scores: Any) -> Any:
    """Scores, or each of a list, as they are but for sparse matrices, which become arrays."""
    if isinstance(scores, list):
        return [to_dense(part) for part in scores]
    return scores.toarray(order="C") if sp.issparse(scores) else scores


def _of_class_one(probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    position = np.flatnonzero(np.asarray(classes) == 1)
    return probabilities[:, position[0]] if len(position) else np.zeros(len(probabilities))


def clone_for(estimator: Any, target_format: TargetFormat) -> Any:
    """Clone of an estimator that trains on parts of a y what it would train on all of it.

    A part of soft labels may hold nothing but 0 and 1, of which our estimators' ``loss="auto"``,
    at whatever depth of a pipeline, would make another loss.
    """
    copied = clone(estimator)
    if not target_format.fractional or not hasattr(copied, "get_params"):
        return copied
    parameters = copied.get_params(deep=True)
    for name, value in parameters.items():
        owner_name, _, last = name.rpartition("__")
        owner = parameters[owner_name] if owner_name else copied
        ours = last == "loss" and hasattr(owner, "_objective_for")
        if ours and not is_module(value) and value == AUTO:
            copied.set_params(**{name: resolve_objective(AUTO, None, None, target_format).name})
    return copied


def to_sklearn_y(targets: Targets) -> Any:
    """Decode to a y for any estimator: int64 labels, since scikit-learn permutes narrower ones.

    A DataFrame becomes one again, since a dict of label weights goes by its column names. Several
    outputs become :func:`text_codes`.
    """
    if targets.kind == "multioutput":
        return text_codes(targets)
    labels = targets.labels(replace(targets.format, dtype=np.dtype(np.int64)))
    if targets.frame is None:
        return labels
    names = list(targets.label_names)  # type: ignore[arg-type]
    of_polars = targets.frame.__module__.startswith("polars")
    return targets.frame(labels, **{"schema" if of_polars else "columns": names})


def never_positive(
    targets: Targets, rows: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Mask ``(L,)`` of the labels that none of the rows carries, rows of weight 0 aside."""
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    return is_never_positive(constant_label_scores(targets.index_rows(rows)))


def out_of_fold(
    estimators: list[Any],
    X: Any,
    y: Any,
    splits: Splits,
    score: Callable[[Any, Any], np.ndarray],
    fit_params: dict[str, Any],
    n_jobs: int | None,
) -> tuple[list[np.ndarray], list[Any]]:
    """Fit an estimator on the first part of each split and score the second.

    Parameters
    ----------
    estimators : list of estimator instance
        One for each split.
    X, y : array-like
        All rows.
    splits : list of tuple of ndarray
        Rows to fit on and rows to score.
    score : callable
        Makes an array, an entry per row, of a fitted estimator and rows.
    fit_params : dict
        For `fit`; what has an entry per row is split with the rows.
    n_jobs : int or None
        Splits at a time.

    Returns
    -------
    scores : list of ndarray
        Of the scored rows of each split.
    estimators : list
        The fitted estimators; copies, where they were fitted in other processes.
    """
    with ignored_warnings(UserWarning, _CONSTANT_LABEL):
        folds = Parallel(n_jobs=n_jobs)(
            delayed(_fit_and_score)(estimator, X, y, train, test, score, fit_params)
            for estimator, (train, test) in zip(estimators, splits, strict=True)
        )
    scores, fitted = zip(*folds, strict=True)
    return list(scores), list(fitted)


def _fit_and_score(
    estimator: Any,
    X: Any,
    y: Any,
    train: np.ndarray,
    test: np.ndarray,
    score: Callable[[Any, Any], np.ndarray],
    fit_params: dict[str, Any],
) -> tuple[np.ndarray, Any]:
    parameters = _check_method_params(X, fit_params, indices=train)
    estimator.fit(_safe_indexing(X, train), _safe_indexing(y, train), **parameters)
    return score(estimator, _safe_indexing(X, test)), estimator


def mask_scores(mask: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Set masked scores to -inf, so that no threshold ever predicts them.

    The mask is one of cells ``(n, L)`` or of labels ``(L,)``.
    """
    return np.where(mask, scores.dtype.type(-np.inf), scores) if mask.any() else scores


def _counting(targets: Targets, rows: np.ndarray, sample_weight: np.ndarray | None) -> np.ndarray:
    """Mask of the rows that have a weight and a known target."""
    counting = np.ones(len(rows), dtype=bool) if sample_weight is None else sample_weight[rows] > 0
    if targets.dense is not None:
        counting &= ~np.isnan(targets.dense[rows]).all(axis=1)
    if targets.kind == "multioutput":
        counting &= (targets.output_codes()[rows] >= 0).any(axis=1)
    return counting


def check_held_out(
    targets: Targets,
    splits: Splits,
    sample_weight: np.ndarray | None,
    stacklevel: int = 6,
) -> None:
    """Raise ValueError if no row that is held out counts; warn of labels without scores.

    See :func:`warn_unscored_labels`.
    """
    rows = np.concatenate([test for _, test in splits])
    if not _counting(targets, rows, sample_weight).any():
        raise ValueError(
            f"cv holds {len(rows)} rows out, of which none has a weight above zero and a known "
            "label, so that there is nothing to choose by. Pass another cv, such as cv=3"
        )
    effect = "They count as missed, and no threshold is found on them"
    warn_unscored_labels(targets, splits, sample_weight, effect, stacklevel)


def warn_unscored_labels(
    targets: Targets,
    splits: Splits,
    sample_weight: np.ndarray | None,
    effect: str,
    stacklevel: int,
) -> None:
    """Warn of labels with some positives, of which no fold's estimator can score any.

    All of them lie among the held-out rows of one fold, whose estimator has not learned the label.
    `effect` says what becomes of it.
    """
    if targets.kind not in ("multilabel", "soft"):
        return  # classifiers refuse rows of a single class
    weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
    held_out, scored = np.zeros((2, targets.n_outputs), dtype=bool)
    for train, test in splits:
        carried = ~never_positive(targets, test, sample_weight)
        held_out |= carried
        scored |= carried & ~never_positive(targets, train, sample_weight)
    n_positives = weighted_label_counts(targets, (weight > 0).astype(np.float64))[0]
    labels = np.flatnonzero(held_out & ~scored & (n_positives >= FEWEST_POSITIVES))
    if not len(labels):
        return
    names = labels if targets.label_names is None else targets.label_names[labels]
    listed = ", ".join([repr(name) for name in names[:5].tolist()] + ["..."] * (len(names) > 5))
    warnings.warn(
        f"the positives of {len(labels)} of {targets.n_outputs} labels, [{listed}], could not be "
        f"scored: all of a label's lie in one fold, whose estimator was fitted on none. {effect}. "
        "Pass a number of folds such as cv=5, whose rows are shuffled, or a splitter that spreads "
        "each label over the folds, such as MultilabelStratifiedKFold(3, shuffle=True, "
        "random_state=0) of the package iterative-stratification",
        UserWarning,
        stacklevel=stacklevel,
    )


def held_out_of_folds(
    targets: Targets,
    splits: Splits,
    scores: list[np.ndarray],
    sample_weight: np.ndarray | None,
) -> HeldOut:
    """Scores of the folds beside the targets of their rows.

    Scores of a label that the training rows do not carry are masked: it was not learned.
    """
    learned = [
        mask_scores(never_positive(targets, train, sample_weight), part)
        for (train, _), part in zip(splits, scores, strict=True)
    ]
    rows = np.concatenate([test for _, test in splits])
    return held_out_of(targets, rows, np.concatenate(learned), sample_weight)


def held_out_of(
    targets: Targets, rows: np.ndarray, scores: np.ndarray, sample_weight: np.ndarray | None
) -> HeldOut:
    """Scores beside the targets of their rows; rows without weight or known target are left out.

    Our own estimators give a label that they could not learn the score -CONSTANT_LABEL_SCORE, and
    no threshold should reach down to it.
    """
    kept = _counting(targets, rows, sample_weight)
    if not kept.all():
        rows, scores = rows[kept], scores[kept]
    weight = None if sample_weight is None else sample_weight[rows]
    scores, targets = mask_scores(is_never_positive(scores), scores), targets.index_rows(rows)
    if targets.dense is None:
        return HeldOut(scores, sp.csr_array(targets.positives, dtype=np.float64), weight)
    unknown = np.isnan(targets.dense)
    positives = np.where(unknown, 0.0, targets.dense)
    return HeldOut(mask_scores(unknown, scores), sp.csr_array(positives, dtype=np.float64), weight)
