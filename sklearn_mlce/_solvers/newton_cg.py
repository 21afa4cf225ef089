"""Truncated Newton with preconditioned conjugate gradients, for linear models.

The objective is convex in the scores and the scores are linear in the parameters, so that a
Hessian-vector product costs two products with the design, and a step along the search
direction none.

Labels that share no curvature are independent problems with one design. They are solved side
by side, each with its own conjugate-gradient steps, step length and end, in blocks of labels
whose vectors stay in the processor's cache; a matrix of the scores of all labels is never held.
Labels that are coupled are one problem (:mod:`~sklearn_mlce._solvers.coupled_newton`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_mlce._objectives.objective import Derivatives, SecondOrderLoss
from sklearn_mlce._solvers.conjugate_gradients import LabelSteps, conjugate_gradients
from sklearn_mlce._solvers.coupled_newton import coupled_objective, minimise_coupled
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.newton_parts import (
    FORCING,
    MAX_SHORTENINGS,
    Penalty,
    SolverResult,
    StoppingCriterion,
    second_order_loss,
    value_noise,
)
from sklearn_mlce._solvers.problem import IterationMonitor, LinearProblem, PreparedFeatures
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.rows import rows_that_fit
from sklearn_mlce._utils.tensors import dense_tensor

# A step is too long where the slope at its end is larger than this fraction of the first slope.
_LARGEST_END_SLOPE = 0.5
_DAMPING_KEPT = 0.1  # after a step of full length
# Parameters and scores of a block: 1 MiB of float32. Sparse products of blocks that leave the
# cache take two to three times as long.
_BLOCK_ENTRIES = 2**18
_FEWEST_LABELS = 16  # one cache line of float32: narrower products read it all the same
# Labels that are done are dropped from a block once they are a quarter of it.
_LARGEST_ACTIVE_FRACTION = 0.75


@dataclass(frozen=True)
class Point:
    """An objective at some parameters of the centred features."""

    parameters: Tensor  # (n_parameters, n_outputs)
    scores: Tensor  # (n_rows, n_outputs)
    derivatives: Derivatives
    gradient: Tensor  # (n_parameters, n_outputs)
    value: float

    @property
    def noise(self) -> float:
        """Difference of the objective that its precision does not tell from zero."""
        return value_noise(self.value, self.scores.dtype)


class LinearObjective:
    """Weighted row losses of a linear model plus half the strength times squared coefficients.

    Parameters
    ----------
    design : Design
        The features.
    loss : SecondOrderLoss
        The loss; its weights should sum to one, which makes this the mean objective.
    strength : float or Tensor of shape (n_features, n_outputs)
        Strength of the penalty; intercepts are not penalised.
    value_of_others : float, default=0.0
        Objective of outputs that are solved elsewhere, added to each value.
    """

    def __init__(
        self,
        design: Design,
        loss: SecondOrderLoss,
        strength: float | Tensor,
        value_of_others: float = 0.0,
    ) -> None:
        self.design, self.loss = design, loss
        self.penalty = Penalty(strength, design.n_features)
        self.value_of_others = value_of_others

    def at(self, parameters: Tensor) -> Point:
        """Evaluate at parameters of the centred features."""
        scores = self.design.scores(parameters)
        derivatives = self.loss.evaluate(scores)
        return self.point(parameters, scores, derivatives, derivatives.gradient())

    def point(
        self, parameters: Tensor, scores: Tensor, derivatives: Derivatives, row_gradient: Tensor
    ) -> Point:
        """Complete a point whose row losses are evaluated."""
        gradient = self.penalty.add_gradient_(self.design.transposed(row_gradient), parameters)
        value = self.value(parameters, derivatives)
        return Point(parameters, scores, derivatives, gradient, value)

    def value(self, parameters: Tensor, derivatives: Derivatives) -> float:
        """Objective of evaluated row losses."""
        return self.value_of_others + derivatives.value + self.penalty.value(parameters)

    def hessian(self, point: Point, diagonal: Tensor) -> Callable[[Tensor], Tensor]:
        """Product of the Hessian with a direction, whose memory the next call overwrites.

        The Hessian in the scores is a `diagonal` ``(n_rows, L)``.
        """
        # Fresh memory for each product would cost more than the product.
        scores, product = torch.empty_like(point.scores), torch.empty_like(point.parameters)

        def times(direction: Tensor) -> Tensor:
            curved = self.design.scores(direction, out=scores).mul_(diagonal)
            self.design.transposed(curved, out=product)
            return self.penalty.add_gradient_(product, direction)

        return times

    def inverse_diagonal(self, curvature: Tensor) -> Tensor:
        """Inverse of the Hessian's diagonal, from the curvature ``(n_rows, L)`` in the scores."""
        return self.penalty.inverse_diagonal_(self.design.transposed_squared(curvature))


