"""Data that maps are fitted on: standardised held-out scores, with Platt's targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sklearn_mlce.model_selection._f_measure import HeldOut


@dataclass(frozen=True)
class CalibrationData:
    """Held-out scores, standardised over all cells that take part, with Platt's targets.

    A score of -inf in `held_out` stands for a cell that takes no part. Platt's targets lie the
    further inside of 0 and 1 the fewer cells of their kind there are, so that no map becomes a
    step.
    """

    held_out: HeldOut
    mean: float
    scale: float
    negative_target: float
    positive_target: float

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return self.held_out.scores.shape[1]

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Standardised scores, targets and weights of blocks of rows, ``(rows, L)`` each."""
        negative, positive = self.negative_target, self.positive_target
        for scores, labels, weight in _blocks(self.held_out):
            targets = negative + (positive - negative) * labels
            yield (scores - self.mean) / self.scale, targets, weight


def calibration_data(held_out: HeldOut) -> CalibrationData | None:
    """Standardise held-out scores; None if no cell takes part."""
    total, n_positives, first, second = np.zeros(4)
    for scores, labels, weight in _blocks(held_out):
        total += weight.sum()
        n_positives += (weight * labels).sum()
        first += (weight * scores).sum()
    if total == 0:
        return None
    mean = first / total
    for scores, _, weight in _blocks(held_out):
        second += (weight * (scores - mean) ** 2).sum()
    scale = float(np.sqrt(second / total)) or 1.0
    negative_target = float(1 / (total - n_positives + 2))
    positive_target = float((n_positives + 1) / (n_positives + 2))
    return CalibrationData(held_out, float(mean), scale, negative_target, positive_target)


def _blocks(held_out: HeldOut) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Scores, labels and weights of blocks of rows; weight 0 where a cell takes no part."""
    row_weight = held_out.row_weight()
    for block in held_out.row_blocks():
        scores = held_out.scores[block].astype(np.float64)
        taken = np.isfinite(scores)
        labels = held_out.positives[block].toarray()
        yield np.where(taken, scores, 0.0), labels, row_weight[block, None] * taken
