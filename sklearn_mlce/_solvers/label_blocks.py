"""Blocks of labels that are fitted one after another, or side by side in several processes.

Losses that are sums over labels are independent problems, one for each label: a block of them is
solved as if it were alone, by the batches and the steps of the whole. What is coupled is one block.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from joblib import Parallel, delayed
from joblib.parallel import get_active_backend
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._solvers.block_memory import BlockMemory
from sklearn_mlce._solvers.coefficients import Coefficients, Pruning, WarmStart
from sklearn_mlce._solvers.newton_cg import fit_newton
from sklearn_mlce._solvers.problem import IterationMonitor, LinearProblem, PreparedFeatures
from sklearn_mlce._solvers.sgd import SGDPlan, fit_sgd
from sklearn_mlce._solvers.standardisation import (
    inverse_sizes,
    multiply_coefficients_,
    standard_deviations,
)
from sklearn_mlce._targets.targets import LabelCounts
from sklearn_mlce._utils.rows import rows_that_fit
from sklearn_mlce._utils.tensors import dense_tensor

_BLOCK_BYTES = 2**27  # of the parameters of a block
# Up to 128 columns another order of summation is faster, so that narrower blocks would round
# otherwise than the whole does.
_FEWEST_LABELS = 129


class FittedBlock(NamedTuple):
    """What a block of labels came to."""

    coefficients: Any  # (n_features, n), ndarray or, where small ones are left out, CSR
    intercepts: np.ndarray | None  # (n,)
    curve: list[float]  # as the solver gives it
    converged: bool
    gradient_norm: float


class LinearSolver(NamedTuple):
    """Solver of blocks of labels, with what they share."""

    features: PreparedFeatures
    plan: SGDPlan | None  # None of the exact solver
    max_iter: int
    tol: float
    pruning: Pruning | None

    def __call__(
        self,
        problem: LinearProblem,
        warm: WarmStart | None,
        monitor: IterationMonitor,
        memory: np.ndarray,
    ) -> FittedBlock:
        """Fit a block.

        Parameters
        ----------
        problem : LinearProblem
            The block's.
        warm : WarmStart or None
            First parameters of its labels.
        monitor : IterationMonitor
            Told of each iteration.
        memory : ndarray of shape (n_parameters, n)
            Zeros to write the parameters into.

        Raises
        ------
        ValueError
            If a coefficient or an intercept has overflowed.
        """
        if warm is not None:
            warm.write(memory)
            start = dense_tensor(multiply_coefficients_(memory, problem.sizes), problem.device)
        else:
            start = constant_parameters(problem, memory)
        if self.plan is not None:
            found = fit_sgd(problem, self.features, start, plan=self.plan, monitor=monitor)
            return _checked(self.fitted(problem, found.parameters, found.loss_curve))
        constant = start if warm is None else constant_parameters(problem, np.zeros_like(memory))
        result = fit_newton(
            problem,
            self.features,
            start,
            constant,
            tol=self.tol,
            max_iter=self.max_iter,
            monitor=monitor,
        )
        fitted = _checked(self.fitted(problem, result.parameters, result.loss_curve))
        return fitted._replace(converged=result.converged, gradient_norm=result.gradient_norm)

    def fitted(self, problem: LinearProblem, parameters: Tensor, curve: list[float]) -> FittedBlock:
        """Return the block of parameters, which are overwritten."""
        inverse = None if problem.sizes is None else inverse_sizes(problem.sizes)
        given = multiply_coefficients_(parameters.cpu().numpy(), inverse)
        n_features = problem.X.shape[1]
        intercepts = given[n_features] if problem.fit_intercept else None
        coefficients: Any = given[:n_features]
        if self.pruning is not None:
            coefficients, moved = self.pruning.apply(given, n_features)
            if intercepts is not None:
                intercepts = intercepts + moved.astype(given.dtype)
        return FittedBlock(coefficients, intercepts, curve, True, 0.0)


def _checked(block: FittedBlock) -> FittedBlock:
    """Return a block whose coefficients and intercepts are finite.

    Raises
    ------
    ValueError
        If they are not.
    """
    coefficients = block.coefficients
    stored = coefficients.data if sp.issparse(coefficients) else coefficients
    for values in (stored, block.intercepts):
        if values is None or not values.size:
            continue
        smallest, largest = torch.from_numpy(values).aminmax()  # one pass, which hands NaN on
        if not (math.isfinite(smallest) and math.isfinite(largest)):
            wider = ", or pass X as float64" if values.dtype == np.float32 else ""
            raise ValueError(
                f"the coefficients of the best fit are beyond the numbers of {values.dtype}; "
                "expected features of ordinary size, and C and scale nearer to 1. Scale the "
                f"features, as sklearn.preprocessing.StandardScaler does{wider}"
            )
    return block


class _BlockMonitor:
    """Monitor of the iterations of blocks, which ends them once the whole fit has been stopped.

    Threads share it. A process has a copy, and ends the block that it has begun.
    """

    def __init__(self) -> None:
        self.stopped = False

    def begin(self) -> None:
        """Do nothing."""

    def end(self, parameters: Callable[[], Tensor]) -> bool:
        """Return whether the fit has been stopped."""
        return self.stopped


def splits_into_labels(objective: Objective) -> bool:
    """Whether each label is a problem that needs to know nothing of the others."""
    return objective.separable and not objective.needs_label_counts


def label_blocks(
    problem: LinearProblem, trained: np.ndarray, block_size: Any, n_jobs: int, prunes: bool
) -> list[np.ndarray]:
    """Numbers of the trained outputs in blocks of about the same size.

    Parameters
    ----------
    problem : LinearProblem
        Of all outputs.
    trained : ndarray of int
        Numbers of the outputs that are trained.
    block_size : int or "auto"
        Most outputs of a block. "auto" is all, unless coefficients are pruned or there are several
        jobs; then 128 MiB of coefficients, or what shares the outputs out among the jobs.
    n_jobs : int
        Blocks at a time.
    prunes : bool
        Whether small coefficients are left out.

    Raises
    ------
    ValueError
        If a size is given for a loss that is not made of independent labels.
    """
    n_outputs = len(trained)
    if not splits_into_labels(problem.objective):
        if block_size != "auto":
            raise ValueError(
                f"label_block_size={block_size} needs labels that are independent problems, which "
                f"those of {problem.objective.described} are not. Set label_block_size='auto', or "
                "loss='bce'"
            )
        return [trained] if n_outputs else []
    if not n_outputs:
        return []
    if block_size == "auto":
        block_size = n_outputs
        if n_jobs > 1 or prunes:
            bytes_of_label = problem.X.shape[1] * problem.X.dtype.itemsize
            # Of as many for each job.
            n_rounds = -(-n_outputs // (rows_that_fit(bytes_of_label, _BLOCK_BYTES) * n_jobs))
            block_size = max(-(-n_outputs // (n_rounds * n_jobs)), _FEWEST_LABELS)
    return np.array_split(trained, -(-n_outputs // int(block_size)))


def fit_blocks(
    problem: LinearProblem,
    kept: Coefficients,
    start: WarmStart | None,
    options: Any,
    monitor: Any,
) -> list[FittedBlock]:
    """Fit all blocks and keep their coefficients; return them without these.

    Parameters
    ----------
    problem : LinearProblem
        Of all outputs.
    kept : Coefficients
        Of all outputs, which is written to.
    start : WarmStart or None
        First parameters.
    options : SolverOptions
        The solver, and the blocks.
    monitor : FitMonitor
        Told of each iteration of the one block, or of each of several blocks.
    """
    blocks = options.label_blocks
    trained = _select(problem, np.concatenate(blocks))
    solver = _solver(trained, options)
    if len(blocks) == 1:
        return [_fit_one(solver, trained, blocks[0], kept, start, monitor)]
    if problem.fit_intercept:  # until their block is done, and for good if a callback stops
        kept.put_intercepts(np.concatenate(blocks), _constant_scores(trained))
    monitor.attributes_of = lambda state: kept.attributes(copy=True)
    fitted: list[FittedBlock] = []
    lender = BlockMemory()
    with closing(_in_turn(solver, problem, start, options, lender)) as in_turn:
        for places, block in in_turn:
            monitor.begin()
            kept.put(places, block.coefficients, block.intercepts)
            lender.give_back(places[0])
            fitted.append(block._replace(coefficients=None, intercepts=None))
            if monitor.end(None):
                break
    if len(fitted) < len(blocks):
        _warn_stopped(len(fitted), len(blocks))
    return fitted


def _solver(problem: LinearProblem, options: Any) -> LinearSolver:
    """Prepare what blocks share; all outputs of the problem are trained."""
    features = PreparedFeatures(problem)
    plan = pruning = None
    if options.solver == "sgd":
        plan = SGDPlan.of(problem, features, options.max_iter, options.seed)
    if options.coef_threshold > 0:
        centre = features.standardisation.offset
        centre = np.zeros(problem.X.shape[1]) if centre is None else centre.astype(np.float64)
        deviations = standard_deviations(problem.X, problem.row_weight, centre)
        pruning = Pruning(options.coef_threshold, deviations, centre)
    return LinearSolver(features, plan, options.max_iter, options.tol, pruning)


def _fit_one(
    solver: LinearSolver,
    problem: LinearProblem,
    places: np.ndarray,
    kept: Coefficients,
    start: WarmStart | None,
    monitor: Any,
) -> FittedBlock:
    """Fit all trained outputs at once, in the memory where they are kept if they can be."""
    n_parameters = problem.X.shape[1] + problem.fit_intercept

    def attributes_of(parameters: Callable[[], Tensor]) -> dict[str, Any]:
        # A copy: the solver may go on in the same memory.
        block = solver.fitted(problem, parameters().clone(), [])
        return kept.with_block(places, block.coefficients, block.intercepts)

    monitor.attributes_of = attributes_of
    warm = None if start is None else start.of_outputs(places)
    block = solver(problem, warm, monitor, kept.reserve(n_parameters, places))
    kept.put(places, block.coefficients, block.intercepts)
    return block._replace(coefficients=None, intercepts=None)


def _in_turn(
    solver: LinearSolver,
    problem: LinearProblem,
    start: WarmStart | None,
    options: Any,
    lender: BlockMemory,
) -> Generator[tuple[np.ndarray, FittedBlock], None, None]:
    """Fit blocks and yield each with its places, while others are fitted if there are jobs.

    Closing the iterator begins no further block, and waits for the end of those begun.
    """
    blocks, X = options.label_blocks, problem.X
    if sp.issparse(X):
        X = sp.csr_matrix(X)  # whose size dask knows, unlike that of an array; nothing is copied
    monitor = _BlockMonitor()
    backend, _ = get_active_backend(prefer="threads")
    # That of ray gives all blocks at the end.
    return_as = "generator" if backend.supports_return_generator else "list"
    # Threads need no copy of the rows and send no coefficients; torch holds no lock meanwhile.
    # joblib's own class, since scikit-learn's sets the process's warning filters in each thread.
    jobs = Parallel(n_jobs=options.n_jobs, prefer="threads", return_as=return_as)(
        delayed(_fit_apart)(
            X,
            solver,
            _select(problem, places)._replace(X=None),
            None if start is None else start.of_outputs(places),
            monitor,
            lender,
            places[0],
        )
        for places in blocks
        if not monitor.stopped
    )
    fitted = iter(jobs)
    try:
        yield from zip(blocks, fitted, strict=True)
    finally:
        monitor.stopped = True
        for _ in fitted:  # closed early, joblib's generator would warn of the blocks it cancels
            pass


def _fit_apart(
    X: Any,
    solver: LinearSolver,
    problem: LinearProblem,
    warm: WarmStart | None,
    monitor: _BlockMonitor,
    lender: BlockMemory,
    number: int,
) -> FittedBlock:
    """Fit a block in a thread, or in a process of its own.

    X comes beside the problem and the solver's features, which lack it: as an argument it is sent
    once to each machine of a cluster, and not with each block.
    """
    solver.features.X = X
    shape = (X.shape[1] + problem.fit_intercept, problem.targets.n_outputs)
    memory = lender.lend(number, shape, X.dtype)
    return solver(problem._replace(X=X), warm, monitor, memory)


def _warn_stopped(n_fitted: int, n_blocks: int) -> None:
    warnings.warn(
        f"a callback stopped the fit after {n_fitted} of {n_blocks} blocks of labels. The labels "
        "of the others have constant scores. Set n_jobs=None and coef_threshold=0 to train all "
        "labels together",
        ConvergenceWarning,
        stacklevel=2,
    )


def _select(problem: LinearProblem, places: np.ndarray) -> LinearProblem:
    """Problem of some of the outputs."""
    n_outputs = problem.targets.n_outputs
    if len(places) == n_outputs:
        return problem
    mask = np.zeros(n_outputs, dtype=bool)
    mask[places] = True
    targets, label_weight = problem.targets, problem.label_weight
    if splits_into_labels(problem.objective):
        targets = targets.one_hot()  # rows of a class that is elsewhere are negative here
    return problem._replace(
        targets=targets.select_outputs(mask),
        label_weight=None if label_weight is None else label_weight[places],
    )


def constant_parameters(problem: LinearProblem, memory: np.ndarray) -> Tensor:
    """Parameters ``(n_parameters, n_outputs)`` that are best without features; over zeros."""
    if problem.fit_intercept:
        memory[-1] = _constant_scores(problem)
    return dense_tensor(memory, problem.device)


def _constant_scores(problem: LinearProblem) -> np.ndarray:
    """Scores ``(n_outputs,)``, the same for all rows, that are best."""
    targets, weight = problem.targets, problem.sample_weight
    counts = LabelCounts.of(targets, weight)
    return problem.objective.constant_scores(targets, weight, counts, problem.label_weight)
