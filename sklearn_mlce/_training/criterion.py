"""The loss of a batch, whatever the kind of y."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sklearn_mlce._loss_options import LossOptions
from sklearn_mlce._training.batch_targets import ClassCodes, SoftTargets
from sklearn_mlce._training.batches import BatchTargets
from sklearn_mlce.losses import mlce_loss, mlce_loss_from_indices


class Criterion(nn.Module):
    """Weighted mean over a batch's rows of the loss, divided by the scale.

    The division lets the learning rate keep its meaning as the scale grows.

    Parameters
    ----------
    options : LossOptions
        Scale, margin and orders, as in :func:`sklearn_mlce.losses.mlce_loss`.
    label_weight : Tensor of shape (n_labels,), default=None
        Factor of each label's exponential; multi-label targets only.
    """

    label_weight: Tensor | None

    def __init__(self, options: LossOptions, label_weight: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("label_weight", label_weight)
        self.scale, self.margins, self.orders = options.scale, options.margins, options.orders

    def forward(self, scores: Tensor, targets: BatchTargets) -> Tensor:
        """Loss of scores ``(n, n_outputs)`` and the targets of their rows."""
        if isinstance(targets.encoded, ClassCodes):
            return self._softmax_loss(scores, targets.encoded.codes, targets) / self.scale
        options: dict[str, Any] = {
            "sample_weight": targets.sample_weight,
            "label_weight": self.label_weight,
            "scale": self.scale,
            "margin": self.margins,
            "order": self.orders,
        }
        if isinstance(targets.encoded, SoftTargets):
            return mlce_loss(scores, targets.encoded.dense, **options) / self.scale
        indptr, indices = targets.encoded.row_ends(), targets.encoded.indices
        return mlce_loss_from_indices(scores, indptr, indices, **options) / self.scale

    def _softmax_loss(self, scores: Tensor, codes: Tensor, targets: BatchTargets) -> Tensor:
        """The pairwise form with one positive a row, which is softmax cross-entropy.

        Its margin is owed by each other class to the row's own: it is added to the others'
        scores, or, as only differences count, taken from its own.
        """
        own = torch.full_like(codes[:, None], -self.margins[0], dtype=scores.dtype)
        logits = self.scale * scores.scatter_add(1, codes[:, None], own)
        rows = functional.cross_entropy(logits, codes, reduction="none")
        if targets.sample_weight is None:
            return rows.mean()
        return (rows * targets.sample_weight).sum() / targets.total_weight
