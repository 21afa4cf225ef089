"""The pairwise loss: each positive against each negative, without a threshold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sklearn_mlce._objectives.objective import Objective, SecondOrderLoss, one_margin
from sklearn_mlce._objectives.pointwise import BinaryCrossEntropy
from sklearn_mlce._objectives.softmax import Softmax
from sklearn_mlce._targets.targets import LabelCounts, TargetFormat

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import RowLosses


class Pairwise(Objective):
    """Differences of scores of a row, for a known number of labels."""

    name = "pairwise"
    takes_margin = True
    separable = False
    needs_n_labels = True

    @classmethod
    def for_targets(cls, target_format: TargetFormat, scale: float, margin: Any) -> Objective:
        """Of one label the logistic loss, of classes the softmax."""
        if target_format.kind == "binary":
            return BinaryCrossEntropy.for_targets(target_format, scale, margin)
        if target_format.kind == "multiclass":
            return Softmax.for_targets(target_format, scale, margin)
        one_margin(margin, f"loss={cls.name!r}")
        return super().for_targets(target_format, scale, margin)

    @property
    def margin(self) -> float:
        """The margin by which a positive leads a negative."""
        return self.margins[0]

    def constant_scores(self, targets, sample_weight, counts, label_weight=None):
        """Logits of the labels' frequencies."""
        return BinaryCrossEntropy(self.scale).constant_scores(targets, sample_weight, counts)

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.mlce import logit_transform
        from sklearn_mlce._kernels.pairwise import pairwise_rows

        # The margin stands once between a positive and a negative.
        transform = logit_transform(self.scale, (self.margin, 0.0), label_weight)
        return partial(pairwise_rows, transform=transform)

    def _second_order(
        self, targets: Any, weight: Tensor, label_weight: Tensor | None
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.mlce import logit_transform
        from sklearn_mlce._kernels.pairwise import PairwiseSecondOrder

        transform = logit_transform(self.scale, (self.margin, 0.0), label_weight)
        return PairwiseSecondOrder(targets, weight, transform)
