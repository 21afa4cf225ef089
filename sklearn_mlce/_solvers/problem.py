"""What there is to fit: rows, their encoded targets, and the objective."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.constant_scores import intercept_start
from sklearn_mlce._objectives.first_order import BatchLoss, label_counts
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.sparse import dense_tensor


class LinearProblem(NamedTuple):
    """A linear model's mean objective; see :class:`LinearObjective`."""

    X: Any  # (n_rows, n_features), ndarray or CSR
    targets: Targets
    trained: np.ndarray  # (n_outputs,), mask of the outputs that have an optimum
    sample_weight: np.ndarray | None  # (n_rows,), positive
    options: LossOptions
    label_weight: np.ndarray | None  # (n_outputs,)
    C: float
    fit_intercept: bool
    device: torch.device

    @property
    def total_weight(self) -> float:
        """Sum of the rows' weights."""
        if self.sample_weight is None:
            return float(self.X.shape[0])
        return float(self.sample_weight.sum(dtype=np.float64))

    @property
    def l2(self) -> float:
        """Strength of the penalty beside the mean loss."""
        return 1 / (self.C * self.total_weight)

    def row_weight(self) -> np.ndarray:
        """Weights of the rows that sum to one."""
        weight = self.sample_weight
        if weight is None:
            weight = np.ones(self.X.shape[0], dtype=self.X.dtype)
        return weight / self.X.dtype.type(self.total_weight)

    def batch_loss(self) -> BatchLoss:
        """The loss of the trained outputs, batch by batch."""
        targets = self.trained_targets()
        options = self.options._replace(sizes=targets.format.sizes)
        counts = label_counts(self.options, targets, self.sample_weight, self.device)
        return BatchLoss(options, targets.n_outputs, self.trained_label_weight(), counts)

    def trained_label_weight(self) -> Tensor | None:
        """Weights of the trained outputs."""
        if self.label_weight is None:
            return None
        return dense_tensor(self.label_weight[self.trained].astype(self.X.dtype), self.device)

    def constant_scores(self) -> Tensor:
        """Parameters ``(n_features + fit_intercept, n_trained)``: the best without features."""
        targets = self.trained_targets()
        shape = (self.X.shape[1] + self.fit_intercept, targets.n_outputs)
        parameters = np.zeros(shape, self.X.dtype)
        if self.fit_intercept:
            label_weight = self.label_weight
            if label_weight is not None:
                label_weight = label_weight[self.trained]
            parameters[-1] = intercept_start(
                targets, self.options, self.sample_weight, label_weight
            )
        return dense_tensor(parameters, self.device)

    def trained_targets(self) -> Targets:
        """Targets of the trained outputs alone."""
        return self.targets.of_outputs(self.trained)
