"""Truncated Newton where the outputs of a row are one problem, by blocks of rows.

A row's loss needs the scores of all its labels, and of no other row. So the rows are cut into
blocks, the products of the design and the loss of a block are made while its scores are at hand,
and a matrix of the scores of all rows is never held. Of each block the derivatives are kept for
the conjugate-gradient steps; where there are too many scores they are made anew in every step,
which takes one more product with the design.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial, reduce
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.objective import Derivatives, SecondOrderLoss
from sklearn_mlce._solvers.conjugate_gradients import TrustRegion, conjugate_gradients
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
from sklearn_mlce._utils.rows import rows_that_fit

_SUFFICIENT_DECREASE = 1e-4
# Scores of a block, unless there are many more parameters, all of which each block adds to. The C
# library takes memory of up to 32 MiB from a heap that aligned blocks leave holes in: half as much
# again as is in use. What is larger goes back to the system.
_BLOCK_BYTES = 33 * 2**20
_SHARE_OF_PARAMETERS = 4
#: Scores of all rows up to which derivatives are kept.
KEPT_SCORES = 10**8
#: Arrays of the size of the parameters that are held, those that are returned included.
N_ARRAYS = 7


class Trial(NamedTuple):
    """An objective at some parameters, without its gradient."""

    parameters: Tensor  # (n_parameters, n_outputs), of the centred features
    loss: float  # without the penalty
    value: float
    kept: list[Derivatives] | None  # of each block of rows; None where they are made anew


class CoupledPoint(NamedTuple):
    """An objective at some parameters, with its gradient."""

    trial: Trial
    gradient: Tensor  # (n_parameters, n_outputs)

    @property
    def value(self) -> float:
        """Value of the objective."""
        return self.trial.value

    @property
    def parameters(self) -> Tensor:
        """Parameters ``(n_parameters, n_outputs)`` of the centred features."""
        return self.trial.parameters

    @property
    def noise(self) -> float:
        """Difference of the objective that its precision does not tell from zero."""
        return value_noise(self.value, self.gradient.dtype)

    def without_derivatives(self) -> CoupledPoint:
        """The point without what is kept of its rows."""
        return self._replace(trial=self.trial._replace(kept=None))


class CoupledObjective:
    """Weighted row losses of a linear model, summed over blocks of rows, and its penalty.

    Parameters
    ----------
    designs : list of Design
        The features of each block.
    losses : list of SecondOrderLoss
        The loss of each block; the weights of all rows should sum to one.
    l2 : float
        Strength of the penalty; intercepts are not penalised.
    keeps : bool, default=True
        Whether the derivatives of all rows are kept.
    """

    def __init__(
        self, designs: list[Design], losses: list[SecondOrderLoss], l2: float, keeps: bool = True
    ) -> None:
        self.design = designs[0]  # what it says of parameters goes for all
        self.penalty = Penalty(l2, self.design.n_features)
        self._blocks = list(zip(designs, losses, strict=True))
        self._keeps = keeps

    def at(self, parameters: Tensor) -> CoupledPoint:
        """Evaluate at parameters of the centred features."""
        loss, kept = self.evaluate(parameters)
        return self.point(Trial(parameters, loss, loss + self.penalty.value(parameters), kept))

    def evaluate(
        self, parameters: Tensor, *, keeps: bool = True
    ) -> tuple[float, list[Derivatives] | None]:
        """Loss of all rows and, where both this call and the objective keep them, derivatives."""
        keeps = keeps and self._keeps
        loss, kept = 0.0, []
        for _, derivatives in self._evaluated(parameters):
            loss += derivatives.value
            if keeps:
                kept.append(derivatives)
        return loss, kept if keeps else None

    def point(self, trial: Trial) -> CoupledPoint:
        """Complete a trial."""
        gradient = self._sum_of_blocks(trial, Design.transposed, lambda found: found.gradient())
        return CoupledPoint(trial, self.penalty.add_gradient_(gradient, trial.parameters))

    def row_gradient_sizes(self, point: CoupledPoint) -> Tensor:
        """Sums ``(n_outputs,)`` of the magnitudes of the row gradients."""
        parts = (found.gradient().abs().sum(dim=0) for _, found in self._derivatives(point.trial))
        return reduce(torch.add, parts)

    def hessian(self, point: CoupledPoint) -> Callable[[Tensor], Tensor]:
        """Product of the Hessian with a direction, whose memory the next call overwrites."""
        # Fresh memory for each product would cost more than the product.
        product = torch.empty_like(point.gradient)
        n_rows = max(design.n_rows for design, _ in self._blocks)
        memory = product.new_empty(n_rows, product.shape[1])

        def times(direction: Tensor) -> Tensor:
            for number, (design, derivatives) in enumerate(self._derivatives(point.trial)):
                scores = design.scores(direction, out=memory[: design.n_rows])
                curved = derivatives.curvature_product(scores)
                design.transposed(curved, out=product, add=number > 0)
            return self.penalty.add_gradient_(product, direction)

        return times

    def inverse_diagonal(self, point: CoupledPoint) -> Tensor:
        """Inverse of the Hessian's diagonal."""
        diagonal = self._sum_of_blocks(
            point.trial, Design.transposed_squared, lambda found: found.curvature_diagonal()
        )
        return self.penalty.inverse_diagonal_(diagonal)

    def _evaluated(self, parameters: Tensor) -> Iterator[tuple[Design, Derivatives]]:
        """Designs and derivatives of the blocks of rows, one after another."""
        for design, loss in self._blocks:
            yield design, loss.evaluate(design.scores(parameters))

    def _derivatives(self, trial: Trial) -> Iterator[tuple[Design, Derivatives]]:
        if trial.kept is None:
            return self._evaluated(trial.parameters)
        return ((design, kept) for (design, _), kept in zip(self._blocks, trial.kept, strict=True))

    def _sum_of_blocks(
        self,
        trial: Trial,
        product: Callable[..., Tensor],
        row_values: Callable[[Derivatives], Tensor],
    ) -> Tensor:
        """Sum ``(n_parameters, n_outputs)`` of products of designs with values of their rows."""
        total: Tensor | None = None
        for design, derivatives in self._derivatives(trial):
            total = product(design, row_values(derivatives), total, add=total is not None)
        assert total is not None  # there are rows
        return total


