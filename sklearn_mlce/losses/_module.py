"""Base class of the losses as torch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from sklearn_mlce._kernels.loss_function import check_reduction


class RowLoss(nn.Module):
    """Base class of the modules: keeps the options of a loss function, and calls it with them.

    Parameters
    ----------
    label_weight : Tensor or None
        Kept as a buffer, so that it moves with the module between devices.
    reduction : {"mean", "sum", "none"}
        Reduction of the losses of rows: their mean, their sum, or none.
    """

    label_weight: Tensor | None
    _function: ClassVar[Callable[..., Tensor]]
    _options: ClassVar[tuple[str, ...]] = ()  # attributes that the function takes by their names

    def __init__(self, label_weight: Tensor | None, reduction: str) -> None:
        super().__init__()
        check_reduction(reduction)
        self.register_buffer("label_weight", label_weight)
        self.reduction = reduction

    def forward(
        self, scores: Tensor, targets: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Loss of scores and targets, as the function behind the module takes them.

        Parameters
        ----------
        scores : Tensor
            The scores.
        targets : Tensor
            The targets.
        sample_weight : Tensor, default=None
            Factor of each row's loss.

        Returns
        -------
        Tensor
            The reduced loss.
        """
        return type(self)._function(
            scores,
            targets,
            sample_weight=sample_weight,
            label_weight=self.label_weight,
            reduction=self.reduction,
            **{name: getattr(self, name) for name in self._options},
        )

    def extra_repr(self) -> str:
        """Options as torch prints them inside a module's repr.

        Returns
        -------
        str
            The options that are not tensors.
        """
        shown = {name: getattr(self, name) for name in (*self._options, "reduction")}
        return ", ".join(
            f"{name}={value!r}" for name, value in shown.items() if not isinstance(value, Tensor)
        )
