"""Scores of the best model without features: where solvers and networks start.

At zero a large scale leaves every label's loss on its linear part, far from where it bends, and
solvers crawl. The scores that balance each label's positives against its negatives are known at
the price of the targets alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_mlce._targets.targets import Targets, label_masses


class LabelCounts(NamedTuple):
    """Weighted numbers of the rows of a fit."""

    positive: np.ndarray  # (n_outputs,), float64: of the rows that carry each label or class
    negative: np.ndarray  # (n_outputs,): of the rows that do not
    total: float  # of all rows

    @classmethod
    def of(cls, targets: Targets, sample_weight: np.ndarray | None) -> LabelCounts:
        """Counts of the labels of some rows, each row with its weight."""
        weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
        weight = weight.astype(np.float64)
        positive, negative = label_masses(targets, weight)
        return cls(positive, negative, float(weight.sum()))

    def bounded(self, rarest: float) -> LabelCounts:
        """Counts of the known rows with frequencies within ``[rarest, 1 - rarest]``.

        A label of which nothing is known has the frequency one half.
        """
        total = self.positive + self.negative
        half = np.full(len(total), 0.5)
        frequency = np.divide(self.positive, total, out=half, where=total > 0)
        frequency = np.clip(frequency, rarest, 1 - rarest)
        return LabelCounts(self.total * frequency, self.total * (1 - frequency), self.total)


def logistic_constant_scores(
    counts: LabelCounts, scale: float, margins: tuple[float, float]
) -> np.ndarray:
    r"""Constant score of least logistic loss of each label, ``(n_labels,)``, float64.

    With the counts :math:`P` and :math:`N` of a label's positive and negative rows, the derivative
    of :math:`N \log(1 + e^{\gamma (b + m_0)}) + P \log(1 + e^{-\gamma (b - m_1)})` vanishes where

    .. math::

        N v^2 + (N - P) e^h v - P = 0, \quad v = e^{\gamma (b - (m_1 - m_0) / 2)}, \quad
        h = \gamma (m_0 + m_1) / 2,

    a quadratic with one positive root, taken in logarithms as :math:`h` may be large. Without
    margins :math:`\gamma b = \log(P / N)`.
    """
    positive, negative, _ = counts
    h, half_difference = scale * sum(margins) / 2, (margins[1] - margins[0]) / 2
    with np.errstate(divide="ignore"):  # as many positive as negative rows
        log_gap = np.log(np.abs(positive - negative))
    log_root = np.logaddexp(2 * log_gap, np.log(4 * positive * negative) - 2 * h) / 2
    log_sum = np.logaddexp(log_gap, log_root) + h
    # Of the two forms of the root, the one whose sum does not cancel.
    rare, frequent = np.log(2 * positive) - log_sum, log_sum - np.log(2 * negative)
    return np.where(positive < negative, rare, frequent) / scale + half_difference
