"""The loss of a batch, whatever the kind of y."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sklearn_mlce._training.rows import BatchTargets


class Criterion(nn.Module):
    """Weighted mean over a batch's rows of the loss, divided by the scale.

    The division lets the learning rate keep its meaning as the scale grows. The targets know
    their loss (:mod:`sklearn_mlce._objectives.prepared_targets`), computed in float32 at least.
    """

    def forward(self, scores: Tensor, targets: BatchTargets) -> Tensor:
        """Loss of scores ``(n, n_outputs)`` and the targets of their rows; a constant."""
        return self.loss_and_gradient(scores, targets)[0]

    def loss_and_gradient(self, scores: Tensor, targets: BatchTargets) -> tuple[Tensor, Tensor]:
        """The loss, and its gradient in the scores.

        A backward pass may start from the scores with this gradient: the loss itself needs no
        graph.
        """
        values = scores.detach()  # what is computed from it has no graph either
        if scores.dtype in (torch.bfloat16, torch.float16):
            values = values.float()
        if targets.sample_weight is None:
            weight = values.new_full((1,), 1 / targets.total_weight)
        else:
            weight = (targets.sample_weight / targets.total_weight).to(values.dtype)
        loss, gradient = targets.encoded.evaluate(values, weight)
        return loss, gradient if values.dtype == scores.dtype else gradient.to(scores.dtype)