def fit_newton(
    problem: LinearProblem,
    features: PreparedFeatures,
    start: Tensor,
    constant: Tensor,
    *,
    tol: float,
    max_iter: int,
    monitor: IterationMonitor,
) -> SolverResult:
    """Minimise a problem from ``start``.

    Parameters
    ----------
    problem : LinearProblem
        What to minimise; all of its outputs are trained.
    features : PreparedFeatures
        Its features.
    start : Tensor of shape (n_parameters, n_outputs)
        First parameters, which may be overwritten.
    constant : Tensor of shape (n_parameters, n_outputs)
        Parameters of constant scores, whose gradient is the measure of `tol`.
    tol : float
        An output has converged when the largest entry of its gradient is this fraction of what it
        is at `constant`.
    max_iter : int
        Newton iterations at most, for each label where each is a problem of its own.
    monitor : IterationMonitor
        Told of each iteration (of each block of labels), and may stop the solver.

    Returns
    -------
    SolverResult
        The parameters and how they were reached.
    """
    weight = dense_tensor(problem.row_weight, problem.device)
    positive = weight.clamp(min=torch.finfo(weight.dtype).tiny)  # it is divided by
    if not problem.objective.separable:
        objective = coupled_objective(problem, features, positive)
        return minimise_coupled(
            objective, start, constant, tol=tol, max_iter=max_iter, monitor=monitor
        )
    design = features.design
    targets = problem.targets.one_hot()
    all_outputs = np.arange(targets.n_outputs)

    def chosen(outputs: np.ndarray) -> Targets:
        return targets.select_outputs(np.isin(all_outputs, outputs))

    def loss_of(outputs: np.ndarray) -> SecondOrderLoss:
        return second_order_loss(problem, chosen(outputs), positive, outputs)

    def strength_of(outputs: np.ndarray) -> float | Tensor:
        if features.association is None:
            return problem.l2
        return features.association.strengths(design, chosen(outputs), weight, problem.l2)

    curves, norm = [], 0.0
    for labels in _label_blocks(design, constant):
        # Each block reads its part of the start before it writes over it.
        block = _LabelBlock(design, loss_of, strength_of(labels), labels, start, weight[:, None])
        curve = block.minimise(
            None if start is constant else constant,
            tol=tol,
            # Blocks after the last iteration still count in the objective.
            max_iter=0 if monitor.stopped else max_iter,
            monitor=monitor,
        )
        curves.append(curve)
        norm = max(norm, block.norm)
    return SolverResult(start, norm <= 1, norm * tol, sum_of_curves(curves))


def _label_blocks(design: Design, constant: Tensor) -> Iterator[np.ndarray]:
    """Numbers of labels, those of like frequency together: they take as many iterations."""
    size = max(_FEWEST_LABELS, rows_that_fit(design.n_rows + design.n_parameters, _BLOCK_ENTRIES))
    order = torch.argsort(constant[-1], stable=True).cpu().numpy()
    for block in gen_batches(len(order), size):
        yield np.sort(order[block])


def sum_of_curves(curves: list[list[float]]) -> list[float]:
    """Objective at the start and after each iteration; blocks that are done stay at their end."""
    longest = max(map(len, curves))
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    return [sum(values) for values in zip(*padded, strict=True)]


