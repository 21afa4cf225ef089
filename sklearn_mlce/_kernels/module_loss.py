"""A loss that the user wrote as a torch module, with its gradient."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# How a curvature is estimated: rows of random scores, each moved this far up or down.
_PROBE_ROWS, _PROBE_SPREAD, _PROBE_STEP = 64, 2.0, 0.1


class ModuleRows:
    """The losses of a module called with scores and dense targets.

    Where the module returns one number it is the loss of the batch: its mean unless the module's
    `reduction` is "sum". Otherwise it is one loss per row, or per cell, which are summed.

    Parameters
    ----------
    module : Module
        The loss; a copy is used.
    takes_sample_weight : bool
        Whether its forward pass takes the weights of rows.
    """

    def __init__(self, module: nn.Module, takes_sample_weight: bool) -> None:
        self._module = copy.deepcopy(module)
        self._takes_weight = takes_sample_weight
        self._is_sum = getattr(module, "reduction", None) == "sum"

    def __call__(
        self, scores: Tensor, targets: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Sum ``(1,)`` of the rows' losses times their weights, and its gradient ``(n, L)``."""
        with torch.enable_grad():
            variable = scores.detach().requires_grad_()
            loss = self._sum(variable, targets.to(scores.dtype), weight)
            (gradient,) = torch.autograd.grad(loss, variable)
        return loss.detach().reshape(1), gradient

    def _sum(self, scores: Tensor, targets: Tensor, weight: Tensor | None) -> Tensor:
        module = self._module.to(scores.device)
        same = weight is None or weight.numel() == 1
        arguments: dict[str, Any] = {}
        if not same and self._takes_weight:
            arguments["sample_weight"] = weight
        loss = module(scores, targets, **arguments)
        _check_result(module, loss, scores)
        loss = loss.reshape(()) if loss.numel() == 1 and len(scores) > 1 else loss
        total = torch.ones_like(scores[:1, 0]) if weight is None else weight
        if loss.ndim > 0:
            rows = loss.flatten(1).sum(dim=1) if loss.ndim > 1 else loss
            return (rows if arguments else rows * total).sum()
        if self._is_sum:
            return loss if arguments else loss * total.reshape(())
        return loss * (total.sum() * (len(scores) if same else 1))


def estimated_curvature(row_losses: Callable[..., tuple[Tensor, Tensor]], n_outputs: int) -> float:
    """Largest change of the gradient where random scores are moved a little, per unit."""
    generator = torch.Generator().manual_seed(0)
    shape = (_PROBE_ROWS, n_outputs)
    scores = _PROBE_SPREAD * torch.randn(shape, generator=generator)
    targets = (torch.rand(shape, generator=generator) < 0.5).float()
    step = _PROBE_STEP * torch.sign(torch.randn(shape, generator=generator))
    before, after = (row_losses(place, targets, None)[1] for place in (scores, scores + step))
    found = float((after - before).abs().max()) / _PROBE_STEP
    return found if 0 < found < float("inf") else 1.0


def _check_result(module: nn.Module, loss: Any, scores: Tensor) -> None:
    """Raise ValueError unless a loss is a number, or one for each row or cell, with a gradient."""
    fits = isinstance(loss, Tensor) and (
        loss.numel() == 1 or loss.shape in (scores.shape[:1], scores.shape)
    )
    if not fits:
        seen = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"{type(loss)}"
        raise ValueError(
            f"{type(module).__name__}(scores, targets) returned {seen} for scores of shape "
            f"{tuple(scores.shape)}; expected a tensor of one number, or of one for each row or "
            "each cell"
        )
    if not loss.requires_grad:
        raise ValueError(
            f"the value of {type(module).__name__}(scores, targets) has no gradient in the "
            "scores; expected a loss computed from them by torch, without detach or item"
        )
