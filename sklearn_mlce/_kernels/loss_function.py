"""The shell of a loss function: arguments checked and brought to rows, gradient, reduction.

Recording every intermediate of such a loss costs several copies of the scores and passes over
them; a formula for the gradient, evaluated along with the loss, costs one. So each loss has two
expressions: a closed form of its value and gradient, which reads values, branches on them and
reuses memory; and a plain form of its value in operations of torch. :func:`is_traced` says where
the plain form runs, and the closed form calls it where its gradient is to be differentiated again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad

_REDUCTIONS = ("mean", "sum", "none")
_PLAIN_TYPES = (Tensor, torch.nn.Parameter)
_PLAIN = Tensor.__torch_dispatch__  # that of subclasses which leave operations to torch
# Of a scale, which is a hinge long before; and of scores whose loss would not be finite: their
# product is in range, and so are sums of a hundred of them.
_LARGEST_SCALE, _FARTHEST_SCORE = 1e6, 1e30
_LARGEST_WEIGHT = 1e15
# Entries of scores that are few: a pass over them takes less time than a call of a few functions.
_SMALL = 2**16


# Torch has no public name for these. Where they are missing, bool() is False, and a transform
# fails with a message of torch.
_transforms_active: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", bool)
_modes_active: Callable[[], int] = getattr(torch._C, "_len_torch_dispatch_stack", bool)
_is_compiling, _is_jit_tracing = torch.compiler.is_compiling, torch.jit.is_tracing


def is_traced(*tensors: Tensor) -> bool:
    """Whether torch has to see every operation, so that no value may be read.

    So it is under ``torch.compile``, ``torch.export`` and ``torch.jit.trace``, under the
    transforms of ``torch.func``, in forward-mode differentiation, under a dispatch mode (fake
    tensors, ``make_fx``), for meta tensors, and for subclasses that dispatch operations themselves.
    """
    if (
        _is_compiling()
        or _transforms_active()
        or _modes_active()
        or forward_ad._current_level >= 0
        or _is_jit_tracing()
    ):
        return True
    # A tenth of a small loss's time goes by in calls of any() and the like.
    for tensor in tensors:
        kind = type(tensor)
        if tensor.is_meta or (kind not in _PLAIN_TYPES and kind.__torch_dispatch__ is not _PLAIN):
            return True
    return False


def is_small(scores: Tensor) -> bool:
    """Whether a pass over the scores is cheaper on this device than to look for a better form."""
    return scores.is_cpu and scores.numel() <= _SMALL


@lru_cache(maxsize=256)
def constant(value: float, dtype: torch.dtype) -> Tensor:
    """A number as a tensor on the CPU, which operands on any device accept.

    Torch makes a tensor of a Python number and casts it at each call, which takes longer than a
    pass over few scores.
    """
    with torch.inference_mode(False):  # kept for calls outside of it
        return torch.tensor(value, dtype=dtype, device="cpu")


def operand(value: float, beside: Tensor) -> float | Tensor:
    """A number beside a tensor in an operation, as a constant where torch traces nothing."""
    return value if is_traced(beside) else constant(value, beside.dtype)


def computing_dtype(scores: Tensor) -> torch.dtype:
    """At least float32.

    Raises
    ------
    TypeError
        If torch computes nothing with them, as with float8 and quantized numbers.
    """
    try:
        return torch.promote_types(scores.dtype, torch.float32)
    except RuntimeError as error:
        raise TypeError(
            f"scores are of {scores.dtype}, which torch does not compute with; expected floating "
            "numbers of 16 bits or more. Pass scores.float(), or scores.dequantize()"
        ) from error


def full_precision_product(matrix: Tensor, values: Tensor) -> Tensor:
    """The matrix product in the precision of its factors, under torch.autocast as well.

    Autocast makes matrix products in half precision, where a loss has float32 at least.
    """
    product = torch.mv if values.ndim == 1 else torch.matmul  # which takes longer to be called
    kind = matrix.device.type
    is_available = kind == "cpu" or torch.amp.is_autocast_available(kind)
    if is_available and torch.is_autocast_enabled(kind):
        with torch.autocast(kind, enabled=False):
            return product(matrix, values)
    return product(matrix, values)


def flatten_rows(values: Tensor) -> Tensor:
    """Values ``(..., L)`` as ``(n_rows, L)``."""
    if values.ndim == 0:
        raise ValueError("scores and targets need a last dimension of labels, got a scalar")
    if values.ndim == 2:
        return values  # autograd would record a reshape
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def computed_rows(scores: Tensor) -> Tensor:
    """Scores ``(..., L)`` as ``(n_rows, L)``, in at least float32.

    Torch casts them, so that it rounds a gradient to half precision after what comes from above
    has multiplied it, and the factor of a gradient scaler keeps it from vanishing.
    """
    flat = flatten_rows(scores)
    return flat if flat.dtype == torch.float32 else flat.to(computing_dtype(flat))


def check_options(scale: float, reduction: str) -> None:
    """Raise ValueError unless scale and reduction are usable."""
    is_number = type(scale) in (float, int) or isinstance(scale, Real)
    if not (is_number and 0 < scale <= _LARGEST_SCALE):
        raise ValueError(
            f"scale must be a number greater than 0 and up to {_LARGEST_SCALE:g}, got {scale!r}"
        )
    check_reduction(reduction)


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless the reduction is known."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction must be one of {_REDUCTIONS}, got {reduction!r}")


def check_tensors(**given: Any) -> None:
    """Raise TypeError unless arguments, by their names, are tensors of real numbers."""
    for name, values in given.items():
        if not isinstance(values, Tensor):
            raise TypeError(
                f"{name} is of type {type(values).__name__}; expected a torch.Tensor. Pass "
                f"torch.as_tensor({name})"
            )
        if values.layout is not torch.strided:
            raise TypeError(
                f"{name} has the layout {values.layout}; expected a dense tensor. Pass "
                f"{name}.to_dense()"
            )
        if values.is_complex():
            raise TypeError(
                f"{name} holds complex numbers; expected real ones. Pass {name}.real, or "
                f"{name}.abs()"
            )


def check_same_shape(scores: Tensor, targets: Tensor) -> None:
    """Raise TypeError unless both are tensors, ValueError unless every score has a target."""
    check_tensors(scores=scores, targets=targets)
    if targets.shape != scores.shape:
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} but scores have shape "
            f"{tuple(scores.shape)}; they must be the same"
        )


def check_soft_targets(targets: Tensor) -> bool:
    """Return whether some targets may be NaN; raise ValueError unless the rest is in [0, 1].

    Traced targets are not checked.
    """
    if targets.dtype == torch.bool or targets.numel() == 0:
        return False
    if is_traced(targets):
        return targets.is_floating_point()
    edges = torch.aminmax(targets)
    smallest, largest = edges.min.item(), edges.max.item()
    unknown = bool(smallest != smallest)
    known = targets
    if unknown:
        known = targets.nan_to_num(nan=0.0)
        smallest, largest = known.min().item(), known.max().item()
    if smallest < 0 or largest > 1:
        seen = known[(known < 0) | (known > 1)].unique()[:5].tolist()
        raise ValueError(
            f"targets must be 0, 1, a number between, or NaN for unknown; got {seen}. "
            "Pass (targets > 0) if they are coded as -1 and 1"
        )
    return unknown


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
        If they do not broadcast to the scores, or one is negative or not finite.
    """
    if label_weight is None:
        return None
    weight = _as_constant(label_weight, name, dtype, scores)
    try:
        broadcast = torch.broadcast_shapes(weight.shape, scores.shape)
    except RuntimeError:
        broadcast = None
    if broadcast != scores.shape:
        raise ValueError(
            f"{name} has shape {tuple(weight.shape)}; it must broadcast to the scores' "
            f"shape {tuple(scores.shape)}"
        )
    _check_not_negative(weight, name)
    if weight.ndim > 1:
        return flatten_rows(weight.expand(scores.shape))
    return weight.expand(scores.shape[-1:])


