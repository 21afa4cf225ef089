r"""Stochastic gradient descent over a stream of chunks whose end is not known.

Each chunk is passed over once. Steps fall with the number :math:`t` of steps made as
:math:`\eta_0 / \sqrt{1 + t / 50}`, and the penalty's strength is that of the rows seen so far,
:math:`\lambda = 1 / (C \sum_r v_r)`, so that C means what it means in a fit of these rows. The
features' offset and the largest eigenvalue of a batch are those of the first chunk: another
offset would only make the descent slower, not change what it descends on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.row_batches import RowBatches
from sklearn_mlce._solvers.sgd import (
    CentredWeights,
    StochasticDescent,
    batch_loss,
    batch_size_for,
)
from sklearn_mlce._solvers.standardisation import (
    Standardisation,
    inverse_sizes,
    multiply_coefficients_,
    sizes_of_new_columns,
    sum_of_rows,
)
from sklearn_mlce._solvers.step_sizes import (
    StepSizes,
    first_step,
    gram_eigenvalue,
    steps_of_intercepts,
    stream_decay,
)
from sklearn_mlce._solvers.stream_state import StreamState
from sklearn_mlce._targets.targets import LabelCounts, constant_label_scores, weighted_label_counts
from sklearn_mlce._utils.tensors import dense_tensor

_STEPS_OF_FIT = 1000  # at least, as if its rows had been streamed


class LiveWeights:
    """Coefficients of a stream between its chunks, as the descent moves them.

    A chunk costs what its own features cost: the coefficients are written out where they are read,
    and where so many were moved that rounding may have added up.

    Parameters
    ----------
    parameters : ndarray of shape (n_features + fit_intercept, n_outputs)
        Those of the features as given, which are overwritten.
    standardisation : Standardisation
        Of the features.
    sizes : ndarray of shape (n_features,) or None
        What the features are divided by.
    device : torch.device
        Where the coefficients are moved.
    """

    def __init__(
        self,
        parameters: np.ndarray,
        standardisation: Standardisation,
        sizes: np.ndarray | None,
        device: torch.device,
    ) -> None:
        offset = standardisation.divided_offset
        self.sizes, self.device = sizes, device
        self._offset = None if offset is None else dense_tensor(offset, device)
        self._n_features = len(parameters) - (offset is not None)
        self._start(dense_tensor(multiply_coefficients_(parameters, sizes), device))

    def _start(self, parameters: Tensor) -> None:
        self.weights = CentredWeights(parameters, self._offset)
        self.squares = self.weights.squares()
        self._n_moved = 0

    def parameters(self, copy: bool = False) -> np.ndarray:
        """Parameters of the features as given; without a copy this is the last use of these."""
        parameters = self.weights.parameters()
        factor = None if self.sizes is None else inverse_sizes(self.sizes)
        given = (parameters.clone() if copy else parameters).cpu().numpy()
        return multiply_coefficients_(given, factor)

    def goes_on(self, sizes: np.ndarray | None, device: torch.device) -> bool:
        """Whether a chunk of features of these sizes can go on with these weights."""
        if sizes is None or self.sizes is None:
            same = sizes is self.sizes
        else:
            same = np.array_equal(sizes, self.sizes)
        return same and device == self.device

    def intercepts(self) -> np.ndarray:
        """Intercepts ``(n_outputs,)`` of the features as given."""
        return self.weights.intercepts_of_given.cpu().numpy()

    @contextmanager
    def moved_by(self, X: Any) -> Iterator[None]:
        """Keep the squares up to date while rows are passed over; take all back on an error."""
        rows: Any = slice(None)
        if sp.issparse(X):
            rows = torch.from_numpy(np.unique(X.indices).astype(np.int64)).to(self.device)
        before, left = self.weights.snapshot(rows), self.squares - self.weights.squares(rows)
        try:
            yield
        except BaseException:
            self.weights.restore(before)
            raise
        self._n_moved += self._n_features if isinstance(rows, slice) else len(rows)
        if self._n_moved >= self._n_features:
            # As much was moved as there is: now writing it out costs no more, and what is known
            # of it by steps alone is exact again.
            self._start(self.weights.parameters())
            return
        left = left * self.weights.multiplied**2
        self.squares = left.clamp_(min=0) + self.weights.squares(rows)


def learn_chunk(
    problem: LinearProblem,
    state: StreamState,
    live: LiveWeights | None,
    parameters: Callable[[], np.ndarray],
) -> tuple[LiveWeights, StreamState, float]:
    """Pass once over a chunk.

    Parameters
    ----------
    problem : LinearProblem
        The chunk.
    state : StreamState
        What earlier chunks left behind.
    live : LiveWeights or None
        The coefficients where the last chunk left them. They are moved, or, if the chunk fails,
        not.
    parameters : callable
        Returns a copy of the parameters ``(n_features + fit_intercept, n_outputs)`` that the
        stream goes on from. It is called where the coefficients are not live, or have to be
        divided by other sizes.

    Returns
    -------
    live : LiveWeights
        The coefficients.
    state : StreamState
        For the next chunk.
    objective : float
        Mean objective met.
    """
    state, is_new = _count_chunk(problem, state)
    weight, dtype = problem.sample_weight, problem.X.dtype
    if weight is not None:
        weight = weight / dtype.type(state.weight_unit)
    offset = None if state.offset is None else state.offset.astype(dtype, copy=False)
    factor = None if state.sizes is None else inverse_sizes(state.sizes).astype(dtype)
    standardisation = Standardisation(offset, factor)
    batches = RowBatches(
        problem.X, problem.targets, weight, standardisation, state.batch_size, problem.device
    )
    if state.gram == 0:
        state = replace(state, gram=gram_eigenvalue(batches, np.random.default_rng(state.seed)))
    loss = batch_loss(problem, _weight_of_trained(problem.label_weight, np.isnan(state.fixed)))
    if live is None or not live.goes_on(state.sizes, problem.device):
        live = LiveWeights(parameters(), standardisation, state.sizes, problem.device)
    steps = StepSizes(
        first_step(loss, state.gram),
        steps_of_intercepts(batches, loss, state.positive, state.negative),
        stream_decay,
    )
    order = np.random.default_rng([state.seed, state.n_chunks]).permutation(batches.n_rows)
    l2 = 1 / (problem.C * state.total_weight)
    with live.moved_by(problem.X):
        if problem.fit_intercept and is_new.any():
            _set_first_intercepts(problem, is_new, live.weights.intercepts)
        descent = StochasticDescent(live.weights, loss, steps, state.n_steps)
        mean_loss = descent.epoch(batches, order, l2)
        descent.check_finite(mean_loss)
    objective = mean_loss + l2 / 2 * live.weights.squared_norm(live.squares)
    return live, replace(state, n_steps=descent.n_steps), objective


def _count_chunk(problem: LinearProblem, state: StreamState) -> tuple[StreamState, np.ndarray]:
    """Return the state after a chunk, and a mask of the outputs that are trained from now on."""
    fixed = constant_label_scores(problem.targets)
    if state.total_weight > 0:  # an output stays fixed while it has been seen one way alone
        fixed = np.where(fixed == state.fixed, fixed, np.nan)
    if state.batch_size == 0:
        state = _first_chunk(problem, state)
    state = replace(state, sizes=_sizes_of_new_columns(problem, state))
    row_weight = np.ones(problem.X.shape[0])
    if problem.sample_weight is not None:
        row_weight = problem.sample_weight.astype(np.float64)
    positive, negative = weighted_label_counts(problem.targets, row_weight)
    is_new = np.isnan(fixed) & ~np.isnan(state.fixed)
    state = replace(
        state,
        fixed=fixed,
        n_chunks=state.n_chunks + 1,
        total_weight=state.total_weight + problem.total_weight,
        positive=state.positive + positive,
        negative=state.negative + negative,
    )
    return state, is_new


def _first_chunk(problem: LinearProblem, state: StreamState) -> StreamState:
    """Set what the first chunk decides."""
    n_rows, n_outputs = problem.X.shape[0], problem.targets.n_outputs
    batch_size = batch_size_for(n_rows, n_outputs)
    unit = problem.total_weight / n_rows
    n_steps = 0
    if state.total_weight > 0:  # after a fit, large steps would throw away what it found
        n_steps = max(_STEPS_OF_FIT, int(state.total_weight / (unit * batch_size)))
    offset = None
    if problem.fit_intercept:
        offset = sum_of_rows(problem.X, problem.row_weight).astype(problem.X.dtype)
    return replace(
        state,
        batch_size=batch_size,
        weight_unit=unit,
        n_steps=n_steps,
        gram=0.0,
        offset=offset,
        positive=np.zeros(n_outputs),
        negative=np.zeros(n_outputs),
    )


def _sizes_of_new_columns(problem: LinearProblem, state: StreamState) -> np.ndarray | None:
    """Sizes of the columns, with those that vary from this chunk on; their coefficients are 0."""
    if state.sizes is None or (state.sizes > 0).all():
        return state.sizes
    new, sizes = state.sizes == 0, state.sizes.copy()
    centre = np.zeros(int(new.sum())) if state.offset is None else state.offset[new]
    sizes[new] = sizes_of_new_columns(problem.X[:, new], problem.row_weight, centre)
    return sizes


def _set_first_intercepts(problem: LinearProblem, is_new: np.ndarray, intercepts: Tensor) -> None:
    """Write the first intercepts of outputs, whose coefficients are zero, as the chunk has them."""
    in_chunk = np.isnan(constant_label_scores(problem.targets))
    known = in_chunk & is_new
    if not known.any():
        return
    label_weight = None if problem.label_weight is None else problem.label_weight[in_chunk]
    start = np.zeros(len(is_new))
    targets, weight = problem.targets.select_outputs(in_chunk), problem.sample_weight
    start[in_chunk] = problem.objective.constant_scores(
        targets, weight, LabelCounts.of(targets, weight), label_weight
    )
    places = torch.from_numpy(np.flatnonzero(known)).to(intercepts.device)
    intercepts[places] = torch.from_numpy(start[known]).to(intercepts)


def _weight_of_trained(
    label_weight: np.ndarray | None, is_trained: np.ndarray
) -> np.ndarray | None:
    """Weights of the labels, 0 for those that are not trained yet."""
    if is_trained.all():
        return label_weight
    return is_trained * (1.0 if label_weight is None else label_weight)
