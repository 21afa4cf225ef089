r"""The highest held-out scores, which decide thresholds for micro-averaged F without all others.

Of :math:`P` positives, of which :math:`S` have scores, a threshold that predicts :math:`k` cells
has at most :math:`S` hits, and an F-beta of at most :math:`(1 + \beta^2) S / (\beta^2 P + k)`. Once
a threshold reaches :math:`F`, none that predicts more than
:math:`(1 + \beta^2) S / F - \beta^2 P` cells can reach as much. Nor has a label a threshold of its
own, in the best choice of all labels, that predicts more than :math:`(1 + \beta^2) S_l / F` cells
for its :math:`S_l` positives: each prediction would cost more than the hits are worth. So a few
cells for each positive do, and the F that they reach proves that they did.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing

from sklearn_mlce._targets.targets import Targets, row_blocks
from sklearn_mlce._utils.estimator_scores import default_threshold, scores_of
from sklearn_mlce.model_selection._f_measure import Counts, FMeasure, LabelCells, ScoredCells
from sklearn_mlce.model_selection._out_of_fold import (
    is_counted,
    mask_unscored,
    never_positive,
    positive_cells,
)
from sklearn_mlce.model_selection._splits import Splits
from sklearn_mlce.model_selection._sweep import global_curve

# Cells of a matrix of held-out scores from which on the highest are kept instead: 0.5 GB of
# float32. A smaller matrix is quicker, and asks an estimator for all scores at once.
LARGEST_MATRIX = 2**27

# Cells kept for each positive at first, over 1 + beta^2: enough where F is above a quarter.
_CELLS_PER_POSITIVE = 4.0

# Part of the cells that may be kept, each with its label and weight beside its score.
_LARGEST_PART = 1 / 8

# Cells of a block that is searched for those to keep.
_CELLS_PER_BLOCK = 2**20


def keeps_highest_cells(
    targets: Targets, splits: Splits, measure: FMeasure, sample_weight: np.ndarray | None
) -> bool:
    """Whether the matrix of held-out scores is too large, and its highest cells are enough."""
    n_cells = sum(len(test) for _, test in splits) * targets.n_outputs
    if measure.average != "micro" or targets.kind not in ("multilabel", "soft"):
        return False
    if n_cells <= LARGEST_MATRIX:
        return False
    n_positives = sum(_counted_cells(targets, test, sample_weight)[1].nnz for _, test in splits)
    wanted = 2 * len(splits) * _CELLS_PER_POSITIVE * (1 + measure.beta**2) * n_positives
    return 0 < wanted <= _LARGEST_PART * n_cells


def _counted_cells(
    targets: Targets, test: np.ndarray, sample_weight: np.ndarray | None
) -> tuple[np.ndarray, sp.csr_array]:
    """Places of the rows that count among those of a test part, and their positive cells."""
    places = np.flatnonzero(is_counted(targets, sample_weight)[test])
    return places, positive_cells(targets, test[places])


class Entries(NamedTuple):
    """Cells by label, scores of a label descending; equal scores of a label are one entry."""

    label: np.ndarray
    score: np.ndarray
    weight: np.ndarray

    @classmethod
    def joined(cls, parts: list[tuple[np.ndarray, ...]]) -> Entries:
        """Entries of cells, or of other entries, in any order."""
        label, score, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((-score, label))
        label, score = label[order], score[order]
        first = np.append(True, (label[1:] != label[:-1]) | (score[1:] != score[:-1]))[: len(label)]
        starts = np.flatnonzero(first)
        weight = np.add.reduceat(weight[order], starts) if len(starts) else weight
        return cls(label[starts], score[starts], weight)

    def take(self, mask: np.ndarray) -> Entries:
        """Entries at a mask."""
        return Entries(*(column[mask] for column in self))


@dataclass(frozen=True)
class HighestCells(ScoredCells):
    """Held-out scores above a cut, those of positives, and how many lie above the default.

    All cells at or above `cut` are here, and those of a label at or above its label cut.
    """

    entries: Entries
    positives: sp.csr_array
    scores_of_positives: np.ndarray
    weight: np.ndarray | None
    cut: float
    label_cuts: np.ndarray
    highest_scores: np.ndarray  # (L,)
    default: float  # a threshold
    above_default: np.ndarray  # (L,) weight of the cells above it

    def positive_scores(self) -> np.ndarray:
        """Scores of the positive cells, in the order of their targets."""
        return self.scores_of_positives

    def highest(self) -> np.ndarray:
        """Highest score ``(L,)`` of each label, -inf where there is none."""
        return self.highest_scores

    def cell_blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Scores and weights of the cells, as one block."""
        yield self.entries.score, self.entries.weight

    def by_labels(self) -> Iterator[LabelCells]:
        """Cells of each label that has positives, labels ascending."""
        rows, labels, scores, target = self.cells()
        mass = target * self.row_weight()[rows]
        order = np.argsort(labels, kind="stable")
        scores, mass = scores[order], mass[order]
        numbers = np.arange(self.n_labels + 1)
        ends = np.searchsorted(labels[order], numbers)
        entry_ends = np.searchsorted(self.entries.label, numbers)
        for label in np.flatnonzero(np.diff(ends)):
            part = slice(ends[label], ends[label + 1])
            kept = slice(entry_ends[label], entry_ends[label + 1])
            _, score, weight = (column[kept] for column in self.entries)
            yield LabelCells(int(label), score, weight, scores[part], mass[part])

    def counts(self, thresholds: Any) -> tuple[Counts, None]:
        """Counts of labels: scores above `thresholds`, which are the default or above the cuts."""
        n_labels = self.n_labels
        thresholds = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), n_labels)
        label, score, weight = self.entries
        kept = np.bincount(label, weight * (score > thresholds[label]), n_labels)
        predicted = np.where(thresholds == self.default, self.above_default, kept)
        rows, labels, scores, target = self.cells()
        hit = target * (scores > thresholds[labels])
        row_weight = self.row_weight()[rows]
        hits = np.bincount(labels, hit * row_weight, n_labels)
        return Counts(hits, predicted, np.bincount(labels, target * row_weight, n_labels)), None

    def certified(self, measure: FMeasure, *, per_label: bool) -> bool:
        """Whether no threshold below the cuts could be as good as the best one above."""
        rows, labels, scores, target = self.cells()
        mass = target * self.row_weight()[rows]
        scored = np.bincount(labels, mass * (scores > -np.inf), self.n_labels)
        if not scored.any():
            return True
        best = global_curve(self, measure).values.max(initial=0.0)
        if best == 0:
            return False
        worth = (1 + measure.beta**2) / best * (1 + 1e-9)  # predictions that a hit is worth
        label, score, weight = self.entries
        kept = weight[score >= self.cut].sum()
        if self.cut > -np.inf and kept <= worth * scored.sum() - measure.beta**2 * mass.sum():
            return False
        if not per_label:
            return True
        kept = np.bincount(label, weight * (score >= self.label_cuts[label]), self.n_labels)
        cut = (scored > 0) & (self.label_cuts > -np.inf)
        return bool((kept > worth * scored)[cut].all())

    @classmethod
    def of_folds(cls, parts: list[HighestCells]) -> HighestCells:
        """Cells of several folds; the list is emptied."""
        label_cuts = np.max([part.label_cuts for part in parts], axis=0)
        cut = max(part.cut for part in parts)
        floor = np.minimum(label_cuts, cut)
        entries = [part.entries for part in parts]
        kept = [of_fold.take(of_fold.score >= floor[of_fold.label]) for of_fold in entries]
        weights = [part.row_weight() for part in parts if part.weight is not None]
        together = cls(
            Entries.joined([tuple(entries) for entries in kept]),
            sp.csr_array(sp.vstack([part.positives for part in parts], format="csr")),
            np.concatenate([part.scores_of_positives for part in parts]),
            np.concatenate(weights) if weights else None,
            cut,
            label_cuts,
            np.max([part.highest_scores for part in parts], axis=0),
            parts[0].default,
            np.sum([part.above_default for part in parts], axis=0),
        )
        parts.clear()
        return together


