r"""Maps of scores to log-odds: a sigmoid for all labels, one for each, isotonic mixtures.

With targets :math:`t` and scores :math:`s`, the shared map :math:`\sigma(a_0 s + b_0)` minimises
the log-loss of all cells. The map of a label minimises

.. math:: \sum -t \log p - (1 - t) \log (1 - p) + \frac{k}{2}\, d^T M d, \qquad
          d = (a - a_0, b - b_0), \quad p = \sigma(a s + b)

over its own cells, where :math:`M` is the Hessian of the shared loss, divided so that its entry
of the intercept is 1. A cell adds :math:`p (1 - p)` to that entry, and a label with :math:`n`
positives, most of whose cells are sure negatives, at most about :math:`n`: its own cells and the
shared map weigh the same at :math:`n \approx k`. Scores in other units give the same maps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_expit
from sklearn.isotonic import IsotonicRegression

from sklearn_mlce.calibration._calibration_data import CalibrationData
from sklearn_mlce.calibration._newton import minimise

# Positives of a label at which its isotonic regression and its sigmoid weigh the same. Chosen by
# benchmarks/calibrators.py.
ISOTONIC_SHRINKAGE = 100.0


# Positives of a label at which its own cells and the shared map weigh the same. Chosen by
# benchmarks/calibrators.py.
SHRINKAGE = 3.0

# Least slope, on standardised scores: what keeps the order of scores that say nothing, or the
# opposite of what they should.
_LOWEST_SLOPE = 1e-3


@dataclass(frozen=True)
class SigmoidMap:
    """Log-odds that rise in a straight line with the score."""

    slopes: np.ndarray  # (L,)
    intercepts: np.ndarray  # (L,)

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """Log-odds of scores ``(n, L)``."""
        return self.slopes * scores + self.intercepts


@dataclass(frozen=True)
class IsotonicMap(SigmoidMap):
    """Mixture of a sigmoid and an isotonic regression for each label."""

    isotonic_weight: np.ndarray  # (L,) of the regression in the mixture, below 1
    knots: np.ndarray  # (2, K): scores and probabilities of all regressions, label by label
    starts: np.ndarray  # (L + 1,): those of label l are knots[:, starts[l] : starts[l + 1]]

    def log_odds(self, scores: np.ndarray) -> np.ndarray:
        """Log-odds of scores ``(n, L)``."""
        log_odds = super().log_odds(scores)
        for label in np.flatnonzero(self.isotonic_weight):
            weight = self.isotonic_weight[label]
            knots = self.knots[:, self.starts[label] : self.starts[label + 1]]
            own = np.interp(scores[:, label], *knots)
            with np.errstate(divide="ignore"):  # a probability of 0
                isotonic = np.log(weight * np.stack([own, 1 - own]))
            sigmoid = np.log1p(-weight) + log_expit([log_odds[:, label], -log_odds[:, label]])
            positive, negative = np.logaddexp(isotonic, sigmoid)
            log_odds[:, label] = positive - negative
        return log_odds


def fit_scale(data: CalibrationData) -> SigmoidMap:
    """One sigmoid for all labels."""
    return _of_raw_scores(data, _fit_shared(data))


def fit_sigmoids(data: CalibrationData, shrinkage: float = SHRINKAGE) -> SigmoidMap:
    """A sigmoid for each label, drawn towards the one for all."""
    shared = _fit_shared(data)
    hessian = _sums(data, shared).sum(axis=1)[3:]
    slope, both, intercept = shrinkage * hessian / hessian[2]

    def objective(point: np.ndarray) -> np.ndarray:
        d_slope, d_intercept = point - shared
        pull_slope = slope * d_slope + both * d_intercept
        pull_intercept = both * d_slope + intercept * d_intercept
        sums = _sums(data, point)
        sums[0] += (d_slope * pull_slope + d_intercept * pull_intercept) / 2
        sums[1:3] += pull_slope, pull_intercept
        sums[3:] += np.array([[slope], [both], [intercept]])
        return sums

    start = np.repeat(shared, data.n_labels, axis=1)
    return _of_raw_scores(data, minimise(objective, start, _LOWEST_SLOPE))


def _fit_shared(data: CalibrationData) -> np.ndarray:
    """Slope and intercept ``(2, 1)``, on standardised scores, that serve all cells best."""

    def objective(point: np.ndarray) -> np.ndarray:
        return _sums(data, point).sum(axis=1, keepdims=True)

    start = np.array([[1.0], [0.0]])
    return minimise(objective, start, _LOWEST_SLOPE)


def _sums(data: CalibrationData, point: np.ndarray) -> np.ndarray:
    """Log-loss of each label, its gradient and its Hessian ``(6, L)`` (see `minimise`)."""
    slopes, intercepts = point
    sums = np.zeros((6, data.n_labels))
    for scores, targets, weight in data.blocks():
        log_odds = slopes * scores + intercepts
        p = expit(log_odds)
        sums[0] -= (weight * (log_expit(-log_odds) + targets * log_odds)).sum(axis=0)
        residual = weight * (p - targets)
        curvature = weight * p * (1 - p)
        sums[1] += np.einsum("ij,ij->j", residual, scores)
        sums[2] += residual.sum(axis=0)
        sums[5] += curvature.sum(axis=0)
        curvature *= scores
        sums[4] += curvature.sum(axis=0)
        sums[3] += np.einsum("ij,ij->j", curvature, scores)
    return sums


def _of_raw_scores(data: CalibrationData, point: np.ndarray) -> SigmoidMap:
    slopes, intercepts = np.broadcast_to(point, (2, data.n_labels))
    slopes = slopes / data.scale
    return SigmoidMap(slopes, intercepts - slopes * data.mean)


def fit_isotonic(data: CalibrationData, shrinkage: float = ISOTONIC_SHRINKAGE) -> IsotonicMap:
    """An isotonic regression for each label, drawn towards its sigmoid."""
    held_out = data.held_out
    weight, positives = held_out.row_weight(), held_out.positives.tocsc()
    counts, knots = np.zeros(data.n_labels), [np.zeros((2, 0))] * data.n_labels
    for label in range(data.n_labels):
        taken = np.isfinite(held_out.scores[:, label])
        targets = positives[:, [label]].toarray()[taken, 0]
        counts[label] = weight[taken] @ targets
        if counts[label]:
            scores = held_out.scores[taken, label].astype(np.float64)
            fitted = IsotonicRegression(y_min=0, y_max=1)
            fitted.fit(scores, targets, sample_weight=weight[taken])
            knots[label] = np.stack([fitted.X_thresholds_, fitted.y_thresholds_])
    starts = np.cumsum([0, *(part.shape[1] for part in knots)])
    isotonic_weight = counts / (counts + shrinkage)
    sigmoids = fit_sigmoids(data)
    return IsotonicMap(
        **vars(sigmoids), isotonic_weight=isotonic_weight, knots=np.hstack(knots), starts=starts
    )


FITS: dict[str, Callable[[CalibrationData], SigmoidMap]] = {
    "sigmoid": fit_sigmoids,
    "isotonic": fit_isotonic,
    "scale": fit_scale,
}
