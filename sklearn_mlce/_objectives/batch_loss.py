"""The loss of a batch of rows and its gradient, for fits that take rows a few at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sklearn_mlce._objectives.target_tensors import EncodedTargets


class BatchLoss:
    """Losses of rows, divided by their divisor.

    Parameters
    ----------
    evaluate : callable
        Makes of scores ``(n, L)``, targets and weights of rows the losses of the rows times their
        weights, or their sum, and the gradient of the sum in the scores.
    form : callable
        Makes of encoded targets those that `evaluate` takes.
    curvature : float or callable
        Bound of the second derivative of a row's loss in one of its scores, or how to find it.
    bounded : bool, default=True
        Whether the gradient in a score is.
    unit : float, default=1.0
        Change of a score that changes its exponent by 1.
    divisor : float, default=1.0
        Of the loss, as far as `evaluate` has not divided it by its scale.
    expands_weight : bool, default=True
        Whether `evaluate` wants a weight for each row where all are the same.
    """

    def __init__(
        self,
        evaluate: Callable[[Tensor, Any, Tensor | None], tuple[Tensor, Tensor]],
        form: Callable[[EncodedTargets], Any],
        *,
        curvature: float | Callable[[], float],
        bounded: bool = True,
        unit: float = 1.0,
        divisor: float = 1.0,
        expands_weight: bool = True,
    ) -> None:
        self._evaluate, self._form, self._curvature = evaluate, form, curvature
        self.bounded, self.unit = bounded, unit
        self._divisor, self._expands_weight = divisor, expands_weight

    @property
    def curvature(self) -> float:
        """Bound of the second derivative of a row's loss in one of its scores."""
        if callable(self._curvature):
            self._curvature = self._curvature()
        # Where no label takes part yet, as in a stream of one class so far, any step will do.
        return self._curvature or 1.0

    def intercept_curvatures(self, prevalence: Tensor) -> Tensor:
        """Second derivatives ``(L,)`` of the mean loss in the intercepts, near their optimum.

        A logistic term is curved where its label is in doubt, as about as many rows as have it
        are: its prevalence, where that is less than half.
        """
        if not self.bounded:
            return torch.full_like(prevalence, self.curvature)
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
        if weight is not None and self._expands_weight:
            weight = weight.expand(len(scores))
        return self._evaluate(scores, self._form(targets), weight)
