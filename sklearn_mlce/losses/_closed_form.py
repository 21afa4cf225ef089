"""Losses whose gradient is written down rather than recorded.

Recording every intermediate of such a loss costs several copies of the scores and passes over
them; a formula for the gradient, evaluated along with the loss, costs one.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor


class Evaluate(Protocol):
    """Losses of rows, and the gradient of their sum, of scores of whatever shape it takes."""

    def __call__(self, scores: Tensor, with_gradient: bool) -> tuple[Tensor, Tensor | None]:
        """Losses ``(n,)``, and the gradient in the scores' shape where it is wanted."""


def closed_form_loss(scores: Tensor, evaluate: Evaluate) -> Tensor:
    """Losses ``(n,)`` of rows of scores ``(n, ...)``, differentiable once."""
    with_gradient = torch.is_grad_enabled() and scores.requires_grad
    return _ClosedForm.apply(scores, evaluate, with_gradient)


class _ClosedForm(torch.autograd.Function):
    """Loss of each row; the gradient is made along with it."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, evaluate: Evaluate, with_gradient: bool) -> Tensor:
        ctx.save_for_backward(scores)
        ctx.evaluate = evaluate
        loss, ctx.gradient = evaluate(scores, with_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this loss cannot be differentiated a second time; call backward or "
                "torch.autograd.grad with create_graph=False"
            )
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:  # a second backward pass through a retained graph
            (scores,) = ctx.saved_tensors
            _, gradient = ctx.evaluate(scores, True)
        if grad_output.is_cuda or not bool((grad_output == 1).all()):
            gradient.mul_(grad_output.reshape(-1, *[1] * (gradient.ndim - 1)))
        return gradient, None, None
