"""Sums over labels of a convex function of the score: binary cross-entropy and squared hinge."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn_mlce._objectives.objective import Objective, SecondOrderLoss, shrunk_logits
from sklearn_mlce._targets.targets import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import RowLosses


class PointwiseObjective(Objective):
    """Base of the losses of :mod:`sklearn_mlce._kernels.pointwise`."""

    largest_curvature: ClassVar[float]  # of the function

    def function(self) -> Any:
        """The function of one number."""
        raise NotImplementedError

    @property
    def large_work(self) -> float:
        """More than where labels are one problem."""
        return 1e8

    @property
    def divisor(self) -> float:
        """Nothing: the row losses are divided by the scale."""
        return 1.0

    def curvature(
        self, row_losses: RowLosses, n_outputs: int, label_weight: Tensor | None
    ) -> float | Tensor:
        """That of the function, times the weight of each label."""
        curvature = self.largest_curvature * self.scale
        return curvature if label_weight is None else curvature * label_weight

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.mlce import LogitTransform
        from sklearn_mlce._kernels.pointwise import pointwise_rows

        return partial(
            pointwise_rows,
            function=self.function(),
            transform=LogitTransform(self.scale, self.margins),
            label_weight=label_weight,
        )

    def _second_order(
        self, targets: Any, weight: Tensor, label_weight: Tensor | None
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.mlce import LogitTransform
        from sklearn_mlce._kernels.pointwise import PointwiseSecondOrder

        transform = LogitTransform(self.scale, self.margins)
        return PointwiseSecondOrder(self.function(), targets, weight, transform, label_weight)


class BinaryCrossEntropy(PointwiseObjective):
    """Logistic loss of each label; with a large scale and margins a smooth hinge."""

    name = "bce"
    takes_margin = True
    largest_curvature = 1 / 4
    dense_form = "signed"

    def function(self) -> Any:
        from sklearn_mlce._kernels.pointwise import LOGISTIC

        return LOGISTIC

    @property
    def large_work(self) -> float:
        """With a margin the optimum is reached nearly as fast, whatever the work is."""
        return math.inf if self.has_margin else super().large_work

    def label_logits(self, scores: Any, softplus: Callable[[Any], Any]) -> Any:
        r"""The scaled scores where there is no margin.

        With margins the scores of soft labels t are least where

        .. math:: \log\frac{t}{1 - t} = \gamma s + \log(e^{\gamma s} + e^{\gamma m_1}) - \gamma m_1
            - \log(e^{\gamma s} + e^{-\gamma m_0}),

        which is exact, and those of 0/1 labels are mapped by :func:`shrunk_logits`.
        """
        if not self.soft:
            return shrunk_logits(scores, self.scale, self.margins)
        logits = self.scale * scores
        of_negatives, of_positives = (self.scale * margin for margin in self.margins)
        shift = softplus(logits - of_positives) - softplus(logits + of_negatives)
        return logits + shift + of_negatives


class SquaredHinge(PointwiseObjective):
    """Squared hinge of each label, the loss of scikit-learn's LinearSVC."""

    name = "squared_hinge"
    has_probabilities = False
    has_margin = True  # of 1, in the function itself
    largest_curvature = 2.0
    bounded_gradient = False

    def function(self) -> Any:
        from sklearn_mlce._kernels.pointwise import SQUARED_HINGE

        return SQUARED_HINGE

    def constant_scores(self, targets, sample_weight, counts, label_weight=None):
        """Balance of the linear slopes, ``(P - N) / (P + N)``."""
        positive, negative, _ = counts
        return (positive - negative) / (positive + negative)
