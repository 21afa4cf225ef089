"""What stands inside a fitted estimator that wraps others."""

from __future__ import annotations

from typing import Any


def last_or_best(estimator: Any) -> Any:
    """What gives a pipeline or a search its predictions; None of any other estimator."""
    if hasattr(estimator, "steps"):
        return estimator.steps[-1][1]
    return getattr(estimator, "best_estimator_", None)


def part_with(estimator: Any, attribute: str) -> Any:
    """The estimator, or the first of those that it wraps, that has an attribute; or None.

    Looks into pipelines, searches, the tuner, the calibrator and frozen estimators.
    """
    while estimator is not None and not hasattr(estimator, attribute):
        found = last_or_best(estimator)
        if found is None:
            found = getattr(estimator, "estimator_", None)
        if found is None and type(estimator).__name__ == "FrozenEstimator":
            found = estimator.estimator
        estimator = found
    return estimator


def learned_label_names(estimator: Any) -> Any:
    """Names of the labels that the estimator, or one that it wraps, has learned; or None."""
    return getattr(part_with(estimator, "label_names_"), "label_names_", None)
