"""Strengths of a penalty that is weaker for the features that go with a label.

A feature and a label go together where the statistic of a score test is far from zero. It is the
gradient of the label's log-likelihood at constant scores, over its standard deviation if the two
have nothing to do with each other. Weights of labels and the loss play no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.target_tensors import dense_matrix, encode
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.standardisation import column_moments
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.tensors import dense_tensor

# Chosen out of fold, on training rows of six sets (benchmarks/results/association.md).
_EXPONENT = 0.35  # of 1 + z ** 2, by which the penalty is divided
# Rows with both, added to the variance of their number: one of them alone is no proof.
_ADDED_ENTRIES = 0.5


@dataclass(frozen=True)
class Association:
    """What the strengths of all labels need to know of the features.

    Parameters
    ----------
    sizes : ndarray of shape (n_features,)
        Root of the fourth moment over the second: 1 of a rare feature of zeros and ones, and of a
        constant one.
    frequencies : ndarray of shape (n_features,)
        Second moment over the squared size: the share of ones of a rare feature of zeros and ones.
    shares : ndarray of shape (n_features,)
        Of each feature in the mean squared distance of the rows.
    total_weight : float
        Sum of the sample weights: a weight counts rows.
    """

    sizes: np.ndarray
    frequencies: np.ndarray
    shares: np.ndarray
    total_weight: float

    @classmethod
    def of_rows(
        cls, X: Any, row_weight: np.ndarray, total_weight: float, *, centred: bool
    ) -> Association:
        """Measure the features of weighted rows, about their means or about zero."""
        with np.errstate(over="ignore", invalid="ignore"):  # the design refuses such features
            second, kurtosis = column_moments(X, row_weight, centred=centred)
            sizes = np.where(second > 0, np.sqrt(second * kurtosis), 1.0)
            shares = second / (second.max() or 1.0)  # sums of large ones overflow
            return cls(sizes, 1 / kurtosis, shares / (shares.sum() or 1.0), total_weight)

    def strengths(self, design: Design, targets: Targets, row_weight: Tensor, l2: float) -> Tensor:
        r"""Strength of the penalty of each coefficient.

        It is :math:`\lambda c (1 + z^2)^{-0.35}` with the statistic :math:`z` of the feature and
        the label. The factor :math:`c` of the label leaves the mean squared distance of the rows as
        it is, where a weaker penalty is seen as a larger feature.

        Parameters
        ----------
        design : Design
            The features.
        targets : Targets
            Those of the labels; unknown ones take no part.
        row_weight : Tensor of shape (n_rows,)
            Weights of the rows, which sum to one.
        l2 : float
            Strength :math:`\lambda` where no feature goes with a label.

        Returns
        -------
        Tensor of shape (n_features, n_labels)
        """
        sizes, frequencies, shares = (
            dense_tensor(part, row_weight.device).to(row_weight.dtype)[:, None]
            for part in (self.sizes, self.frequencies, self.shares)
        )
        deviation, label_variances = _deviations(targets, row_weight)
        covariance = design.transposed(deviation)[: design.n_features].mul_(self.total_weight)
        variances = frequencies * (self.total_weight * label_variances) + _ADDED_ENTRIES
        statistic = covariance.div_(sizes).div_(variances.sqrt_())
        gain = statistic.square_().add_(1).pow_(_EXPONENT)
        distance = torch.sum(shares * gain, dim=0)  # 1 without gain
        gain.div_(torch.where(distance > 0, distance, 1.0))
        return gain.reciprocal_().mul_(l2)


def _deviations(targets: Targets, row_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted targets less their means ``(n_rows, L)``, and their variances ``(L,)``.

    Variances are times the weight of the known rows. They are those of targets that are drawn: a
    soft one of p counts as p positives and 1 - p negatives.
    """
    encoded = encode(targets, np.dtype(np.float64), row_weight.device)
    y = dense_matrix(encoded, targets.n_outputs).to(row_weight.dtype)
    weight = torch.where(y.isnan(), 0.0, row_weight[:, None])
    known = weight.sum(dim=0)
    y.nan_to_num_(nan=0.0)
    mean = torch.sum(weight * y, dim=0).div_(known.clamp(min=torch.finfo(y.dtype).tiny))
    return y.sub_(mean).mul_(weight), known * mean * (1 - mean)
