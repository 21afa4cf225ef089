"""The loss of several outputs of several classes, of batches."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._batches.targets import EncodedTargets, Positives
from sklearn_mlce._batches.thresholded import CURVATURE_OF_LABEL
from sklearn_mlce._kernels.multioutput import hard_rows
from sklearn_mlce._kernels.output_layout import ABSENT, OutputLayout


class MultioutputBatches:
    """The classes of all outputs compared within their output; see :class:`BatchLoss`.

    Parameters
    ----------
    sizes : tuple of int
        Number of classes of each output.
    in_play : Tensor of shape (n_scores,) or None
        Zero for the classes that take no part; None where all do.
    """

    bounded = True
    curvature = CURVATURE_OF_LABEL

    def __init__(self, sizes: tuple[int, ...], in_play: Tensor | None = None) -> None:
        self._sizes = sizes
        self._out_of_play = None if in_play is None else in_play == 0
        self._layouts: dict[torch.device, OutputLayout] = {}

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(targets, Positives)
        layout = self._layouts.get(scores.device)
        if layout is None:
            layout = OutputLayout(self._sizes, scores.device)
            self._layouts[scores.device] = layout
        if weight is not None:
            weight = weight.expand(len(scores))
        codes = layout.codes(targets.indices)
        if self._out_of_play is not None:
            # An output whose only class yet is out of play is as good as unknown.
            unknown = self._out_of_play[targets.indices].view_as(codes)
            codes = codes.masked_fill(unknown, -1)
            scores = scores.masked_fill(self._out_of_play, ABSENT)
        values, gradient = hard_rows(layout.split(scores), codes, factor=weight)
        gradient = layout.join(gradient)
        if self._out_of_play is not None:
            gradient = gradient.masked_fill(self._out_of_play, 0)
        return values, gradient
