"""The focal loss and its kin: sums over labels of 0/1 targets that are not convex."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._targets.targets import LabelCounts

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import RowLosses


class ElementwiseObjective(Objective):
    """Base of the losses of :mod:`sklearn_mlce.losses` that are made of terms of labels."""

    convex = False
    takes_soft_targets = False
    form = "hard_entries"

    def terms(self, counts: LabelCounts | None) -> Any:
        """Maker of the terms, as the function of the loss makes them with its defaults."""
        raise NotImplementedError

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce.losses._per_label import HardRows

        return HardRows(self.terms(counts), label_weight)

    def curvature(
        self, row_losses: RowLosses, n_outputs: int, label_weight: Tensor | None
    ) -> float | Tensor:
        """Largest second derivative of a term and its factor, times the weight of each label."""
        return row_losses.curvature(n_outputs)  # type: ignore[attr-defined]


class Focal(ElementwiseObjective):
    """Focal loss, arXiv 1708.02002."""

    name = "focal"

    def terms(self, counts: LabelCounts | None) -> Any:
        from sklearn_mlce.losses._focal import focal_labels

        return focal_labels()


class ClassBalancedFocal(ElementwiseObjective):
    """Focal loss with weights of labels by their counts, arXiv 1901.05555."""

    name = "class_balanced_focal"
    needs_label_counts = True

    def terms(self, counts: LabelCounts | None) -> Any:
        from torch import from_numpy

        from sklearn_mlce.losses._class_balanced import class_balanced_labels

        assert counts is not None
        return class_balanced_labels(from_numpy(counts.positive))


class DistributionBalanced(ElementwiseObjective):
    """Rebalanced weights and negative-tolerant regularisation, arXiv 2007.09654."""

    name = "distribution_balanced"
    needs_label_counts = True

    def terms(self, counts: LabelCounts | None) -> Any:
        from torch import from_numpy

        from sklearn_mlce.losses._distribution_balanced import distribution_balanced_labels

        assert counts is not None
        return distribution_balanced_labels(from_numpy(counts.positive), max(counts.total, 2.0))


class Asymmetric(ElementwiseObjective):
    """Asymmetric loss, arXiv 2009.14119."""

    name = "asymmetric"

    def terms(self, counts: LabelCounts | None) -> Any:
        from sklearn_mlce.losses._asymmetric import asymmetric_labels

        return asymmetric_labels()
