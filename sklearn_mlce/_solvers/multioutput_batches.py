"""The loss of several outputs of several classes, of batches."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce._solvers.output_layout import OutputLayout
from sklearn_mlce._solvers.thresholded_batches import CURVATURE_OF_LABEL
from sklearn_mlce._training.batch_targets import EncodedTargets, Positives
from sklearn_mlce.losses._multioutput_rows import hard_rows


class MultioutputBatches:
    """The classes of all outputs compared within their output; see :class:`BatchLoss`."""

    bounded = True
    curvature = CURVATURE_OF_LABEL

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self._sizes = sizes

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(targets, Positives)
        layout = OutputLayout(self._sizes, scores.device)
        if weight is not None:
            weight = weight.expand(len(scores))
        no_weight = scores.new_zeros(1, 1, 1)  # its logarithm
        codes = layout.codes(targets.indices)
        values, gradient = hard_rows(layout.split(scores), codes, no_weight, weight)
        return values, layout.join(gradient)
