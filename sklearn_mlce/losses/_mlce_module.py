"""Multi-label softmax cross-entropy, as a module."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sklearn_mlce._kernels.arguments import check_margin, check_options
from sklearn_mlce._kernels.orders import check_order
from sklearn_mlce.losses._mlce import mlce_loss


class MLCELoss(nn.Module):
    """Multi-label softmax cross-entropy as a torch module.

    Parameters
    ----------
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's exponential. Kept as a buffer, so that it moves
        with the module between devices.
    scale : float, default=1.0
        Factor of the exponents.
    margin : float or pair of float, default=0.0
        Margin by which each score is asked to clear the threshold.
    reduction : {"mean", "sum", "none"}, default="mean"
        As in :func:`mlce_loss`.
    order : {1, 2, "all"} or pair of these, default=1
        Order of the sides, as in :func:`mlce_loss`.

    Raises
    ------
    ValueError
        At construction, if `scale` is not positive, `margin` is not finite, or `order` or
        `reduction` is unknown; in the forward pass as in :func:`mlce_loss`.

    See Also
    --------
    mlce_loss : The function behind it.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import MLCELoss
    >>> loss = MLCELoss(scale=2.0, margin=0.5)
    >>> scores = torch.zeros(2, 3, requires_grad=True)
    >>> loss(scores, torch.tensor([[1, 0, 0], [0, 0, 0]])).backward()
    >>> (scores.grad > 0).tolist()
    [[False, True, True], [True, True, True]]
    """

    label_weight: Tensor | None

    def __init__(
        self,
        label_weight: Tensor | None = None,
        scale: float = 1.0,
        margin: float | tuple[float, float] = 0.0,
        reduction: str = "mean",
        *,
        order: Any = 1,
    ) -> None:
        super().__init__()
        check_options(scale, reduction)
        check_margin(margin)
        check_order(order)
        self.register_buffer("label_weight", label_weight)
        self.scale = scale
        self.margin = margin
        self.order = order
        self.reduction = reduction

    def forward(
        self,
        scores: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        threshold_scores: Tensor | None = None,
    ) -> Tensor:
        """Loss of scores and dense targets; see :func:`mlce_loss`.

        Parameters
        ----------
        scores : Tensor of shape (..., n_labels)
            One score per label.
        targets : Tensor of shape (..., n_labels)
            Hard, soft or unknown (NaN) targets.
        sample_weight : Tensor of shape (...), default=None
            Factor of each row's loss.
        threshold_scores : Tensor of shape (...) or (..., 1), default=None
            Threshold score of each row.

        Returns
        -------
        Tensor
            The reduced loss.
        """
        return mlce_loss(
            scores,
            targets,
            sample_weight=sample_weight,
            label_weight=self.label_weight,
            threshold_scores=threshold_scores,
            scale=self.scale,
            margin=self.margin,
            order=self.order,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Parameters as torch prints them inside a module's repr.

        Returns
        -------
        str
            The scale, the margin, the order and the reduction.
        """
        return (
            f"scale={self.scale}, margin={self.margin}, order={self.order!r}, "
            f"reduction={self.reduction!r}"
        )
