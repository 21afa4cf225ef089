"""Data that maps are fitted on: standardised held-out scores, with Platt's targets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import logit

from sklearn_mlce.model_selection._f_measure import HeldOut


class CellBlock(NamedTuple):
    """Scores of a block of cells, and how much each cell counts, float64."""

    scores: np.ndarray
    weight: np.ndarray | None  # in the scores' shape, 0 where a cell takes no part; None is all 1

    def part(self, groups: np.ndarray, places: slice) -> CellBlock:
        """Some places of some of the rows of the block."""
        weight = None if self.weight is None else self.weight[groups, places]
        return CellBlock(self.scores[groups, places], weight)

    def weighted(self, values: np.ndarray) -> np.ndarray:
        """Values of the cells times their weights."""
        return values if self.weight is None else self.weight * values


@dataclass(frozen=True)
class CalibrationData:
    """Held-out scores, standardised over all cells that take part, with Platt's targets.

    A score of -inf in `held_out` stands for a cell that takes no part. Platt's targets lie the
    further inside of 0 and 1 the fewer cells of their kind there are, so that no map becomes a
    step. Cells are read, converted and standardised a block at a time: of rows, ``(rows, L)``, or
    of labels, ``(labels, n)``.
    """

    held_out: HeldOut
    floor: float | None  # see `as_scores`
    prevalence: np.ndarray | None  # (L,) target of all cells of a label, or NaN; None has no such
    mean: float = 0.0
    scale: float = 1.0
    negative_target: float = 0.0
    positive_target: float = 1.0

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return self.held_out.scores.shape[1]

    @property
    def row_blocks(self) -> list[slice]:
        """Slices of the rows."""
        return self.held_out.row_blocks()

    @property
    def label_blocks(self) -> list[slice]:
        """Slices of the labels."""
        return self.by_label.row_blocks()

    @cached_property
    def by_label(self) -> HeldOut:
        """The transpose of `held_out`."""
        return self.held_out.by_label()

    def of_rows(self, rows: slice) -> CellBlock:
        """Scores of a block of rows."""
        return self._cells(self.held_out.scores[rows], self.held_out.row_weight()[rows, None])

    def of_labels(self, labels: slice) -> CellBlock:
        """Scores of a block of labels."""
        return self._cells(self.by_label.scores[labels], self.held_out.row_weight())

    def targets_of_rows(self, rows: slice) -> np.ndarray:
        """Targets of a block of rows."""
        return self._targets(self.held_out, rows, self.prevalence)

    def targets_of_labels(self, labels: slice) -> np.ndarray:
        """Targets of a block of labels."""
        of_labels = None if self.prevalence is None else self.prevalence[labels, None]
        return self._targets(self.by_label, labels, of_labels)

    def every(self, step: int) -> CalibrationData:
        """The cells of every `step`-th row."""
        given = self.held_out
        weight = None if given.weight is None else given.weight[::step]
        part = HeldOut(given.scores[::step], given.positives[::step], weight)
        return replace(self, held_out=part)

    def as_given(self) -> CalibrationData:
        """The same cells with scores and targets as they are."""
        return CalibrationData(self.held_out, self.floor, self.prevalence)

    def _cells(self, given: np.ndarray, row_weight: np.ndarray) -> CellBlock:
        given = np.ascontiguousarray(given)
        scores, taken = as_scores(given, self.floor), np.isfinite(given)
        counts_alike = self.held_out.weight is None and taken.all()
        if not counts_alike:
            scores[~taken] = 0.0
        scores -= self.mean
        scores /= self.scale
        return CellBlock(scores, None if counts_alike else row_weight * taken)

    def _targets(
        self, held_out: HeldOut, block: slice, prevalence: np.ndarray | None
    ) -> np.ndarray:
        targets = sp.csr_array(held_out.positives[block]).toarray()
        if prevalence is not None:
            targets = np.where(np.isnan(prevalence), targets, prevalence)
        return self.negative_target + (self.positive_target - self.negative_target) * targets


def as_scores(scores: np.ndarray, floor: float | None) -> np.ndarray:
    """Scores as float64; where they are probabilities their log-odds, `floor` off 0 and 1."""
    scores = scores.astype(np.float64)
    return scores if floor is None else logit(np.clip(scores, floor, 1 - floor))


def calibration_data(
    held_out: HeldOut, floor: float | None = None, prevalence: np.ndarray | None = None
) -> CalibrationData | None:
    """Standardise held-out scores; None if no cell takes part."""
    data = CalibrationData(held_out, floor, prevalence)
    total, n_positives, first, second = np.zeros(4)
    for rows in data.row_blocks:
        cells = data.of_rows(rows)
        total += cells.scores.size if cells.weight is None else cells.weight.sum()
        n_positives += cells.weighted(data.targets_of_rows(rows)).sum()
        first += cells.weighted(cells.scores).sum()
    if total == 0:
        return None
    mean = first / total
    for rows in data.row_blocks:
        cells = data.of_rows(rows)
        second += cells.weighted((cells.scores - mean) ** 2).sum()
    scale = float(np.sqrt(second / total)) or 1.0
    negative_target = float(1 / (total - n_positives + 2))
    positive_target = float((n_positives + 1) / (n_positives + 2))
    return CalibrationData(
        held_out, floor, prevalence, float(mean), scale, negative_target, positive_target
    )
