"""The thresholded loss as an autograd function, and the checks of its arguments."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from sklearn_mlce._kernel import (
    Affine,
    Cells,
    negatives_of_cells,
    positives_of_cells,
    soft_side,
)
from sklearn_mlce._orders import Orders, check_order

_REDUCTIONS = ("mean", "sum", "none")


def thresholded_loss(
    scores: Tensor,
    targets: Tensor | Cells,
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
    flat = flatten_rows(scores)
    computing_dtype = _computing_dtype(scores)
    log_weight = _log_label_weight(label_weight, scores, computing_dtype)
    affine = Affine(scale, check_margin(margin), log_weight)
    threshold = _per_row(threshold_scores, scores, "threshold_scores")
    weight = _row_factors(sample_weight, scores, reduction, computing_dtype)
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
        targets: Tensor | Cells,
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
            in_threshold = (in_threshold * grad_output).to(threshold.dtype)
        return in_scores, in_threshold, None, None, None, None, None


def loss_and_gradient(
    scores: Tensor,
    targets: Tensor | Cells,
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
    targets: Tensor | Cells,
    affine: Affine,
    orders: Orders,
    weight: Tensor | None,
    with_gradient: bool,
) -> tuple[Tensor, tuple[Tensor, Tensor | None] | None]:
    """Weighted loss of each row; its gradients in scores and threshold where they are wanted."""
    logit = None
    if threshold is not None:
        logit = affine.scale * threshold.to(_computing_dtype(scores))
    if not with_gradient:
        return _evaluate(scores, targets, affine, orders, logit, weight, None), None
    out = torch.empty_like(scores, memory_format=torch.contiguous_format)
    loss = _evaluate(scores, targets, affine, orders, logit, weight, out)
    # The loss depends on the scores less the threshold.
    in_threshold = None if logit is None else out.sum(dim=1, dtype=logit.dtype).neg_()
    return loss, (out, in_threshold)


def _evaluate(
    scores: Tensor,
    targets: Tensor | Cells,
    affine: Affine,
    orders: Orders,
    logit: Tensor | None,
    weight: Tensor | None,
    out: Tensor | None,
) -> Tensor:
    """Weighted loss of each row; its gradient in the scores is written to ``out``."""
    if weight is None:
        factor = scores.new_full((len(scores),), affine.scale, dtype=_computing_dtype(scores))
    else:
        factor = affine.scale * weight
    opposite = None if logit is None else -logit
    if isinstance(targets, Cells):
        negatives = negatives_of_cells(
            scores, targets, affine, orders[0], logit, factor=factor, out=out
        )
        positives, side = positives_of_cells(
            scores, targets, affine, orders[1], opposite, factor=factor
        )
        if out is not None:
            at_cells = side.gradient_().neg_().to(out.dtype)
            out.view(-1).index_copy_(0, targets.positive, at_cells)
    else:
        if out is not None:
            out.zero_()
        negatives = soft_side(
            scores, targets, affine, orders[0], logit, sign=1, factor=factor, out=out
        )
        positives = soft_side(
            scores, targets, affine, orders[1], opposite, sign=-1, factor=factor, out=out
        )
    loss = negatives.add_(positives)
    return loss if weight is None else loss.mul_(weight)


def _computing_dtype(scores: Tensor) -> torch.dtype:
    return torch.promote_types(scores.dtype, torch.float32)


def flatten_rows(values: Tensor) -> Tensor:
    """Values ``(..., L)`` as ``(n_rows, L)``."""
    if values.ndim == 0:
        raise ValueError("scores and targets need a last dimension of labels, got a scalar")
    return values.reshape(values.shape[:-1].numel(), values.shape[-1])


def check_options(scale: float, reduction: str) -> None:
    """Raise ValueError unless scale and reduction are usable."""
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive finite number, got {scale!r}")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}")


def check_margin(margin: Any) -> tuple[float, float]:
    """Margins of the two sides from what the user gave.

    Raises
    ------
    ValueError
        If it is not a finite number or a pair of them.
    """
    pair = tuple(margin) if isinstance(margin, tuple | list) else (margin, margin)
    if len(pair) != 2 or not all(isinstance(m, Real) and math.isfinite(m) for m in pair):
        raise ValueError(
            "margin must be a finite number, or a pair of them: the negatives' and the "
            f"positives'; got {margin!r}"
        )
    return float(pair[0]), float(pair[1])


def check_soft_targets(targets: Tensor) -> None:
    """Raise ValueError unless every target is in [0, 1] or NaN."""
    outside = (targets < 0) | (targets > 1)
    if bool(outside.any()):
        seen = targets[outside].unique()[:5].tolist()
        raise ValueError(
            f"targets must be 0, 1, a number between, or NaN for unknown; got {seen}. "
            "Pass (targets > 0) if they are coded as -1 and 1"
        )


def check_indices(indptr: Any, indices: Any, n_rows: int, n_labels: int) -> None:
    """Raise ValueError unless the compressed form fits ``(n_rows, n_labels)``.

    Takes arrays too: on the CPU NumPy makes such small checks in a tenth of torch's time.
    """
    if indptr.shape != (n_rows + 1,):
        raise ValueError(
            f"indptr must have shape ({n_rows + 1},) for {n_rows} rows of scores, "
            f"got {tuple(indptr.shape)}"
        )
    if indices.ndim != 1 or int(indptr[0]) != 0 or int(indptr[-1]) != len(indices):
        raise ValueError(
            f"indptr must run from 0 to the number of indices, got {int(indptr[0])} to "
            f"{int(indptr[-1])} for indices of shape {tuple(indices.shape)}"
        )
    if bool((indptr[1:] < indptr[:-1]).any()):
        raise ValueError("indptr must not decrease")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= n_labels):
        raise ValueError(
            f"indices must lie in [0, {n_labels - 1}], got {int(indices.min())} to "
            f"{int(indices.max())}"
        )


def check_ascending(positive: Any) -> None:
    """Raise ValueError unless flat cell indices ascend: no row repeats or disorders its labels."""
    if bool((positive[1:] <= positive[:-1]).any()):
        raise ValueError(
            "indices must be ascending and without repetition within each row; "
            "call sum_duplicates() on a scipy CSR matrix first"
        )


def _log_label_weight(
    label_weight: Tensor | None, scores: Tensor, dtype: torch.dtype
) -> Tensor | None:
    if label_weight is None:
        return None
    weight = torch.as_tensor(label_weight, dtype=dtype, device=scores.device).detach()
    try:
        broadcast = torch.broadcast_shapes(weight.shape, scores.shape)
    except RuntimeError:
        broadcast = None
    if broadcast != scores.shape:
        raise ValueError(
            f"label_weight has shape {tuple(weight.shape)}; it must broadcast to the scores' "
            f"shape {tuple(scores.shape)}"
        )
    if not bool((weight >= 0).all()):
        raise ValueError("label_weight must not be negative or NaN")
    if weight.ndim > 1:
        weight = flatten_rows(weight.expand(scores.shape))
    return weight.log()


def _per_row(values: Tensor | None, scores: Tensor, name: str) -> Tensor | None:
    """Values of shape (...) or (..., 1) as ``(n_rows,)``, or None."""
    if values is None:
        return None
    rows = scores.shape[:-1]
    if values.shape not in (rows, (*rows, 1)):
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}; it must have one entry per row of the "
            f"scores, shape {tuple(rows)} or {(*rows, 1)}"
        )
    return values.reshape(-1)


def _row_factors(
    sample_weight: Tensor | None, scores: Tensor, reduction: str, dtype: torch.dtype
) -> Tensor | None:
    """What multiplies each row's loss before the rows are summed."""
    n_rows = scores.shape[:-1].numel()
    weight = _per_row(sample_weight, scores, "sample_weight")
    if weight is None:
        if reduction != "mean":
            return None
        return torch.full((n_rows,), 1 / max(n_rows, 1), dtype=dtype, device=scores.device)
    weight = weight.detach().to(dtype)
    if not bool((weight >= 0).all()):
        raise ValueError("sample_weight must not be negative or NaN")
    return weight / weight.sum() if reduction == "mean" else weight
