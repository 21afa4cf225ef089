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

    from sklearn_mlce._kernels.thresholded import LogitTransform
    from sklearn_mlce._objectives.batch_loss import BatchLoss
    from sklearn_mlce._objectives.target_tensors import EncodedTargets


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

    def batch_loss(
        self,
        n_outputs: int,
        label_weight: Tensor | None = None,
        counts: LabelCounts | None = None,
    ) -> BatchLoss:
        from sklearn_mlce._kernels.pairwise import pairwise_rows
        from sklearn_mlce._objectives.batch_loss import BatchLoss
        from sklearn_mlce._objectives.target_tensors import entries_or_matrix

        return BatchLoss(
            partial(pairwise_rows, transform=self._transform(label_weight)),
            partial(entries_or_matrix, n_outputs=n_outputs),
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
        from sklearn_mlce._kernels.pairwise import PairwiseSecondOrder
        from sklearn_mlce._objectives.target_tensors import entries_or_matrix

        targets = entries_or_matrix(encoded, n_outputs)
        return PairwiseSecondOrder(targets, weight, self._transform(label_weight))

    def _transform(self, label_weight: Tensor | None) -> LogitTransform:
        """Scores to exponents; the margin stands once between a positive and a negative."""
        from sklearn_mlce._kernels.thresholded import LogitTransform

        log_weight = None if label_weight is None else label_weight.log()
        return LogitTransform(self.scale, (self.margin, 0.0), log_weight)
