"""Truncated Newton with preconditioned conjugate gradients, for linear models.

The objective is convex in the scores and the scores are linear in the parameters, so that a
Hessian-vector product costs two products with the design, and a step along the search
direction none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_mlce._objectives.mlce import RowDerivatives, RowLoss
from sklearn_mlce._solvers.design import Design, inverted
from sklearn_mlce._solvers.newton_parts import Tolerance

_MAX_CG_ITERATIONS = 200
# Share of the residual that an inner solve may leave. Loose steps are the cheaper way to the
# default tol; the share falls with the gradient, so that a tight tol is still reached fast.
_FORCING = 0.3
_MAX_HALVINGS = 30
_SUFFICIENT_DECREASE = 1e-4


class SolverResult(NamedTuple):
    """What a solver hands back."""

    parameters: Tensor  # (n_parameters, n_outputs)
    n_iter: int
    converged: bool
    remaining: float  # largest share that is left of an output's gradient at constant scores
    loss_curve: list[float]  # objective after each iteration


class IterationMonitor(Protocol):
    """Who is told of the iterations."""

    stopped: bool  # whether the last one was told to be the last

    def begin(self) -> None:
        """An iteration begins."""

    def end(self, parameters: Callable[[], Tensor]) -> bool:
        """It ended, and can tell its parameters; return True to stop the solver."""


class _Point(NamedTuple):
    parameters: Tensor
    scores: Tensor
    rows: RowDerivatives
    value: float


class LinearObjective:
    """Weighted row losses of a linear model plus half of ``l2`` times its squared coefficients.

    Parameters
    ----------
    design : Design
        The features.
    row_loss : RowLoss
        The loss; its weights should sum to one, which makes this the mean objective.
    l2 : float
        Strength of the penalty; intercepts are not penalised.
    """

    def __init__(self, design: Design, row_loss: RowLoss, l2: float) -> None:
        self.design = design
        self.row_loss = row_loss
        self.l2 = l2
        self._scratch: tuple[Tensor, Tensor] | None = None

    def at(self, parameters: Tensor, scores: Tensor | None = None) -> _Point:
        """Evaluate at some parameters, whose scores may be known."""
        scores = self.design.scores(parameters) if scores is None else scores
        rows = self.row_loss.evaluate(scores)
        coefficients = parameters[: self.design.n_features]
        penalty = 0.5 * self.l2 * float(coefficients.double().square().sum())
        return _Point(parameters, scores, rows, rows.value + penalty)

    def gradient(self, point: _Point) -> Tensor:
        """Gradient in the parameters."""
        gradient = self.design.transposed(point.rows.gradient())
        return self._add_penalty(gradient, point.parameters)

    def curvature_product(self, point: _Point, direction: Tensor) -> Tensor:
        """Hessian in the parameters times a direction; the next call overwrites the result."""
        if self._scratch is None:  # fresh memory for each product would cost more than the product
            self._scratch = (torch.empty_like(point.scores), torch.empty_like(direction))
        scores, result = self._scratch
        product = point.rows.curvature_product(self.design.scores(direction, out=scores))
        return self._add_penalty(self.design.transposed(product, out=result), direction)

    def preconditioner(self, point: _Point) -> Tensor:
        """Inverse of the Hessian's diagonal in the parameters."""
        diagonal = self.design.transposed_squared(point.rows.curvature_diagonal())
        diagonal[: self.design.n_features] += self.l2
        return inverted(diagonal)

    def tolerance(self, gradient: Tensor, point: _Point, share: float) -> Tolerance:
        """That share of the gradient at a point of constant scores."""
        return Tolerance.of_share(self.design, gradient, point.rows.gradient(), share)

    def excess(self, tolerance: Tolerance, gradient: Tensor) -> tuple[float, bool]:
        """Largest entry of a gradient in units of the tolerance, and whether one is too large."""
        excess, too_large = tolerance.excess(gradient)
        return float(excess.max()), bool(too_large.any())

    def _add_penalty(self, product: Tensor, parameters: Tensor) -> Tensor:
        coefficients = slice(self.design.n_features)
        product[coefficients].add_(parameters[coefficients], alpha=self.l2)
        return product


