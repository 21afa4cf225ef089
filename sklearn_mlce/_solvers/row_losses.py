"""Losses of the rows of a score matrix, with gradient and curvature, for second-order solvers.

Each loss evaluates scores ``(n, L)`` to a :class:`RowDerivatives`. The curvature of a row is a
sum of terms ``diag(p) - p p^T``, one for each softmax of the loss; the threshold's share of a
softmax has no score of its own and drops out.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernel import (
    Affine,
    Cells,
    cells_from_indices,
    dense_side,
    negatives_of_cells,
    positives_of_cells,
    row_blocks,
)
from sklearn_mlce._sparse import dense_tensor
from sklearn_mlce._targets import Targets


class RowLoss(Protocol):
    """The weighted sum of row losses as a function of the scores."""

    def evaluate(self, scores: Tensor) -> RowDerivatives:
        """Value and derivatives at ``scores``."""


class RowDerivatives(Protocol):
    """Value, gradient and curvature of a row loss at some scores."""

    @property
    def value(self) -> float:
        """Weighted sum of the row losses."""

    def gradient(self) -> Tensor:
        """Gradient in the scores, shape (n, L)."""

    def curvature_diagonal(self) -> Tensor:
        """Diagonal of the Hessian in the scores, shape (n, L)."""

    def curvature_product(self, direction: Tensor) -> Tensor:
        """Hessian times a direction ``(n, L)``, which is overwritten."""


def row_loss_of(targets: Targets, outputs: np.ndarray, weight: Tensor, affine: Affine) -> RowLoss:
    """The loss of some outputs (a mask) of encoded targets; ``weight`` (n,) sums to one."""
    weight = weight.clamp(min=torch.finfo(weight.dtype).tiny)  # it is divided by
    if targets.codes is not None:
        codes = (np.cumsum(outputs) - 1)[targets.codes]
        return SoftmaxRows(dense_tensor(codes, weight.device), weight, affine)
    if targets.positives is not None:
        positives = targets.positives if outputs.all() else targets.positives[:, outputs]
        indptr, indices = (
            dense_tensor(part.astype(np.int64), weight.device)
            for part in (positives.indptr, positives.indices)
        )
        return HardRows(cells_from_indices(indptr, indices, positives.shape[1]), weight, affine)
    assert targets.dense is not None
    dense = dense_tensor(targets.dense[:, outputs], weight.device).to(weight.dtype)
    return SoftRows(dense, weight, affine)


class HardRows:
    """MLCE of hard targets; ``weight`` sums the rows, the loss is divided by the scale."""

    def __init__(self, cells: Cells, weight: Tensor, affine: Affine) -> None:
        self.cells = cells
        self.weight = weight
        self.affine = affine

    def evaluate(self, scores: Tensor) -> _HardDerivatives:
        """Value and derivatives at ``scores``."""
        threshold = torch.zeros_like(self.weight)
        softmax = torch.empty_like(scores)
        negatives = negatives_of_cells(
            scores, self.cells, self.affine, threshold, out=softmax, factor=self.weight
        )
        positives, at_cells = positives_of_cells(
            scores, self.cells, self.affine, threshold, factor=self.weight
        )
        value = _total(negatives + positives, self.weight, self.affine.scale)
        return _HardDerivatives(value, self, softmax, at_cells)


class _HardDerivatives(NamedTuple):
    value: float
    loss: HardRows
    negatives: Tensor  # (n, L) weighted softmax, zero at the positives
    positives: Tensor  # (n_positives,) weighted softmax

    def gradient(self) -> Tensor:
        return _at_cells(self.negatives.clone(), self.loss.cells, -self.positives)

    def curvature_diagonal(self) -> Tensor:
        cells, weight = self.loss.cells, self.loss.weight
        diagonal = self.negatives - self.negatives**2 / weight[:, None]
        at_cells = self.positives - self.positives**2 / weight[cells.rows]
        return _at_cells(diagonal, cells, at_cells).mul_(self.loss.affine.scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        cells, weight = self.loss.cells, self.loss.weight
        at_cells = direction.reshape(-1)[cells.positive]
        mean = torch.zeros_like(weight).index_add_(0, cells.rows, self.positives * at_cells)
        at_cells = self.positives * (at_cells - (mean / weight)[cells.rows])
        product = _centred_product(self.negatives, direction, weight)
        product = _at_cells(product, cells, at_cells)
        return product.mul_(self.loss.affine.scale) if self.loss.affine.scale != 1 else product


class SoftRows:
    """MLCE of soft or unknown targets ``(n, L)``."""

    def __init__(self, targets: Tensor, weight: Tensor, affine: Affine) -> None:
        self.targets = targets
        self.weight = weight
        self.affine = affine

    def evaluate(self, scores: Tensor) -> _SoftmaxDerivatives:
        """Value and derivatives at ``scores``."""
        sides = (scores, self.targets, self.affine, torch.zeros_like(self.weight))
        at_negatives, at_positives = torch.zeros_like(scores), torch.zeros_like(scores)
        negatives = dense_side(*sides, sign=1, factor=self.weight, out=at_negatives)
        positives = dense_side(*sides, sign=-1, factor=self.weight, out=at_positives)
        value = _total(negatives + positives, self.weight, self.affine.scale)
        gradient = at_negatives + at_positives  # the positives' softmax comes with its sign
        softmaxes = (at_negatives, at_positives.neg_())
        return _SoftmaxDerivatives(value, gradient, softmaxes, self.weight, self.affine.scale)


class SoftmaxRows:
    """Softmax cross-entropy of class codes ``(n,)``: the pairwise loss with one positive.

    The exponent of a class beside the true class ``j`` is ``scale * (s_i - s_j + margin)``.
    """

    def __init__(self, codes: Tensor, weight: Tensor, affine: Affine) -> None:
        self.codes = codes
        self.weight = weight
        self.affine = affine

    def evaluate(self, scores: Tensor) -> _SoftmaxDerivatives:
        """Value and derivatives at ``scores``."""
        at_codes = self.codes[:, None]
        logits = self.affine.scale * (scores + self.affine.margin)
        if self.affine.margin:
            logits.scatter_add_(
                1, at_codes, logits.new_full((1, 1), -self.affine.scale * self.affine.margin)
                .expand(len(logits), 1),
            )  # fmt: skip
        losses = torch.nn.functional.cross_entropy(logits, self.codes, reduction="none")
        softmax = torch.softmax(logits, dim=1).mul_(self.weight[:, None])
        gradient = softmax.scatter_add(1, at_codes, -self.weight[:, None])
        value = _total(losses, self.weight, self.affine.scale)
        return _SoftmaxDerivatives(value, gradient, (softmax,), self.weight, self.affine.scale)


class _SoftmaxDerivatives(NamedTuple):
    value: float
    at_scores: Tensor
    softmaxes: tuple[Tensor, ...]  # (n, L) each, weighted
    weight: Tensor
    scale: float

    def gradient(self) -> Tensor:
        return self.at_scores

    def curvature_diagonal(self) -> Tensor:
        terms = [p - p**2 / self.weight[:, None] for p in self.softmaxes]
        return sum(terms[1:], terms[0]).mul_(self.scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        terms = [_centred_product(p, direction.clone(), self.weight) for p in self.softmaxes]
        return sum(terms[1:], terms[0]).mul_(self.scale)


def _total(losses: Tensor, weight: Tensor, scale: float) -> float:
    # In float64: the line search compares values that differ in their last float32 digits.
    return float(torch.dot(losses.double(), weight.double())) / scale


def _at_cells(matrix: Tensor, cells: Cells, values: Tensor) -> Tensor:
    """Matrix with the values written at the positive cells, in place."""
    matrix.view(-1).index_copy_(0, cells.positive, values)
    return matrix


def _centred_product(softmax: Tensor, direction: Tensor, weight: Tensor) -> Tensor:
    """``(diag(p) - p p^T / weight) @ direction`` of each row, written over the direction."""
    for block in row_blocks(softmax):
        p, v = softmax[block], direction[block]
        mean = (p * v).sum(dim=1).div_(weight[block])
        v.sub_(mean[:, None]).mul_(p)
    return direction