class _Collector:
    """Keeps the highest of the cells that it is shown, a block at a time.

    Parameters
    ----------
    wanted : float
        Weight of the cells to keep of all labels together.
    wanted_of_labels : ndarray of shape (L,)
        Weight of the cells to keep of each label; 0 for no more than those above `cut`.
    """

    def __init__(self, wanted: float, wanted_of_labels: np.ndarray) -> None:
        self._wanted, self._wanted_of_labels = wanted, wanted_of_labels
        self.cut = -np.inf
        self.label_cuts = np.where(wanted_of_labels > 0, -np.inf, np.inf)
        nothing = (np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0))
        self._parts: list[tuple[np.ndarray, ...]] = [nothing]
        self._n_kept = self._n_new = 0

    def add(self, scores: np.ndarray, weight: np.ndarray | None) -> None:
        """Look at the scores ``(rows, L)`` of some rows, -inf for those to leave out."""
        floor = np.maximum(np.minimum(self.label_cuts, self.cut), np.finfo(scores.dtype).min)
        rows, labels = np.nonzero(scores >= floor.astype(scores.dtype))
        of_cells = np.ones(len(rows)) if weight is None else weight[rows].astype(np.float64)
        self._parts.append((labels.astype(np.int32), scores[rows, labels], of_cells))
        self._n_new += len(rows)
        if self._n_new > max(self._n_kept, _CELLS_PER_BLOCK):
            self.entries()

    def entries(self) -> Entries:
        """Raise the cuts as far as they go, and return what is left above them."""
        entries = Entries.joined(self._parts)
        cut, label_cuts = self._cut_of(entries), self._label_cuts_of(entries)
        kept = entries.score >= np.minimum(label_cuts, cut)[entries.label]
        if not kept.all():  # or else, as of constant scores, all cells are still here
            self.cut, self.label_cuts, entries = cut, label_cuts, entries.take(kept)
        self._parts, self._n_kept, self._n_new = [tuple(entries)], len(entries.label), 0
        return entries

    def _cut_of(self, entries: Entries) -> float:
        """Highest score above which, itself included, lie as many cells as are wanted in all."""
        order = np.argsort(-entries.score, kind="stable")
        reached = np.searchsorted(np.cumsum(entries.weight[order]), self._wanted)
        if reached == len(order):
            return self.cut
        return max(self.cut, float(entries.score[order[reached]]))

    def _label_cuts_of(self, entries: Entries) -> np.ndarray:
        """Highest score ``(L,)`` above which lie as many cells as are wanted of each label."""
        label, score, weight = entries
        summed, wanted = np.cumsum(weight), self._wanted_of_labels[label]
        first = np.searchsorted(label, np.arange(len(self.label_cuts)))
        reached = summed - np.append(0.0, summed)[first][label] >= wanted
        reached &= wanted > 0
        cuts = self.label_cuts.copy()
        np.maximum.at(cuts, label[reached], score[reached].astype(np.float64))
        return cuts


