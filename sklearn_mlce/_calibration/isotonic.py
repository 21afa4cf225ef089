r"""Isotonic regressions of each label, drawn towards its sigmoid.

A label with :math:`n` positives gets :math:`(n\, h(s) + k\, \sigma(a s + b)) / (n + k)`, where
:math:`h` is its isotonic regression and the sigmoid the one that is itself drawn towards the
shared one. The mixture rises strictly and stays inside of (0, 1), which :math:`h` does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit
from sklearn.isotonic import IsotonicRegression

from sklearn_mlce._calibration.cells import Cells
from sklearn_mlce._calibration.sigmoid import SigmoidMap, fit_sigmoids

# Positives of a label at which its isotonic regression and its sigmoid weigh the same. Chosen by
# benchmarks/calibrators.py.
ISOTONIC_SHRINKAGE = 100.0


@dataclass(frozen=True)
class IsotonicMap:
    """Mixtures of a step-like map and a sigmoid."""

    sigmoids: SigmoidMap
    shares: np.ndarray  # (L,) of the isotonic regression in the mixture, below 1
    knots: list[tuple[np.ndarray, np.ndarray]]  # its scores and probabilities, of each label

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """Log-odds of scores ``(n, L)``."""
        log_odds = self.sigmoids.log_odds(scores)
        for label in np.flatnonzero(self.shares):
            share, own = self.shares[label], np.interp(scores[:, label], *self.knots[label])
            with np.errstate(divide="ignore"):  # a share of nothing
                parts = np.log(share * np.stack([own, 1 - own]))
            rest = np.log1p(-share) + log_expit([log_odds[:, label], -log_odds[:, label]])
            positive, negative = np.logaddexp(parts, rest)
            log_odds[:, label] = positive - negative
        return log_odds


def fit_isotonic(cells: Cells, shrinkage: float = ISOTONIC_SHRINKAGE) -> IsotonicMap:
    """An isotonic regression for each label, drawn towards its sigmoid."""
    held_out = cells.held_out
    weight, masses = held_out.row_weight(), held_out.positives.tocsc()
    counts, knots = np.zeros(cells.n_labels), []
    for label in range(cells.n_labels):
        taken = np.isfinite(held_out.scores[:, label])
        mass = masses[:, [label]].toarray()[taken, 0]
        counts[label] = weight[taken] @ mass
        scores = held_out.scores[taken, label].astype(np.float64)
        knots.append(_knots(scores, mass, weight[taken]) if counts[label] else _NONE)
    return IsotonicMap(fit_sigmoids(cells), counts / (counts + shrinkage), knots)


_NONE = (np.zeros(0), np.zeros(0))


def _knots(
    scores: np.ndarray, masses: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    fitted = IsotonicRegression(y_min=0, y_max=1).fit(scores, masses, sample_weight=weight)
    return fitted.X_thresholds_, fitted.y_thresholds_
