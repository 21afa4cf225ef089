"""How to train: the estimator's parameters, checked against each other and the data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._training.perceptron import Architecture

# "auto", chosen over the data sets of the benchmarks: batches of about a tenth of the rows, and
# so many epochs that the number of steps hardly depends on the number of rows.
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 512
_STEPS = 400
_FEWEST_EPOCHS, _MOST_EPOCHS = 3, 60


@dataclass(frozen=True)
class TrainingPlan:
    """What training needs to know beside the rows."""

    architecture: Architecture
    dropout: float
    alpha: float
    batch_size: int
    learning_rate: float
    schedule: str  # of :data:`~sklearn_mlce._training.schedule.SCHEDULES`
    gradient_clipping: float | None  # the largest norm of a step's gradient
    max_epochs: int
    patience: int  # epochs without a better validation score
    label_weight: np.ndarray | None
    loss: LossOptions
    device: torch.device
    dtype: np.dtype  # of the weights and the loss in training
    mixed_precision: bool
    compile: bool
    keep_optimizer: bool  # whether its moments are wanted at the end


def rows_per_batch(batch_size: int | str, n_rows: int) -> int:
    """Rows of a batch as the estimator's `batch_size` asks for them."""
    if not isinstance(batch_size, str):
        return int(batch_size)
    tenth = 2 ** round(math.log2(max(n_rows, 1) / 10))
    return int(min(max(tenth, _SMALLEST_BATCH), _LARGEST_BATCH))


def passes(max_epochs: int | str, batch_size: int, n_rows: int) -> int:
    """Epochs as the estimator's `max_epochs` asks for them."""
    if not isinstance(max_epochs, str):
        return int(max_epochs)
    wanted = math.ceil(_STEPS / math.ceil(n_rows / batch_size))
    return min(max(wanted, _FEWEST_EPOCHS), _MOST_EPOCHS)


def layer_widths(hidden_layer_sizes: Any) -> tuple[int, ...]:
    """Widths of the hidden layers as the estimator's `hidden_layer_sizes` asks for them.

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
