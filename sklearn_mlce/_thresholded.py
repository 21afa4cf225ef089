"""The thresholded loss as an autograd function, with its gradient in closed form."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sklearn_mlce._hard_targets import Cells, HardMatrix
from sklearn_mlce._kernel import Affine, matrix_side, positives_of_cells
from sklearn_mlce._loss_arguments import (
    check_margin,
    check_options,
    computed_rows,
    log_label_weight,
    per_row,
    row_factors,
)
from sklearn_mlce._orders import Orders, check_order


def thresholded_loss(
    scores: Tensor,
    targets: Tensor | HardMatrix | Cells,
    *,
    sample_weight: Tensor | None,
    label_weight: Tensor | None,
    threshold_scores: Tensor | None,
    scale: float,
    margin: float | tuple[float, float],
    order: Any,
    reduction: str,
) -> Tensor:
    """Reduced loss of scores ``(..., L)`` and flattened targets; see :func:`losses.mlce_loss`."""
    check_options(scale, reduction)
    orders = check_order(order)
    flat = computed_rows(scores)
    log_weight = log_label_weight(label_weight, scores, flat.dtype)
    affine = Affine(scale, check_margin(margin), log_weight)
    threshold = per_row(threshold_scores, scores, "threshold_scores")
    if threshold is not None:
        threshold = threshold.to(flat.dtype)
    weight = row_factors(sample_weight, scores, reduction, flat.dtype)
    with_gradient = torch.is_grad_enabled() and (
        flat.requires_grad or (threshold is not None and threshold.requires_grad)
    )
    rows = _ThresholdedLoss.apply(flat, threshold, targets, affine, orders, weight, with_gradient)
    return rows.reshape(scores.shape[:-1]) if reduction == "none" else rows.sum()


class _ThresholdedLoss(torch.autograd.Function):
    """Weighted loss of each row; the gradient is made along with it."""

    @staticmethod
    def forward(
        ctx: Any,
        scores: Tensor,
        threshold: Tensor | None,
        targets: Tensor | HardMatrix | Cells,
        affine: Affine,
        orders: Orders,
        weight: Tensor | None,
        with_gradient: bool,
    ) -> Tensor:
        ctx.save_for_backward(scores, threshold)
        ctx.constants = (targets, affine, orders, weight)
        loss, gradients = _loss_and_gradients(
            scores, threshold, targets, affine, orders, weight, with_gradient
        )
        ctx.gradients = gradients
        return loss

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "mlce_loss cannot be differentiated a second time; call backward or "
                "torch.autograd.grad with create_graph=False"
            )
        scores, threshold = ctx.saved_tensors
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:  # a second backward pass through a retained graph
            targets, affine, orders, weight = ctx.constants
            _, gradients = _loss_and_gradients(
                scores, threshold, targets, affine, orders, weight, True
            )
        in_scores, in_threshold = gradients
        if grad_output.is_cuda or not bool((grad_output == 1).all()):
            in_scores.mul_(grad_output[:, None])
        if in_threshold is not None:
            in_threshold = in_threshold * grad_output
        return in_scores, in_threshold, None, None, None, None, None


def loss_and_gradient(
    scores: Tensor,
    targets: Tensor | HardMatrix | Cells,
    affine: Affine,
    orders: Orders,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Loss ``(n,)`` of each row times its weight, and the gradient ``(n, L)`` of their sum.

    For solvers: nothing is checked, no graph is made, and the threshold is 0.
    """
    out = torch.empty_like(scores, memory_format=torch.contiguous_format)
    return _evaluate(scores, targets, affine, orders, None, weight, out), out


def _loss_and_gradients(
    scores: Tensor,
    threshold: Tensor | None,
    targets: Tensor | HardMatrix | Cells,
    affine: Affine,
    orders: Orders,
    weight: Tensor | None,
    with_gradient: bool,
) -> tuple[Tensor, tuple[Tensor, Tensor | None] | None]:
    """Weighted loss of each row; its gradients in scores and threshold where they are wanted."""
    logit = None if threshold is None else affine.scale * threshold
    if not with_gradient:
        return _evaluate(scores, targets, affine, orders, logit, weight, None), None
    out = torch.empty_like(scores, memory_format=torch.contiguous_format)
    loss = _evaluate(scores, targets, affine, orders, logit, weight, out)
    # The loss depends on the scores less the threshold.
    in_threshold = None if logit is None else out.sum(dim=1).neg_()
    return loss, (out, in_threshold)


def _evaluate(
    scores: Tensor,
    targets: Tensor | HardMatrix | Cells,
    affine: Affine,
    orders: Orders,
    logit: Tensor | None,
    weight: Tensor | None,
    out: Tensor | None,
) -> Tensor:
    """Weighted loss of each row; its gradient in the scores is written to ``out``."""
    if weight is None:
        factor = scores.new_full((len(scores),), affine.scale)
    else:
        factor = affine.scale * weight
    opposite = None if logit is None else -logit
    negatives = matrix_side(
        scores, targets, affine, orders[0], logit, sign=1, factor=factor, out=out
    )
    if isinstance(targets, Cells):
        positives, side = positives_of_cells(
            scores, targets, affine, orders[1], opposite, factor=factor
        )
        if out is not None:
            at_cells = side.gradient_().neg_()
            out.view(-1).index_copy_(0, targets.positive, at_cells)
    else:
        positives = matrix_side(
            scores, targets, affine, orders[1], opposite, sign=-1, factor=factor, out=out
        )
    loss = negatives.add_(positives)
    return loss if weight is None else loss.mul_(weight)
