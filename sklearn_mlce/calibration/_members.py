"""Members of a calibrator: fitted estimators, each with a map of its scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import log_expit

from sklearn_mlce._targets.targets import (
    CONSTANT_LABEL_SCORE,
    Targets,
    constant_label_scores,
    is_trainable,
    row_blocks,
    weighted_label_counts,
)
from sklearn_mlce._utils.estimator_scores import scores_of
from sklearn_mlce.calibration._calibration_data import as_scores, calibration_data
from sklearn_mlce.calibration._maps import FITS, IsotonicMap, SigmoidMap
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._out_of_fold import HeldOutPart, held_out_of_parts
from sklearn_mlce.model_selection._wrapper import FitArguments, FoldScores

if TYPE_CHECKING:
    from torch import nn

    from sklearn_mlce._export.calibrated import CalibratedMember

# Distance from 0 and 1 at which a probability counts as one of them.
_CERTAIN = 1e-9


@dataclass(frozen=True)
class CalibratedClassifier:
    """A fitted estimator and the map that makes log-odds of its scores."""

    estimator: Any
    calibrator: SigmoidMap
    learned: np.ndarray  # (L,) mask of the labels that the estimator can tell apart
    floor: float | None  # of probabilities that serve as scores; None for a decision function

    def log_odds(self, X: Any) -> np.ndarray:
        """Log-odds of rows ``(n, L)``; they mean nothing for labels that were not learned."""
        scores = as_scores(scores_of(self.estimator, X, len(self.learned)), self.floor)
        # Scores of constant labels are the largest there are; no slope makes them infinite.
        limit = CONSTANT_LABEL_SCORE
        return self.calibrator.log_odds(np.clip(scores, -limit, limit))

    def to_state(self) -> dict[str, Any]:
        """Estimator, arrays and numbers, so that no pickle names this class or its map's."""
        state = {name: value for name, value in vars(self).items() if name != "calibrator"}
        return state | vars(self.calibrator)

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> CalibratedClassifier:
        """Inverse of :meth:`to_state`."""
        own = {name: state[name] for name in ("estimator", "learned", "floor")}
        of_map = {name: value for name, value in state.items() if name not in own}
        make = IsotonicMap if "isotonic_weight" in state else SigmoidMap
        return cls(calibrator=make(**of_map), **own)


def torch_member(member: CalibratedClassifier, scores: nn.Module) -> CalibratedMember:
    """Torch module of a member, of which another gives the scores."""
    from sklearn_mlce._export.calibrated import CalibratedMember, IsotonicMember

    isotonic = isinstance(member.calibrator, IsotonicMap)
    make: type[CalibratedMember] = IsotonicMember if isotonic else CalibratedMember
    return make(estimator=scores, learned=member.learned, **vars(member.calibrator))


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


@dataclass(frozen=True)
class CalibrationPart(HeldOutPart):
    """Rows that an estimator was not fitted on, as maps take them."""

    prevalence: np.ndarray | None = None  # (L,), see `_prevalence_of_one_sided`; None has no such


def calibration_parts(folds: FoldScores, arguments: FitArguments) -> list[CalibrationPart]:
    """Held-out rows of each fold, whose list of scores is emptied."""
    targets, weight = arguments.targets, arguments.sample_weight
    parts = [
        CalibrationPart(test, scores, learned_labels(targets, train, weight))
        for (train, test), scores in zip(folds.splits, folds.scores, strict=True)
    ]
    folds.scores.clear()
    prevalence = _prevalence_of_one_sided(parts, arguments)
    return [replace(part, prevalence=prevalence) for part in parts]


