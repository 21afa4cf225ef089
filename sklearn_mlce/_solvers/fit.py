"""Fit of the linear model: choice of the solver, first parameters, fitted attributes."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._solvers.newton_cg import SolverResult, fit_newton
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.sgd import epochs_for, fit_sgd
from sklearn_mlce._solvers.standardisation import inverse_sizes, multiply_coefficients_
from sklearn_mlce._targets.targets import LabelCounts
from sklearn_mlce._utils.tensors import dense_tensor

_NEWTON_ITERATIONS = 100
# Scores of all rows, of which the exact solver holds several copies where labels are one problem.
_LARGE_SCORES = 10**8
_LARGE_COEFFICIENTS = 5 * 10**8  # of which it holds several copies, 2 GB of float32 each


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


def choose_solver(
    n_rows: int, n_features: int, n_entries: int | None, n_outputs: int, large_work: float
) -> str:
    """Choose the solver that "auto" stands for.

    It is "sgd" where X is sparse, there are several outputs, and the multiplications of one pass
    over the rows and one over the coefficients, ``(n_entries + n_features) * n_outputs``, are more
    than `large_work`; or where there are more than a hundred million scores,
    ``n_rows * n_outputs``, or five times as many coefficients.

    Parameters
    ----------
    n_rows, n_features : int
        Shape of X.
    n_entries : int or None
        Stored entries of a sparse X; None where it is dense.
    n_outputs : int
        Labels or classes that are fitted.
    large_work : float
        The objective's.

    Returns
    -------
    {"newton-cg", "sgd"}
        The name of the solver.
    """
    if n_rows * n_outputs > _LARGE_SCORES or n_features * n_outputs > _LARGE_COEFFICIENTS:
        return "sgd"
    if n_entries is None or n_outputs == 1:
        return "newton-cg"
    work = (n_entries + n_features) * n_outputs
    return "sgd" if work > large_work else "newton-cg"


def resolve_solver(
    problem: LinearProblem,
    fixed: np.ndarray,
    solver: str,
    max_iter: int | None,
    tol: float,
    seed: int,
) -> SolverOptions:
    """Return the solver that an estimator's parameters ask for, and how far it goes."""
    n_rows, n_features = problem.X.shape
    n_outputs = max(1, int(_is_trained(problem.objective, fixed).sum()))
    if sizes := problem.targets.format.sizes:  # scores of the smaller outputs are padded
        n_outputs = len(sizes) * max(sizes)
    if not problem.objective.convex:
        if solver == "newton-cg":
            raise ValueError(
                "solver='newton-cg' needs a convex loss, and that of "
                f"{problem.objective.described} is not known to be one. Set solver='auto' or "
                "solver='sgd'"
            )
        solver = "sgd"
    if solver == "auto":
        n_entries = problem.X.nnz if sp.issparse(problem.X) else None
        large_work = problem.objective.large_work
        solver = choose_solver(n_rows, n_features, n_entries, n_outputs, large_work)
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
    """Fit at, or near, the optimum.

    Parameters
    ----------
    problem : LinearProblem
        What to fit.
    fixed : ndarray of shape (n_outputs,)
        Score of each output that is not trained, NaN for the others.
    start : ndarray of shape (n_features + 1, n_outputs) or None
        First parameters; None starts at the scores that are best without features.
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

    inverse = None if problem.sizes is None else inverse_sizes(problem.sizes)

    def attributes(parameters: Tensor) -> dict[str, np.ndarray]:
        """Attributes of parameters, which are overwritten."""
        given = multiply_coefficients_(parameters.cpu().numpy(), inverse)
        return coefficients(given, n_features, fixed)

    # A copy: the solver may go on in the same memory.
    monitor.attributes_of = lambda parameters: attributes(parameters().clone())
    is_trained = _is_trained(problem.objective, fixed)
    if not is_trained.any():
        none = np.zeros((n_features, 0), dtype=problem.X.dtype)
        fixed_alone = coefficients(none, n_features, fixed)
        return fixed_alone | {"C_": problem.C, "n_iter_": 0, "loss_curve_": []}
    trained = _select_outputs(problem, is_trained)
    constant = _constant_parameters(trained)
    first = constant if start is None else _first_parameters(problem, start, is_trained)
    if options.solver == "sgd":
        parameters, loss_curve = fit_sgd(
            trained, first, n_epochs=options.max_iter, seed=options.seed, monitor=monitor
        )
    else:
        result = fit_newton(
            trained, first, constant, tol=options.tol, max_iter=options.max_iter, monitor=monitor
        )
        if not (result.converged or monitor.stopped):
            _warn_not_converged(result, options)
        parameters, loss_curve = result.parameters, result.loss_curve
    n_iter = len(loss_curve)
    return attributes(parameters) | {"C_": problem.C, "n_iter_": n_iter, "loss_curve_": loss_curve}


def _is_trained(objective: Objective, fixed: np.ndarray) -> np.ndarray:
    """Mask of the outputs that are trained, of which the others have fixed scores."""
    # A module may know its labels by their places, so that none can be left out.
    return np.isnan(fixed) | objective.is_module


def _select_outputs(problem: LinearProblem, is_trained: np.ndarray) -> LinearProblem:
    """Problem of some of the outputs."""
    targets, label_weight = problem.targets.select_outputs(is_trained), problem.label_weight
    return problem._replace(
        targets=targets,
        label_weight=None if label_weight is None else label_weight[is_trained],
    )


def _constant_parameters(problem: LinearProblem) -> Tensor:
    """Parameters ``(n_features + fit_intercept, n_outputs)`` that are best without features."""
    shape = (problem.X.shape[1] + problem.fit_intercept, problem.targets.n_outputs)
    parameters = np.zeros(shape, problem.X.dtype)
    if problem.fit_intercept:
        targets, weight = problem.targets, problem.sample_weight
        parameters[-1] = problem.objective.constant_scores(
            targets, weight, LabelCounts.of(targets, weight), problem.label_weight
        )
    return dense_tensor(parameters, problem.device)


def _first_parameters(problem: LinearProblem, start: np.ndarray, is_trained: np.ndarray) -> Tensor:
    """Parameters of the trained outputs from those of a warm start, which are overwritten."""
    start = start[: problem.X.shape[1] + problem.fit_intercept]
    # In rows: columns that are picked out lie by columns, and a step touches rows.
    start = np.ascontiguousarray(start if is_trained.all() else start[:, is_trained])
    return dense_tensor(multiply_coefficients_(start, problem.sizes), problem.device)


def coefficients(parameters: np.ndarray, n_features: int, fixed: np.ndarray) -> dict[str, Any]:
    """Return ``coef_`` and ``intercept_``, which may share the parameters' memory.

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
        f"MLCEClassifier stopped after {result.n_iter} iterations with {result.gradient_norm:.1e} "
        f"of the first gradient left, above tol={options.tol:g}. {advice}.",
        ConvergenceWarning,
        stacklevel=5,
    )