@dataclass(frozen=True)
class FoldRows:
    """Held-out rows of a fold, whose cells are collected by the process that fits the fold."""

    targets: Targets
    rows: np.ndarray  # numbers of those that count
    places: np.ndarray  # theirs among the held-out rows
    positives: sp.csr_array  # of these rows
    weight: np.ndarray | None  # of these rows
    learned: np.ndarray  # (L,) mask of the labels that the training rows tell anything about

    def label_mass(self) -> np.ndarray:
        """Weight ``(L,)`` of the positives of each label."""
        weight = np.ones(len(self.rows)) if self.weight is None else self.weight
        return self.positives.T @ weight

    def row_mass(self) -> float:
        """Weight of the rows."""
        return float(len(self.rows) if self.weight is None else self.weight.sum())

    def collect(
        self, estimator: Any, X: Any, wanted: float, wanted_of_labels: np.ndarray
    ) -> HighestCells:
        """Score the held-out rows by blocks, and keep the highest cells."""
        n_labels = len(self.learned)
        default, collector = default_threshold(estimator), _Collector(wanted, wanted_of_labels)
        highest, above = np.full(n_labels, -np.inf), np.zeros(n_labels)
        of_positives = [np.zeros(0, np.float32)]
        for block in row_blocks(len(self.rows), n_labels):
            scored = scores_of(estimator, _safe_indexing(X, self.places[block]), n_labels)
            for part in row_blocks(len(scored), n_labels, _CELLS_PER_BLOCK):
                rows = self.rows[block][part]
                scores = scored[part].copy()
                mask_unscored(scores, self.targets, rows, self.learned)
                weight = None if self.weight is None else self.weight[block][part]
                collector.add(scores, weight)
                np.maximum(highest, scores.max(axis=0), out=highest)
                predicted = scores > default
                above += predicted.sum(axis=0) if weight is None else weight @ predicted
                positive = self.positives[block][part].tocoo()
                of_positives.append(scores[positive.row, positive.col])
        return HighestCells(
            collector.entries(),
            self.positives,
            np.concatenate(of_positives),
            self.weight,
            collector.cut,
            collector.label_cuts,
            highest,
            default,
            above,
        )


