"""Losses of the rows of a score matrix, with gradient and curvature, for second-order solvers.

Each loss evaluates scores ``(n, L)`` to a :class:`RowDerivatives`, made of the sides of
:mod:`sklearn_mlce._kernels.orders`. Labels on different sides have no curvature in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_mlce._kernels.hard_targets import Cells
from sklearn_mlce._kernels.orders import FirstOrder, Orders, Side
from sklearn_mlce._kernels.row_blocks import (
    Affine,
    BlockMemory,
    evaluate_blocks,
    matrix_blocks,
    positives_of_cells,
    row_blocks,
)
from sklearn_mlce._kernels.row_layouts import MatrixRows
from sklearn_mlce._kernels.thresholded import loss_and_gradient
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._objectives.target_tensors import EncodedTargets, cells_or_matrix

# Second derivative of MLCE of any order in one score, at most: a probability times its complement,
# times the scale. Rows where several labels are at once in doubt have a larger eigenvalue (up to
# twice that of order 1, four times that of order 2) but are few, and the gradients are bounded:
# steps made for one label stay stable and converge several times faster.
CURVATURE_OF_LABEL = 1 / 4


class ThresholdedBatches:
    """MLCE of any order, divided by the scale; see :class:`BatchLoss`."""

    bounded = True

    def __init__(self, options: LossOptions, n_outputs: int, label_weight: Tensor | None) -> None:
        log_weight = None if label_weight is None else label_weight.log()
        self._affine = Affine(options.scale, options.margins, log_weight)
        self._orders = options.orders
        self._n_outputs = n_outputs
        self.curvature = CURVATURE_OF_LABEL * options.scale

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weight = divided_by_scale(weight, scores, self._affine.scale)
        matrix = cells_or_matrix(targets, self._n_outputs)
        return loss_and_gradient(scores, matrix, self._affine, self._orders, weight)


def divided_by_scale(weight: Tensor | None, scores: Tensor, scale: float) -> Tensor | None:
    """Weights ``(n,)`` of rows for a loss that is divided by its scale; None where all are 1."""
    if weight is None:
        return None if scale == 1 else scores.new_full((len(scores),), 1 / scale)
    return weight.expand(len(scores)) / scale


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


class _MatrixSide:
    """One side of all rows, block by block."""

    def __init__(self, blocks: Iterable[tuple[slice, Tensor, Side]], memory: Tensor) -> None:
        self._memory = memory
        self._sides: list[tuple[slice, Side]] = []
        self.values = memory.new_empty(len(memory))
        for block, values, side in blocks:
            self._sides.append((block, side))
            self.values[block] = values

    def gradient(self) -> Tensor:
        """Weighted gradient in the exponents, shape (n, L)."""
        out = torch.empty_like(self._memory)
        for block, side in self._sides:
            side.gradient(out[block])
        return out

    def product_(self, direction: Tensor) -> Tensor:
        """Weighted Hessian in the exponents times a direction, written over it."""
        for block, side in self._sides:
            side.product_(direction[block])
        return direction


class HardRows:
    """MLCE of hard targets; ``weight`` sums the rows, the loss is divided by the scale."""

    def __init__(
        self, cells: Cells, weight: Tensor, affine: Affine, orders: Orders = (1, 1)
    ) -> None:
        self.cells = cells
        self.weight = weight
        self.affine = affine
        self.orders = orders

    def evaluate(self, scores: Tensor) -> _HardDerivatives:
        """Value and derivatives at ``scores``."""
        memory = torch.empty_like(scores)
        in_place = BlockMemory(scores, memory)
        blocks = matrix_blocks(scores, self.cells, self.affine, 1, in_place)
        negatives = _MatrixSide(evaluate_blocks(blocks, self.orders[0], None, self.weight), memory)
        values, positives = positives_of_cells(
            scores, self.cells, self.affine, self.orders[1], None, factor=self.weight
        )
        value = weighted_total(negatives.values + values, self.weight, self.affine.scale)
        return _HardDerivatives(value, self, negatives, positives)


class _HardDerivatives(NamedTuple):
    value: float
    loss: HardRows
    negatives: _MatrixSide  # its gradient is zero at the positives
    positives: Side  # of the positive cells

    def gradient(self) -> Tensor:
        return _at_cells(self.negatives.gradient(), self.loss.cells, self._at_positives().neg_())

    def curvature_diagonal(self) -> Tensor:
        cells, weight = self.loss.cells, self.loss.weight
        diagonal = _diagonal(self.negatives.gradient(), weight[:, None])
        at_cells = _diagonal(self._at_positives(), weight[cells.rows])
        return _at_cells(diagonal, cells, at_cells).mul_(self.loss.affine.scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        cells, scale = self.loss.cells, self.loss.affine.scale
        at_cells = self.positives.product_(direction.reshape(-1)[cells.positive])
        product = _at_cells(self.negatives.product_(direction), cells, at_cells)
        return product.mul_(scale) if scale != 1 else product

    def _at_positives(self) -> Tensor:
        cells = self.loss.cells.positive
        return self.positives.gradient(self.loss.weight.new_empty(len(cells)))


class SoftRows:
    """MLCE of soft or unknown targets ``(n, L)``."""

    def __init__(
        self, targets: Tensor, weight: Tensor, affine: Affine, orders: Orders = (1, 1)
    ) -> None:
        self.targets = targets
        self.weight = weight
        self.affine = affine
        self.orders = orders

    def evaluate(self, scores: Tensor) -> _MatrixDerivatives:
        """Value and derivatives at ``scores``."""
        negatives, positives = self._side(scores, 1), self._side(scores, -1)
        value = weighted_total(negatives.values + positives.values, self.weight, self.affine.scale)
        at_scores = negatives.gradient().sub_(positives.gradient())
        sides = (negatives, positives)
        return _MatrixDerivatives(value, at_scores, sides, self.weight, self.affine.scale)

    def _side(self, scores: Tensor, sign: int) -> _MatrixSide:
        memory = torch.empty_like(scores)
        in_place = BlockMemory(scores, memory)
        blocks = matrix_blocks(scores, self.targets, self.affine, sign, in_place)
        order = self.orders[0] if sign > 0 else self.orders[1]
        return _MatrixSide(evaluate_blocks(blocks, order, None, self.weight), memory)


class SoftmaxRows:
    """Softmax cross-entropy of class codes ``(n,)``: the pairwise loss with one positive.

    The exponent of a class beside the true class ``j`` is ``scale * (s_i - s_j + margin)``.
    """

    def __init__(self, codes: Tensor, weight: Tensor, affine: Affine) -> None:
        self.codes = codes
        self.weight = weight
        self.affine = affine

    def evaluate(self, scores: Tensor) -> _MatrixDerivatives:
        """Value and derivatives at ``scores``."""
        at_codes = self.codes[:, None]
        logits = self.affine.scale * (scores + self.affine.margins[0])
        if self.affine.margins[0]:
            logits.scatter_add_(
                1, at_codes, logits.new_full((1, 1), -self.affine.scale * self.affine.margins[0])
                .expand(len(logits), 1),
            )  # fmt: skip
        losses = torch.nn.functional.cross_entropy(logits, self.codes, reduction="none")
        softmax = torch.softmax(logits, dim=1).mul_(self.weight[:, None])
        gradient = softmax.scatter_add(1, at_codes, -self.weight[:, None])
        value = weighted_total(losses, self.weight, self.affine.scale)
        side = _MatrixSide(self._blocks(losses, softmax), softmax)
        return _MatrixDerivatives(value, gradient, (side,), self.weight, self.affine.scale)

    def _blocks(self, losses: Tensor, softmax: Tensor) -> Iterator[tuple[slice, Tensor, Side]]:
        # As beside a threshold far below all labels.
        for block in row_blocks(softmax):
            side = FirstOrder(softmax[block], self.weight[block], MatrixRows())
            yield block, losses[block], side


class _MatrixDerivatives(NamedTuple):
    value: float
    at_scores: Tensor
    sides: tuple[_MatrixSide, ...]
    weight: Tensor
    scale: float

    def gradient(self) -> Tensor:
        return self.at_scores

    def curvature_diagonal(self) -> Tensor:
        terms = [_diagonal(side.gradient(), self.weight[:, None]) for side in self.sides]
        return sum(terms[1:], terms[0]).mul_(self.scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        terms = [side.product_(direction.clone()) for side in self.sides]
        return sum(terms[1:], terms[0]).mul_(self.scale)


def weighted_total(losses: Tensor, weight: Tensor, scale: float = 1.0) -> float:
    """Weighted sum of the losses ``(n,)`` of rows, divided by the scale."""
    # In float64: the line search compares values that differ in their last float32 digits.
    return float(torch.dot(losses.double(), weight.double())) / scale


def _at_cells(matrix: Tensor, cells: Cells, values: Tensor) -> Tensor:
    """Matrix with the values written at the positive cells, in place."""
    matrix.view(-1).index_copy_(0, cells.positive, values)
    return matrix


def _diagonal(gradient: Tensor, weight: Tensor) -> Tensor:
    """Diagonal of a side's weighted Hessian from its weighted gradient, written over it."""
    return gradient.sub_(gradient.square().div_(weight))
