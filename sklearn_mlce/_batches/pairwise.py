"""The pairwise loss of batches."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce._batches.target_matrices import cells_or_matrix
from sklearn_mlce._batches.targets import EncodedTargets
from sklearn_mlce._batches.thresholded import CURVATURE_OF_LABEL, divided_by_scale
from sklearn_mlce._kernels.autograd import empty_gradient
from sklearn_mlce._kernels.hard_targets import Cells
from sklearn_mlce._kernels.row_blocks import Affine
from sklearn_mlce._loss_options import LossOptions
from sklearn_mlce.losses._pairwise import pairs_of_cells, pairs_of_matrix


class PairwiseBatches:
    """Each positive beside each negative, divided by the scale; see :class:`BatchLoss`."""

    bounded = True

    def __init__(self, options: LossOptions, n_outputs: int, label_weight: Tensor | None) -> None:
        log_weight = None if label_weight is None else label_weight.log()
        self._affine = Affine(options.scale, (options.margins[0], 0.0), log_weight)
        self._n_outputs = n_outputs
        self.curvature = CURVATURE_OF_LABEL * options.scale

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weight = divided_by_scale(weight, scores, self._affine.scale)
        matrix = cells_or_matrix(targets, self._n_outputs)
        gradient = empty_gradient(scores)
        if isinstance(matrix, Cells):
            return pairs_of_cells(scores, matrix, self._affine, weight, gradient), gradient
        return pairs_of_matrix(scores, matrix, self._affine, weight, gradient), gradient
