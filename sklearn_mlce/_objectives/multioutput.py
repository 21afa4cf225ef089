"""The pooled losses of several outputs of several classes each, for classes and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mlce._objectives.objective import Objective, SecondOrderLoss
from sklearn_mlce._targets.targets import LabelCounts, TargetFormat, Targets

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import RowLosses


class Multioutput(Objective):
    """The classes of all outputs, compared within their output and pooled by class."""

    name = "mlce"
    separable = False
    form = "columns"

    @classmethod
    def for_targets(cls, target_format: TargetFormat, scale: float, margin: Any) -> Objective:
        """As :meth:`Objective.for_targets`, without scale and margin."""
        if scale != 1 or any(margin):
            raise ValueError(
                "scale and margin shape the loss of labels, but y is multiclass-multioutput. Set "
                "scale=None, margin=None"
            )
        of_probabilities = target_format.fractional
        return (MultioutputDivergence if of_probabilities else cls)(target_format=target_format)

    def constant_scores(
        self,
        targets: Targets,
        sample_weight: np.ndarray | None,
        counts: LabelCounts,
        label_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        return np.log(counts.positive / (counts.positive + counts.negative))

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.multioutput import MultioutputRows

        return MultioutputRows(None if label_weight is None else label_weight == 0)

    def _second_order(
        self, targets: Any, weight: Tensor, label_weight: Tensor | None
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.multioutput import MultioutputSecondOrder

        return MultioutputSecondOrder(targets, weight)


class MultioutputDivergence(Multioutput):
    """Divergence of the probabilities of classes from the softmax of their output, pooled."""

    convex = False
    form = "probabilities"

    @property
    def described(self) -> str:
        """Named by y, which decides that this is the loss."""
        return f"probabilities of several outputs under {super().described}"

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.multioutput import DivergenceRows

        return DivergenceRows(None if label_weight is None else label_weight == 0)

    def curvature(
        self, row_losses: RowLosses, n_outputs: int, label_weight: Tensor | None
    ) -> float:
        """The largest of an output of two classes; more classes rarely come above it."""
        return 0.5