def log_label_weight(
    label_weight: Tensor | None, scores: Tensor, dtype: torch.dtype
) -> Tensor | None:
    """Logarithms of checked label weights, or None."""
    weight = check_label_weight(label_weight, scores, dtype)
    return None if weight is None else weight.log()


def check_label_counts(
    label_counts: Tensor, scores: Tensor, dtype: torch.dtype = torch.float64
) -> Tensor:
    """Counts ``(n_labels,)`` on the scores' device.

    Raises
    ------
    ValueError
        If there is not one for each label, or one is negative or not finite.
    """
    check_tensors(scores=scores)
    counts = _as_constant(label_counts, "label_counts", dtype, scores)
    if counts.shape != scores.shape[-1:]:
        raise ValueError(
            f"label_counts has shape {tuple(counts.shape)}; it must have one entry per label, "
            f"shape {tuple(scores.shape[-1:])}"
        )
    _check_not_negative(counts, "label_counts")
    return counts


def _as_constant(values: Any, name: str, dtype: torch.dtype, scores: Tensor) -> Tensor:
    """Values as a tensor of a dtype beside the scores, to which no gradient flows.

    Raises
    ------
    TypeError
        If they are no numbers.
    """
    try:
        constant = torch.as_tensor(values, dtype=dtype, device=scores.device)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} is of type {type(values).__name__} and does not hold numbers; expected a "
            f"torch.Tensor of numbers. Pass torch.tensor([1.0, 2.0, ...])"
        ) from error
    return constant.detach() if constant.requires_grad else constant


