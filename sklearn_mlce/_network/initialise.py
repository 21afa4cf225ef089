"""What a network knows of the training rows before its first step."""

from __future__ import annotations

import numpy as np
import torch

from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.perceptron import Perceptron
from sklearn_mlce._objectives.constant_scores import LabelCounts
from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._utils.sparse import dense_tensor

# Frequencies are kept this far from 0 and 1, whose scores are infinite.
_RAREST = 1e-4


@torch.no_grad()
def start_from_rows(
    module: Perceptron, rows: Rows, objective: Objective, label_weight: np.ndarray | None
) -> None:
    """Let the input scaling learn, and set the last biases to the best constant scores."""
    module.input_scaling.learn(rows.X, rows.sample_weight)
    if objective.is_module:  # whose scores may mean anything
        return
    counts = LabelCounts.of(rows.targets, rows.sample_weight).bounded(_RAREST)
    scores = objective.constant_scores(rows.targets, rows.sample_weight, counts, label_weight)
    *_, output = module.layers
    output.get_parameter("bias")[: len(scores)].copy_(dense_tensor(scores))