def newton_cg(
    objective: LinearObjective,
    start: Tensor,
    constant: Tensor,
    *,
    tol: float,
    max_iter: int,
    monitor: IterationMonitor,
) -> SolverResult:
    """Minimise an objective from ``start``.

    Parameters
    ----------
    objective : LinearObjective
        What to minimise.
    start : Tensor of shape (n_parameters, n_outputs)
        First parameters.
    constant : Tensor of shape (n_parameters, n_outputs)
        Parameters of constant scores, whose gradient is the measure of `tol`.
    tol : float
        Converged when the largest entry of each output's gradient is this share of what it is at
        `constant`.
    max_iter : int
        Newton iterations at most.
    monitor : IterationMonitor
        Told of each iteration, and may stop the solver.

    Returns
    -------
    SolverResult
        The parameters and how they were reached.
    """
    point = objective.at(objective.design.to_centred(constant))
    gradient = objective.gradient(point)
    tolerance = objective.tolerance(gradient, point, tol)
    if start is not constant:
        point = objective.at(objective.design.to_centred(start))
        gradient = objective.gradient(point)
    excess, too_large = objective.excess(tolerance, gradient)
    first_norm = float(gradient.norm())
    radius = math.inf
    loss_curve: list[float] = []
    while too_large and len(loss_curve) < max_iter:
        monitor.begin()
        forcing = min(_FORCING, (float(gradient.norm()) / first_norm) ** 0.25)
        direction, norm = _newton_direction(objective, point, gradient, forcing, radius)
        accepted, step = _line_search(objective, point, gradient, direction)
        # A step that had to be halved wasted inner steps on directions where the quadratic model
        # does not hold: the next search goes no further than twice what was accepted.
        radius = math.inf if step == 1 else 2 * step * norm
        # Without a smaller value, or one told from the last, the precision is exhausted.
        stalled = accepted is None or accepted.value >= point.value - _noise(point)
        point = accepted or point
        gradient = objective.gradient(point)
        previous, (excess, too_large) = excess, objective.excess(tolerance, gradient)
        loss_curve.append(point.value)
        stopped = monitor.end(partial(objective.design.from_centred, point.parameters))
        if stopped or (stalled and excess >= previous):
            break
    return SolverResult(
        objective.design.from_centred(point.parameters),
        len(loss_curve),
        excess <= 1,
        excess * tol,
        loss_curve,
    )


def _newton_direction(
    objective: LinearObjective, point: _Point, gradient: Tensor, forcing: float, radius: float
) -> tuple[Tensor, float]:
    """Solve ``Hessian @ direction = -gradient`` until the residual is ``forcing`` of the start.

    Preconditioned conjugate gradients, until the direction's norm reaches the trust radius; norms
    are those of the preconditioner, and are had by recurrence.

    Returns
    -------
    direction : Tensor of shape (n_parameters, n_outputs)
    norm : float
        Its length in the preconditioner's norm.
    """
    preconditioner = objective.preconditioner(point)
    direction = torch.zeros_like(gradient)
    residual = -gradient
    preconditioned = preconditioner * residual
    search = preconditioned.clone()
    squared_residual = first_squared_residual = search_search = _dot(residual, preconditioned)
    direction_direction = direction_search = 0.0
    for _ in range(_MAX_CG_ITERATIONS):
        product = objective.curvature_product(point, search)
        curvature = _dot(search, product)
        to_boundary = _step_to_boundary(
            direction_direction, direction_search, search_search, radius
        )
        # Where it is flat to the last digit only the boundary or the line search stops the step.
        step = squared_residual / curvature if curvature > 0 else min(to_boundary, 1.0)
        at_boundary = step >= to_boundary
        step = min(step, to_boundary)
        direction.add_(search, alpha=step)
        direction_direction += step * (2 * direction_search + step * search_search)
        if at_boundary or curvature <= 0:
            break
        residual.sub_(product, alpha=step)
        preconditioned = torch.mul(preconditioner, residual, out=preconditioned)
        previous, squared_residual = squared_residual, _dot(residual, preconditioned)
        if squared_residual <= forcing**2 * first_squared_residual:
            break
        ratio = squared_residual / previous
        search.mul_(ratio).add_(preconditioned)
        direction_search = ratio * (direction_search + step * search_search)
        search_search = squared_residual + ratio**2 * search_search
    return direction, direction_direction**0.5


def _step_to_boundary(
    direction_direction: float, direction_search: float, search_search: float, radius: float
) -> float:
    """Largest ``step`` with ``norm(direction + step * search) <= radius``."""
    if radius == math.inf or search_search <= 0:
        return math.inf
    room = max(radius**2 - direction_direction, 0.0)
    root = (direction_search**2 + search_search * room) ** 0.5
    return (root - direction_search) / search_search


def _line_search(
    objective: LinearObjective, point: _Point, gradient: Tensor, direction: Tensor
) -> tuple[_Point | None, float]:
    """Halve the step until the objective falls enough, and on while that makes it fall further.

    None and 0 if it never falls enough. A full step is taken as it is. The longest step that
    will do may lie far up the other side of a valley, from wall to wall of which the search would
    then go: losses of a higher order or scale bend sharply.
    """
    slope = _dot(gradient, direction)
    along = objective.design.scores(direction)
    accepted, accepted_step, step = None, 0.0, 1.0
    for _ in range(_MAX_HALVINGS):
        trial = objective.at(
            torch.add(point.parameters, direction, alpha=step),
            torch.add(point.scores, along, alpha=step),
        )
        if accepted is not None and trial.value >= accepted.value:
            break
        if trial.value <= point.value + _SUFFICIENT_DECREASE * step * slope + _noise(point):
            accepted, accepted_step = trial, step
            if step == 1:
                break
        step /= 2
    return accepted, accepted_step


def _noise(point: _Point) -> float:
    """Differences of the objective that its precision does not tell from zero."""
    return 4 * torch.finfo(point.parameters.dtype).eps * abs(point.value)


def _dot(first: Tensor, second: Tensor) -> float:
    return float(torch.dot(first.reshape(-1), second.reshape(-1)))
