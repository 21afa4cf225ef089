"""F-beta of held-out scores, averaged over cells, labels or rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score, fbeta_score

from sklearn_mlce._targets.targets import row_blocks

AVERAGES = ("micro", "macro", "samples")

_LARGEST_BETA = 1e6  # with which F-beta is recall, up to what float64 resolves

# Cells of a block that a pass over the scores copies: 8 MiB of float64.
_CELLS_PER_BLOCK = 2**20


class Counts(NamedTuple):
    """Numbers that F-beta is made of, of each label or of each row."""

    hits: np.ndarray
    predicted: np.ndarray
    positives: np.ndarray


class LabelCells(NamedTuple):
    """Cells of one label that has positives."""

    label: int
    scores: np.ndarray
    weight: np.ndarray | None  # of each cell; one where None
    positive_scores: np.ndarray
    positive_weight: np.ndarray  # target times row weight


class ScoredCells(ABC):
    """Held-out scores as a sweep of thresholds reads them: all of them, or the highest."""

    positives: sp.csr_array  # (n, L) float64: target of each positive cell, 1 for a hard target
    weight: np.ndarray | None  # (n,) positive weights of the rows
    # Cells at or below these scores may be missing: that for candidates for all labels, and that
    # of each label, or one of all, for candidates of labels.
    cut: float
    label_cuts: np.ndarray | float

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return self.positives.shape[1]

    @abstractmethod
    def positive_scores(self) -> np.ndarray:
        """Scores of the positive cells, in the order of their targets."""

    @abstractmethod
    def cell_blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Scores of cells and their weights, of one where None, block by block."""

    @abstractmethod
    def by_labels(self) -> Iterator[LabelCells]:
        """Cells of each label that has positives, labels ascending."""

    @abstractmethod
    def highest(self) -> np.ndarray:
        """Highest score ``(L,)`` of each label, -inf where there is none."""

    @abstractmethod
    def counts(self, thresholds: Any) -> tuple[Counts, Counts | None]:
        """Counts of labels, and of rows where all cells are here: scores above `thresholds`."""

    def cells(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rows, labels, scores and targets (row weights not yet in) of the positive cells."""
        coo = self.positives.tocoo()
        return coo.row, coo.col, self.positive_scores(), coo.data

    def row_weight(self) -> np.ndarray:
        """Weights ``(n,)``, of one where none were given."""
        return np.ones(self.positives.shape[0]) if self.weight is None else self.weight


@dataclass(frozen=True)
class HeldOut(ScoredCells):
    """Scores of rows that their estimator has not seen, and the targets of these rows.

    A score of -inf stands for a cell that no threshold predicts: an unknown target, or a label
    that the fold's estimator could not learn. A positive there counts as missed.
    """

    scores: np.ndarray  # (n, L)
    positives: sp.csr_array
    weight: np.ndarray | None = None

    cut = label_cuts = -np.inf

    def positive_scores(self) -> np.ndarray:
        """Scores of the positive cells, in the order of their targets."""
        coo = self.positives.tocoo()
        return self.scores[coo.row, coo.col]

    def row_blocks(self) -> list[slice]:
        """Slices of rows, each small enough to be copied."""
        n_rows, n_labels = self.scores.shape
        return row_blocks(n_rows, n_labels, _CELLS_PER_BLOCK)

    def cell_blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Scores of all cells and their weights, by blocks of rows."""
        for block in self.row_blocks():
            weight = None if self.weight is None else np.repeat(self.weight[block], self.n_labels)
            yield self.scores[block].ravel(), weight

    def by_labels(self) -> Iterator[LabelCells]:
        """Cells of each label that has positives, copied by blocks of labels."""
        by_label, row_weight = self.by_label(), self.row_weight()
        for block in by_label.row_blocks():
            scores = np.ascontiguousarray(by_label.scores[block])
            positives = by_label.positives[block]
            for i, start, end in zip(
                range(len(scores)), positives.indptr, positives.indptr[1:], strict=False
            ):
                if start < end:
                    rows = positives.indices[start:end]
                    mass = positives.data[start:end] * row_weight[rows]
                    yield LabelCells(block.start + i, scores[i], self.weight, scores[i, rows], mass)

    def highest(self) -> np.ndarray:
        """Highest score ``(L,)`` of each label, -inf where there is none."""
        found = np.full(self.n_labels, -np.inf)
        for block in self.row_blocks():
            np.maximum(found, self.scores[block].max(axis=0), out=found)
        return found

    def counts(self, thresholds: Any) -> tuple[Counts, Counts]:
        """Counts of labels, each row by its weight, and of rows: scores above `thresholds`.

        There is one threshold, or one for each label.
        """
        n_rows, n_labels = self.scores.shape
        weight = self.row_weight()
        thresholds = np.broadcast_to(np.asarray(thresholds, dtype=np.float64), n_labels)
        of_rows, of_labels = np.zeros(n_rows), np.zeros(n_labels)
        for block in self.row_blocks():
            predicted = self.scores[block] > thresholds
            of_rows[block] = predicted.sum(axis=1)
            of_labels += weight[block] @ predicted
        rows, labels, scores, target = self.cells()
        hit = target * (scores > thresholds[labels])
        weight = weight[rows]
        return (
            Counts(
                np.bincount(labels, hit * weight, n_labels),
                of_labels,
                np.bincount(labels, target * weight, n_labels),
            ),
            Counts(np.bincount(rows, hit, n_rows), of_rows, np.bincount(rows, target, n_rows)),
        )

    def by_label(self) -> HeldOut:
        """The transpose, whose rows are labels; row weights are left to the caller."""
        return HeldOut(self.scores.T, self.positives.T.tocsr())


@dataclass(frozen=True)
class FMeasure:
    """F-beta of all cells ("micro"), or its mean over labels ("macro") or rows ("samples")."""

    average: str
    beta: float = 1.0

    def f_beta(self, hits: Any, predicted: Any, positives: Any) -> Any:
        """F-beta of the numbers of hits, predictions and positives; 0 for 0/0."""
        squared = self.beta**2
        denominator = squared * positives + predicted
        return np.divide(
            (1 + squared) * hits,
            denominator,
            out=np.zeros(np.broadcast(hits, denominator).shape),
            where=denominator > 0,
        )

    @property
    def has_label_thresholds(self) -> bool:
        """Whether a threshold for each label can be found: rows would tie all of them together."""
        return self.average != "samples"

    @property
    def name(self) -> str:
        """Name in a picture, such as ``micro-F1``."""
        return f"{self.average}-F{self.beta:g}"

    def check_kind(self, kind: str) -> None:
        """Raise ValueError if the measure means nothing for y of this kind."""
        if kind == "binary" and self.average == "samples":
            raise ValueError(
                "scoring='f1_samples' means nothing for a binary y, whose rows have one label "
                "each. Pass scoring='f1_micro'"
            )

    def score(self, held_out: ScoredCells, thresholds: Any) -> float:
        """F-measure where the scores above the thresholds, one or ``(L,)``, are predicted."""
        return self.score_of_counts(*held_out.counts(thresholds), held_out.row_weight())

    def score_of_counts(
        self, of_labels: Counts, of_rows: Counts | None, row_weight: np.ndarray
    ) -> float:
        """F-measure of counts."""
        if self.average == "samples":
            assert of_rows is not None
            return float(np.average(self.f_beta(*of_rows), weights=row_weight))
        if self.average == "micro":
            return float(self.f_beta(*(part.sum() for part in of_labels)))
        return float(self.f_beta(*of_labels).mean())


@dataclass(frozen=True)
class MeanFMeasure(FMeasure):
    """Weighted mean of F1 of several averages; weights sum to one."""

    average: str = "mean"
    weights: tuple[tuple[str, float], ...] = ()

    @property
    def parts(self) -> list[tuple[FMeasure, float]]:
        """F1 of each average, with its weight."""
        return [(FMeasure(average), weight) for average, weight in self.weights]

    @property
    def has_label_thresholds(self) -> bool:
        """Whether each part has."""
        return all(part.has_label_thresholds for part, _ in self.parts)

    @property
    def name(self) -> str:
        """Name in a picture, such as ``0.2 micro-F1 + 0.8 macro-F1``."""
        return " + ".join(f"{weight:.2g} {part.name}" for part, weight in self.parts)

    def check_kind(self, kind: str) -> None:
        """Raise ValueError if a part means nothing for y of this kind."""
        for part, _ in self.parts:
            part.check_kind(kind)

    def score_of_counts(
        self, of_labels: Counts, of_rows: Counts | None, row_weight: np.ndarray
    ) -> float:
        """Weighted mean of counts."""
        return sum(
            weight * part.score_of_counts(of_labels, of_rows, row_weight)
            for part, weight in self.parts
        )


_NAMES = {f"f1_{average}": FMeasure(average) for average in AVERAGES}


def f_measure_of(scoring: Any, thresholds: str) -> FMeasure:
    """F-measure that a name, a scorer, or a dict of names and weights stands for.

    Raises
    ------
    ValueError
        If it is none that can be swept, or not with one threshold per label.
    """
    if isinstance(scoring, dict):
        measure = _of_weights(scoring)
    elif isinstance(scoring, str):
        measure = _NAMES.get(scoring)
    else:
        measure = _of_scorer(scoring)
    if measure is None:
        raise ValueError(
            f"scoring={scoring!r} has no exact best thresholds; expected 'f1_micro', 'f1_macro', "
            "'f1_samples', a dict of these names and their weights such as {'f1_micro': 1, "
            "'f1_macro': 4}, or a scorer make_scorer(f1_score, average=...) or "
            "make_scorer(fbeta_score, beta=..., average=...) with one of these averages"
        )
    if not measure.has_label_thresholds and thresholds == "per_label":
        raise ValueError(
            "the samples-averaged F depends on all labels of a row, so that thresholds per "
            "label cannot be found exactly. Pass thresholds='global', or scoring='f1_macro' or "
            "'f1_micro'"
        )
    return measure


def _of_weights(scoring: dict[Any, Any]) -> FMeasure | None:
    """Mean that a dict stands for; of one average, that average itself. None of other names."""
    if not scoring or not set(scoring) <= set(_NAMES):
        return None
    numbers = (int, float, np.integer, np.floating)
    weights = list(scoring.values())
    if any(isinstance(weight, bool) or not isinstance(weight, numbers) for weight in weights) or (
        not all(0 < weight < np.inf for weight in weights)
    ):
        raise ValueError(
            f"scoring={scoring!r} must have weights that are positive finite numbers, such as "
            "{'f1_micro': 1, 'f1_macro': 4}"
        )
    if len(scoring) == 1:
        return _NAMES[next(iter(scoring))]
    share = np.array([float(weight) for weight in weights]) / max(weights)  # their sum is finite
    share /= share.sum()
    averages = (_NAMES[name].average for name in scoring)
    return MeanFMeasure(weights=tuple(zip(averages, share.tolist(), strict=True)))


def _of_scorer(scorer: Any) -> FMeasure | None:
    metric = getattr(scorer, "_score_func", None)
    if metric not in (f1_score, fbeta_score) or getattr(scorer, "_sign", 1) != 1:
        return None
    options = dict(scorer._kwargs)
    average = options.pop("average", "binary")
    beta = options.pop("beta", None) if metric is fbeta_score else 1.0
    zero_division = options.pop("zero_division", "warn")
    if options.get("pos_label") in (None, 1):  # get_scorer("f1_micro") has one, which says nothing
        options.pop("pos_label", None)
    if average not in AVERAGES or beta is None or options or zero_division not in ("warn", 0):
        return None
    beta = float(beta)
    if not 0 <= beta <= _LARGEST_BETA:  # nor NaN
        raise ValueError(
            f"the scorer has beta={beta:g}; expected a number from 0 to {_LARGEST_BETA:g}. As beta "
            "grows, F-beta becomes recall, which is highest where every label is predicted. Pass "
            "a beta such as 2"
        )
    return FMeasure(average, beta)
