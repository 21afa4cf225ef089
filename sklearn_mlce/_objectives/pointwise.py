"""The losses that are a sum over labels, with gradient and curvature, for second-order solvers."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.hard_targets import Cells
from sklearn_mlce._kernels.pointwise import PointwisePoint, pointwise_loss_and_gradient
from sklearn_mlce._objectives.mlce import weighted_total
from sklearn_mlce._objectives.target_tensors import EncodedTargets, cells_or_matrix

_CURVATURE_OF_LABEL = {"bce": 1 / 4, "squared_hinge": 2.0}


class PointwiseBatches:
    """A sum over labels of a convex function; see :class:`BatchLoss`."""

    def __init__(self, loss: str, n_outputs: int, label_weight: Tensor | None) -> None:
        self._loss, self._n_outputs, self._label_weight = loss, n_outputs, label_weight
        largest = 1.0 if label_weight is None else float(label_weight.max())
        self.curvature = _CURVATURE_OF_LABEL[loss] * largest
        self.bounded = loss != "squared_hinge"

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        matrix = cells_or_matrix(targets, self._n_outputs)
        if weight is not None:
            weight = weight.expand(len(scores))
        return pointwise_loss_and_gradient(self._loss, scores, matrix, self._label_weight, weight)


class PointwiseRows:
    """Binary cross-entropy or squared hinge of targets; ``weight`` (n,) sums the rows."""

    def __init__(
        self,
        loss: str,
        targets: Tensor | Cells,
        weight: Tensor,
        label_weight: Tensor | None = None,
    ) -> None:
        self.loss = loss
        self.targets = targets
        self.weight = weight
        self.label_weight = label_weight

    def evaluate(self, scores: Tensor) -> _PointwiseDerivatives:
        """Value and derivatives at ``scores``."""
        point = PointwisePoint(self.loss, scores, self.targets, self.label_weight)
        return _PointwiseDerivatives(point, self.weight)


class _PointwiseDerivatives:
    def __init__(self, point: PointwisePoint, weight: Tensor) -> None:
        self.value = weighted_total(point.values, weight)
        self._point = point
        self._weight = weight
        self._curvature: Tensor | None = None  # kept: many products are made of it

    def gradient(self) -> Tensor:
        return self._point.gradient().mul_(self._weight[:, None])

    def curvature_diagonal(self) -> Tensor:
        if self._curvature is None:
            self._curvature = self._point.curvature().mul_(self._weight[:, None])
        return self._curvature

    def curvature_product(self, direction: Tensor) -> Tensor:
        return torch.mul(direction, self.curvature_diagonal(), out=direction)