def coupled_objective(
    problem: LinearProblem, features: PreparedFeatures, weight: Tensor
) -> CoupledObjective:
    """Objective of all outputs of a problem, whose rows have positive weights ``(n,)``."""
    n_rows, n_outputs = problem.X.shape[0], problem.targets.n_outputs
    designs = features.row_designs(rows_of_block(problem.X.shape[1], n_outputs, problem.X.dtype))
    losses, start = [], 0
    for design in designs:
        rows = slice(start, start + design.n_rows)
        losses.append(second_order_loss(problem, problem.targets.index_rows(rows), weight[rows]))
        start = rows.stop
    return CoupledObjective(designs, losses, problem.l2, n_rows * n_outputs <= KEPT_SCORES)


def rows_of_block(n_features: int, n_outputs: int, dtype: np.dtype) -> int:
    """Rows whose scores are made at a time."""
    fitting = rows_that_fit(n_outputs * dtype.itemsize, _BLOCK_BYTES)
    return max(fitting, n_features // _SHARE_OF_PARAMETERS)


def minimise_coupled(
    objective: CoupledObjective,
    start: Tensor,
    constant: Tensor,
    *,
    tol: float,
    max_iter: int,
    monitor: IterationMonitor,
) -> SolverResult:
    """Minimise an objective; see :func:`sklearn_mlce._solvers.newton_cg.fit_newton`."""
    design = objective.design
    point = objective.at(design.to_centred(constant))
    criterion = StoppingCriterion.at_constant_scores(
        design, point.gradient, objective.row_gradient_sizes(point), tol
    )
    if start is not constant:
        point = objective.at(design.to_centred(start))
    norms, too_large = criterion.relative_gradient_norm(point.gradient)
    first_norm = float(point.gradient.norm())
    radius = math.inf
    loss_curve = [point.value]
    while bool(too_large.any()) and len(loss_curve) <= max_iter:
        monitor.begin()
        forcing = min(FORCING, (float(point.gradient.norm()) / first_norm) ** 0.25)
        region = TrustRegion(forcing, radius)
        direction = conjugate_gradients(
            objective.hessian(point), objective.inverse_diagonal(point), point.gradient, region
        )
        point = point.without_derivatives()  # of which the search makes others
        accepted, step = halve_until_lower(objective, point, direction)
        # A step that had to be halved wasted inner steps on directions where the quadratic model
        # does not hold: the next search goes no further than twice what was accepted.
        radius = math.inf if step == 1 else 2 * step * region.norm
        # Without a smaller value, or one told from the last, the precision is exhausted.
        stalled = accepted is None or accepted.value >= point.value - point.noise
        point = accepted or point
        previous = float(norms.max())
        norms, too_large = criterion.relative_gradient_norm(point.gradient)
        loss_curve.append(point.value)
        stopped = monitor.end(partial(design.from_centred, point.parameters))
        if stopped or (stalled and float(norms.max()) >= previous):
            break
    norm = float(norms.max())
    parameters = design.from_centred(point.parameters)
    return SolverResult(parameters, norm <= 1, norm * tol, loss_curve)


def halve_until_lower(
    objective: CoupledObjective, point: CoupledPoint, direction: Tensor
) -> tuple[CoupledPoint | None, float]:
    """Halve the step until the objective falls enough, and on while that makes it fall further.

    Return None and 0 if it never falls enough. A full step is taken as it is. The longest step that
    will do may lie far up the other side of a valley, from wall to wall of which the search would
    then go: losses of a large scale bend sharply.
    """
    slope = float(torch.sum(point.gradient * direction))
    accepted: tuple[Trial, float] | None = None
    step = 1.0
    for _ in range(MAX_SHORTENINGS):
        # Most full steps are taken; derivatives of several trials would be memory in vain.
        trial = _trial(objective, point, direction, step, keeps=step == 1)
        if accepted is not None and trial.value >= accepted[0].value:
            break
        if trial.value <= point.value + _SUFFICIENT_DECREASE * step * slope + point.noise:
            accepted = trial, step
            if step == 1:
                break
        del trial
        step /= 2
    if accepted is None:
        return None, 0.0
    trial, step = accepted
    if step < 1:
        trial = trial._replace(kept=objective.evaluate(trial.parameters)[1])
    return objective.point(trial), step


def _trial(
    objective: CoupledObjective, point: CoupledPoint, direction: Tensor, step: float, *, keeps: bool
) -> Trial:
    parameters = torch.add(point.parameters, direction, alpha=step)
    loss, kept = objective.evaluate(parameters, keeps=keeps)
    # The changes, as values of one size would lose digits.
    change = objective.penalty.change(point.parameters, direction, step)
    return Trial(parameters, loss, point.value + ((loss - point.trial.loss) + change), kept)
