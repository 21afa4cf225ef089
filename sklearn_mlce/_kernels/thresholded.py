"""The thresholded loss, with its gradient in closed form."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sklearn_mlce._kernels.arguments import (
    check_margin,
    check_options,
    computed_rows,
    log_label_weight,
    per_row,
    row_factors,
)
from sklearn_mlce._kernels.autograd import closed_form_loss, empty_gradient
from sklearn_mlce._kernels.hard_targets import Cells, HardMatrix
from sklearn_mlce._kernels.orders import Orders, check_order
from sklearn_mlce._kernels.row_blocks import Affine, matrix_side, positives_of_cells


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
    weight = row_factors(sample_weight, scores, reduction, flat.dtype)

    def evaluate(
        flat: Tensor, *thresholds: Tensor, with_gradient: bool
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        out = empty_gradient(flat) if with_gradient else None
        logit = scale * thresholds[0] if thresholds else None
        losses = _evaluate(flat, targets, affine, orders, logit, weight, out)
        if out is None:
            return losses, None
        # The loss depends on the scores less the threshold.
        return losses, (out, *(out.sum(dim=1).neg_() for _ in thresholds))

    thresholds = () if threshold is None else (threshold.to(flat.dtype),)
    rows = closed_form_loss(evaluate, flat, *thresholds)
    return rows.reshape(scores.shape[:-1]) if reduction == "none" else rows.sum()


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
    out = empty_gradient(scores)
    return _evaluate(scores, targets, affine, orders, None, weight, out), out


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
