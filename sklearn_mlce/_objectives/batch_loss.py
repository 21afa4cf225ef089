"""The loss of a batch of rows and its gradient, for fits that take rows a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sklearn_mlce._objectives.target_tensors import FORMS, EncodedTargets

# Of scores (n, L), targets and weights of rows: the losses of the rows times their weights, or
# their sum, and the gradient of the sum in the scores.
RowLosses = Callable[[Any, Any, Any], tuple[Any, Any]]


class BatchLoss:
    """Losses of rows, divided by the scale.

    Parameters
    ----------
    objective : Objective
        The loss.
    row_losses : callable
        Its function of scores, targets and weights.
    n_outputs : int
        Scores of a row.
    label_weight : Tensor of shape (n_outputs,) or None
        Weights of the outputs.
    """

    def __init__(
        self,
        objective: Any,  # no type of it: that would be a circle of imports
        row_losses: RowLosses,
        n_outputs: int,
        label_weight: Tensor | None,
    ) -> None:
        self._objective, self._row_losses = objective, row_losses
        self._n_outputs, self._label_weight = n_outputs, label_weight
        self._form, self._divisor = FORMS[objective.form], objective.divisor
        self.bounded = objective.bounded_gradient
        # Change of a score that changes its exponent by 1, per unit of the largest gradient: a
        # sum over labels has their weights as factors.
        self.unit: float | Tensor = 1 / objective.scale
        if objective.separable and label_weight is not None:
            self.unit = self.unit / label_weight

    @cached_property
    def curvature(self) -> float | Tensor:
        """Bound of the second derivative of a row's loss in a score, of all or ``(n_outputs,)``."""
        found = self._objective.curvature(self._row_losses, self._n_outputs, self._label_weight)
        # Where a label takes no part yet, as in a stream of one class so far, any step will do.
        if isinstance(found, Tensor):
            return torch.where(found > 0, found, 1.0)
        return found or 1.0

    def intercept_curvatures(self, prevalence: Tensor) -> Tensor:
        """Second derivatives ``(L,)`` of the mean loss in the intercepts, near their optimum.

        A logistic term is curved where its label is in doubt, as about as many rows as have it
        are: its prevalence, where that is less than half.
        """
        if not self.bounded:
            return torch.ones_like(prevalence) * self.curvature
        in_doubt = torch.minimum(prevalence, 1 - prevalence)
        return in_doubt.clamp(max=1 / 4) * 4 * self.curvature

    def value_and_gradient(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Losses of the rows times their weights, and the gradient ``(n, L)`` of their sum.

        `weight` is of shape (n,), or (1,) where all rows have the same. The losses are of shape
        (n,), or (1,) where only their sum is known.
        """
        if self._divisor != 1:
            one = scores.new_ones(1) if weight is None else weight
            weight = one / self._divisor
        if weight is not None and not self._objective.is_module:  # which knows equal weights
            weight = weight.expand(len(scores))
        return self._row_losses(scores, self._form(targets, self._n_outputs), weight)
