"""Losses whose gradient is written down rather than recorded.

Recording every intermediate of such a loss costs several copies of the scores and passes over
them; a formula for the gradient, evaluated along with the loss, costs one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Of inputs that have an entry for each row, and `with_gradient`, a keyword: the losses of the rows,
# and the gradient of their sum in each input where it is wanted.
Evaluate = Callable[..., tuple[Tensor, tuple[Tensor, ...] | None]]


def closed_form_loss(evaluate: Evaluate, *inputs: Tensor) -> Tensor:
    """Losses ``(n,)`` of rows of inputs ``(n, ...)``, differentiable once."""
    wanted = torch.is_grad_enabled() and any(given.requires_grad for given in inputs)
    return _ClosedForm.apply(evaluate, wanted, *inputs)


def empty_gradient(scores: Tensor) -> Tensor:
    """Memory for the gradient in some scores, contiguous whatever they are."""
    return torch.empty_like(scores, memory_format=torch.contiguous_format)


class _ClosedForm(torch.autograd.Function):
    """Loss of each row; the gradients are made along with it."""

    @staticmethod
    def forward(ctx: Any, evaluate: Evaluate, with_gradient: bool, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        ctx.evaluate = evaluate
        loss, ctx.gradients = evaluate(*inputs, with_gradient=with_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "this loss cannot be differentiated a second time; call backward or "
                "torch.autograd.grad with create_graph=False"
            )
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # a second backward pass through a retained graph
            _, gradients = ctx.evaluate(*ctx.saved_tensors, with_gradient=True)
        if grad_output.is_cuda or not bool((grad_output == 1).all()):
            for gradient in gradients:
                gradient.mul_(grad_output.reshape(-1, *[1] * (gradient.ndim - 1)))
        return None, None, *gradients
