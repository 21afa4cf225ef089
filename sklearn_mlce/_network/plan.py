"""Training plan: the estimator's parameters, checked against each other and the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.user_network import Factory
from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._utils.memory import free_memory, in_gigabytes
from sklearn_mlce._utils.tensors import resolve_device

# "auto", chosen over the data sets of the benchmarks: batches of about a tenth of the rows, and
# so many epochs that the number of steps hardly depends on the number of rows.
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 512
_STEPS = 400
_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 60
# Of members: the score of a single epoch is noisy, and the best of many would be a lucky one.
AVERAGED_EPOCHS = 5
# Of the size of the weights: these, their gradient, AdamW's two moments, and copies of the last
# and the best weights.
_N_ARRAYS = 6


@dataclass(frozen=True)
class TrainingPlan:
    """Parameters of a training, resolved for its rows."""

    architecture: Architecture
    dropout: float
    alpha: float
    batch_size: int
    learning_rate: float
    schedule: str  # of :data:`~sklearn_mlce._network.plan.SCHEDULES`
    gradient_clipping: float | None  # the largest norm of a step's gradient
    max_epochs: int
    patience: int  # epochs without a better validation score
    averaged_epochs: int  # whose mean score is that of the last of them
    label_weight: np.ndarray | None
    objective: Objective
    device: torch.device
    dtype: np.dtype  # of the weights and the loss in training
    mixed_precision: bool
    keep_moments: bool  # of AdamW, at the end
    factory: Factory | None = None  # of the user's module; None is the perceptron

    def __post_init__(self) -> None:
        """Refuse a perceptron that the memory cannot hold.

        Raises
        ------
        MemoryError
            If its weights need more than is free.
        """
        if self.factory is None and self.device.type == "cpu":
            check_memory(self.architecture.sizes, self.dtype)


def check_memory(sizes: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise MemoryError where the weights between layers of these widths need more than is free."""
    n_weights = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
    needed, free = _N_ARRAYS * n_weights * dtype.itemsize, free_memory()
    if free is None or needed <= free:
        return
    raise MemoryError(
        f"training holds {_N_ARRAYS} arrays of the weights, which for layers of {sizes} need "
        f"{in_gigabytes(needed)} in {dtype}, and {in_gigabytes(free)} are free. To fit in less, "
        "set hidden_layer_sizes smaller, pass X with fewer features, or take MLCEClassifier with "
        "coef_threshold=1e-4, which fits a block of labels at a time"
    )


def resolve_batch_size(batch_size: int | str, n_rows: int) -> int:
    """Resolve the estimator's `batch_size` for the number of training rows."""
    if not isinstance(batch_size, str):
        return int(batch_size)
    tenth = 2 ** round(math.log2(max(n_rows, 1) / 10))
    return int(min(max(tenth, _SMALLEST_BATCH), _LARGEST_BATCH))


def resolve_max_epochs(max_epochs: int | str, batch_size: int, n_rows: int) -> int:
    """Resolve the estimator's `max_epochs` for the batches of the training rows."""
    if not isinstance(max_epochs, str):
        return int(max_epochs)
    wanted = math.ceil(_STEPS / math.ceil(n_rows / batch_size))
    return min(max(wanted, _FEWEST_EPOCHS), _MOST_EPOCHS)


def layer_widths(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Resolve the estimator's `hidden_layer_sizes`.

    Raises
    ------
    ValueError
        If they are not positive integers.
    """
    widths = np.atleast_1d(np.asarray(hidden_layer_sizes, dtype=object)).tolist()
    if not all(isinstance(width, int | np.integer) and width > 0 for width in widths):
        raise ValueError(
            f"hidden_layer_sizes={hidden_layer_sizes!r}; expected positive integers, one for each "
            "hidden layer. Type hidden_layer_sizes=(256,) for one layer, () for a linear model"
        )
    return tuple(int(width) for width in widths)


def network_device(device: str, dtype: np.dtype, *, sparse: bool) -> torch.device:
    """Resolve the estimator's `device` for rows of a precision.

    Raises
    ------
    ValueError
        If torch cannot use it, or it cannot compute with such rows.
    """
    fits_mps = dtype == np.float32 and not sparse
    kinds = ("cuda", "mps", "xpu") if fits_mps else ("cuda", "xpu")
    resolved = resolve_device(device, kinds)
    if resolved.type == "mps" and not fits_mps:
        what = "sparse X" if sparse else f"X of {dtype}"
        instead = "make X dense, or" if sparse else "pass X.astype(np.float32), or"
        raise ValueError(
            f"device={device!r} computes with dense rows of float32 alone, got {what}; {instead} "
            "set device='cpu'"
        )
    return resolved


def training_dtype(precision: str, dtype: np.dtype) -> np.dtype:
    """Precision of the weights in training: that of X where it is "full", float32 otherwise.

    The noise of a gradient step is far larger than what float32 rounds off.
    """
    return np.dtype(dtype if precision == "full" else np.float32)


def resolve_precision(precision: str, device: torch.device) -> bool:
    """Resolve the estimator's `precision`.

    Parameters
    ----------
    precision : {"auto", "full", "mixed"}
        "auto" is mixed on a GPU that computes in bfloat16.
    device : torch.device
        Where to train.

    Returns
    -------
    bool
        Whether to train in mixed precision: layers in bfloat16, weights and loss in float32.

    Raises
    ------
    ValueError
        If "mixed" is asked for where it would be of no use: the device has no instructions for
        bfloat16, so that it would be slower.
    """
    if precision == "auto":
        return device.type == "cuda" and _has_bfloat16(device)
    if precision == "full":
        return False
    if not _has_bfloat16(device):
        raise ValueError(
            f"precision='mixed' computes in bfloat16, for which this {device.type} has no "
            "instructions: it would be slower than float32. Set precision='auto'"
        )
    return True


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False  # or not known
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported() and native and native())


_WARM_UP = 0.05  # of all steps


def one_cycle(step: int, n_steps: int) -> float:
    """Factor of the step size: linearly up to 1, then down to almost 0 along half a cosine.

    Parameters
    ----------
    step : int
        Number of the step, counted from 0.
    n_steps : int
        Steps of the whole training.

    Returns
    -------
    float
        Above 0 and at most 1.

    Examples
    --------
    >>> from sklearn_mlce._network.plan import one_cycle
    >>> [round(one_cycle(step, 100), 3) for step in (0, 4, 52, 99)]
    [0.2, 1.0, 0.5, 0.0]
    """
    n_warm = max(1, round(_WARM_UP * n_steps))
    if step < n_warm:
        return (step + 1) / n_warm
    return (1 + math.cos(math.pi * (step + 1 - n_warm) / (n_steps + 1 - n_warm))) / 2


# By the estimator's `learning_rate`; None leaves the step size as it is.
SCHEDULES: dict[str, Callable[[int, int], float] | None] = {
    "constant": None,
    "one_cycle": one_cycle,
}