class _LabelBlock:
    """Labels on their way from their start to their optima, each a problem of its own.

    Parameters
    ----------
    design : Design
        The features.
    loss_of : callable
        Returns the loss of some labels, given by their numbers.
    strength : float or Tensor of shape (n_features, n_labels)
        Strength of the penalty.
    labels : ndarray of shape (n_labels,)
        Numbers of the block's labels.
    result : Tensor of shape (n_parameters, n_outputs)
        Parameters of all labels, of which those of the block are read first and written at last.
    row_weight : Tensor of shape (n_rows, 1)
        Weights of the rows.
    """

    def __init__(
        self,
        design: Design,
        loss_of: Callable[[np.ndarray], SecondOrderLoss],
        strength: float | Tensor,
        labels: np.ndarray,
        result: Tensor,
        row_weight: Tensor,
    ) -> None:
        self.labels = labels
        self._row_weight = row_weight
        self.norm = 0.0  # largest relative gradient norm where the labels ended
        self._loss_of = loss_of
        self._objective = LinearObjective(design, loss_of(labels), strength)
        self._result = result
        self._places = torch.from_numpy(labels).to(result.device)
        self._damping = result.new_zeros(len(labels))

    def minimise(
        self, constant: Tensor | None, *, tol: float, max_iter: int, monitor: IterationMonitor
    ) -> list[float]:
        """Return the objective of the block at its start and after each iteration."""
        design = self._objective.design
        point = self._objective.at(self._own(self._result))
        measure = point if constant is None else self._objective.at(self._own(constant))
        self._criterion = StoppingCriterion.at_constant_scores(
            design, measure.gradient, measure.derivatives.gradient().abs().sum(dim=0), tol
        )
        norms, too_large = self._criterion.relative_gradient_norm(point.gradient)
        first_norms = norms.clone()
        curve = [point.value]
        while len(curve) <= max_iter and bool(too_large.any()):
            monitor.begin()
            if float(too_large.float().mean()) < _LARGEST_ACTIVE_FRACTION:
                self.norm = max(self.norm, float(norms[~too_large].max()))
                point = self._drop_done(point, too_large)
                norms, first_norms = norms[too_large], first_norms[too_large]
            curvature = self._damped_curvature(point)
            direction = conjugate_gradients(
                self._objective.hessian(point, curvature),
                self._objective.inverse_diagonal(curvature),
                point.gradient,
                LabelSteps((norms / first_norms).pow_(0.25).clamp_(max=FORCING)),
            )
            point, step, along = _shorten_until_flat(self._objective, point, direction)
            self._adapt_damping(curvature, step, along)
            norms, too_large = self._criterion.relative_gradient_norm(point.gradient)
            curve.append(point.value)
            if monitor.end(partial(self._store, point.parameters)):
                break
        self._store(point.parameters)
        self.norm = max(self.norm, float(norms.max()))
        return curve

    def _own(self, parameters: Tensor) -> Tensor:
        """Parameters of the block's labels and of the centred features."""
        return self._objective.design.to_centred(parameters.index_select(1, self._places))

    def _store(self, parameters: Tensor) -> Tensor:
        """Write the block's parameters among those of all labels, which are returned."""
        given = self._objective.design.from_centred(parameters)
        return self._result.index_copy_(1, self._places, given)

    def _drop_done(self, point: Point, keep: Tensor) -> Point:
        """Store all labels, and go on with a mask of them."""
        self._store(point.parameters)
        places = keep.nonzero().squeeze(1)
        self.labels = self.labels[places.cpu().numpy()]
        self._places, self._damping = self._places[places], self._damping[places]
        self._criterion = self._criterion.of_outputs(places)
        parameters, scores, gradient = (
            part.index_select(1, places)
            for part in (point.parameters, point.scores, point.gradient)
        )
        design, strength = (
            self._objective.design,
            self._objective.penalty.strength_of_outputs(places),
        )
        loss = self._loss_of(self.labels)
        derivatives = loss.evaluate(scores)
        others = point.value - LinearObjective(design, loss, strength).value(
            parameters, derivatives
        )
        self._objective = LinearObjective(design, loss, strength, others)
        return Point(parameters, scores, derivatives, gradient, point.value)

    def _damped_curvature(self, point: Point) -> Tensor:
        """Curvature ``(n_rows, n_labels)`` in the scores, with the damping of each label."""
        curvature = point.derivatives.curvature_diagonal()
        if not bool(self._damping.any()):
            return curvature
        # A copy: the derivatives may keep theirs.
        return torch.addcmul(curvature, self._row_weight, self._damping)

    def _adapt_damping(self, curvature: Tensor, step: Tensor, along: Tensor) -> None:
        """Set the curvature to add to every row's, that the next step need not be shortened.

        It is that of a row of weight 1, so that a row of weight 2 is two rows.
        """
        if not bool(((step < 1) | (self._damping > 0)).any()):
            return
        squares = along.square()
        model = (curvature * squares).sum(dim=0)
        of_weights = (self._row_weight * squares).sum(dim=0)
        model.div_(of_weights.clamp_(min=torch.finfo(model.dtype).tiny))
        kept = self._damping * _DAMPING_KEPT
        self._damping = torch.where(step < 1, model * (1 / step - 1), kept)


