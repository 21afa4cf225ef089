"""How to train: the estimator's parameters, checked against each other and the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sklearn_mlce._loss_options import LossOptions
from sklearn_mlce._training.perceptron import Architecture

_AUTO_BATCH_SIZE = 200  # scikit-learn's


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
    patience: int  # epochs without a better validation loss
    label_weight: np.ndarray | None
    loss: LossOptions
    device: torch.device
    mixed_precision: bool
    compile: bool
    keep_optimizer: bool  # whether its moments are wanted at the end


def rows_per_batch(batch_size: int | str) -> int:
    """Rows of a batch as the estimator's `batch_size` asks for them."""
    return _AUTO_BATCH_SIZE if isinstance(batch_size, str) else int(batch_size)


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
