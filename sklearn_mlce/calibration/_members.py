"""A fitted estimator beside the map of its scores, and the mean of several of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_expit, logit

from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce.calibration._held_out_cells import Cells, cells_of
from sklearn_mlce.calibration._sigmoid import (
    IsotonicMap,
    SigmoidMap,
    fit_isotonic,
    fit_scale,
    fit_sigmoids,
)
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._out_of_fold import scores_of

_FITS: dict[str, Callable[[Cells], Any]] = {
    "sigmoid": fit_sigmoids,
    "isotonic": fit_isotonic,
    "scale": fit_scale,
}

METHODS = frozenset(_FITS)

# Distance from 0 and 1 at which a probability counts as one of them.
_SURE = 1e-9


@dataclass(frozen=True)
class CalibratedClassifier:
    """A fitted estimator and the map that makes log-odds of its scores."""

    estimator: Any
    calibrator: SigmoidMap | IsotonicMap
    learned: np.ndarray  # (L,) mask of the labels that the estimator can tell apart
    floor: float | None  # of probabilities that serve as scores; None for a decision function

    def log_odds(self, X: Any) -> np.ndarray:
        """Log-odds of rows ``(n, L)``; they mean nothing for labels that were not learned."""
        scores = as_scores(scores_of(self.estimator, X, len(self.learned)), self.floor)
        # Fixed scores are the largest there are; no slope makes them infinite.
        return self.calibrator.log_odds(
            np.clip(scores, -CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE)
        )


def mean_log_odds(members: list[CalibratedClassifier], X: Any) -> np.ndarray:
    """Log-odds ``(n, L)`` of the mean probability of the members that have learned a label.

    They mean nothing for a label that none of them has.
    """
    if len(members) == 1:
        return members[0].log_odds(X)
    positive = negative = np.array(-np.inf)
    for member in members:
        log_odds = member.log_odds(X)
        for_it, against = log_expit(log_odds), log_expit(-log_odds)
        for_it[:, ~member.learned] = against[:, ~member.learned] = -np.inf
        positive, negative = np.logaddexp(positive, for_it), np.logaddexp(negative, against)
    learned = learned_by_any(members)
    return np.subtract(positive, negative, out=np.zeros(positive.shape), where=learned)


def learned_by_any(members: list[CalibratedClassifier]) -> np.ndarray:
    """Mask ``(L,)`` of the labels that at least one member has learned."""
    return np.any([member.learned for member in members], axis=0)


def fit_map(method: str, held_out: HeldOut, learned: np.ndarray) -> SigmoidMap | IsotonicMap:
    """Fit a map on held-out scores.

    Raises
    ------
    ValueError
        If there is nothing to fit it on, though the estimator has learned a label.
    """
    cells = cells_of(held_out)
    if cells is not None:
        return _FITS[method](cells)
    if learned.any():
        raise ValueError(
            "no held-out row has a known label that the rows it is held out from tell anything "
            "about, so that there is nothing to calibrate on. Pass more rows, or a cv with larger "
            "training parts"
        )
    return SigmoidMap(np.ones(len(learned)), np.zeros(len(learned)))


def as_scores(scores: np.ndarray, floor: float | None) -> np.ndarray:
    """Scores as float64; where they are probabilities their log-odds, `floor` off 0 and 1."""
    scores = scores.astype(np.float64)
    return scores if floor is None else logit(np.clip(scores, floor, 1 - floor))


def probability_floor(parts: list[np.ndarray]) -> float:
    """Half of the least distance from 0 and 1 among probabilities that are neither.

    What a forest of 100 trees calls 0 or 1 is then half a tree away from it.
    """
    distances = (np.minimum(part, 1 - part.astype(np.float64)) for part in parts)
    least = min((part[part > _SURE].min(initial=0.5) for part in distances), default=0.5)
    return float(least) / 2
