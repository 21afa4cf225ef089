"""Binary cross-entropy and squared hinge of batches."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce._batches.target_matrices import cells_or_matrix
from sklearn_mlce._batches.targets import EncodedTargets
from sklearn_mlce._kernels.pointwise import pointwise_loss_and_gradient

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
