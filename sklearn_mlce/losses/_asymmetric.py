"""Asymmetric loss: a focal loss that looks away from negatives only."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce._kernels.focal_terms import FocalTerm, ShiftedFocalTerm
from sklearn_mlce._kernels.hard_targets import HardTargets
from sklearn_mlce._utils.numbers import LARGEST_POWER, check_number
from sklearn_mlce.losses._module import RowLoss
from sklearn_mlce.losses._per_label import LabelLoss, MakeLoss, per_label_loss, weights_of


def asymmetric_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Asymmetric loss (ASL) of scores and hard targets.

    With :math:`p_i = \sigma(s_i)`, positives :math:`P` and negatives :math:`N`, the loss of one
    row is

    .. math::

        &-\sum_{j \in P} (1 - p_j)^{\gamma_+} \log p_j \\
        &- \sum_{i \in N} \hat p_i^{\,\gamma_-} \log(1 - \hat p_i), \\
        &\hat p_i = \max(p_i - m, 0).

    A power of their own gives easy negatives little weight. Negatives whose probability is below
    :math:`m` have no loss. The gradient of very confident wrong negatives vanishes too: they may be
    labels that somebody forgot.

    Use it as a comparison where most negatives are easy, or some positives are missing from
    `targets`. The loss is not convex: linear models need a first-order solver. Scores lie above
    those of binary cross-entropy, so tune thresholds.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, NaN for an unknown label, which
        takes no part in the loss. Soft targets are refused: the loss would not be least where
        the predicted probability is the target.
    gamma_positive : float, default=0.0
        Power :math:`\gamma_+ \ge 0` of the positives' factor.
    gamma_negative : float, default=4.0
        Power :math:`\gamma_- \ge 0` of the negatives' factor.
    margin : float, default=0.05
        Probability :math:`0 \le m < 1` below which a negative has no loss.
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
        If a shape does not fit, a target is not 0, 1 or NaN, a weight or a power is negative,
        `margin` lies outside [0, 1), or `reduction` is unknown.

    See Also
    --------
    focal_loss : The same with one power and no margin.

    Notes
    -----
    With both powers equal and no margin this is :func:`focal_loss`; with both 0, binary
    cross-entropy. The defaults are the paper's.

    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Ben-Baruch, Ridnik, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric Loss For
       Multi-Label Classification", https://arxiv.org/abs/2009.14119, 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import asymmetric_loss
    >>> scores = torch.tensor([[2.0, -1.0, 0.5]])
    >>> round(asymmetric_loss(scores, torch.tensor([[1, 0, 0]])).item(), 4)
    0.2187
    """
    return per_label_loss(
        scores,
        targets,
        asymmetric_labels(gamma_positive, gamma_negative, margin),
        name="asymmetric_loss",
        sample_weight=sample_weight,
        label_weight=label_weight,
        reduction=reduction,
    )


def asymmetric_labels(
    gamma_positive: float = 0.0, gamma_negative: float = 4.0, margin: float = 0.05
) -> MakeLoss:
    """Return the function that makes a label's terms, from checked options."""
    check_asymmetric_options(gamma_positive, gamma_negative, margin)
    negative = ShiftedFocalTerm(gamma_negative, margin) if margin else FocalTerm(gamma_negative)
    loss = LabelLoss(negative, FocalTerm(gamma_positive))

    def make_loss(targets: HardTargets, scores: Tensor, weight: Tensor | None) -> LabelLoss:
        return loss if weight is None else loss._replace(weight=weights_of(weight))

    return make_loss


def check_asymmetric_options(gamma_positive: float, gamma_negative: float, margin: float) -> None:
    """Raise ValueError unless the options are usable."""
    check_number("gamma_positive", gamma_positive, at_least=0, at_most=LARGEST_POWER)
    check_number("gamma_negative", gamma_negative, at_least=0, at_most=LARGEST_POWER)
    check_number("margin", margin, at_least=0, below=1)


class AsymmetricLoss(RowLoss):
    """Asymmetric loss (ASL) as a torch module.

    Parameters
    ----------
    gamma_positive : float, default=0.0
        Power of the positives' factor.
    gamma_negative : float, default=4.0
        Power of the negatives' factor.
    margin : float, default=0.05
        Probability below which a negative has no loss.
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's loss. Kept as a buffer, so that it moves with the
        module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If an option is unusable; in the forward pass as in :func:`asymmetric_loss`.

    See Also
    --------
    asymmetric_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Ben-Baruch, Ridnik, Zamir, Noy, Friedman, Protter, Zelnik-Manor, "Asymmetric Loss For
       Multi-Label Classification", https://arxiv.org/abs/2009.14119, 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import AsymmetricLoss
    >>> loss = AsymmetricLoss(margin=0.0)
    >>> round(loss(torch.zeros(2, 3), torch.eye(2, 3)).item(), 4)
    0.7798
    """

    __module__ = "sklearn_mlce.losses"

    _function = staticmethod(asymmetric_loss)
    _options = ("gamma_positive", "gamma_negative", "margin")

    def __init__(
        self,
        *,
        gamma_positive: float = 0.0,
        gamma_negative: float = 4.0,
        margin: float = 0.05,
        label_weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(label_weight, reduction)
        check_asymmetric_options(gamma_positive, gamma_negative, margin)
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.margin = margin
