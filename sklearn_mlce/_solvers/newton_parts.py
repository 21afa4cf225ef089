"""Parts that the exact solvers share: penalty, stopping criterion, constants and result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.objective import SecondOrderLoss
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.tensors import dense_tensor

# Fraction of the residual that an inner solve may leave. Loose steps are the cheaper way to the
# default tol; the fraction falls with the gradient, so that a tight tol is still reached fast.
FORCING = 0.3
MAX_SHORTENINGS = 30  # of a step
_ROUNDING_UNITS = 8  # of a sum of a gradient's terms


class Penalty(NamedTuple):
    """Half the strength times the squared coefficients; intercepts below them are not penalised."""

    strength: float | Tensor  # or one of each coefficient, (n_features, n_outputs)
    n_features: int

    def products(self, first: Tensor, second: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Products of two parameters, summed over features with their strength: (n_outputs,)."""
        both = first[: self.n_features] * second[: self.n_features]
        if isinstance(self.strength, Tensor):
            return both.mul_(self.strength).sum(dim=0, dtype=dtype)
        return both.sum(dim=0, dtype=dtype).mul_(self.strength)

    def value(self, parameters: Tensor) -> float:
        """Penalty of parameters ``(n_parameters, n_outputs)``."""
        return 0.5 * float(self.products(parameters, parameters, torch.float64).sum())

    def change(self, parameters: Tensor, direction: Tensor, step: float) -> float:
        """Difference of the penalty along a direction."""
        linear = float(self.products(direction, parameters, torch.float64).sum())
        quadratic = float(self.products(direction, direction, torch.float64).sum())
        return step * (linear + 0.5 * step * quadratic)

    def add_gradient_(self, gradient: Tensor, parameters: Tensor) -> Tensor:
        """Add its gradient at some parameters, or its Hessian times a direction, in place."""
        coefficients = slice(self.n_features)
        if isinstance(self.strength, Tensor):
            gradient[coefficients].addcmul_(parameters[coefficients], self.strength)
        else:
            gradient[coefficients].add_(parameters[coefficients], alpha=self.strength)
        return gradient

    def inverse_diagonal_(self, diagonal: Tensor) -> Tensor:
        """Add it to the diagonal of a Hessian, and return the inverse, in place."""
        diagonal[: self.n_features] += self.strength
        # Far from where the inverse overflows.
        return diagonal.clamp_(min=torch.finfo(diagonal.dtype).tiny ** 0.5).reciprocal_()

    def strength_of_outputs(self, places: Tensor) -> float | Tensor:
        """Strength for some of the outputs."""
        if isinstance(self.strength, Tensor):
            return self.strength.index_select(1, places)
        return self.strength


def second_order_loss(
    problem: LinearProblem, targets: Targets, weight: Tensor, outputs: np.ndarray | None = None
) -> SecondOrderLoss:
    """Loss of some rows or some outputs of a problem.

    Parameters
    ----------
    problem : LinearProblem
        The whole.
    targets : Targets
        Those of the rows and the outputs.
    weight : Tensor of shape (n_rows,)
        Positive weights of the rows.
    outputs : ndarray of int, default=None
        Numbers of the outputs; None is all.
    """
    own = None
    if problem.label_weight is not None:
        chosen = problem.label_weight if outputs is None else problem.label_weight[outputs]
        own = dense_tensor(chosen, problem.device).to(weight.dtype)
    encoded = encode(targets, problem.X.dtype, problem.device)
    return problem.objective.second_order(encoded, targets.n_outputs, weight, own)


def value_noise(value: float, dtype: torch.dtype) -> float:
    """Difference of an objective that its precision does not tell from zero."""
    return 4 * torch.finfo(dtype).eps * abs(value)


class SolverResult(NamedTuple):
    """Parameters that a solver found, and how it found them."""

    parameters: Tensor  # (n_parameters, n_outputs)
    converged: bool
    gradient_norm: float  # largest of an output, relative to the one at constant scores
    loss_curve: list[float]  # objective at the start and after each iteration

    @property
    def n_iter(self) -> int:
        """Iterations made."""
        return len(self.loss_curve) - 1


@dataclass(frozen=True)
class StoppingCriterion:
    """Largest gradient at which each output is done, and the gradient's rounding error.

    Rounding is that of each parameter on its own: beside features of a small unit the intercept's
    is large, as is that of a feature that varies little beside its mean.
    """

    design: Design
    rounding: Tensor  # (n_parameters, 1), of a sum of terms as large as 1
    terms: Tensor  # (n_outputs,), sums of the row gradients' magnitudes
    largest: Tensor  # (n_outputs,)

    @classmethod
    def at_constant_scores(
        cls, design: Design, gradient: Tensor, terms: Tensor, tol: float
    ) -> StoppingCriterion:
        """Allow `tol` times a gradient in the parameters of the centred features.

        The gradient ``(n_parameters, n_outputs)`` is made of those of the rows, at the best
        constant scores: there it is that in the given features too, but for what the intercepts
        miss, which a large offset would blow up. Where it is itself rounding, an output is done.
        """
        eps = torch.finfo(gradient.dtype).eps
        rounding = _ROUNDING_UNITS * eps * design.largest_entries[:, None]
        entries = gradient.abs()
        first = torch.where(entries > rounding * terms, entries, 0).amax(dim=0)
        return cls(design, rounding, terms, torch.where(first > 0, tol * first, torch.inf))

    def relative_gradient_norm(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Largest entry ``(n_outputs,)`` over the allowed one, and mask of the outputs not done.

        An output is done as well where its gradient is rounding, which no iteration makes smaller.
        """
        entries = self.design.gradient_of_given(gradient).abs()
        norms = entries.amax(dim=0).div_(self.largest).nan_to_num_(nan=torch.inf, posinf=torch.inf)
        too_large = norms > 1
        if bool((self.rounding.max() * self.terms > self.largest).any()):
            least = torch.maximum(self.rounding * self.terms, self.largest)
            too_large &= (entries > least).any(dim=0)
        return norms, too_large

    def of_outputs(self, places: Tensor) -> StoppingCriterion:
        """Criterion of some of the outputs."""
        return replace(self, terms=self.terms[places], largest=self.largest[places])
