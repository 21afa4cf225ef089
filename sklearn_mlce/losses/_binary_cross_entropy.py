"""Binary cross-entropy, with the options of the other losses."""

from __future__ import annotations

from functools import partial

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sklearn_mlce._kernels.exponentials import softplus
from sklearn_mlce._kernels.loss_function import (
    check_label_weight,
    check_options,
    check_same_shape,
    check_soft_targets,
    computed_rows,
    constant,
    flatten_rows,
    is_small,
    is_traced,
    row_factors,
    with_finite_loss,
)
from sklearn_mlce._utils.numbers import check_margin
from sklearn_mlce.losses._module import RowLoss


def binary_cross_entropy_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    pos_weight: Tensor | None = None,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    scale: float = 1.0,
    margin: float | tuple[float, float] = 0.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Binary cross-entropy, one for each label, of scores and dense targets.

    With targets :math:`t`, label weights :math:`w`, weights :math:`c` of the positives, scale
    :math:`\gamma` and margin :math:`m`, the loss of one row is

    .. math::

        &\sum_i w_i\, c_i\, t_i \log\bigl(1 + e^{-\gamma (s_i - m)}\bigr) \\
        +\, &\sum_i w_i (1 - t_i) \log\bigl(1 + e^{\gamma (s_i + m)}\bigr).

    Without scale and margin this is torch's ``binary_cross_entropy_with_logits``, summed over the
    labels of a row and averaged over rows. Unknown labels are left out. A large scale with a margin
    makes a smooth hinge: the estimators train scale 8 and margins (0.2, 1.8) on labels of 0 and 1
    by default.

    Use it where probabilities matter or labels are few; each label is then a problem of its own.
    With many labels the negatives outweigh the positives, which `pos_weight` can offset.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, a number between for a soft target.
        NaN is an unknown label, which takes no part in the loss.
    pos_weight : Tensor broadcastable to ``scores``, default=None
        Factor of the positives' part of each label's loss.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each label's loss, of shape ``(n_labels,)`` per label or of the
        shape of ``scores`` per cell. A constant.
    scale : float, default=1.0
        Factor :math:`\gamma > 0` of the scores. The loss is not divided by it.
    margin : float or pair of float, default=0.0
        Margin :math:`m` by which each score is to clear zero. The first of a pair is for negatives,
        the second for positives.
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
        If a shape does not fit, a target lies outside [0, 1], a weight is negative, `scale` is
        not positive, `margin` is not finite, or `reduction` is unknown.

    See Also
    --------
    mlce_loss : Compares the labels of a row with each other; never larger than this loss.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import binary_cross_entropy_loss
    >>> scores = torch.tensor([[2.0, -1.0, 0.5]])
    >>> round(binary_cross_entropy_loss(scores, torch.tensor([[1, 0, 0]])).item(), 4)
    1.4143
    >>> round(binary_cross_entropy_loss(scores, torch.tensor([[1, float("nan"), 0]])).item(), 4)
    1.101
    """
    check_options(scale, reduction)
    margins = check_margin(margin)
    check_same_shape(scores, targets)
    unknown = check_soft_targets(targets)
    flat = computed_rows(scores)
    dtype = flat.dtype
    targets = flatten_rows(targets.detach())
    if targets.dtype != dtype:
        targets = targets.to(dtype)
    weight = check_label_weight(label_weight, scores, dtype)
    if unknown:
        known = targets.isnan().logical_not().to(dtype)
        targets = targets.nan_to_num()
        weight = known if weight is None else known * weight
    pos_weight = check_label_weight(pos_weight, scores, dtype, name="pos_weight")
    together = sample_weight is None and reduction != "none"  # the rows need not be told apart
    # A weight costs a pass, a division that autograd records costs calls.
    is_mean = together and reduction == "mean" and weight is None
    is_mean = is_mean and is_small(flat) and flat.shape[0] > 0 and not is_traced(flat, targets)
    if is_mean:
        weight = constant(1 / flat.shape[0], dtype)
    summed = partial(
        _sums,
        targets=targets,
        scale=scale,
        margins=margins,
        weight=weight,
        pos_weight=pos_weight,
        reduction="sum" if together else "none",
    )
    losses = with_finite_loss(summed, flat)
    if is_mean or (together and reduction == "sum"):
        return losses
    if together:
        return losses / max(flat.shape[0], 1)
    factor = row_factors(sample_weight, flat, scores.shape[:-1], reduction)
    rows = losses if factor is None else losses * factor
    return rows.reshape(scores.shape[:-1]) if reduction == "none" else rows.sum()


def _sums(
    scores: Tensor,
    *,
    targets: Tensor,
    scale: float,
    margins: tuple[float, float],
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """Losses ``(n,)`` of rows, or their sum."""
    logits = scores if scale == 1 else scale * scores
    if margins == (0.0, 0.0):
        losses = binary_cross_entropy_with_logits(
            logits, targets, weight=weight, pos_weight=pos_weight, reduction=reduction
        )
    else:
        shifts = (scale * margins[0], scale * margins[1])
        losses = _with_margins(logits, targets, shifts, weight, pos_weight, reduction)
    return losses if reduction == "sum" else losses.sum(dim=1)


def _with_margins(
    logits: Tensor,
    targets: Tensor,
    shifts: tuple[float, float],
    weight: Tensor | None,
    pos_weight: Tensor | None,
    reduction: str,
) -> Tensor:
    """Binary cross-entropy of logits, with a shift for negatives and one for positives."""
    of_negatives = (1 - targets) * softplus(logits + shifts[0])
    of_positives = targets * softplus(shifts[1] - logits)
    if pos_weight is not None:
        of_positives = pos_weight * of_positives
    losses = of_negatives + of_positives
    losses = losses if weight is None else weight * losses
    return losses.sum() if reduction == "sum" else losses


class BinaryCrossEntropyLoss(RowLoss):
    """Binary cross-entropy, one for each label, as a torch module.

    Parameters
    ----------
    pos_weight : Tensor broadcastable to the scores, default=None
        Factor of the positives' part of each label's loss. Kept as a buffer.
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's loss. Kept as a buffer, so that it moves with the
        module between devices.
    scale : float, default=1.0
        Factor of the scores.
    margin : float or pair of float, default=0.0
        Margin by which each score is to clear zero.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If an option is unusable; in the forward pass as in :func:`binary_cross_entropy_loss`.

    See Also
    --------
    binary_cross_entropy_loss : The function behind it, with the formula.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import BinaryCrossEntropyLoss
    >>> loss = BinaryCrossEntropyLoss(pos_weight=torch.tensor([1.0, 3.0, 9.0]))
    >>> round(loss(torch.zeros(2, 3), torch.eye(2, 3)).item(), 4)
    2.7726
    """

    __module__ = "sklearn_mlce.losses"

    pos_weight: Tensor | None
    _function = staticmethod(binary_cross_entropy_loss)
    _options = ("pos_weight", "scale", "margin")

    def __init__(
        self,
        *,
        pos_weight: Tensor | None = None,
        label_weight: Tensor | None = None,
        scale: float = 1.0,
        margin: float | tuple[float, float] = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(label_weight, reduction)
        check_options(scale, reduction)
        check_margin(margin)
        self.register_buffer("pos_weight", pos_weight)
        self.scale = scale
        self.margin = margin
