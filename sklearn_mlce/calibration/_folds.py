"""From an unfitted (or frozen) estimator and rows to estimators with maps of their scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce._targets.label_names import check_names_of_fitted
from sklearn_mlce._targets.targets import Targets, is_trainable
from sklearn_mlce.calibration._held_out_cells import held_out_cells, learned_labels
from sklearn_mlce.calibration._members import (
    CalibratedClassifier,
    as_scores,
    fit_map,
    probability_floor,
)
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._out_of_fold import (
    default_threshold,
    out_of_fold,
    scores_of,
    to_sklearn_y,
)

Splits = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Part:
    """Rows that an estimator was not fitted on, and what it says of them."""

    rows: np.ndarray  # (n,) numbers of the rows
    scores: np.ndarray  # (n, L)
    learned: np.ndarray  # (L,) mask of the labels that its training rows tell anything about


@dataclass(frozen=True)
class Calibration:
    """What all maps of a fit have in common."""

    method: str
    targets: Targets
    sample_weight: np.ndarray | None

    def of_frozen(self, estimator: Any, X: Any) -> CalibratedClassifier:
        """A fitted estimator, with maps of all rows."""
        check_is_fitted(estimator)
        check_names_of_fitted(estimator, self.targets.label_names)
        scores = scores_of(estimator, X, self.targets.n_outputs)
        learned = np.any(is_trainable(scores), axis=0)
        part = Part(np.arange(self.targets.n_rows), scores, learned)
        return self.calibrated(estimator, [part], learned)

    def of_each_fold(
        self, estimator: Any, X: Any, splits: Splits, fit_params: dict, n_jobs: int | None
    ) -> list[CalibratedClassifier]:
        """A clone fitted on each fold's training rows, with maps of its held-out rows."""
        parts, clones = self.score_folds(estimator, X, splits, fit_params, n_jobs)
        return [
            self.calibrated(fitted, [part], part.learned)
            for fitted, part in zip(clones, parts, strict=True)
        ]

    def of_all_folds(
        self, estimator: Any, X: Any, splits: Splits, fit_params: dict, n_jobs: int | None
    ) -> CalibratedClassifier:
        """A clone fitted on all rows, with maps of the held-out rows of all folds."""
        parts, _ = self.score_folds(estimator, X, splits, fit_params, n_jobs)
        fitted = clone(estimator).fit(X, to_sklearn_y(self.targets), **fit_params)
        return self.calibrated(fitted, parts, self.learned(np.arange(self.targets.n_rows)))

    def score_folds(
        self, estimator: Any, X: Any, splits: Splits, fit_params: dict, n_jobs: int | None
    ) -> tuple[list[Part], list[Any]]:
        """Held-out rows of each fold and their scores, and the clones that gave them."""
        y = to_sklearn_y(self.targets)
        score = partial(scores_of, n_outputs=self.targets.n_outputs)
        clones = [clone(estimator) for _ in splits]
        scores, clones = out_of_fold(clones, X, y, splits, score, fit_params, n_jobs)
        parts = [
            Part(test, part, self.learned(train))
            for (train, test), part in zip(splits, scores, strict=True)
        ]
        return parts, clones

    def learned(self, rows: np.ndarray) -> np.ndarray:
        """Mask ``(L,)`` of the labels that some of the rows carry and some do not."""
        return learned_labels(self.targets, rows, self.sample_weight)

    def calibrated(
        self, fitted: Any, parts: list[Part], learned: np.ndarray
    ) -> CalibratedClassifier:
        """A fitted estimator, with maps of held-out rows."""
        of_rows = [part.scores for part in parts]
        floor = probability_floor(of_rows) if default_threshold(fitted) else None
        calibrator = fit_map(self.method, self.held_out(parts, floor), learned)
        return CalibratedClassifier(fitted, calibrator, learned, floor)

    def held_out(self, parts: list[Part], floor: float | None) -> HeldOut:
        """Scores of held-out rows, as maps take them, beside their targets."""
        return held_out_cells(
            self.targets,
            np.concatenate([part.rows for part in parts]),
            [as_scores(part.scores, floor) for part in parts],
            [part.learned for part in parts],
            self.sample_weight,
        )
