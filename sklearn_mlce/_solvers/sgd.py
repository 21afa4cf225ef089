r"""Mini-batch stochastic gradient descent for linear models.

The objective is the exact solver's: with row weights :math:`w_r` of mean one,

.. math:: F(W, b) = \frac{1}{n} \sum_r w_r\, \ell_r(W^T (x_r - \mu) + b)
    + \frac{\lambda}{2} \|W\|_F^2.

For the rows of a batch :math:`B`, of weight :math:`w_B = \sum_{r \in B} w_r`, and the gradient
:math:`G` (a row :math:`w_r \nabla \ell_r` for each of them) the step is

.. math::

    W \leftarrow \frac{W - \eta_t \sum_{r \in B} (x_r - \mu) G_r^T}{1 + \eta_t \lambda w_B},
    \qquad b \leftarrow b - \beta\, \frac{\eta_t}{\eta_0} \sum_{r \in B} G_r,

the penalty being taken at the new coefficients, where no strength of it can overshoot. The step
:math:`\eta_0 = s / (\kappa \rho)` follows from a bound :math:`\kappa` of the curvature of a row's
loss and from the largest eigenvalue :math:`\rho` of the batch's Gram matrix, so that it needs no
tuning; :math:`\beta` is an entry per label, from the curvature in its intercept.

References
----------
.. [1] Bottou, "Stochastic Gradient Descent Tricks", in Neural Networks: Tricks of the Trade,
   https://doi.org/10.1007/978-3-642-35289-8_25, 2012.
.. [2] Shalev-Shwartz, Singer, Srebro, Cotter, "Pegasos: Primal Estimated sub-GrAdient SOlver for
   SVM", https://doi.org/10.1007/s10107-010-0420-4, 2011 (a factor in place of shrinking all
   coefficients).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.first_order import BatchLoss
from sklearn_mlce._solvers.centred_weights import CentredWeights
from sklearn_mlce._solvers.row_batches import RowBatch, RowBatches


class Steps(NamedTuple):
    """Sizes of the steps."""

    first: float  # eta_0
    of_intercepts: Tensor  # (L,), beta
    share: Callable[[int], float]  # of the first step, at the number of a batch from 0


def linearly_to_zero(n_steps: int) -> Callable[[int], float]:
    """Shares of the first step that end at zero after ``n_steps``."""
    return lambda number: 1 - number / n_steps


class StochasticDescent:
    """Passes over batches, from some parameters on.

    Parameters
    ----------
    weights : CentredWeights
        First parameters; they are moved in place.
    loss : BatchLoss
        The loss of a row.
    steps : Steps
        Sizes of the steps.
    n_steps : int, default=0
        Steps made before.
    """

    def __init__(
        self, weights: CentredWeights, loss: BatchLoss, steps: Steps, n_steps: int = 0
    ) -> None:
        self.weights, self._loss, self._steps = weights, loss, steps
        self.n_steps = n_steps

    def epoch(self, batches: RowBatches, order: np.ndarray, l2: float) -> float:
        """Pass over all rows in an order; returns the mean objective met on the way.

        Raises
        ------
        ValueError
            If the loss becomes infinite or NaN.
        """
        total: Tensor | None = None
        total_weight = 0.0
        for batch in batches.epoch(order):
            values = self._step(batch, l2)
            total = values if total is None else total.add_(values)
            total_weight += batch.total_weight
        mean = float(total) / total_weight if total is not None else 0.0
        objective = mean + l2 / 2 * self.weights.squared_norm()
        if not math.isfinite(objective):
            raise ValueError(
                f"the loss became {objective} after {self.n_steps} steps of solver='sgd'; expected "
                "it to stay finite. Scale the features, as StandardScaler and MaxAbsScaler do, "
                "bound sample_weight, or, where the loss is convex, set solver='newton-cg'. A loss "
                "of your own has to pass over targets that are NaN"
            )
        return objective

    def _step(self, batch: RowBatch, l2: float) -> Tensor:
        """One step; returns the sum of the losses before it, as float64."""
        scores = self.weights.scores(batch.features)
        values, gradient = self._loss(scores, batch.targets, batch.weight)
        share = self._steps.share(self.n_steps)
        rate = self._steps.first * share
        sums = self.weights.step(batch.features, gradient, rate, rate * l2 * batch.total_weight)
        if sums is not None:
            self.weights.intercepts.addcmul_(self._steps.of_intercepts, sums, value=-share)
        self.n_steps += 1
        return values.sum(dtype=torch.float64)