def _check_not_negative(values: Tensor, name: str) -> None:
    """Raise ValueError if one is negative or not finite; traced values are not checked."""
    if not values.numel() or is_traced(values):
        return
    edges = torch.aminmax(values)
    smallest, largest = edges.min.item(), edges.max.item()
    if not 0 <= smallest <= largest <= _LARGEST_WEIGHT:
        raise ValueError(
            f"{name} must not be negative, infinite or NaN, got values from {smallest:g} to "
            f"{largest:g}; expected numbers from 0 to {_LARGEST_WEIGHT:g}"
        )


def per_row(
    values: Tensor | None, rows: torch.Size, device: torch.device, name: str
) -> Tensor | None:
    """Values of shape `rows` or (*rows, 1) as ``(n_rows,)`` on a device, or None."""
    if values is None:
        return None
    check_tensors(**{name: values})
    if values.shape not in (rows, (*rows, 1)):
        raise ValueError(
            f"{name} has shape {tuple(values.shape)}; it must have one entry per row of the "
            f"scores, shape {tuple(rows)} or {(*rows, 1)}"
        )
    return values.reshape(-1).to(device)


def row_factors(
    sample_weight: Tensor | None, flat: Tensor, rows: torch.Size, reduction: str
) -> Tensor | None:
    """What multiplies the loss of each row of the flat scores before the rows are summed."""
    if sample_weight is None:
        if reduction != "mean":
            return None
        n_rows = flat.shape[0]
        if _is_compiling():  # torch would take the number of rows in the value for a constant
            return flat.new_ones(n_rows) / max(n_rows, 1)
        return flat.new_full((n_rows,), 1 / max(n_rows, 1))
    weight = per_row(sample_weight, rows, flat.device, "sample_weight")
    assert weight is not None
    weight = weight.detach().to(flat.dtype)
    _check_not_negative(weight, "sample_weight")
    return weight / _total(weight) if reduction == "mean" else weight


def _total(weight: Tensor) -> Tensor:
    """Sum of the checked weights of rows.

    Raises
    ------
    ValueError
        If it is zero, or too large.
    """
    total = weight.sum()
    if weight.numel() and not is_traced(weight) and not 0 < total.item() < math.inf:
        raise ValueError(
            f"sample_weight adds up to {total.item():g}, by which a mean cannot be divided; "
            "expected a positive finite sum. Pass reduction='sum', or divide large weights by "
            "sample_weight.max()"
        )
    return total


# Of inputs that have an entry for each row and the keywords `weight`, (n,) or None, and
# `with_gradient`: the losses of the rows times their weights, and the gradient of their sum in each
# input where it is wanted.
ClosedForm = Callable[..., tuple[Tensor, tuple[Tensor, ...] | None]]
# Of the same inputs: the losses of the rows.
PlainForm = Callable[..., Tensor]


