"""Conjugate gradients, preconditioned by a diagonal: for one problem, or for one of each output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_MAX_ITERATIONS = 200


def conjugate_gradients(
    hessian: Callable[[Tensor], Tensor],
    inverse_diagonal: Tensor,
    gradient: Tensor,
    steps: Any,
) -> Tensor:
    """Solve ``Hessian @ direction = -gradient`` until the residual is small beside the first.

    Parameters
    ----------
    hessian : callable
        Product of the Hessian with a direction; its result may be overwritten.
    inverse_diagonal : Tensor of shape (n_parameters, n_outputs)
        Preconditioner.
    gradient : Tensor of shape (n_parameters, n_outputs)
        Negative of the right-hand side.
    steps : LabelSteps or TrustRegion
        Inner products and steps, of one problem or of one for each output.

    Returns
    -------
    Tensor of shape (n_parameters, n_outputs)
        The direction.
    """
    direction = torch.zeros_like(gradient)
    residual = gradient.neg()
    search = inverse_diagonal * residual
    steps.begin(steps.dot(residual, search))
    for _ in range(_MAX_ITERATIONS):
        product = hessian(search)
        step = steps.step(steps.dot(search, product))
        steps.add_(direction, search, step)
        if steps.ended:
            break
        steps.add_(residual, product, step, sign=-1)
        preconditioned = torch.mul(inverse_diagonal, residual, out=product)
        ratio = steps.turn(steps.dot(residual, preconditioned))
        if ratio is None:
            break
        search.mul_(ratio).add_(preconditioned)
    return direction


class LabelSteps:
    """Steps of conjugate gradients where each output is a problem of its own: tensors.

    Parameters
    ----------
    forcing : Tensor of shape (n_outputs,) or float
        Fraction of the first residual, in the norm of the preconditioner, that may be left.
    """

    ended = False  # the last step was not the last of all

    def __init__(self, forcing: Tensor | float) -> None:
        self._forcing = forcing

    def begin(self, squared_residual: Tensor) -> None:
        """Set the squared norms of the first residual."""
        self._squared = squared_residual
        self._enough = self._forcing**2 * squared_residual

    def step(self, bend: Tensor) -> Tensor:
        """Return the steps to the minima along the search direction, of this curvature."""
        going = (self._squared > self._enough) & (bend > 0)
        self._step = torch.where(going, self._squared / bend, 0.0)
        return self._step

    def turn(self, squared_residual: Tensor) -> Tensor | None:
        """Return the factors of the last search direction in the next; None where all are done."""
        previous, self._squared = self._squared, squared_residual
        if not bool((squared_residual > self._enough).any()):
            return None
        return torch.where(self._step > 0, squared_residual / previous, 0.0)

    @staticmethod
    def dot(first: Tensor, second: Tensor) -> Tensor:
        """Return the inner product of each column."""
        return (first * second).sum(dim=0)

    @staticmethod
    def add_(vector: Tensor, direction: Tensor, step: Tensor, sign: int = 1) -> None:
        """Add a step along a direction, in place."""
        vector.addcmul_(direction, step, value=sign)


class TrustRegion:
    """Steps of conjugate gradients where all outputs are one problem: numbers, in a ball.

    The norm of the ball is that of the preconditioner. Norms follow from the recurrences of
    conjugate gradients, without a pass over the vectors.

    Parameters
    ----------
    forcing : float
        Fraction of the first residual, in the norm of the preconditioner, that may be left.
    radius : float
        How long the direction may be.
    """

    def __init__(self, forcing: float, radius: float) -> None:
        self._forcing, self._radius = forcing, radius
        self.ended = False  # whether the last step is the last of all
        self._squared_direction = self._product = 0.0  # of the direction, and with the search

    @property
    def norm(self) -> float:
        """Length of the direction."""
        return self._squared_direction**0.5

    def begin(self, squared_residual: float) -> None:
        """Set the squared norm of the first residual."""
        self._squared = self._squared_search = squared_residual
        self._enough = self._forcing**2 * squared_residual

    def step(self, bend: float) -> float:
        """Return the step to the minimum along the search direction, or the longest in the ball."""
        longest = math.inf
        if self._radius < math.inf and self._squared_search > 0:
            room = max(self._radius**2 - self._squared_direction, 0.0)
            root = (self._product**2 + self._squared_search * room) ** 0.5
            longest = (root - self._product) / self._squared_search
        # Where it is flat to the last digit only the ball or the line search ends the step.
        is_flat = not bend > 0
        step = 1.0 if is_flat else self._squared / bend
        self.ended = is_flat or step >= longest
        step = min(step, longest)
        self._squared_direction += step * (2 * self._product + step * self._squared_search)
        self._product += step * self._squared_search
        return step

    def turn(self, squared_residual: float) -> float | None:
        """Return the factor of the last search direction in the next; None where it is done."""
        previous, self._squared = self._squared, squared_residual
        if not squared_residual > self._enough:
            return None
        ratio = squared_residual / previous
        self._product *= ratio
        self._squared_search = squared_residual + ratio**2 * self._squared_search
        return ratio

    @staticmethod
    def dot(first: Tensor, second: Tensor) -> float:
        """Return the inner product of all entries."""
        return float(torch.dot(first.reshape(-1), second.reshape(-1)))

    @staticmethod
    def add_(vector: Tensor, direction: Tensor, step: float, sign: int = 1) -> None:
        """Add a step along a direction, in place."""
        vector.add_(direction, alpha=sign * step)
