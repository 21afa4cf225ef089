"""The shell of a loss function: arguments checked and brought to rows, gradient, reduction.

Recording every intermediate of such a loss costs several copies of the scores and passes over
them; a formula for the gradient, evaluated along with the loss, costs one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_REDUCTIONS = ("mean", "sum", "none")


def computing_dtype(scores: Tensor) -> torch.dtype:
    """At least float32."""
    return torch.promote_types(scores.dtype, torch.float32)


def flatten_rows(values: Tensor) -> Tensor:
    """Values ``(..., L)`` as ``(n_rows, L)``."""
    if values.ndim == 0:
        raise ValueError("scores and targets need a last dimension of labels, got a scalar")
    return values.reshape(values.shape[:-1].numel(), values.shape[-1])


def computed_rows(scores: Tensor) -> Tensor:
    """Scores ``(..., L)`` as ``(n_rows, L)``, in at least float32.

    Torch casts them, so that it rounds a gradient to half precision after what comes from above
    has multiplied it, and the factor of a gradient scaler keeps it from vanishing.
    """
    return flatten_rows(scores).to(computing_dtype(scores))


def check_options(scale: float, reduction: str) -> None:
    """Raise ValueError unless scale and reduction are usable."""
    if not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale must be a positive finite number, got {scale!r}")
    check_reduction(reduction)


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless the reduction is known."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}")


def check_same_shape(scores: Tensor, targets: Tensor) -> None:
    """Raise ValueError unless every score has a target."""
    if targets.shape != scores.shape:
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} but scores have shape "
            f"{tuple(scores.shape)}; they must be the same"
        )


def check_soft_targets(targets: Tensor) -> None:
    """Raise ValueError unless every target is in [0, 1] or NaN."""
    if targets.dtype == torch.bool or targets.numel() == 0:
        return
    known = targets
    smallest, largest = torch.aminmax(known)  # a quarter of the time of comparing every entry
    if targets.is_floating_point() and bool(smallest.isnan()):
        known = targets.nan_to_num(nan=0.0)
        smallest, largest = torch.aminmax(known)
    if smallest < 0 or largest > 1:
        seen = known[(known < 0) | (known > 1)].unique()[:5].tolist()
        raise ValueError(
            f"targets must be 0, 1, a number between, or NaN for unknown; got {seen}. "
            "Pass (targets > 0) if they are coded as -1 and 1"
        )


def any_unknown(targets: Tensor) -> bool:
    """Whether some of the targets, each in [0, 1] or NaN, are NaN."""
    return bool(targets.sum().isnan())  # a tenth of the time of asking every entry


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


def check_label_weight(
    label_weight: Tensor | None, scores: Tensor, dtype: torch.dtype, name: str = "label_weight"
) -> Tensor | None:
    """Weights of shape ``(n_labels,)`` or ``(n_rows, n_labels)``, as a constant, or None.

    Raises
    ------
    ValueError
        If they do not broadcast to the scores, or one is negative or NaN.
    """
    if label_weight is None:
        return None
    weight = torch.as_tensor(label_weight, dtype=dtype, device=scores.device).detach()
    try:
        broadcast = torch.broadcast_shapes(weight.shape, scores.shape)
    except RuntimeError:
        broadcast = None
    if broadcast != scores.shape:
        raise ValueError(
            f"{name} has shape {tuple(weight.shape)}; it must broadcast to the scores' "
            f"shape {tuple(scores.shape)}"
        )
    if not bool((weight >= 0).all()):
        raise ValueError(f"{name} must not be negative or NaN")
    if weight.ndim > 1:
        return flatten_rows(weight.expand(scores.shape))
    return weight.expand(scores.shape[-1:])


def log_label_weight(
    label_weight: Tensor | None, scores: Tensor, dtype: torch.dtype
) -> Tensor | None:
    """Logarithms of checked label weights, or None."""
    weight = check_label_weight(label_weight, scores, dtype)
    return None if weight is None else weight.log()


def check_label_counts(label_counts: Tensor, scores: Tensor) -> Tensor:
    """Counts ``(n_labels,)`` in float64 on the scores' device.

    Raises
    ------
    ValueError
        If there is not one for each label, or one is negative or NaN.
    """
    counts = torch.as_tensor(label_counts, dtype=torch.float64, device=scores.device).detach()
    if counts.shape != scores.shape[-1:]:
        raise ValueError(
            f"label_counts has shape {tuple(counts.shape)}; it must have one entry per label, "
            f"shape {tuple(scores.shape[-1:])}"
        )
    if not bool((counts >= 0).all()):
        raise ValueError("label_counts must not be negative or NaN")
    return counts


def per_row(values: Tensor | None, scores: Tensor, name: str) -> Tensor | None:
    """Values of shape (...) or (..., 1) as ``(n_rows,)`` on the scores' device, or None."""
    if values is None:
        return None
    rows = scores.shape[:-1]
    if values.shape not in (rows, (*rows, 1)):
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}; it must have one entry per row of the "
            f"scores, shape {tuple(rows)} or {(*rows, 1)}"
        )
    return values.reshape(-1).to(scores.device)


def row_factors(
    sample_weight: Tensor | None, scores: Tensor, reduction: str, dtype: torch.dtype
) -> Tensor | None:
    """What multiplies each row's loss before the rows are summed."""
    n_rows = scores.shape[:-1].numel()
    weight = per_row(sample_weight, scores, "sample_weight")
    if weight is None:
        if reduction != "mean":
            return None
        return torch.full((n_rows,), 1 / max(n_rows, 1), dtype=dtype, device=scores.device)
    weight = weight.detach().to(dtype)
    if not bool((weight >= 0).all()):
        raise ValueError("sample_weight must not be negative or NaN")
    return weight / weight.sum() if reduction == "mean" else weight


# Of inputs that have an entry for each row, and `with_gradient`, a keyword: the losses of the rows,
# and the gradient of their sum in each input where it is wanted.
Evaluate = Callable[..., tuple[Tensor, tuple[Tensor, ...] | None]]


def closed_form_loss(
    evaluate: Evaluate, *inputs: Tensor, reduction: str, shape: torch.Size
) -> Tensor:
    """Loss of rows of inputs ``(n, ...)``, reduced to a sum or of a shape; differentiable once."""
    wanted = torch.is_grad_enabled() and any(given.requires_grad for given in inputs)
    rows = _ClosedForm.apply(evaluate, wanted, *inputs)
    return rows.reshape(shape) if reduction == "none" else rows.sum()


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
