"""Softmax cross-entropy of rows with one class each: the pairwise loss with one positive.

The logit of a class is ``scale * score`` (plus its log-weight), that of the true class less
``scale * margin``: the true class is asked to lead each other by the margin.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import (
    DenseReduction,
    exp_,
    row_blocks,
    softmax_hessian_diagonal_,
    softmax_hessian_product_,
    weighted_total,
)


def margin_log_softmax(
    scores: Tensor, codes: Tensor, scale: float, margin: float, log_weight: Tensor | None = None
) -> Tensor:
    """Logarithms ``(n, C)`` of the softmax of the logits."""
    logits = scale * scores
    if log_weight is not None:
        logits += log_weight
    if margin:
        less = logits.new_full((len(logits), 1), -scale * margin)
        logits.scatter_add_(1, codes[:, None], less)
    return torch.log_softmax(logits, dim=1)


def softmax_rows(
    scores: Tensor,
    codes: Tensor,
    weight: Tensor | None,
    *,
    scale: float,
    margin: float,
    log_weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Losses ``(n,)`` of rows times their weights, and the gradient ``(n, C)`` of their sum."""
    at_codes = codes[:, None]
    log_softmax = margin_log_softmax(scores, codes, scale, margin, log_weight)
    values = log_softmax.gather(1, at_codes).squeeze(1).neg_()
    gradient = exp_(log_softmax)
    gradient.scatter_add_(1, at_codes, gradient.new_full((len(gradient), 1), -1.0))
    gradient.mul_(scale)
    if weight is None:
        return values, gradient
    return values.mul_(weight), gradient.mul_(weight[:, None])


class SoftmaxSecondOrder:
    """Softmax cross-entropy for second-order solvers, divided by the scale.

    Parameters
    ----------
    codes : Tensor of shape (n,), int64
        Index of the class of each row.
    weight : Tensor of shape (n,)
        Positive weights, by which the rows are summed.
    scale, margin : float
        As in :func:`softmax_rows`.
    """

    def __init__(self, codes: Tensor, weight: Tensor, scale: float, margin: float) -> None:
        self.codes, self.weight, self.scale, self.margin = codes, weight, scale, margin

    def evaluate(self, scores: Tensor) -> _SoftmaxDerivatives:
        """Value and derivatives at ``scores``."""
        log_softmax = margin_log_softmax(scores, self.codes, self.scale, self.margin)
        values = log_softmax.gather(1, self.codes[:, None]).squeeze(1).neg_()
        value = weighted_total(values, self.weight, self.scale)
        softmax = exp_(log_softmax).mul_(self.weight[:, None])
        return _SoftmaxDerivatives(value, softmax, self.codes, self.weight, self.scale)


class _SoftmaxDerivatives:
    def __init__(
        self, value: float, softmax: Tensor, codes: Tensor, weight: Tensor, scale: float
    ) -> None:
        self.value = value
        self._softmax, self._codes = softmax, codes  # the softmax is weighted
        self._weight, self._scale = weight, scale

    def gradient(self) -> Tensor:
        return self._softmax.scatter_add(1, self._codes[:, None], -self._weight[:, None])

    def curvature_diagonal(self) -> Tensor:
        softmax = self._softmax.clone()
        return softmax_hessian_diagonal_(softmax, self._weight[:, None]).mul_(self._scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        rows = DenseReduction()
        for block in row_blocks(direction):
            softmax, weight = self._softmax[block], self._weight[block]
            softmax_hessian_product_(direction[block], softmax, weight, rows)
        return direction.mul_(self._scale)
