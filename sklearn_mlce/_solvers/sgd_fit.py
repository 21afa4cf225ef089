"""A fit by stochastic gradient descent: its batches, steps and epochs, from the data alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.first_order import BatchLoss
from sklearn_mlce._solvers.centred_weights import CentredWeights
from sklearn_mlce._solvers.moments import sum_of_rows
from sklearn_mlce._solvers.newton_cg import IterationMonitor
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.row_batches import RowBatches
from sklearn_mlce._solvers.sgd import Steps, StochasticDescent, linearly_to_zero
from sklearn_mlce._solvers.step_sizes import gram_eigenvalue
from sklearn_mlce._targets.targets import label_masses
from sklearn_mlce._utils.sparse import dense_tensor

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
    masses = label_masses(batches.targets, weight.astype(np.float64))
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
