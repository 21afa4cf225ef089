"""A loss that the user wrote as a torch module."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._targets.targets import LabelCounts, TargetFormat, Targets

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sklearn_mlce._objectives.batch_loss import RowLosses


class ModuleObjective(Objective):
    """The module as it is; nothing is known of its curvature, nor of what its scores mean."""

    convex = False
    separable = False
    has_probabilities = False
    is_module = True
    bounded_gradient = False
    form = "matrix"

    def __init__(self, module: nn.Module, target_format: TargetFormat) -> None:
        super().__init__(target_format=target_format)
        self.module = module

    @classmethod
    def for_module(cls, module: nn.Module, target_format: TargetFormat) -> ModuleObjective:
        """The objective of a module; of several outputs there is none."""
        if target_format.kind == "multioutput":
            raise ValueError(
                "y is multiclass-multioutput, which loss='auto' and loss='mlce' alone take; got "
                f"loss={module!r}. Set loss='auto', or wrap the estimator: "
                "sklearn.multioutput.MultiOutputClassifier(estimator)"
            )
        return cls(module, target_format)

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """The module itself."""
        return (self.module,)

    @property
    def described(self) -> str:
        """Name of the module's class."""
        return type(self.module).__name__

    @property
    def takes_sample_weight(self) -> bool:
        """Whether the forward pass takes the weights of rows."""
        return "sample_weight" in inspect.signature(self.module.forward).parameters

    def constant_scores(
        self,
        targets: Targets,
        sample_weight: np.ndarray | None,
        counts: LabelCounts,
        label_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        return np.zeros(targets.n_outputs)

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        from sklearn_mlce._kernels.module_loss import ModuleRows

        return ModuleRows(self.module, self.takes_sample_weight)

    def curvature(
        self, row_losses: RowLosses, n_outputs: int, label_weight: Tensor | None
    ) -> float:
        """Estimate where scores are random."""
        from sklearn_mlce._kernels.module_loss import estimated_curvature

        return estimated_curvature(row_losses, n_outputs)
