"""Sums over labels of a convex function of the score: binary cross-entropy and squared hinge."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.special import expit

from sklearn_mlce._objectives.objective import Objective, SecondOrderLoss, shrunk_sigmoid
from sklearn_mlce._targets.targets import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import BatchLoss
    from sklearn_mlce._objectives.target_tensors import EncodedTargets


class PointwiseObjective(Objective):
    """Base of the losses of :mod:`sklearn_mlce._kernels.pointwise`."""

    curvature: ClassVar[float]  # of the function, at most
    bounded_gradient: ClassVar[bool] = True

    def function(self) -> Any:
        """The function of one number."""
        raise NotImplementedError

    def batch_loss(
        self,
        n_outputs: int,
        label_weight: Tensor | None = None,
        counts: LabelCounts | None = None,
    ) -> BatchLoss:
        from sklearn_mlce._kernels.pointwise import pointwise_rows
        from sklearn_mlce._kernels.thresholded import LogitTransform
        from sklearn_mlce._objectives.batch_loss import BatchLoss
        from sklearn_mlce._objectives.target_tensors import entries_or_matrix

        evaluate = partial(
            pointwise_rows,
            function=self.function(),
            transform=LogitTransform(self.scale, self.margins),
            label_weight=label_weight,
        )
        largest = 1.0 if label_weight is None else float(label_weight.max())
        return BatchLoss(
            evaluate,
            partial(entries_or_matrix, n_outputs=n_outputs),
            curvature=self.curvature * self.scale * largest,
            bounded=self.bounded_gradient,
            unit=1 / self.scale,
        )

    def second_order(
        self,
        encoded: EncodedTargets,
        n_outputs: int,
        weight: Tensor,
        label_weight: Tensor | None = None,
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.pointwise import PointwiseSecondOrder
        from sklearn_mlce._kernels.thresholded import LogitTransform
        from sklearn_mlce._objectives.target_tensors import entries_or_matrix

        transform = LogitTransform(self.scale, self.margins)
        targets = entries_or_matrix(encoded, n_outputs)
        return PointwiseSecondOrder(self.function(), targets, weight, transform, label_weight)


class BinaryCrossEntropy(PointwiseObjective):
    """Logistic loss of each label; with a large scale and margins a smooth hinge."""

    name = "bce"
    takes_margin = True
    curvature = 1 / 4
    dense_form = "signed"

    def function(self) -> Any:
        from sklearn_mlce._kernels.pointwise import LOGISTIC

        return LOGISTIC

    def _label_probabilities(self, scores: np.ndarray) -> np.ndarray:
        r"""Sigmoid of the scaled scores where there is no margin.

        With margins the scores of soft labels t are least where

        .. math:: \log\frac{t}{1 - t} = \gamma s + \log(e^{\gamma s} + e^{\gamma m_1}) - \gamma m_1
            - \log(e^{\gamma s} + e^{-\gamma m_0}),

        which is exact, and those of 0/1 labels are mapped by :func:`shrunk_sigmoid`.
        """
        if not self.soft:
            return shrunk_sigmoid(scores, self.scale, self.margins)
        logits = self.scale * scores
        of_negatives, of_positives = (self.scale * margin for margin in self.margins)
        logits = (
            logits
            + np.logaddexp(logits, of_positives)
            - of_positives
            - np.logaddexp(logits, -of_negatives)
        )
        return expit(logits)


class SquaredHinge(PointwiseObjective):
    """Squared hinge of each label, the loss of scikit-learn's LinearSVC."""

    name = "squared_hinge"
    has_probabilities = False
    has_margin = True  # of 1, in the function itself
    curvature = 2.0
    bounded_gradient = False

    def function(self) -> Any:
        from sklearn_mlce._kernels.pointwise import SQUARED_HINGE

        return SQUARED_HINGE

    def constant_scores(self, targets, sample_weight, counts, label_weight=None):
        """Balance of the linear slopes, ``(P - N) / (P + N)``."""
        positive, negative, _ = counts
        return (positive - negative) / (positive + negative)
