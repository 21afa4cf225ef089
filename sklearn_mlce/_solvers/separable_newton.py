"""Truncated Newton for losses that are sums over labels: one problem a label, solved in blocks.

Labels that share no curvature are independent problems with one design. They are solved side
by side, each with its own conjugate-gradient steps, line search and end, in blocks of labels
whose vectors stay in the processor's cache; a matrix of the scores of all labels is never held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.objective import Derivatives, SecondOrderLoss
from sklearn_mlce._solvers.design import Design, inverted
from sklearn_mlce._solvers.newton_cg import IterationMonitor, SolverResult
from sklearn_mlce._solvers.newton_parts import Tolerance

# Parameters and scores of a block: 1 MiB of float32. Sparse products of blocks that leave the
# cache take two to three times as long.
_BLOCK_ELEMENTS = 2**18
_FEWEST_LABELS = 16  # one cache line of float32: narrower products read it all the same
_MAX_CG_ITERATIONS = 100
_FORCING = 0.3  # share of the residual that an inner solve may leave
_MAX_HALVINGS = 25
# A step is too long where the slope at its end is larger than this share of the first slope.
_LARGEST_END_SLOPE = 0.5
_DAMPING_KEPT = 0.1  # after a step of full length
# Labels that are done are dropped from a block once they are a quarter of it.
_LARGEST_ACTIVE_SHARE = 0.75


class SeparableObjective(NamedTuple):
    """Weighted row losses of a linear model plus half of ``l2`` times its squared coefficients."""

    design: Design
    loss_of: Callable[[np.ndarray], SecondOrderLoss]  # of some labels, given by their numbers
    l2: float


class _Point(NamedTuple):
    """Some labels' problems at their parameters."""

    parameters: Tensor  # (n_parameters, n_labels), of the centred features
    scores: Tensor  # (n_rows, n_labels)
    gradient: Tensor  # (n_parameters, n_labels)
    rows: Derivatives

    def take(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All but the derivatives of some of its labels."""
        return tuple(part.index_select(1, labels) for part in self[:3])  # type: ignore[return-value]


def separable_newton(
    objective: SeparableObjective,
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
    objective : SeparableObjective
        What to minimise.
    start : Tensor of shape (n_parameters, n_labels)
        First parameters.
    constant : Tensor of shape (n_parameters, n_labels)
        Parameters of constant scores, whose gradient is the measure of `tol`.
    tol : float
        A label has converged when the largest entry of its gradient is this share of what it is
        at `constant`.
    max_iter : int
        Newton iterations at most, for each label.
    monitor : IterationMonitor
        Told of each iteration of each block, and may stop the solver.

    Returns
    -------
    SolverResult
        The parameters and how they were reached.
    """
    parameters = start.clone()
    curves, worst, stopped = [], 0.0, False
    for labels in _label_blocks(objective.design, constant):
        block = _Block(objective, parameters, labels)
        curve = block.minimise(
            None if start is constant else constant,
            tol=tol,
            max_iter=0 if stopped else max_iter,  # the rest still count in the objective
            monitor=monitor,
        )
        curves.append(curve)
        worst, stopped = max(worst, block.worst), stopped or block.stopped
    return SolverResult(
        parameters, max(map(len, curves)) - 1, worst <= 1, worst * tol, _sum_of_curves(curves)
    )


def _label_blocks(design: Design, constant: Tensor) -> Iterator[np.ndarray]:
    """Numbers of labels, those of like frequency together: they take as many iterations."""
    step = max(_FEWEST_LABELS, _BLOCK_ELEMENTS // (design.n_rows + design.n_parameters))
    order = torch.argsort(constant[-1], stable=True).cpu().numpy()
    for first in range(0, len(order), step):
        yield np.sort(order[first : first + step])


def _sum_of_curves(curves: list[list[float]]) -> list[float]:
    """Objective after each iteration, blocks that are done staying where they ended."""
    longest = max(map(len, curves))
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    return [sum(values) for values in zip(*padded, strict=True)][1:]


class _Block:
    """A block of labels on their way from their start to their optima."""

    def __init__(self, objective: SeparableObjective, result: Tensor, labels: np.ndarray) -> None:
        self.design, _, self.l2 = objective
        self._loss_of = objective.loss_of
        self._result = result
        self.labels = labels
        self._at = torch.from_numpy(labels).to(result.device)
        self._loss = self._loss_of(labels)
        self.stopped, self.worst = False, 0.0
        self._value_of_done = 0.0
        self._damping = result.new_zeros(len(labels))

    def minimise(
        self, constant: Tensor | None, *, tol: float, max_iter: int, monitor: IterationMonitor
    ) -> list[float]:
        """Objective of the block at its start and after each iteration."""
        point = self._at_parameters(self._result)
        measure = point if constant is None else self._at_parameters(constant)
        self._tolerance = Tolerance.of_share(
            self.design, measure.gradient, measure.rows.gradient(), tol
        )
        excess, too_large = self._tolerance.excess(point.gradient)
        first_norm = excess.clone()
        curve = [self._value(point)]
        while len(curve) <= max_iter and bool(too_large.any()):
            monitor.begin()
            if float(too_large.float().mean()) < _LARGEST_ACTIVE_SHARE:
                self.worst = max(self.worst, float(excess[~too_large].max()))
                point = self._drop_done(point, too_large)
                excess, first_norm = excess[too_large], first_norm[too_large]
            forcing = (excess / first_norm).pow_(0.25).clamp_(max=_FORCING)
            direction = self._newton_direction(point, forcing)
            point = self._line_search(point, direction)
            excess, too_large = self._tolerance.excess(point.gradient)
            curve.append(self._value(point))
            self.stopped = monitor.end(partial(self._store, point.parameters))
            if self.stopped:
                break
        self._store(point.parameters)
        self.worst = max(self.worst, float(excess.max()))
        return curve

    def _at_parameters(self, parameters: Tensor) -> _Point:
        """The block's point at the parameters of all labels."""
        own = self.design.to_centred(parameters.index_select(1, self._at))
        return self._evaluate(own, self.design.scores(own))

    def _evaluate(self, parameters: Tensor, scores: Tensor) -> _Point:
        rows = self._loss.evaluate(scores)
        gradient = self.design.transposed(rows.gradient())
        return _Point(parameters, scores, self._add_penalty(gradient, parameters), rows)

    def _add_penalty(self, product: Tensor, parameters: Tensor) -> Tensor:
        coefficients = slice(self.design.n_features)
        product[coefficients].add_(parameters[coefficients], alpha=self.l2)
        return product

    def _value(self, point: _Point) -> float:
        coefficients = point.parameters[: self.design.n_features]
        penalty = 0.5 * self.l2 * float(coefficients.square().sum(dtype=torch.float64))
        return self._value_of_done + point.rows.value + penalty

    def _store(self, parameters: Tensor) -> Tensor:
        """Parameters of all labels, those of the block written among them."""
        return self._result.index_copy_(1, self._at, self.design.from_centred(parameters))

    def _drop_done(self, point: _Point, keep: Tensor) -> _Point:
        """The point without the labels that are done."""
        before = self._value(point)
        places = keep.nonzero().squeeze(1)
        self._store(point.parameters)
        parameters, scores, gradient = point.take(places)
        self.labels = self.labels[places.cpu().numpy()]
        self._at, self._damping = self._at[places], self._damping[places]
        self._tolerance = self._tolerance.take(places)
        self._loss = self._loss_of(self.labels)
        point = _Point(parameters, scores, gradient, self._loss.evaluate(scores))
        self._value_of_done = 0.0
        self._value_of_done = before - self._value(point)
        return point

    def _newton_direction(self, point: _Point, forcing: Tensor) -> Tensor:
        """Solve each label's ``Hessian @ direction = -gradient`` to its share of the residual.

        Conjugate gradients, preconditioned by the Hessian's diagonal.
        """
        curvature = point.rows.curvature_diagonal().add_(self._damping)
        preconditioner = self._inverse_diagonal(curvature)
        direction = torch.zeros_like(point.gradient)
        residual = point.gradient.neg()
        search = preconditioner * residual
        squared = (residual * search).sum(dim=0)
        enough = forcing.square() * squared
        scores, product = torch.empty_like(point.scores), torch.empty_like(direction)
        for _ in range(_MAX_CG_ITERATIONS):
            self.design.scores(search, out=scores).mul_(curvature)
            product = self._add_penalty(self.design.transposed(scores, out=product), search)
            bend = (search * product).sum(dim=0)
            step = torch.where((squared > enough) & (bend > 0), squared / bend, 0.0)
            direction.addcmul_(search, step)
            residual.addcmul_(product, step, value=-1)
            preconditioned = torch.mul(preconditioner, residual, out=product)
            previous, squared = squared, (residual * preconditioned).sum(dim=0)
            if not bool((squared > enough).any()):
                break
            ratio = torch.where(step > 0, squared / previous, 0.0)
            search.mul_(ratio).add_(preconditioned)
        return direction

    def _inverse_diagonal(self, curvature: Tensor) -> Tensor:
        diagonal = self.design.transposed_squared(curvature)
        diagonal[: self.design.n_features] += self.l2
        return inverted(diagonal)

    def _line_search(self, point: _Point, direction: Tensor) -> _Point:
        """Shorten each label's step until its end is not far beyond the valley.

        Slopes tell labels apart, and in float32 steps that values no longer do. But where the
        loss is nearly a hinge, a small slope far beyond a sharp valley may stand higher than the
        start: the value of all labels must not rise. A label whose slope at the end is not
        positive has fallen, as the objective is convex.
        """
        along = self.design.scores(direction)
        coefficients = direction[: self.design.n_features]
        linear = (coefficients * point.parameters[: self.design.n_features]).sum(dim=0)
        quadratic = coefficients.square().sum(dim=0)
        first = (point.gradient * direction).sum(dim=0).neg_()
        step = torch.ones_like(first)
        for left in reversed(range(_MAX_HALVINGS)):
            scores = torch.addcmul(point.scores, along, step)
            rows = self._loss.evaluate(scores)
            at_scores = rows.gradient()
            slope = (at_scores * along).sum(dim=0)
            slope.add_(linear, alpha=self.l2).addcmul_(quadratic, step, value=self.l2)
            penalty = self.l2 * float((step * (linear + 0.5 * step * quadratic)).sum())
            risen = rows.value - point.rows.value + penalty > self._noise(point)
            too_long = slope > (0 if risen else _LARGEST_END_SLOPE * first)
            if not left or not bool(too_long.any()):
                break
            secant = (first / (first + slope)).clamp_(0.1, 0.7)
            step = torch.where(too_long, step * secant, step)
        if bool(((step < 1) | (self._damping > 0)).any()):
            self._adapt_damping(point, along, step)
        parameters = torch.addcmul(point.parameters, direction, step)
        gradient = self._add_penalty(self.design.transposed(at_scores), parameters)
        return _Point(parameters, scores, gradient, rows)

    def _noise(self, point: _Point) -> float:
        """Differences of the objective that its precision does not tell from zero."""
        return 4 * torch.finfo(point.scores.dtype).eps * abs(self._value(point))

    def _adapt_damping(self, point: _Point, along: Tensor, step: Tensor) -> None:
        """Curvature to add to every row's, that the next step need not be shortened."""
        squared = along.square()
        model = (point.rows.curvature_diagonal() * squared).sum(dim=0)
        model.addcmul_(self._damping, squared.sum(dim=0))
        model.div_(squared.sum(dim=0).clamp_(min=torch.finfo(model.dtype).tiny))
        self._damping = torch.where(step < 1, model * (1 / step - 1), self._damping * _DAMPING_KEPT)
