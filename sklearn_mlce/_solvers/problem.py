"""Rows, encoded targets and parameters of a linear model's fit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._targets.targets import Targets


class LinearProblem(NamedTuple):
    """A linear model's mean objective: weighted losses of rows, and an L2 penalty."""

    X: Any  # (n_rows, n_features), ndarray or CSR
    targets: Targets
    sample_weight: np.ndarray | None  # (n_rows,), positive
    row_weight: np.ndarray  # (n_rows,), sums to one
    total_weight: float  # of the rows
    objective: Objective
    label_weight: np.ndarray | None  # (n_outputs,)
    C: float
    l2: float  # strength of the penalty beside the mean loss, 1 / (C * total_weight)
    fit_intercept: bool
    device: torch.device
