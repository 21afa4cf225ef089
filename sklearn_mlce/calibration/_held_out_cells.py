"""What maps are fitted on: the scores of held-out cells beside their targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sklearn_mlce._targets.targets import (
    Targets,
    constant_label_scores,
    is_trainable,
    weighted_label_counts,
)
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._out_of_fold import held_out_of, without


@dataclass(frozen=True)
class Cells:
    """Held-out scores, standardised over all cells that take part, and their targets.

    A score of -inf in `held_out` stands for a cell that takes no part. Targets are Platt's: so
    far inside of 0 and 1 as the cells of either kind are few, so that no map becomes a step.
    """

    held_out: HeldOut
    centre: float
    spread: float
    negative: float  # target of a cell that does not carry its label
    positive: float  # ... that does

    @property
    def n_labels(self) -> int:
        """Number of labels."""
        return self.held_out.scores.shape[1]

    def blocks(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Standardised scores, targets and weights of blocks of rows, ``(rows, L)`` each."""
        for scores, masses, weight in _blocks(self.held_out):
            targets = self.negative + (self.positive - self.negative) * masses
            yield (scores - self.centre) / self.spread, targets, weight


def cells_of(held_out: HeldOut) -> Cells | None:
    """Cells of held-out rows; None if not one takes part."""
    total, mass, first, second = np.zeros(4)
    for scores, masses, weight in _blocks(held_out):
        total += weight.sum()
        mass += (weight * masses).sum()
        first += (weight * scores).sum()
    if total == 0:
        return None
    centre = first / total
    for scores, _, weight in _blocks(held_out):
        second += (weight * (scores - centre) ** 2).sum()
    spread = float(np.sqrt(second / total)) or 1.0
    positive = (mass + 1) / (mass + 2)
    return Cells(held_out, float(centre), spread, 1 / (total - mass + 2), float(positive))


def _blocks(held_out: HeldOut) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    row_weight = held_out.row_weight()
    for block in held_out.row_blocks():
        scores = held_out.scores[block].astype(np.float64)
        taken = np.isfinite(scores)
        masses = held_out.positives[block].toarray()
        yield np.where(taken, scores, 0.0), masses, row_weight[block, None] * taken


def held_out_cells(
    targets: Targets,
    rows: np.ndarray,
    scores: list[np.ndarray],
    learned: list[np.ndarray],
    sample_weight: np.ndarray | None,
) -> HeldOut:
    """Scores of rows, part by part, beside their targets.

    Unknown targets, labels that a part's estimator has not learned ``(L,)``, and the fixed scores
    by which our own estimators say so, are set to -inf.
    """
    parts = [
        without(~known | ~is_trainable(part), part)
        for known, part in zip(learned, scores, strict=True)
    ]
    return held_out_of(targets, rows, np.concatenate(parts), sample_weight)


def learned_labels(
    targets: Targets, rows: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Mask ``(L,)`` of the labels that some of the rows carry and some do not."""
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    return np.isnan(constant_label_scores(targets.index_rows(rows)))


def shares(targets: Targets, sample_weight: np.ndarray | None) -> np.ndarray:
    r"""Share ``(L,)`` of the rows that carry a label, :math:`(n_1 + 1/2) / (n + 1)`: not 0 or 1.

    Unknown rows are left out, unless there are no others: such a label counts as never carried.
    """
    weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
    positive, negative = weighted_label_counts(targets, weight)
    known = positive + negative
    return (positive + 0.5) / (np.where(known > 0, known, weight.sum()) + 1)