def _prevalence_of_one_sided(parts: list[CalibrationPart], arguments: FitArguments) -> np.ndarray:
    """Prevalence ``(L,)`` of labels of whose rows the parts score but one kind; NaN of others.

    Where all positives of a label are held out at once, its estimator has learned nothing of it,
    and the others score negatives alone. The prevalence then stands for their targets, which would
    say that the label is never, or always, there.
    """
    targets = arguments.targets
    weight = arguments.sample_weight
    weight = np.ones(targets.n_rows) if weight is None else weight
    held_out, scored = np.zeros((2, 2, targets.n_outputs))
    for part in parts:
        counts = weighted_label_counts(targets.index_rows(part.rows), weight[part.rows])
        held_out += counts
        scored += np.where(part.learned, counts, 0.0)
    one_sided = ((scored == 0) & (held_out > 0)).any(axis=0) & (scored > 0).any(axis=0)
    positive, negative = weighted_label_counts(targets, weight)
    unknown = np.full(targets.n_outputs, np.nan)
    return np.divide(positive, positive + negative, out=unknown, where=one_sided)


def learned_labels(
    targets: Targets, rows: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Mask ``(L,)`` of the labels that some of the rows carry and some do not."""
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    return np.isnan(constant_label_scores(targets.index_rows(rows)))


def label_prevalence(targets: Targets, sample_weight: np.ndarray | None) -> np.ndarray:
    r"""Prevalence ``(L,)`` of each label, :math:`(n_1 + 1/2) / (n + 1)`: not 0 or 1.

    Unknown rows are left out, unless there are no others: such a label counts as never carried.
    """
    weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
    positive, negative = weighted_label_counts(targets, weight)
    known = positive + negative
    return (positive + 0.5) / (np.where(known > 0, known, weight.sum()) + 1)


def trainable_labels(scores: np.ndarray) -> np.ndarray:
    """Mask ``(L,)`` of the labels of which a score ``(n, L)`` is not that of a constant one."""
    trainable = np.zeros(scores.shape[1], dtype=bool)
    for block in row_blocks(*scores.shape):
        trainable |= is_trainable(scores[block]).any(axis=0)
    return trainable


def calibrate(
    fitted: Any,
    method: str,
    parts: list[CalibrationPart],
    learned: np.ndarray,
    arguments: FitArguments,
    *,
    probabilities: bool,
) -> CalibratedClassifier:
    """Fit the map of an estimator's scores, or probabilities, on held-out rows.

    The list of parts is emptied, and their scores are released.
    """
    floor = probability_floor([part.scores for part in parts]) if probabilities else None
    fitted_map = fit_map(method, parts, learned, floor, arguments.targets, arguments.sample_weight)
    return CalibratedClassifier(fitted, fitted_map, learned, floor)


def fit_map(
    method: str,
    parts: list[CalibrationPart],
    learned: np.ndarray,
    floor: float | None,
    targets: Targets,
    sample_weight: np.ndarray | None,
) -> SigmoidMap:
    """Fit the map of scores of held-out rows.

    Raises
    ------
    ValueError
        If there is nothing to fit it on, though a label was learned.
    """
    prevalence = parts[0].prevalence
    held_out = held_out_scores(parts, targets, sample_weight)
    data = calibration_data(held_out, floor, prevalence)
    if data is not None:
        return FITS[method](data)
    if learned.any():
        raise ValueError(
            "no held-out row has a known label that the training rows of its fold could teach, so "
            "that there is nothing to calibrate on. Pass more rows, or a cv with larger training "
            "parts"
        )
    return SigmoidMap(np.ones(len(learned)), np.zeros(len(learned)))


def held_out_scores(
    parts: list[CalibrationPart], targets: Targets, sample_weight: np.ndarray | None
) -> HeldOut:
    """Scores of held-out rows, the list of which is emptied, beside their targets.

    Unknown targets, labels that a part's estimator has not learned, and the scores of constant
    labels, by which our own estimators say so, are set to -inf.
    """
    return held_out_of_parts(targets, parts, sample_weight, _is_constant)


def _is_constant(scores: np.ndarray) -> np.ndarray:
    return ~is_trainable(scores)


def probability_floor(parts: list[np.ndarray]) -> float:
    """Half of the least distance from 0 and 1 among probabilities that are neither.

    What a forest of 100 trees calls 0 or 1 is then half a tree away from it.
    """
    least = 0.5
    for part in parts:
        for block in row_blocks(*part.shape):
            probabilities = part[block].astype(np.float64)
            distances = np.minimum(probabilities, 1 - probabilities)
            least = min(least, distances[distances > _CERTAIN].min(initial=0.5))
    return float(least) / 2
