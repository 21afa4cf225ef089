"""Thresholds that maximise an F-measure exactly.

A threshold acts through the set of scores above it, so only the gaps between neighbouring scores
have to be tried. Lowering it past a score improves F-beta only if that cell is a positive: the
candidates are the scores of positive cells, each with the threshold in the gap just below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_mlce.model_selection._f_measure import FMeasure, HeldOut, MeanFMeasure, ScoredCells

# Positives of a label at which its own threshold and the global one weigh the same. Chosen by
# benchmarks/threshold_shrinkage.py, for a mean of F-measures by benchmarks/mean_f1.py.
SHRINKAGE = 30.0
SHRINKAGE_OF_MEAN = 3.0

# Rise of a mean of F-measures that is no rounding.
_LEAST_GAIN = 1e-12


@dataclass(frozen=True)
class Curve:
    """F-measure at each candidate, thresholds ascending."""

    thresholds: np.ndarray
    values: np.ndarray

    def best(self, default: float) -> float:
        """Threshold of the highest value, or `default` if there is no candidate."""
        return float(self.thresholds[self.values.argmax()]) if len(self.values) else default


def resolve_shrinkage(shrinkage: Any, thresholds: str | None, measure: FMeasure) -> float:
    """Shrinkage of thresholds per label that the parameter `threshold_shrinkage` stands for.

    Raises
    ------
    ValueError
        If a number is given, and no label has a threshold of its own.
    """
    if isinstance(shrinkage, str):
        return SHRINKAGE_OF_MEAN if isinstance(measure, MeanFMeasure) else SHRINKAGE
    if thresholds != "per_label":
        raise ValueError(
            f"threshold_shrinkage={shrinkage!r} shrinks thresholds per label, but "
            f"thresholds={thresholds!r} finds one for all labels. Set "
            "thresholds='per_label', or threshold_shrinkage='auto'"
        )
    return float(shrinkage)


def tune(
    held_out: ScoredCells,
    measure: FMeasure,
    thresholds: str,
    default: float,
    shrinkage: float = SHRINKAGE,
) -> tuple[float | np.ndarray, Curve]:
    """Best thresholds, and the curve of one threshold for all labels.

    Parameters
    ----------
    held_out : ScoredCells
        Scores to find them on.
    measure : FMeasure
        F-measure to maximise.
    thresholds : {"global", "per_label"}
        One for all labels, or one each, drawn towards the one of the micro-averaged measure; for
        "macro" or a mean towards its own where one threshold for all labels would beat them
        otherwise.
    default : float
        The threshold where no positive has a score, so that nothing can be learned.
    shrinkage : float, default=SHRINKAGE
        Number of positives at which a label's own threshold has weight one half; from 0 to inf.

    Returns
    -------
    thresholds : float or ndarray of shape (L,)
    curve : Curve
    """
    curve = global_curve(held_out, measure)
    if thresholds == "global":
        return curve.best(default), curve
    return drawn_label_thresholds(held_out, measure, curve, default, shrinkage), curve


def drawn_label_thresholds(
    held_out: ScoredCells, measure: FMeasure, curve: Curve, default: float, shrinkage: float
) -> np.ndarray:
    """Thresholds ``(L,)`` of labels, drawn together as :func:`tune` says.

    `curve` is that of one threshold for all.
    """
    own, n_positives = label_thresholds(held_out, measure)
    if measure.average != "micro" and len(curve.values):
        # The mean over labels is at the mercy of the rare ones, and so would be its threshold:
        # they are what the anchor is to hold.
        anchor = global_curve(held_out, FMeasure("micro", measure.beta)).best(default)
        drawn = shrink(own, n_positives, anchor, shrinkage)
        if measure.score(held_out, drawn) >= curve.values.max():
            return drawn
    return shrink(own, n_positives, curve.best(default), shrinkage)


def shrink(own: np.ndarray, n_positives: np.ndarray, shared: float, shrinkage: float) -> np.ndarray:
    r"""Thresholds ``(L,)`` between each label's own and the shared one, by its positives.

    The fewer positives a threshold was found on, the more it owes to chance. With :math:`n`
    positives, the own threshold :math:`t`, the shared one :math:`t_0` and the shrinkage :math:`k`
    it becomes :math:`(n t + k t_0) / (n + k)`: the own one at :math:`k = 0`, the shared one as
    :math:`k` grows without bound, and without a positive that was scored.
    """
    seen = n_positives > 0
    thresholds = np.full(len(own), float(shared))
    own_weight = n_positives[seen] / (n_positives[seen] + shrinkage)
    thresholds[seen] = own_weight * own[seen] + (1 - own_weight) * shared
    return thresholds


def global_curve(held_out: ScoredCells, measure: FMeasure) -> Curve:
    """F-measure as a function of one threshold for all labels."""
    table = global_candidates(held_out)
    return Curve(table.threshold, _values_of(table, held_out, measure))


def _values_of(table: LabelCandidates, held_out: ScoredCells, measure: FMeasure) -> np.ndarray:
    """F-measure at each candidate of all labels."""
    if isinstance(measure, MeanFMeasure):
        parts = [weight * _values_of(table, held_out, part) for part, weight in measure.parts]
        return np.sum(parts, axis=0)
    if measure.average == "micro":
        rows, _, _, target = held_out.cells()
        total = (target * held_out.row_weight()[rows]).sum()
        return measure.f_beta(table.hits, table.predicted, total)
    assert isinstance(held_out, HeldOut)
    return _mean_of_groups(held_out, measure, _distinct_scores(held_out))


def global_candidates(held_out: ScoredCells) -> LabelCandidates:
    """Counts of all labels as if they were one, at each threshold that could be the best."""
    rows, _, scores, target = held_out.cells()
    candidates = _distinct_scores(held_out)
    predicted, below = np.zeros(len(candidates)), np.full(len(candidates), -np.inf)
    for of_block, weight in held_out.cell_blocks():
        above, lower = _counted(of_block, candidates, weight)
        predicted += above
        np.maximum(below, lower, out=below)
    hits = _counted(scores, candidates, target * held_out.row_weight()[rows])[0]
    label = np.zeros(len(candidates), dtype=np.intp)
    return LabelCandidates(label, _between(below, candidates), hits, predicted)


def _distinct_scores(held_out: ScoredCells) -> np.ndarray:
    """Scores of positive cells, ascending, each once."""
    scores = held_out.cells()[2]
    return np.unique(scores[scores > held_out.cut])


def _counted(
    scores: np.ndarray, candidates: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the scores at or above each candidate, and the highest score below it."""
    if weight is None:
        ordered = np.sort(scores)
        first = np.searchsorted(ordered, candidates)
        above = (len(ordered) - first).astype(np.float64)
    else:
        order = np.argsort(scores)
        ordered = scores[order]
        first = np.searchsorted(ordered, candidates)
        # Summed from the top, so that a sum of zeros is exactly zero.
        above = np.append(np.cumsum(weight[order][::-1])[::-1], 0.0)[first]
    lower = np.append(-np.inf, ordered)[first]
    return above, lower


