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

    from sklearn_mlce._objectives.batch_loss import BatchLoss
    from sklearn_mlce._objectives.target_tensors import EncodedTargets


class Softmax(Objective):
    """The true class against all others, which it leads by one margin."""

    name = "mlce"
    takes_margin = True
    separable = False

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

    def batch_loss(
        self,
        n_outputs: int,
        label_weight: Tensor | None = None,
        counts: LabelCounts | None = None,
    ) -> BatchLoss:
        from sklearn_mlce._kernels.softmax import softmax_rows
        from sklearn_mlce._objectives.batch_loss import BatchLoss
        from sklearn_mlce._objectives.target_tensors import class_codes

        log_weight = None if label_weight is None else label_weight.log()
        evaluate = partial(
            softmax_rows, scale=self.scale, margin=self.margin, log_weight=log_weight
        )
        return BatchLoss(
            evaluate,
            class_codes,
            curvature=self.scale / 4,
            unit=1 / self.scale,
            divisor=self.scale,
        )

    def second_order(
        self,
        encoded: EncodedTargets,
        n_outputs: int,
        weight: Tensor,
        label_weight: Tensor | None = None,
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.softmax import SoftmaxSecondOrder
        from sklearn_mlce._objectives.target_tensors import class_codes

        return SoftmaxSecondOrder(class_codes(encoded), weight, self.scale, self.margin)
