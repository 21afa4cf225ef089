"""Labels, scores and names that the displays read of a y and of any fitted estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.tags import tag_rows
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.estimator_scores import (
    checked_probabilities,
    default_threshold,
    scores_of,
)
from sklearn_mlce.labels import _names, tags_to_y


def part_with(estimator: Any, attribute: str) -> Any:
    """The estimator, or the first of those that it wraps, that has an attribute; or None.

    Looks into pipelines, searches, the tuner and the calibrator.
    """
    while estimator is not None and not hasattr(estimator, attribute):
        found = _last_or_best(estimator)
        estimator = getattr(estimator, "estimator_", None) if found is None else found
    return estimator


def _last_or_best(estimator: Any) -> Any:
    """What gives a pipeline or a search its predictions; None of any other estimator."""
    if hasattr(estimator, "steps"):
        return estimator.steps[-1][1]
    return getattr(estimator, "best_estimator_", None)


def _tuned_part(estimator: Any) -> Any:
    """The tuner or MLCEClassifierCV whose predictions these are; None where no threshold was tuned.

    What the calibrator wraps does not predict, and its thresholds play no part.
    """
    while estimator is not None:
        if hasattr(estimator, "best_thresholds_") or _has_folded(estimator):
            return estimator
        estimator = _last_or_best(estimator)
    return None


def _has_folded(estimator: Any) -> bool:
    """Whether this is MLCEClassifierCV, whose scores have their thresholds subtracted."""
    return hasattr(estimator, "thresholds_") and hasattr(estimator, "Cs_")


def matrix_of_tags(y: Any, estimator: Any) -> Any:
    """Tags as a table of 0 and 1, by the names that a fitted estimator has learned; others as is.

    Tags that it has not learned have no column.
    """
    names = _names.known_names(estimator)
    if names is None or tag_rows(y, certain=True) is None:
        return y
    return tags_to_y(y, labels=names, sparse=True)


def names_of_labels(targets: Targets, label_names: Any, estimator: Any = None) -> np.ndarray:
    """Names ``(L,)`` that are given, or those of y, or of the estimator, or column numbers.

    Raises
    ------
    ValueError
        If another number of names is given, or y and the estimator name their labels differently.
    """
    known = _names.known_names(estimator)
    advice = "Pass y[list(names)] with the names that the estimator has learned"
    check_label_names(targets.label_names, known, "y", advice)
    if label_names is None:
        label_names = known if targets.label_names is None else targets.label_names
    return _names.names_of_labels(None, label_names, targets.n_outputs, "label_names")


def label_names_of_fitted(estimator: Any, label_names: Any, n_labels: int) -> np.ndarray:
    """Names ``(n_labels,)`` that are given, or those of a fitted estimator, or column numbers.

    Raises
    ------
    ValueError
        If another number of names is given.
    """
    return _names.names_of_labels(estimator, label_names, n_labels, "label_names")


def check_some_known(targets: Targets, name: str) -> None:
    """Raise ValueError if there is no known label, so that there is nothing to draw."""
    if targets.dense is not None and np.isnan(targets.dense).all():
        raise ValueError(f"{name} holds only NaN; expected some known labels, 0 or 1")


def columns_of(labels: Any, names: np.ndarray) -> np.ndarray:
    """Column numbers of some labels, given by their names; of none for None, of all for "all".

    Raises
    ------
    ValueError
        If one is not among the names.
    """
    if labels is None:
        return np.zeros(0, dtype=np.intp)
    if isinstance(labels, str) and labels == "all":
        return np.arange(len(names))
    place = {name: column for column, name in enumerate(names.tolist())}
    wanted = [labels] if isinstance(labels, str) else list(labels)
    unknown = [label for label in wanted if label not in place]
    if unknown:
        listed = ", ".join([repr(name) for name in names[:5].tolist()] + ["..."] * (len(names) > 5))
        raise ValueError(
            f"labels has {unknown[0]!r}, which is none of the {len(names)} labels, [{listed}]; "
            "expected a list of their names (column numbers where y and the estimator have none), "
            "'all' or None"
        )
    return np.array([place[label] for label in wanted], dtype=np.intp)


@dataclass(frozen=True)
class ThresholdedScores:
    """Scores before any threshold, and the thresholds that a fitted estimator predicts by."""

    scores: np.ndarray  # (n, L)
    chosen: Any  # a number or (L,)
    default: float  # where predictions would be cut without tuning


def thresholded_scores(estimator: Any, X: Any, n_labels: int) -> ThresholdedScores:
    """Scores of the estimator that was tuned, if one was, and the thresholds tuned for it.

    The tuner may stand in a search or at the end of a pipeline. `MLCEClassifierCV`, which has
    folded its thresholds into its scores, gets them back.
    """
    tuned = _tuned_part(estimator)
    if tuned is None or _has_folded(tuned):
        scores, default = scores_of(estimator, X, n_labels), default_threshold(estimator)
        if tuned is None:
            return ThresholdedScores(scores, default, default)
        return ThresholdedScores(scores + tuned.thresholds_, tuned.thresholds_, default)
    while estimator is not tuned:
        if len(getattr(estimator, "steps", ())) > 1:
            X = estimator[:-1].transform(X)
        estimator = _last_or_best(estimator)
    inner = tuned.estimator_
    scores = scores_of(inner, X, n_labels)
    return ThresholdedScores(scores, tuned.best_thresholds_, default_threshold(inner))


def tuned_thresholds(estimator: Any) -> Any:
    """Thresholds by which the tuner or `MLCEClassifierCV` has shifted its scores, or None."""
    tuned = _tuned_part(estimator)
    return getattr(tuned, "best_thresholds_", getattr(tuned, "thresholds_", None))


def is_tuned(estimator: Any) -> bool:
    """Whether thresholds were tuned, by the tuner or by `MLCEClassifierCV`."""
    return _tuned_part(estimator) is not None


def label_probabilities(estimator: Any, X: Any, n_labels: int) -> np.ndarray:
    """Probabilities ``(n, L)`` of a fitted estimator.

    Raises
    ------
    TypeError
        If it has none.
    ValueError
        If they have another shape, or are NaN.
    """
    if not hasattr(estimator, "predict_proba"):
        raise TypeError(
            f"{type(estimator).__name__} has no predict_proba; expected an estimator with "
            "probabilities. Wrap it with "
            "sklearn_mlce.calibration.MultilabelCalibratedClassifierCV"
        )
    return checked_probabilities(estimator, X, n_labels)