def _between(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Midpoints in float64: below `upper`, not below `lower`; just below where there is none."""
    upper = upper.astype(np.float64)
    lowest = lower == -np.inf
    lower = np.where(lowest, np.nextafter(upper, -np.inf), lower)
    middle = np.where(lowest, lower, lower / 2 + upper / 2)
    return np.where(middle < upper, middle, lower)


def _mean_of_groups(held_out: HeldOut, measure: FMeasure, candidates: np.ndarray) -> np.ndarray:
    """Mean over rows (or labels) of each one's F-beta, at each candidate.

    As the threshold falls, a group's F-beta changes at each of its own scores. All groups'
    changes are gathered at the highest candidate that is not above them, and summed downwards.
    """
    if measure.average == "samples":
        groups, weight = held_out, held_out.row_weight()
        item_weight = np.ones(held_out.scores.shape[1])
    else:
        groups, weight = held_out.by_label(), np.ones(held_out.scores.shape[1])
        item_weight = held_out.row_weight()
    changes = np.zeros(len(candidates) + 1)
    for block in groups.row_blocks():
        target = groups.positives[block].toarray() * item_weight
        kept = target.any(axis=1)  # without a positive the F-beta is 0 at any threshold
        scores, target = groups.scores[block][kept], target[kept]
        order = np.argsort(-scores, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        hits = np.take_along_axis(target, order, axis=1).cumsum(axis=1)
        predicted = item_weight[order].cumsum(axis=1)
        values = measure.f_beta(hits, predicted, target.sum(axis=1, keepdims=True))
        change = np.diff(values, axis=1, prepend=0.0) * weight[block][kept, None]
        place = np.searchsorted(candidates, scores.ravel(), side="right")
        changes += np.bincount(place, change.ravel(), len(changes))
    return changes[:0:-1].cumsum()[::-1] / weight.sum()


def label_curves(held_out: ScoredCells, measure: FMeasure) -> list[Curve]:
    """F-measure of each label by itself, as a function of its own threshold."""
    table = label_candidates(held_out)
    rows, labels, _, target = held_out.cells()
    n_labels = held_out.n_labels
    positives = np.bincount(labels, target * held_out.row_weight()[rows], n_labels)
    values = measure.f_beta(table.hits, table.predicted, positives[table.label])
    ends = np.cumsum(np.bincount(table.label, minlength=n_labels))[:-1]
    parts = zip(np.split(table.threshold, ends), np.split(values, ends), strict=True)
    return [Curve(*part) for part in parts]


def label_thresholds(held_out: ScoredCells, measure: FMeasure) -> tuple[np.ndarray, np.ndarray]:
    """Each label's own threshold, and the number of positives that it was found on.

    Returns
    -------
    thresholds : ndarray of shape (L,)
        NaN for a label without a positive that has a score.
    n_positives : ndarray of shape (L,)
    """
    table = label_candidates(held_out)
    n_labels = held_out.n_labels
    rows, labels, scores, target = held_out.cells()
    mass = target * held_out.row_weight()[rows]
    positives = np.bincount(labels, mass, n_labels)
    n_positives = np.bincount(labels, mass * (scores > -np.inf), n_labels)
    thresholds = np.full(n_labels, np.nan)
    if measure.average == "macro":
        values = measure.f_beta(table.hits, table.predicted, positives[table.label])
        chosen = _best_per_label(table.label, values)
        thresholds[table.label[chosen]] = table.threshold[chosen]
        return thresholds, n_positives
    if isinstance(measure, MeanFMeasure):
        chosen = _ascend(table, measure, positives)
    else:
        chosen = _dinkelbach(table, measure, positives.sum())
    # A label that is best left alone: above its highest score.
    seen = n_positives > 0
    thresholds[seen] = held_out.highest()[seen]
    thresholds[table.label[chosen]] = table.threshold[chosen]
    return thresholds, n_positives


@dataclass(frozen=True)
class LabelCandidates:
    """Counts of each label with its threshold just below each of its positives."""

    label: np.ndarray  # ascending, and the thresholds of a label too
    threshold: np.ndarray
    hits: np.ndarray
    predicted: np.ndarray


def label_candidates(held_out: ScoredCells) -> LabelCandidates:
    """Counts at each threshold of each label that could be its best."""
    cuts = np.broadcast_to(held_out.label_cuts, held_out.n_labels)
    columns: list[tuple[np.ndarray, ...]] = []
    for cells in held_out.by_labels():
        candidates = np.unique(cells.positive_scores)
        candidates = candidates[candidates > cuts[cells.label]]
        if len(candidates):
            hits = _counted(cells.positive_scores, candidates, cells.positive_weight)[0]
            predicted, lower = _counted(cells.scores, candidates, cells.weight)
            label = np.full(len(candidates), cells.label)
            columns.append((label, _between(lower, candidates), hits, predicted))
    if not columns:
        nothing = np.zeros(0)
        return LabelCandidates(nothing.astype(np.intp), nothing, nothing, nothing)
    return LabelCandidates(*(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _best_per_label(label: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Index of the highest value of each label that there is; the last of equal ones."""
    order = np.lexsort((values, label))
    last = np.append(label[1:] != label[:-1], True)[: len(label)]
    return order[last]


def _dinkelbach(table: LabelCandidates, measure: FMeasure, positives: float) -> np.ndarray:
    """Candidates, one of a label at most, that together have the highest micro-averaged F-beta.

    F-beta is a ratio N / D. With F its best value, N - F D has the maximum 0, and given F it is
    a sum over labels, each maximised by itself: start from a low F, maximise, take the new
    ratio as F, until it rises no more (Dinkelbach's method). It rises strictly, over finitely
    many choices.
    """
    squared = measure.beta**2
    best, chosen = 0.0, np.zeros(0, dtype=np.intp)
    while len(table.label):
        gain = (1 + squared) * table.hits - best * table.predicted
        candidate = _best_per_label(table.label, gain)
        candidate = candidate[gain[candidate] > 0]
        hits, predicted = table.hits[candidate].sum(), table.predicted[candidate].sum()
        value = float(measure.f_beta(hits, predicted, positives))
        if value <= best:
            break
        best, chosen = value, candidate
    return chosen


def _ascend(table: LabelCandidates, measure: MeanFMeasure, positives: np.ndarray) -> np.ndarray:
    """Candidates, one of a label at most, whose mean measure no other choice for a label raises.

    Each label starts from its own best F-beta. Then label after label takes what is best beside
    the choices of the others, until none changes. The mean rises with each change, over finitely
    many choices.
    """
    weights = dict(measure.weights)
    of_micro, of_label = weights.get("micro", 0.0), weights.get("macro", 0.0) / len(positives)
    values = of_label * measure.f_beta(table.hits, table.predicted, positives[table.label])
    _, starts = np.unique(table.label, return_index=True)
    # Before those of each label one that predicts nothing.
    hits, predicted, values = (
        np.insert(of, starts, 0.0) for of in (table.hits, table.predicted, values)
    )
    starts += np.arange(len(starts))
    parts = [slice(*ends) for ends in zip(starts, np.append(starts[1:], len(hits)), strict=True)]
    chosen = np.array([part.start + values[part].argmax() for part in parts], dtype=np.intp)
    total, changed = positives.sum(), len(parts) > 0
    while changed:
        changed = False
        all_hits, all_predicted = hits[chosen].sum(), predicted[chosen].sum()
        for place, part in enumerate(parts):
            now = chosen[place]
            other_hits, other_predicted = all_hits - hits[now], all_predicted - predicted[now]
            together = values[part] + of_micro * measure.f_beta(
                other_hits + hits[part], other_predicted + predicted[part], total
            )
            best = part.start + together.argmax()
            if together[best - part.start] > together[now - part.start] + _LEAST_GAIN:
                chosen[place], changed = best, True
                all_hits, all_predicted = other_hits + hits[best], other_predicted + predicted[best]
    predicts = chosen > starts
    return (chosen - np.arange(1, len(parts) + 1))[predicts]
