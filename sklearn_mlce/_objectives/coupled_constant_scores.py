"""Constant scores of least MLCE, which couples the labels of a row.

The condition of a label depends on the sums over the other labels of its rows. With these held
fixed it is solved label by label, which never increases the loss (the logarithms are below their
tangents), and all scores are shifted together, the direction in which that is slow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from sklearn_mlce._targets.targets import LabelCounts, Targets

# Rows whose sums over labels are taken; the counts of labels are those of all rows.
_MAX_ROWS = 5_000
_MAX_DENSE_ENTRIES = 2**22
_MAX_SHIFT_ROWS = 1_000
_MAX_SWEEPS = 20
_SHIFTED_SWEEPS = 5
_BISECTIONS = 40
# Scores this near, in units of an exponent, are as good a start as the optimum.
_NEAR = 1e-3
_TINY = 1e-300


class Exponents(NamedTuple):
    """Exponents of constant scores on either side of the loss."""

    scale: float
    margins: tuple[float, float]
    log_weight: np.ndarray  # (L,), of the labels

    def at(self, scores: np.ndarray, sign: int) -> np.ndarray:
        """Exponents ``(L,)`` on the negatives' (+1) or the positives' (-1) side."""
        margin = self.margins[0 if sign > 0 else 1]
        return sign * self.scale * (scores + sign * margin) + self.log_weight

    def balanced(self, log_negative: np.ndarray, log_positive: np.ndarray) -> np.ndarray:
        """Scores ``(L,)`` at which exponent plus ``log_...`` is the same on both sides."""
        half_difference = (self.margins[1] - self.margins[0]) / 2
        return (log_positive - log_negative) / (2 * self.scale) + half_difference

    def bound(self, counts: LabelCounts) -> float:
        """Bound of a shift of all scores."""
        ratio = np.log(counts.positive) - np.log(counts.negative)
        return 2 * max(map(abs, self.margins)) + (100 + float(np.abs(ratio).max())) / self.scale


class _TargetWeights:
    """How much each row carries each label on one side: 0, 1 or, where soft, between."""

    def __init__(self, matrix: Any, complement: bool) -> None:
        self._matrix = matrix  # (n, L)
        self._transposed = matrix.T.tocsr() if sp.issparse(matrix) else matrix.T
        self._complement = complement  # the others than in the matrix

    def sum_labels(self, label_values: np.ndarray) -> np.ndarray:
        """Sums ``(n,)`` over the labels of each row."""
        sums = self._matrix @ label_values
        return np.maximum(label_values.sum() - sums, 0) if self._complement else sums

    def sum_rows(self, row_values: np.ndarray) -> np.ndarray:
        """Sums ``(L,)`` over the rows of each label."""
        sums = self._transposed @ row_values
        return np.maximum(row_values.sum() - sums, 0) if self._complement else sums


class Side:
    """One log-sum of the loss over a sample of rows, at constant scores.

    Parameters
    ----------
    target_weights : _TargetWeights
        The labels of the side.
    weight : ndarray of shape (n,)
        Weights of the rows.
    counts : ndarray of shape (L,)
        Weighted number of the side's rows among all, beyond the sample too.
    """

    def __init__(
        self, target_weights: _TargetWeights, weight: np.ndarray, counts: np.ndarray
    ) -> None:
        self._target_weights, self._weight = target_weights, weight
        self._sampled = target_weights.sum_rows(weight)
        self._counts = counts

    def log_sums(self, exponents: np.ndarray) -> np.ndarray:
        """Logarithms ``(n,)`` of the sums of exponentials of each row."""
        largest = exponents.max()
        with np.errstate(divide="ignore"):  # of rows without such labels
            return np.log(self._target_weights.sum_labels(np.exp(exponents - largest))) + largest

    def shifted_gradient(self, log_sums: np.ndarray, shift: float) -> float:
        """Mean over rows of the summed derivative where every exponent is shifted."""
        return float(self._weight @ expit(log_sums + shift) / self._weight.sum())

    def log_gradient(self, exponents: np.ndarray) -> np.ndarray:
        """Logarithm of the derivative in each label's exponent, less that exponent, ``(L,)``."""
        total = np.logaddexp(0, self.log_sums(exponents))
        least = total.min()  # kept apart, or a large scale leaves nothing but zeros
        gradient = self._target_weights.sum_rows(self._weight * np.exp(least - total))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.log(np.maximum(gradient / self._sampled, _TINY)) - least
        # A label of no row of the sample: as if it were alone in its rows.
        mean = np.where(self._sampled > 0, mean, -np.logaddexp(0, exponents))
        return np.log(self._counts) + mean


def coupled_constant_scores(
    targets: Targets,
    weight: np.ndarray,
    counts: LabelCounts,
    exponents: Exponents,
    start: np.ndarray,
) -> np.ndarray:
    """Constant scores of least MLCE.

    Parameters
    ----------
    targets : Targets
        Encoded multi-label targets.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    counts : LabelCounts
        Of two labels at least, each positive.
    exponents : Exponents
        Scale, margins and label weights of the loss.
    start : ndarray of shape (n_outputs,)
        Scores to begin with.

    Returns
    -------
    ndarray of shape (n_outputs,), float64
        Finite scores, near the minimum.
    """
    scores = start
    sides = _sides(targets, weight, counts, _sample_size(targets))
    of_shift = _sides(targets, weight, counts, _MAX_SHIFT_ROWS)
    for sweep in range(_MAX_SWEEPS):
        if sweep < _SHIFTED_SWEEPS:  # rows of another sample would not let it settle
            scores = scores + _common_shift(scores, of_shift, exponents, exponents.bound(counts))
        negative, positive = (
            side.log_gradient(exponents.at(scores, sign))
            for side, sign in zip(sides, (1, -1), strict=True)
        )
        change = exponents.balanced(negative, positive) - scores
        scores = scores + change
        if np.abs(change).max() * exponents.scale < _NEAR:
            break
    return scores


def _sample_size(targets: Targets) -> int:
    if targets.positives is not None:
        return _MAX_ROWS
    return min(_MAX_ROWS, max(1, _MAX_DENSE_ENTRIES // targets.n_outputs))


def _sides(targets: Targets, weight: np.ndarray, counts: LabelCounts, n_rows: int) -> list[Side]:
    """The sides of the negatives and of the positives over evenly spaced rows."""
    rows = np.linspace(0, targets.n_rows - 1, min(n_rows, targets.n_rows)).astype(np.intp)
    sampled = targets.index_rows(rows)
    if sampled.positives is not None:
        matrix = sampled.positives.astype(np.float64)
        negatives, positives = _TargetWeights(matrix, True), _TargetWeights(matrix, False)
    else:
        assert sampled.dense is not None
        dense = sampled.dense.astype(np.float64)
        negatives = _TargetWeights(np.nan_to_num(1 - dense), False)
        positives = _TargetWeights(np.nan_to_num(dense), False)
    return [
        Side(negatives, weight[rows], counts.negative),
        Side(positives, weight[rows], counts.positive),
    ]


def _common_shift(
    scores: np.ndarray, sides: list[Side], exponents: Exponents, bound: float
) -> float:
    """The shift of all scores that balances the summed derivatives of both sides."""
    negatives, positives = sides
    of_negatives = negatives.log_sums(exponents.at(scores, 1))
    of_positives = positives.log_sums(exponents.at(scores, -1))
    low, high = -bound, bound
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        shift = exponents.scale * middle
        falls = negatives.shifted_gradient(of_negatives, shift) < positives.shifted_gradient(
            of_positives, -shift
        )
        low, high = (middle, high) if falls else (low, middle)
    return (low + high) / 2
