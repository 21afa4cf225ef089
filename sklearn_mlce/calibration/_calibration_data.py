"""Data that maps are fitted on: standardised held-out scores, with Platt's targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import logit

from sklearn_mlce.model_selection._f_measure import HeldOut


class CellBlock(NamedTuple):
    """Cells of a block of the held-out scores, float64, each array of the same shape."""

    scores: np.ndarray  # 0 where the weight is 0
    targets: np.ndarray
    weight: np.ndarray  # 0 where a cell takes no part


@dataclass(frozen=True)
class CalibrationData:
    """Held-out scores, standardised over all cells that take part, with Platt's targets.

    A score of -inf in `held_out` stands for a cell that takes no part. Platt's targets lie the
    further inside of 0 and 1 the fewer cells of their kind there are, so that no map becomes a
    step. Cells are read, converted and standardised a block at a time.
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

    @cached_property
    def _by_label(self) -> HeldOut:
        return self.held_out.by_label()

    def row_block(self, rows: slice) -> CellBlock:
        """Cells ``(rows, L)`` of a slice of the rows."""
        weight = self.held_out.row_weight()[rows, None]
        return self._read(self.held_out, rows, weight, self.prevalence)

    def label_blocks(self) -> Iterator[tuple[slice, CellBlock]]:
        """Slices of the labels, and the cells ``(labels, n)`` of each."""
        weight = self.held_out.row_weight()
        for labels in self._by_label.row_blocks():
            prevalence = None if self.prevalence is None else self.prevalence[labels, None]
            yield labels, self._read(self._by_label, labels, weight, prevalence)

    def standardised(self, cells: CellBlock) -> CellBlock:
        """Cells with standardised scores and Platt's targets."""
        targets = self.negative_target + (self.positive_target - self.negative_target) * (
            cells.targets
        )
        return CellBlock((cells.scores - self.mean) / self.scale, targets, cells.weight)

    def _read(
        self, held_out: HeldOut, block: slice, weight: np.ndarray, prevalence: np.ndarray | None
    ) -> CellBlock:
        """Cells of a block of rows, or of labels where the scores are transposed."""
        scores = np.ascontiguousarray(held_out.scores[block])
        taken = np.isfinite(scores)
        scores = np.where(taken, as_scores(scores, self.floor), 0.0)
        targets = sp.csr_array(held_out.positives[block]).toarray()
        if prevalence is not None:
            targets = np.where(np.isnan(prevalence), targets, prevalence)
        return CellBlock(scores, targets, weight * taken)


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
    for rows in held_out.row_blocks():
        scores, targets, weight = data.row_block(rows)
        total += weight.sum()
        n_positives += (weight * targets).sum()
        first += (weight * scores).sum()
    if total == 0:
        return None
    mean = first / total
    for rows in held_out.row_blocks():
        scores, _, weight = data.row_block(rows)
        second += (weight * (scores - mean) ** 2).sum()
    scale = float(np.sqrt(second / total)) or 1.0
    negative_target = float(1 / (total - n_positives + 2))
    positive_target = float((n_positives + 1) / (n_positives + 2))
    return CalibrationData(
        held_out, floor, prevalence, float(mean), scale, negative_target, positive_target
    )