def scorers_of_folds(
    targets: Targets,
    splits: Splits,
    sample_weight: np.ndarray | None,
    measure: FMeasure,
    *,
    per_label: bool,
) -> list[Any]:
    """One function for each fold, which keeps the highest cells of an estimator and rows."""
    folds = []
    for train, test in splits:
        places, positives = _counted_cells(targets, test, sample_weight)
        rows = test[places]
        weight = None if sample_weight is None else sample_weight[rows]
        learned = ~never_positive(targets, train, sample_weight)
        folds.append(FoldRows(targets, rows, places, positives, weight, learned))
    mass = np.sum([fold.label_mass() for fold in folds], axis=0)
    score = partial(
        _highest_cells,
        n_outputs=targets.n_outputs,
        mass=mass,
        measure=measure,
        per_label=per_label,
    )
    return [partial(score, fold=fold) for fold in folds]


def certified_cells(folds: list[Any], measure: FMeasure, *, per_label: bool) -> HighestCells | None:
    """Cells of the folds, whose list is emptied; None where they might not be enough."""
    cells = HighestCells.of_folds(folds)
    return cells if cells.certified(measure, per_label=per_label) else None


def _highest_cells(
    estimator: Any,
    X: Any,
    n_outputs: int,
    *,
    fold: FoldRows,
    mass: np.ndarray,
    measure: FMeasure,
    per_label: bool,
) -> HighestCells:
    """Cells of a fold, scored a second time where more are needed than were kept at first."""
    squared = measure.beta**2
    multiple = _CELLS_PER_POSITIVE * (1 + squared)
    of_labels = mass if per_label else np.zeros(n_outputs)
    cells = fold.collect(estimator, X, multiple * mass.sum(), multiple * of_labels)
    best = global_curve(cells, measure).values.max(initial=0.0)
    if cells.cut == -np.inf or best == 0 or best > (1 + squared) / multiple:
        return cells
    multiple = 2 * (1 + squared) / best
    if multiple * (mass.sum() + of_labels.sum()) > _LARGEST_PART * fold.row_mass() * n_outputs:
        return cells  # too few, as the certificate will say
    return fold.collect(estimator, X, multiple * mass.sum(), multiple * of_labels)
