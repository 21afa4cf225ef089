"""Pipelines and searches taken apart: what transforms X, and what predicts."""

from __future__ import annotations

from typing import Any


def split_transformers(estimator: Any) -> tuple[list[Any], Any]:
    """Transformers of X, in order, and the estimator that is given what they make.

    Pipelines and searches are taken apart. What is left predicts, on what the transformers make,
    what the whole predicts.
    """
    transformers = []
    while True:
        if hasattr(estimator, "steps") and hasattr(estimator, "named_steps"):
            if len(estimator.steps) > 1:
                transformers.append(estimator[:-1])
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return transformers, estimator


def transformed(transformers: list[Any], X: Any) -> Any:
    """X as the last of some transformers makes it."""
    for transformer in transformers:
        X = transformer.transform(X)
    return X
