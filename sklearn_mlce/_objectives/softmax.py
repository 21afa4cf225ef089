"""Softmax cross-entropy of batches of a multiclass y."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.elementwise import exp_
from sklearn_mlce._objectives.mlce import CURVATURE_OF_LABEL, divided_by_scale
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._objectives.target_tensors import ClassCodes, EncodedTargets


class SoftmaxBatches:
    """The margin stands between the true class and each other; see :class:`BatchLoss`."""

    bounded = True

    def __init__(self, options: LossOptions, label_weight: Tensor | None) -> None:
        self._scale, (self._margin, _) = options.scale, options.margins
        self._log_weight = None if label_weight is None else label_weight.log()
        self.curvature = CURVATURE_OF_LABEL * options.scale

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(targets, ClassCodes)
        weight = divided_by_scale(weight, scores, self._scale)
        at_codes = targets.codes[:, None]
        logits = self._scale * scores
        if self._log_weight is not None:
            logits += self._log_weight
        if self._margin:
            less = logits.new_full((len(logits), 1), -self._scale * self._margin)
            logits.scatter_add_(1, at_codes, less)
        log_softmax = torch.log_softmax(logits, dim=1)
        values = log_softmax.gather(1, at_codes).squeeze(1).neg_()
        gradient = exp_(log_softmax)
        gradient.scatter_add_(1, at_codes, gradient.new_full((len(gradient), 1), -1.0))
        gradient.mul_(self._scale)
        if weight is None:
            return values, gradient
        return values.mul_(weight), gradient.mul_(weight[:, None])
