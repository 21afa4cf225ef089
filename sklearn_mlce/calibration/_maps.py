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
from functools import partial
from typing import Any

import numpy as np
from scipy.special import log_expit
from sklearn.isotonic import IsotonicRegression
from sklearn.utils import gen_batches

from sklearn_mlce._utils.rows import rows_that_fit
from sklearn_mlce.calibration._calibration_data import CalibrationData, CellBlock
from sklearn_mlce.calibration._newton import minimise, warn_not_converged

# Positives of a label at which its isotonic regression and its sigmoid weigh the same. Chosen by
# benchmarks/calibrators.py.
ISOTONIC_SHRINKAGE = 100.0


# Positives of a label at which its own cells and the shared map weigh the same. Chosen by
# benchmarks/calibrators.py.
SHRINKAGE = 3.0

# Least slope, on standardised scores: what keeps the order of scores that say nothing, or the
# opposite of what they should.
_LOWEST_SLOPE = 1e-3

# Cells that are summed up at a time, so that a core's cache holds them.
_CELLS_AT_A_TIME = 2**14

# Where there are more cells, a part of the rows leads the way for the shared map.
_CELLS_WITHOUT_SAMPLE = 2**22
_ROWS_PER_SAMPLE = 16


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
    hessian = _pooled_sums(data, np.zeros((2, 1)), shared)[3:]
    pull = shrinkage * hessian / hessian[2]
    points, n_left = np.empty((2, data.n_labels)), 0
    for labels in data.label_blocks:
        cells = data.of_labels(labels)
        of_targets = _target_sums(cells, data.targets_of_labels(labels))
        functions = partial(_drawn_sums, cells, of_targets, shared, pull)
        start = np.repeat(shared, len(cells.scores), axis=1)
        points[:, labels], n_left_of_block = minimise(functions, start, _LOWEST_SLOPE)
        n_left += n_left_of_block
    warn_not_converged(n_left, data.n_labels)
    return _of_raw_scores(data, points)


def _fit_shared(data: CalibrationData) -> np.ndarray:
    """Slope and intercept ``(2, 1)``, on standardised scores, that serve all cells best."""
    point = np.array([[1.0], [0.0]])
    samples = [data]
    if data.held_out.scores.size > _CELLS_WITHOUT_SAMPLE:  # few steps on all rows are enough then
        samples = [data.every(_ROWS_PER_SAMPLE), data]
    for sample in samples:
        of_targets = np.zeros((2, 1))
        for rows in sample.row_blocks:
            of_targets += _target_sums(_pooled(sample.of_rows(rows)), sample.targets_of_rows(rows))
        functions = partial(_pooled_sums, sample, of_targets)
        point, n_left = minimise(functions, point, _LOWEST_SLOPE)
    warn_not_converged(n_left, 1)
    return point


def _pooled(cells: CellBlock) -> CellBlock:
    """The cells as those of one group."""
    scores, weight = cells
    return CellBlock(scores.reshape(1, -1), None if weight is None else weight.reshape(1, -1))


def _target_sums(cells: CellBlock, targets: np.ndarray) -> np.ndarray:
    """Weighted sums ``(2, G)`` of the targets of G groups, times the scores and alone."""
    weighted = cells.weighted(targets.reshape(cells.scores.shape))
    return np.stack([np.einsum("ij,ij->i", weighted, cells.scores), weighted.sum(axis=1)])


def _pooled_sums(
    data: CalibrationData, of_targets: np.ndarray, point: np.ndarray, _: Any = None
) -> np.ndarray:
    """Log-loss of all cells, its derivatives ``(6, 1)`` (see `minimise`)."""
    sums = np.zeros((6, 1))
    for rows in data.row_blocks:
        sums += _softplus_sums(_pooled(data.of_rows(rows)), point, np.zeros(1, dtype=np.intp))
    return _log_loss(sums, of_targets, point)


def _drawn_sums(
    cells: CellBlock,
    of_targets: np.ndarray,
    shared: np.ndarray,
    pull: np.ndarray,
    point: np.ndarray,
    labels: np.ndarray,
) -> np.ndarray:
    """Log-loss of labels and what draws them, its derivatives ``(6, labels)`` (see `minimise`)."""
    slope, both, intercept = pull
    d_slope, d_intercept = point - shared
    pull_slope = slope * d_slope + both * d_intercept
    pull_intercept = both * d_slope + intercept * d_intercept
    sums = _log_loss(_softplus_sums(cells, point, labels), of_targets[:, labels], point)
    sums[0] += (d_slope * pull_slope + d_intercept * pull_intercept) / 2
    sums[1:3] += pull_slope, pull_intercept
    sums[3:] += pull
    return sums


def _log_loss(sums: np.ndarray, of_targets: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Log-loss and its derivatives, of those of softplus: that of a cell is softplus(z) - t z."""
    sums[0] -= (point * of_targets).sum(axis=0)
    sums[1:3] -= of_targets
    return sums


def _softplus_sums(cells: CellBlock, point: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Sums ``(6, groups)`` of softplus of the log-odds, by rows of the cells (see `minimise`)."""
    n_cells, sums = cells.scores.shape[1], np.zeros((6, len(groups)))
    for part in gen_batches(len(groups), rows_that_fit(n_cells, _CELLS_AT_A_TIME)):
        for places in gen_batches(n_cells, _CELLS_AT_A_TIME):
            few = cells.part(groups[part], places)
            sums[:, part] += _softplus_sums_of_few(few, point[:, part])
    return sums


def _softplus_sums_of_few(cells: CellBlock, point: np.ndarray) -> np.ndarray:
    slopes, intercepts = point[:, :, None]
    log_odds = slopes * cells.scores + intercepts
    small = np.exp(-np.abs(log_odds))  # the odds, or their inverse where they are above 1
    large_p = 1 / (1 + small)  # the probability, or that of the opposite
    small_p = small * large_p
    p = cells.weighted(np.where(log_odds < 0, small_p, large_p))
    softplus = cells.weighted(np.maximum(log_odds, 0) - np.log(large_p))
    curvature = cells.weighted(small_p * large_p)
    sloped = curvature * cells.scores
    return np.stack(
        [
            softplus.sum(axis=1),
            np.einsum("ij,ij->i", p, cells.scores),
            p.sum(axis=1),
            np.einsum("ij,ij->i", sloped, cells.scores),
            sloped.sum(axis=1),
            curvature.sum(axis=1),
        ]
    )


def _of_raw_scores(data: CalibrationData, point: np.ndarray) -> SigmoidMap:
    slopes, intercepts = np.broadcast_to(point, (2, data.n_labels))
    slopes = slopes / data.scale
    return SigmoidMap(slopes, intercepts - slopes * data.mean)


def fit_isotonic(data: CalibrationData, shrinkage: float = ISOTONIC_SHRINKAGE) -> IsotonicMap:
    """An isotonic regression for each label, drawn towards its sigmoid."""
    counts, knots = np.zeros(data.n_labels), [np.zeros((2, 0))] * data.n_labels
    given = data.as_given()
    for labels in data.label_blocks:
        cells, targets = given.of_labels(labels), given.targets_of_labels(labels)
        weight = np.ones(cells.scores.shape) if cells.weight is None else cells.weight
        for label in range(labels.start, labels.stop):
            row = label - labels.start
            taken = weight[row] > 0
            own_weight, own_targets = weight[row, taken], targets[row, taken]
            counts[label] = own_weight @ own_targets
            if counts[label]:
                fitted = IsotonicRegression(y_min=0, y_max=1)
                fitted.fit(cells.scores[row, taken], own_targets, sample_weight=own_weight)
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
