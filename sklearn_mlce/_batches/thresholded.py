"""Multi-label softmax cross-entropy of batches."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce._batches.target_matrices import cells_or_matrix
from sklearn_mlce._batches.targets import EncodedTargets
from sklearn_mlce._kernels.row_blocks import Affine
from sklearn_mlce._kernels.thresholded import loss_and_gradient
from sklearn_mlce._loss_options import LossOptions

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
