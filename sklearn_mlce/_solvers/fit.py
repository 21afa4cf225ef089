"""Fit of the linear model: choice of the solver, first parameters, fitted attributes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from sklearn.exceptions import ConvergenceWarning

from sklearn_mlce._solvers.coefficients import Coefficients, WarmStart
from sklearn_mlce._solvers.coupled_newton import KEPT_SCORES, N_ARRAYS
from sklearn_mlce._solvers.label_blocks import fit_blocks, label_blocks, splits_into_labels
from sklearn_mlce._solvers.newton_cg import sum_of_curves
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.sgd import epochs_for
from sklearn_mlce._solvers.standardisation import name_of_scaling
from sklearn_mlce._utils.memory import free_memory, in_gigabytes

_NEWTON_ITERATIONS = 100
_LARGE_COEFFICIENTS = 5 * 10**8  # of which the exact solver holds several copies, each of 2 GB


class SolverOptions(NamedTuple):
    """The solver of a fit, and the labels that it takes at a time."""

    solver: str  # "newton-cg" or "sgd"
    max_iter: int
    tol: float
    seed: int
    label_blocks: list[np.ndarray]  # numbers of the outputs
    n_jobs: int
    coef_threshold: float

    @property
    def task_name(self) -> str:
        """Name of an iteration, for callbacks."""
        if len(self.label_blocks) > 1:
            return "label-block"
        return "epoch" if self.solver == "sgd" else "newton-iter"

    @property
    def n_tasks(self) -> int | None:
        """Iterations at most; None for Newton's, which groups of labels make one after another."""
        if len(self.label_blocks) > 1:
            return len(self.label_blocks)
        return self.max_iter if self.solver == "sgd" else None


class BlockOptions(NamedTuple):
    """How labels are split, as an estimator's parameters ask for it."""

    label_block_size: Any
    n_jobs: int | None
    coef_threshold: float


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
    if n_rows * n_outputs > KEPT_SCORES or n_features * n_outputs > _LARGE_COEFFICIENTS:
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
    blocks: BlockOptions,
) -> SolverOptions:
    """Return the solver that an estimator's parameters ask for, and how far it goes.

    Raises
    ------
    ValueError
        If the parameters do not go with the loss.
    MemoryError
        If the coefficients need more memory than there is.
    """
    n_rows, n_features = problem.X.shape
    # A module may know its labels by their places, so that none can be left out.
    trained = np.flatnonzero(np.isnan(fixed) | problem.objective.is_module)
    n_outputs = max(1, len(trained))
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
    n_jobs = effective_n_jobs(blocks.n_jobs)
    prunes = blocks.coef_threshold > 0
    parts = label_blocks(problem, trained, blocks.label_block_size, n_jobs, prunes)
    _check_memory(problem, solver, parts, len(fixed), prunes)
    return SolverOptions(solver, max_iter, tol, seed, parts, n_jobs, float(blocks.coef_threshold))


def resolve_scaling(
    problem: LinearProblem, solver: str, input_scaling: str | None, by_association: bool
) -> str | None:
    """Return the scaling that an estimator's `input_scaling` asks for.

    Parameters
    ----------
    problem : LinearProblem
        What to fit, with the sizes that columns are divided by, if they are.
    solver : {"newton-cg", "sgd"}
        By what.
    input_scaling : str or None
        The parameter.
    by_association : bool
        Whether "auto" is "association" for labels of sparse rows, where that can be.

    Raises
    ------
    ValueError
        If the solver or the loss has no penalty by association, and it is asked for.
    """
    usable = solver == "newton-cg" and problem.objective.separable
    if input_scaling == "association" and not usable:
        remedy = "input_scaling='auto'"
        if problem.targets.kind != "multioutput":  # whose losses are never sums over labels
            remedy = "loss='bce' and solver='newton-cg', or " + remedy
        raise ValueError(
            "input_scaling='association' needs solver='newton-cg' and a loss that is a sum over "
            f"labels; got solver={solver!r} for {problem.objective.described}. Set {remedy}"
        )
    of_labels = problem.targets.kind in ("multilabel", "soft") and sp.issparse(problem.X)
    by_default = input_scaling == "auto" and by_association and of_labels and usable
    if input_scaling == "association" or by_default:
        return "association"
    return name_of_scaling(problem.sizes)


def fit_linear(
    problem: LinearProblem,
    fixed: np.ndarray,
    start: WarmStart | None,
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
    start : WarmStart or None
        First parameters; None starts at the scores that are best without features.
    options : SolverOptions
        The solver.
    monitor : FitMonitor
        Told of each iteration, or of each block of labels, and may stop the solver.

    Returns
    -------
    dict
        Values of ``coef_``, ``intercept_``, ``C_``, ``n_iter_`` and ``loss_curve_``.
    """
    is_exact = options.solver == "newton-cg"
    kept = Coefficients(problem.X.shape[1], fixed, problem.X.dtype, options.coef_threshold > 0)
    blocks = []
    if options.label_blocks:
        blocks = fit_blocks(problem, kept, start, options, monitor)
    norm = max((block.gradient_norm for block in blocks), default=0.0)
    loss_curve = sum_of_curves([block.curve for block in blocks])[is_exact:] if blocks else []
    if not (all(block.converged for block in blocks) or monitor.stopped):
        _warn_not_converged(norm, len(loss_curve), problem.X.dtype, options)
    return kept.attributes() | {
        "C_": problem.C,
        "n_iter_": len(loss_curve),
        "loss_curve_": loss_curve,
    }


def _warn_not_converged(norm: float, n_iter: int, dtype: np.dtype, options: SolverOptions) -> None:
    if n_iter < options.max_iter:
        advice = (
            f"The objective cannot be told apart further in {dtype}: "
            "raise tol, scale the features, or pass X as float64"
        )
    else:
        advice = "Raise max_iter or tol, or scale the features"
    warnings.warn(
        f"MLCEClassifier stopped after {n_iter} iterations with {norm:.1e} "
        f"of the first gradient left, above tol={options.tol:g}. {advice}.",
        ConvergenceWarning,
        stacklevel=5,
    )


def _check_memory(
    problem: LinearProblem, solver: str, parts: list[np.ndarray], n_outputs: int, prunes: bool
) -> None:
    """Raise MemoryError where the coefficients alone need more than there is."""
    n_features, dtype = problem.X.shape[1], problem.X.dtype
    columns = max(map(len, parts), default=0) if prunes else n_outputs
    several = solver == "newton-cg" and not problem.objective.separable
    needed = n_features * columns * dtype.itemsize * (N_ARRAYS if several else 1)
    free = free_memory()
    if free is None or needed <= free:
        return
    what = f"the coefficients of {n_features} features and {columns} labels need"
    if several:
        what = f"solver='newton-cg' holds {N_ARRAYS} arrays, and " + what
    raise MemoryError(
        f"{what} {in_gigabytes(needed)} in {dtype}, and {in_gigabytes(free)} are free. To fit in "
        f"less, {', or '.join(_advice(problem, several, prunes))}"
    )


def _advice(problem: LinearProblem, several: bool, prunes: bool) -> Iterator[str]:
    """What makes a fit need less memory."""
    if several:
        yield "set solver='sgd', which holds one array"
    if splits_into_labels(problem.objective):
        if not prunes:
            yield "set coef_threshold=1e-4, which leaves out coefficients near zero"
    elif problem.targets.kind != "multioutput":  # whose losses are never sums over labels
        yield "set loss='bce' and coef_threshold=1e-4, which fit a block of labels at a time"
    if problem.X.dtype != np.float32:
        yield "pass X as float32"
    yield "pass X with fewer features"
