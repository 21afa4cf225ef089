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

from sklearn_mlce._objectives.batch_loss import BatchLoss
from sklearn_mlce._solvers.design import sum_of_rows
from sklearn_mlce._solvers.lazy_weights import CentredWeights
from sklearn_mlce._solvers.newton_cg import IterationMonitor
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.row_batches import RowBatch, RowBatches
from sklearn_mlce._solvers.step_sizes import gram_eigenvalue
from sklearn_mlce._targets.targets import weighted_label_counts
from sklearn_mlce._utils.sparse import dense_tensor


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
        values, gradient = self._loss.value_and_gradient(scores, batch.targets, batch.weight)
        share = self._steps.share(self.n_steps)
        rate = self._steps.first * share
        sums = self.weights.step(batch.features, gradient, rate, rate * l2 * batch.total_weight)
        if sums is not None:
            self.weights.intercepts.addcmul_(self._steps.of_intercepts, sums, value=-share)
        self.n_steps += 1
        return values.sum(dtype=torch.float64)


_EPOCHS = 10
_MIN_STEPS = 1000
# A batch takes a time of its own, beside that of its scores: few outputs, large batches.
_BATCH_SCORES = 2**13
_BATCH_ROWS = (64, 256)
_MIN_BATCHES = 10
# Steps in units of 1 / curvature. At 2 a quadratic bowl neither gains nor loses; as the steps end
# at zero, all of its directions are then gone through.
_STEP = 2.0
_LARGEST_STEP = 4.0
_STEP_OF_UNBOUNDED = 1.5
# By how much the penalty should shrink coefficients over a fit, as a power of e: about what the
# optimum needs to forget the start.
_FORGETTING = 4.0
_STEP_OF_INTERCEPTS = 0.5
# No row moves an intercept by more than this, in units of an exponent: labels that are rare in a
# batch, which are curved least, would leap at their first positive row.
_INTERCEPT_REACH = 0.25
_TINY = 1e-12


class SGDFit(NamedTuple):
    """Where stochastic gradient descent ended."""

    parameters: Tensor  # (n_features + fit_intercept, L)
    loss_curve: list[float]  # mean objective met in each epoch


def batch_size_for(n_rows: int, n_outputs: int) -> int:
    """Rows of a batch."""
    least, most = _BATCH_ROWS
    size = min(max(_BATCH_SCORES // n_outputs, least), most)
    return max(1, min(size, n_rows // _MIN_BATCHES))


def epochs_for(n_rows: int, n_outputs: int, max_iter: int | None) -> int:
    """Passes over the rows: `max_iter`, or as many as a default takes."""
    if max_iter is not None:
        return max_iter
    n_batches = math.ceil(n_rows / batch_size_for(n_rows, n_outputs))
    return max(_EPOCHS, math.ceil(_MIN_STEPS / n_batches))


def fit_sgd(
    problem: LinearProblem,
    start: Tensor | None,
    *,
    n_epochs: int,
    seed: int,
    monitor: IterationMonitor,
) -> SGDFit:
    """Fit the trained outputs of a problem.

    Parameters
    ----------
    problem : LinearProblem
        What to fit.
    start : Tensor of shape (n_features + fit_intercept, L) or None
        First parameters, which are overwritten; None starts at the intercepts that are best
        without features.
    n_epochs : int
        Passes over the rows.
    seed : int
        Of the order of the rows.
    monitor : IterationMonitor
        Told of each epoch, and may stop the fit.

    Returns
    -------
    SGDFit
        The parameters, and how they were reached.
    """
    targets, X = problem.trained_targets(), problem.X
    weight = None if problem.sample_weight is None else problem.row_weight() * X.shape[0]
    loss = problem.batch_loss()
    offset = None
    if problem.fit_intercept:
        offset = sum_of_rows(X, problem.row_weight()).astype(X.dtype)
    if start is None:
        start = problem.constant_scores()
    weights = CentredWeights(
        start, None if offset is None else dense_tensor(offset, problem.device)
    )
    batch_size = batch_size_for(X.shape[0], targets.n_outputs)
    batches = RowBatches(X, targets, weight, offset, batch_size, problem.device)
    steps = _steps(problem, batches, loss, n_epochs, np.random.default_rng(seed))
    descent = StochasticDescent(weights, loss, steps)
    loss_curve: list[float] = []
    for epoch in range(1, n_epochs + 1):
        monitor.begin()
        order = np.random.default_rng([seed, epoch]).permutation(batches.n_rows)
        loss_curve.append(descent.epoch(batches, order, problem.l2))
        if monitor.end(weights.parameters):
            break
    return SGDFit(weights.parameters(), loss_curve)


def _steps(
    problem: LinearProblem,
    batches: RowBatches,
    loss: BatchLoss,
    n_epochs: int,
    rng: np.random.Generator,
) -> Steps:
    """Steps that fall linearly to zero over the epochs."""
    gram = gram_eigenvalue(batches, rng)
    # Sum over all rows of a step's penalty, the steps being half the first one on the average.
    passed = problem.l2 * batches.n_rows * n_epochs / 2
    weight = np.ones(batches.n_rows) if batches.weight is None else batches.weight
    masses = weighted_label_counts(batches.targets, weight.astype(np.float64))
    return Steps(
        first=first_step(loss, gram, passed),
        of_intercepts=steps_of_intercepts(batches, loss, *masses),
        share=linearly_to_zero(n_epochs * batches.n_batches),
    )


def first_step(loss: BatchLoss, gram: float, passed: float | None = None) -> float:
    """The first step.

    It is larger where the penalty, ``passed`` being its strength times the rows passed over and
    the mean share of the first step, would shrink coefficients too little; None for a stream.
    """
    unit = 1 / (loss.curvature * gram)
    if not loss.bounded:
        return _STEP_OF_UNBOUNDED * unit
    if passed is None:  # each row is passed once: there is no later epoch to make up for it
        return _LARGEST_STEP * unit
    return min(max(_FORGETTING / passed, _STEP * unit), _LARGEST_STEP * unit)


def steps_of_intercepts(
    batches: RowBatches, loss: BatchLoss, positive: np.ndarray, negative: np.ndarray
) -> Tensor:
    """First step ``(L,)`` of each intercept, by the weights of a label's rows."""
    share = np.clip(positive / np.maximum(positive + negative, _TINY), _TINY, 1 - _TINY)
    curvatures = loss.intercept_curvatures(torch.from_numpy(share))
    steps = _STEP_OF_INTERCEPTS / (batches.batch_size * curvatures)
    if loss.bounded:
        steps = steps.clamp(max=_INTERCEPT_REACH * loss.unit)
    return dense_tensor(steps.numpy().astype(batches.X.dtype), batches.device)
