"""The exact solvers: which one a loss takes, and where it starts."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from sklearn_mlce._objectives.mlce import RowLoss
from sklearn_mlce._objectives.second_order import row_loss_of
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.newton_cg import (
    IterationMonitor,
    LinearObjective,
    SolverResult,
    newton_cg,
)
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.separable_newton import SeparableObjective, separable_newton
from sklearn_mlce._utils.sparse import dense_tensor


def minimise_exactly(
    problem: LinearProblem,
    start: Tensor | None,
    *,
    tol: float,
    max_iter: int,
    monitor: IterationMonitor,
) -> SolverResult:
    """Minimise a problem from ``start``, or from the best constant scores.

    Parameters
    ----------
    problem : LinearProblem
        What to minimise.
    start : Tensor of shape (n_parameters, n_trained) or None
        First parameters.
    tol : float
        An output has converged when the largest entry of its gradient is this share of what it is
        at constant scores.
    max_iter : int
        Newton iterations at most.
    monitor : IterationMonitor
        Told of each iteration, and may stop the solver.

    Returns
    -------
    SolverResult
        The parameters and how they were reached.
    """
    row_weight = problem.row_weight()
    design = Design(problem.X, row_weight, problem.fit_intercept, problem.device)
    weight = dense_tensor(row_weight, problem.device)
    outputs = np.flatnonzero(problem.trained)
    label_weight = problem.trained_label_weight()

    def loss_of(places: np.ndarray) -> RowLoss:
        """Loss of some of the trained outputs."""
        own = None if label_weight is None else label_weight[places]
        return row_loss_of(problem.targets, outputs[places], weight, problem.options, own)

    constant = problem.constant_scores()
    first = constant if start is None else start

    def coupled(first: Tensor, max_iter: int) -> SolverResult:
        objective = LinearObjective(
            design,
            loss_of(np.arange(len(outputs))),
            l2=problem.l2,
            learned_threshold=problem.learn_threshold,
        )
        return newton_cg(objective, first, constant, tol=tol, max_iter=max_iter, monitor=monitor)

    if problem.options.separable and (start is None or not problem.learn_threshold):
        objective = SeparableObjective(design, loss_of, problem.l2)
        apart = separable_newton(
            objective, first, constant, tol=tol, max_iter=max_iter, monitor=monitor
        )
        if monitor.stopped or not problem.learn_threshold:
            return apart
        # A threshold couples these labels by the penalty alone, so that they are near by now, and
        # one by one they took far fewer passes over the rows.
        return coupled(apart.parameters, max_iter - apart.n_iter).after(apart)
    return coupled(first, max_iter)
