"""What stands inside a fitted estimator: the one that it was put around, its names of labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._targets.tags import as_objects
from sklearn_mlce._utils.numeric_input import check_container
from sklearn_mlce._utils.pipelines import split_transformers
from sklearn_mlce.labels._tags import check_names


def inner_of(estimator: Any) -> Any:
    """The one fitted estimator that a wrapper was put around; None of any other.

    Raises
    ------
    ValueError
        If there are several, a calibrator's of each fold.
    """
    members = getattr(estimator, "calibrated_classifiers_", None)
    if members is not None:
        if len(members) > 1:
            raise ValueError(
                f"{type(estimator).__name__} holds {len(members)} estimators, one for each fold. "
                "Pass one of them, estimator.calibrated_classifiers_[0].estimator, or fit it with "
                "ensemble=False"
            )
        return members[0].estimator
    # What selects features has others inside, and the estimator_ of an ensemble is not fitted.
    if hasattr(estimator, "transform") or hasattr(estimator, "estimators_"):
        return None
    if hasattr(estimator, "estimator_"):
        return estimator.estimator_
    is_frozen = type(estimator).__name__ == "FrozenEstimator"
    return estimator.estimator if is_frozen else None


def names_of_labels(estimator: Any, labels: Any, n_labels: int, what: str = "labels") -> np.ndarray:
    """Names ``(n_labels,)``: those given, or `label_names_` of the estimator, or numbers.

    Raises
    ------
    ValueError
        If as many as there are labels are expected and others given; `what` is the argument.
    """
    if labels is not None:
        check_container(labels, what)
    names = known_names(estimator) if labels is None else labels
    names = as_objects(range(n_labels) if names is None else names)
    check_names(names, n_labels, what)
    return names


def known_names(estimator: Any) -> np.ndarray | None:
    """`label_names_` of a fitted estimator, or of the one inside; None where there are none."""
    while estimator is not None:
        _, estimator = split_transformers(estimator)
        names = getattr(estimator, "label_names_", None)
        if names is not None:
            return names
        members = getattr(estimator, "calibrated_classifiers_", ())
        estimator = None if len(members) > 1 else inner_of(estimator)
    return None