class _Loss(NamedTuple):
    """A loss of rows in both of its forms, and what becomes of the rows."""

    closed: ClosedForm
    plain: PlainForm
    weight: Tensor | None  # (n,)
    is_reduced: bool
    is_mean: bool  # of rows without weights

    def of_closed_form(
        self, inputs: tuple[Tensor, ...], with_gradient: bool
    ) -> tuple[Tensor, tuple[Tensor, ...] | None]:
        """Reduced losses of rows, and gradients of their sum where they are wanted.

        Scores that are infinite, or so large that the losses overflow, are taken for the farthest
        ones, where the gradient is that of the limit. A GPU would have to be waited for.
        """
        losses, gradients = self.closed(*inputs, weight=self.weight, with_gradient=with_gradient)
        total = self._total(losses)
        if losses.is_cpu and not math.isfinite(total):
            inputs = tuple(map(_within_reach, inputs))
            losses, gradients = self.closed(
                *inputs, weight=self.weight, with_gradient=with_gradient
            )
            total = self._total(losses)
        return total if self.is_reduced else losses, gradients

    def _total(self, losses: Tensor) -> Tensor:
        total = losses.sum()
        return total.mul_(constant(1 / len(losses), total.dtype)) if self.is_mean else total

    def of_plain_form(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Reduced losses of rows, by operations that torch can trace."""
        rows = self.plain(*inputs)
        rows = rows if self.weight is None else rows * self.weight
        if not self.is_reduced:
            return rows
        return rows.mean() if self.is_mean else rows.sum()


def reduced_loss(
    closed: ClosedForm,
    plain: PlainForm,
    *inputs: Tensor,
    sample_weight: Tensor | None,
    rows: torch.Size,
    reduction: str,
    traced: bool,
) -> Tensor:
    """Loss of rows of inputs ``(n, ...)``, reduced to a scalar or to the rows' own shape.

    ``traced`` is what :func:`is_traced` says of the scores and the targets.
    """
    flat, weight = inputs[0], None
    is_mean = reduction == "mean" and sample_weight is None and not traced
    # A pass over few gradients costs less than weights; no rows have no mean.
    is_mean = is_mean and is_small(flat) and flat.shape[0] > 0
    if not is_mean:
        weight = row_factors(sample_weight, flat, rows, reduction)
    loss = _Loss(closed, plain, weight, reduction != "none", is_mean)
    if traced:
        values = loss.of_plain_form(inputs)
    elif torch.is_grad_enabled() and any(given.requires_grad for given in inputs):
        values = _ClosedFormLoss.apply(loss, *inputs)
    else:
        values, _ = loss.of_closed_form(inputs, with_gradient=False)
    return values if loss.is_reduced else values.reshape(rows)


def with_finite_loss(function: Callable[[Tensor], Tensor], scores: Tensor) -> Tensor:
    """A loss that torch differentiates, of scores taken no farther than :class:`_Loss` does."""
    losses = function(scores)
    if not scores.is_cpu or is_traced(scores):
        return losses
    total = losses.detach().sum() if losses.ndim else losses
    return losses if math.isfinite(total.item()) else function(_WithinReach.apply(scores))


def _within_reach(scores: Tensor) -> Tensor:
    return scores.detach().clamp(-_FARTHEST_SCORE, _FARTHEST_SCORE)


class _WithinReach(torch.autograd.Function):
    """Scores no farther than the farthest, each with the gradient of what it is taken for."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        return _within_reach(scores)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        return grad_output


def empty_gradient(scores: Tensor) -> Tensor:
    """Memory for the gradient in some scores, contiguous whatever they are."""
    return torch.empty_like(scores, memory_format=torch.contiguous_format)


class _ClosedFormLoss(torch.autograd.Function):
    """Loss of each row, or their sum; the gradients are made along with it."""

    @staticmethod
    def forward(ctx: Any, loss: _Loss, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        ctx.loss = loss
        values, ctx.gradients = loss.of_closed_form(inputs, with_gradient=True)
        return values

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            return None, *_differentiable_gradients(ctx, grad_output)
        loss, gradients, ctx.gradients = ctx.loss, ctx.gradients, None
        if gradients is None:  # a second backward pass through a retained graph
            _, gradients = loss.of_closed_form(ctx.saved_tensors, with_gradient=True)
        if not loss.is_reduced:
            for gradient in gradients:
                gradient.mul_(grad_output.reshape(-1, *[1] * (gradient.ndim - 1)))
        elif not grad_output.is_cpu:  # its value would have to be waited for
            for gradient in gradients:
                gradient.mul_(grad_output)
        else:
            above, n_rows = grad_output.item(), len(gradients[0]) if loss.is_mean else 1
            for gradient in gradients if above != n_rows else ():
                # What comes from above may be another number at each call.
                mean = constant(1 / n_rows, gradient.dtype) if above == 1 else above / n_rows
                gradient.mul_(mean)
        return None, *gradients


def _differentiable_gradients(ctx: Any, grad_output: Tensor) -> Iterator[Tensor | None]:
    """Gradients in the inputs that can be differentiated again (``create_graph=True``)."""
    inputs, wanted = ctx.saved_tensors, ctx.needs_input_grad[1:]
    variables = [given for given, is_wanted in zip(inputs, wanted, strict=True) if is_wanted]
    loss = ctx.loss.of_plain_form(inputs)
    found = iter(torch.autograd.grad(loss, variables, grad_output, create_graph=True))
    return (next(found) if is_wanted else None for is_wanted in wanted)
