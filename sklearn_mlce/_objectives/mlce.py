"""Multi-label softmax cross-entropy (MLCE), the published loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mlce._objectives.coupled_constant_scores import Exponents, coupled_constant_scores
from sklearn_mlce._objectives.multioutput import Multioutput
from sklearn_mlce._objectives.objective import Objective, SecondOrderLoss, shrunk_logits
from sklearn_mlce._objectives.pointwise import BinaryCrossEntropy
from sklearn_mlce._objectives.softmax import Softmax
from sklearn_mlce._targets.targets import LabelCounts, TargetFormat, Targets

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import RowLosses


class MLCE(Objective):
    """Negatives and positives of a row each in one log-sum-exp beside the threshold."""

    name = "mlce"
    takes_margin = True
    separable = False
    dense_form = "two_sided"

    @classmethod
    def for_targets(cls, target_format: TargetFormat, scale: float, margin: Any) -> Objective:
        """Of one label the logistic loss, of classes the softmax, of outputs their pool."""
        families: dict[str, type[Objective]] = {
            "binary": BinaryCrossEntropy,
            "multiclass": Softmax,
            "multioutput": Multioutput,
        }
        family = families.get(target_format.kind)
        if family is None:
            return cls(scale, margin, target_format)
        return family.for_targets(target_format, scale, margin)

    def constant_scores(
        self,
        targets: Targets,
        sample_weight: np.ndarray | None,
        counts: LabelCounts,
        label_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        log_weight = np.zeros(targets.n_outputs) if label_weight is None else np.log(label_weight)
        if targets.n_outputs == 1:  # whose weight, beside the exponential, widens both margins
            negatives, positives = (m + float(log_weight[0]) / self.scale for m in self.margins)
            alone = BinaryCrossEntropy(self.scale, (negatives, positives))
            return alone.constant_scores(targets, sample_weight, counts)
        weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
        weight = weight.astype(np.float64)
        exponents = Exponents(self.scale, self.margins, log_weight)
        label_by_label = super().constant_scores(targets, sample_weight, counts)
        return coupled_constant_scores(targets, weight, counts, exponents, label_by_label)

    def label_logits(self, scores: Any, softplus: Callable[[Any], Any]) -> Any:
        r"""Twice the scaled scores where there is no margin.

        Soft labels t satisfy :math:`\log(t / (1 - t)) = 2 \gamma s + \gamma (m_0 - m_1)` at the
        minimum: the terms of both sides are then equal, label by label, and so are their sums.
        """
        slope = 2 * self.scale
        if not self.soft:
            return shrunk_logits(scores, slope, self.margins)
        return slope * scores + self.scale * (self.margins[0] - self.margins[1])

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.mlce import logit_transform, loss_and_gradient

        transform = logit_transform(self.scale, self.margins, label_weight)
        return partial(loss_and_gradient, transform=transform)

    def _second_order(
        self, targets: Any, weight: Tensor, label_weight: Tensor | None
    ) -> SecondOrderLoss:
        from sklearn_mlce._kernels.mlce import MLCESecondOrder, logit_transform

        transform = logit_transform(self.scale, self.margins, label_weight)
        return MLCESecondOrder(targets, weight, transform)
