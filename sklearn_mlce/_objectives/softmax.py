"""Softmax cross-entropy of a multiclass y: the pairwise loss with one positive."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from sklearn_mlce._objectives.objective import Objective, SecondOrderLoss, one_margin
from sklearn_mlce._targets.targets import LabelCounts, TargetFormat, Targets

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import RowLosses


class Softmax(Objective):
    """The true class against all others, which it leads by one margin."""

    name = "mlce"
    takes_margin = True
    separable = False
    form = "codes"

    @classmethod
    def for_targets(cls, target_format: TargetFormat, scale: float, margin: Any) -> Objective:
        """As :meth:`Objective.for_targets`, with one margin."""
        one_margin(margin, "a multiclass y")
        return cls(scale, margin, target_format)

    @property
    def margin(self) -> float:
        """The margin by which the true class leads."""
        return self.margins[0]

    def constant_scores(
        self,
        targets: Targets,
        sample_weight: np.ndarray | None,
        counts: LabelCounts,
        label_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        return np.log(counts.positive / counts.positive.mean()) / self.scale

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Softmax of the scaled scores."""
        return softmax(self.scale * scores, axis=1)

    def probabilities_of_tensor(self, scores: Tensor) -> Tensor:
        """:meth:`probabilities` of a tensor."""
        return (self.scale * scores).softmax(dim=1)

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.softmax import softmax_rows

        log_weight = None if label_weight is None else label_weight.log()
        return partial(softmax_rows, scale=self.scale, margin=self.margin, log_weight=log_weight)

    def _second_order(
        self, targets: Any, weight: Tensor, label_weight: Tensor | None
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.softmax import SoftmaxSecondOrder

        return SoftmaxSecondOrder(targets, weight, self.scale, self.margin)