class _Trial(NamedTuple):
    scores: Tensor
    derivatives: Derivatives
    value: float


class _Line:
    """An objective along a direction from a point, each output with a step of its own."""

    def __init__(self, objective: LinearObjective, point: Point, direction: Tensor) -> None:
        self._objective, self._point, self._direction = objective, point, direction
        self._linear = objective.penalty.products(direction, point.parameters)
        self._quadratic = objective.penalty.products(direction, direction)
        self.along = objective.design.scores(direction)
        self.slope = (point.gradient * direction).sum(dim=0)  # (n_outputs,)

    def at(self, step: Tensor) -> _Trial:
        """Evaluate at a step of shape (n_outputs,), or ()."""
        scores = torch.addcmul(self._point.scores, self.along, step)
        derivatives = self._objective.loss.evaluate(scores)
        change = step * (self._linear + 0.5 * step * self._quadratic)
        loss = derivatives.value - self._point.derivatives.value
        return _Trial(scores, derivatives, self._point.value + (loss + float(change.sum())))

    def slope_at(self, row_gradient: Tensor, step: Tensor) -> Tensor:
        """Return the slope ``(n_outputs,)`` at a step, from the gradient in the scores there."""
        slope = (row_gradient * self.along).sum(dim=0)
        return slope.add_(self._linear).addcmul_(self._quadratic, step)

    def end(self, trial: _Trial, row_gradient: Tensor, step: Tensor) -> Point:
        """Complete the point of a trial."""
        parameters = torch.addcmul(self._point.parameters, self._direction, step)
        return self._objective.point(parameters, trial.scores, trial.derivatives, row_gradient)


def _shorten_until_flat(
    objective: LinearObjective, point: Point, direction: Tensor
) -> tuple[Point, Tensor, Tensor]:
    """Shorten each label's step until its end is not far beyond the valley.

    Slopes tell labels apart, and in float32 steps that values no longer do. But where the
    loss is nearly a hinge, a small slope far beyond a sharp valley may stand higher than the
    start: the value of all labels must not rise. A label whose slope at the end is not
    positive has fallen, as the objective is convex.

    Returns
    -------
    point : Point
        Where the steps end.
    step : Tensor of shape (n_labels,)
        The steps.
    along : Tensor of shape (n_rows, n_labels)
        Scores of the direction.
    """
    line = _Line(objective, point, direction)
    first = -line.slope
    step = torch.ones_like(first)
    for left in reversed(range(MAX_SHORTENINGS)):
        trial = line.at(step)
        row_gradient = trial.derivatives.gradient()
        slope = line.slope_at(row_gradient, step)
        risen = trial.value - point.value > point.noise
        too_long = slope > (0 if risen else _LARGEST_END_SLOPE * first)
        if not left or not bool(too_long.any()):
            break
        secant = (first / (first + slope)).clamp_(0.1, 0.7)
        step = torch.where(too_long, step * secant, step)
    return line.end(trial, row_gradient, step), step, line.along
