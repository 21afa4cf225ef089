"""A fit of the linear model: which solver, from where, and what it leaves behind."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
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
from sklearn_mlce._solvers.sgd import epochs_for, fit_sgd
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
    if problem.options.separable:
        labels = SeparableObjective(design, loss_of, problem.l2)
        return separable_newton(
            labels, first, constant, tol=tol, max_iter=max_iter, monitor=monitor
        )
    objective = LinearObjective(design, loss_of(np.arange(len(outputs))), problem.l2)
    return newton_cg(objective, first, constant, tol=tol, max_iter=max_iter, monitor=monitor)


_NEWTON_ITERATIONS = 100
# Multiplications of one pass over the rows and one over the coefficients from which on mini-batches
# pay, and scores of all rows, of which the exact solver holds several copies.
_LARGE_WORK = 10**7
_LARGE_SCORES = 10**8


class SolverOptions(NamedTuple):
    """The solver of a fit."""

    solver: str  # "newton-cg" or "sgd"
    max_iter: int
    tol: float
    seed: int

    @property
    def task_name(self) -> str:
        """Name of an iteration, for callbacks."""
        return "epoch" if self.solver == "sgd" else "newton-iter"

    @property
    def n_tasks(self) -> int | None:
        """Iterations at most; None for Newton's, which blocks of labels make one after another."""
        return self.max_iter if self.solver == "sgd" else None


def choose_solver(n_rows: int, n_features: int, n_entries: int | None, n_outputs: int) -> str:
    """The solver that "auto" stands for.

    It is "sgd" where X is sparse, there are several outputs, and
    ``(n_entries + n_features) * n_outputs`` is at least ten million, or where the exact solver's
    score matrices, of ``n_rows * n_outputs`` entries each, would have more than a hundred million.

    Parameters
    ----------
    n_rows, n_features : int
        Shape of X.
    n_entries : int or None
        Stored entries of a sparse X; None where it is dense.
    n_outputs : int
        Labels or classes that are fitted.

    Returns
    -------
    {"newton-cg", "sgd"}
        The name of the solver.
    """
    if n_rows * n_outputs > _LARGE_SCORES:
        return "sgd"
    if n_entries is None or n_outputs == 1:
        return "newton-cg"
    work = (n_entries + n_features) * n_outputs
    return "sgd" if work >= _LARGE_WORK else "newton-cg"


def resolve_solver(
    problem: LinearProblem, solver: str, max_iter: int | None, tol: float, seed: int
) -> SolverOptions:
    """The solver that an estimator's parameters ask for, and how far it goes."""
    n_rows, n_features = problem.X.shape
    n_outputs = max(1, int(problem.trained.sum()))
    if problem.options.sizes:  # scores of the smaller outputs are padded
        n_outputs = len(problem.options.sizes) * max(problem.options.sizes)
    if not problem.options.convex:
        if solver == "newton-cg":
            raise ValueError(
                f"solver='newton-cg' needs a convex loss, and that of {problem.options.name} is "
                "not known to be one. Set solver='auto' or solver='sgd'"
            )
        solver = "sgd"
    if solver == "auto":
        n_entries = problem.X.nnz if sp.issparse(problem.X) else None
        solver = choose_solver(n_rows, n_features, n_entries, n_outputs)
    if solver == "sgd":
        max_iter = epochs_for(n_rows, n_outputs, max_iter)
    elif max_iter is None:
        max_iter = _NEWTON_ITERATIONS
    return SolverOptions(solver, max_iter, tol, seed)


def fit_linear(
    problem: LinearProblem,
    fixed: np.ndarray,
    start: np.ndarray | None,
    options: SolverOptions,
    monitor: Any,
) -> dict[str, Any]:
    """Fitted attributes at, or near, the optimum.

    Parameters
    ----------
    problem : LinearProblem
        What to fit.
    fixed : ndarray of shape (n_outputs,)
        Score of each output that is not trained, NaN for the others.
    start : ndarray of shape (n_features + 1, n_outputs) or None
        First parameters; None leaves them to the solver.
    options : SolverOptions
        The solver.
    monitor : FitMonitor
        Told of each iteration, and may stop the solver.

    Returns
    -------
    dict
        Values of ``coef_``, ``intercept_``, ``C_``, ``n_iter_`` and ``loss_curve_``.
    """
    n_features = problem.X.shape[1]

    def attributes(parameters: Tensor) -> dict[str, np.ndarray]:
        return coefficients(parameters.cpu().numpy(), n_features, fixed)

    # A copy: the solver may go on in the same memory.
    monitor.attributes_of = lambda parameters: attributes(parameters().clone())
    first = _first(problem, start)
    if not problem.trained.any():
        none = np.zeros((n_features, 0), dtype=problem.X.dtype)
        constant = coefficients(none, n_features, fixed)
        return {**constant, "C_": problem.C, "n_iter_": 0, "loss_curve_": []}
    if options.solver == "sgd":
        parameters, loss_curve = fit_sgd(
            problem, first, n_epochs=options.max_iter, seed=options.seed, monitor=monitor
        )
    else:
        result = minimise_exactly(
            problem, first, tol=options.tol, max_iter=options.max_iter, monitor=monitor
        )
        if not (result.converged or monitor.stopped):
            _warn_not_converged(result, options)
        parameters, loss_curve = result.parameters, result.loss_curve
    return {
        **attributes(parameters),
        "C_": problem.C,
        "n_iter_": len(loss_curve),
        "loss_curve_": loss_curve,
    }


def _first(problem: LinearProblem, start: np.ndarray | None) -> Tensor | None:
    """First parameters of the trained outputs."""
    if start is None:
        return None
    n_parameters = problem.X.shape[1] + problem.fit_intercept
    start = start[:n_parameters]
    if not problem.trained.all():
        # In rows again: columns that are picked out lie by columns, and a step touches rows.
        start = np.ascontiguousarray(start[:, problem.trained])
    return dense_tensor(start, problem.device)


def coefficients(parameters: np.ndarray, n_features: int, fixed: np.ndarray) -> dict[str, Any]:
    """``coef_`` and ``intercept_`` of the trained outputs' parameters, whose memory they may share.

    ``coef_`` is the transpose of an array that lies by features: transposing a large one takes as
    long as fitting it, and a sparse product would have to transpose it back.
    """
    trained = np.isnan(fixed)
    if parameters.shape[1] > trained.sum():  # of a loss that takes all outputs
        parameters = parameters[:, trained]
    if trained.all():
        by_features = parameters[:n_features]
    else:
        by_features = np.zeros((n_features, len(fixed)), dtype=parameters.dtype)
        by_features[:, trained] = parameters[:n_features]
    intercept = np.where(trained, 0, fixed).astype(parameters.dtype)
    if len(parameters) > n_features:
        intercept[trained] = parameters[-1]
    return {"coef_": by_features.T, "intercept_": intercept}


def _warn_not_converged(result: SolverResult, options: SolverOptions) -> None:
    if result.n_iter < options.max_iter:
        advice = (
            f"The objective cannot be told apart further in {result.parameters.dtype}: "
            "raise tol, scale the features, or pass X as float64"
        )
    else:
        advice = "Raise max_iter or tol, or scale the features"
    warnings.warn(
        f"MLCEClassifier stopped after {result.n_iter} iterations with {result.remaining:.1e} "
        f"of the first gradient left, above tol={options.tol:g}. {advice}.",
        ConvergenceWarning,
        stacklevel=5,
    )
