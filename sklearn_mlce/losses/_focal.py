"""Focal loss: binary cross-entropy that looks away from what is right already."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce._kernels.focal_terms import FocalTerm
from sklearn_mlce._kernels.hard_targets import HardTargets
from sklearn_mlce._utils.numbers import LARGEST_POWER, check_number
from sklearn_mlce.losses._module import RowLoss
from sklearn_mlce.losses._per_label import LabelLoss, MakeLoss, per_label_loss, weights_of


def focal_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Focal loss of scores and hard targets.

    With :math:`p_i = \sigma(s_i)`, positives :math:`P` and negatives :math:`N`, the loss of one
    row is

    .. math::

        &-\sum_{j \in P} \alpha\, (1 - p_j)^\gamma \log p_j \\
        &- \sum_{i \in N} (1 - \alpha)\, p_i^\gamma \log(1 - p_i),

    without the factors of :math:`\alpha` where it is None. Each term of binary cross-entropy is
    multiplied by a power of its error. So the many labels that are right already do not outweigh
    the few that are wrong.

    Use it as a comparison to MLCE where labels are many and mostly easy negatives. Probabilities
    are pulled towards one half. The loss is not convex: linear models need a first-order solver.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, NaN for an unknown label, which
        takes no part in the loss. Soft targets are refused: the loss would not be least where
        the predicted probability is the target.
    gamma : float, default=2.0
        Power of the factor, at least 0. With 0 the loss is binary cross-entropy.
    alpha : float, default=None
        Weight of the positives, between 0 and 1; the negatives have the rest. None weighs both
        by 1.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each label's loss, of shape ``(n_labels,)`` per label or of the
        shape of ``scores`` per cell. A constant.
    reduction : {"mean", "sum", "none"}, default="mean"
        The loss of a row is the sum over its labels. "mean" is the mean over rows, weighted by
        `sample_weight`; "none" returns the weighted loss of each row, of shape ``(...)``.

    Returns
    -------
    Tensor
        A scalar, or a tensor of shape ``(...)`` where ``reduction="none"``, in float32 or the
        scores' precision if that is higher.

    Raises
    ------
    ValueError
        If a shape does not fit, a target is not 0, 1 or NaN, a weight is negative, `gamma` is
        negative, `alpha` lies outside [0, 1], or `reduction` is unknown.

    See Also
    --------
    class_balanced_focal_loss : The same, with weights that follow from the labels' counts.
    asymmetric_loss : The same, with another power for each side.

    Notes
    -----
    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection",
       https://arxiv.org/abs/1708.02002, 2017.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import focal_loss
    >>> scores = torch.tensor([[2.0, -1.0, 0.5]])
    >>> round(focal_loss(scores, torch.tensor([[1, 0, 0]])).item(), 4)
    0.4019
    """
    return per_label_loss(
        scores,
        targets,
        focal_labels(gamma, alpha),
        name="focal_loss",
        sample_weight=sample_weight,
        label_weight=label_weight,
        reduction=reduction,
    )


def focal_labels(gamma: float = 2.0, alpha: float | None = None) -> MakeLoss:
    """Return the function that makes a label's terms, from checked options."""
    check_focal_options(gamma, alpha)
    positive, negative = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    loss = LabelLoss(FocalTerm(gamma, negative), FocalTerm(gamma, positive))

    def make_loss(targets: HardTargets, scores: Tensor, weight: Tensor | None) -> LabelLoss:
        return loss if weight is None else loss._replace(weight=weights_of(weight))

    return make_loss


def check_focal_options(gamma: float, alpha: float | None = None) -> None:
    """Raise ValueError unless the options are usable."""
    check_number("gamma", gamma, at_least=0, at_most=LARGEST_POWER)
    if alpha is not None:
        check_number("alpha", alpha, at_least=0, at_most=1)


class FocalLoss(RowLoss):
    """Focal loss as a torch module.

    Parameters
    ----------
    gamma : float, default=2.0
        Power of the factor.
    alpha : float, default=None
        Weight of the positives, between 0 and 1; None weighs both sides by 1.
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's loss. Kept as a buffer, so that it moves with the
        module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If an option is unusable; in the forward pass as in :func:`focal_loss`.

    See Also
    --------
    focal_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollár, "Focal Loss for Dense Object Detection",
       https://arxiv.org/abs/1708.02002, 2017.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import FocalLoss
    >>> loss = FocalLoss(gamma=1.0)
    >>> round(loss(torch.zeros(2, 3), torch.eye(2, 3)).item(), 4)
    1.0397
    """

    __module__ = "sklearn_mlce.losses"

    _function = staticmethod(focal_loss)
    _options = ("gamma", "alpha")

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | None = None,
        label_weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(label_weight, reduction)
        check_focal_options(gamma, alpha)
        self.gamma = gamma
        self.alpha = alpha
