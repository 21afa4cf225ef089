"""Pairwise loss: every positive against every negative, without a threshold."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sklearn_mlce._kernels.hard_targets import checked_form
from sklearn_mlce._kernels.loss_function import (
    check_options,
    check_same_shape,
    computed_rows,
    flatten_rows,
    is_traced,
    log_label_weight,
    reduced_loss,
)
from sklearn_mlce._kernels.mlce import LogitTransform
from sklearn_mlce._kernels.pairwise import pairwise_rows, plain_pairs
from sklearn_mlce._utils.numbers import LARGEST_MARGIN, check_number
from sklearn_mlce.losses._module import RowLoss


def pairwise_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    scale: float = 1.0,
    margin: float = 0.0,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Pairwise loss of scores and dense targets, for a known number of labels per row.

    With positives :math:`P`, negatives :math:`N`, scale :math:`\gamma`, margin :math:`m` and
    label weights :math:`w`, the loss of one row is

    .. math::

        &\log\Bigl(1 + \sum_{i \in N} \sum_{j \in P} w_i w_j\,
        e^{\gamma (s_i - s_j + m)}\Bigr) \\
        &= \mathrm{softplus}(\gamma m + a + b), \\
        &a = \mathrm{lse}_{i \in N}(\gamma s_i + \log w_i), \\
        &b = \mathrm{lse}_{j \in P}(-\gamma s_j + \log w_j),

    where lse is the logarithm of a sum of exponentials. Soft targets :math:`t` are weights
    :math:`1 - t` on the one side and :math:`t` on the other.

    All positives are to score above all negatives. Zero is no threshold: a constant may be added to
    the scores of a row. With one positive the loss is the softmax cross-entropy.

    Use it where the number of labels per row is known, or where only the ranking matters.
    Elsewhere use :func:`mlce_loss`.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, a number between for a soft target.
        NaN is an unknown label, which takes no part in the loss.
    scale : float, default=1.0
        Factor :math:`\gamma > 0` of the differences. The loss is not divided by it.
    margin : float, default=0.0
        Margin :math:`m` by which a positive is asked to lie above a negative. With a scale this
        is the Circle loss of similarities whose weights are constant.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each label's exponential, inside the logarithm: of shape
        ``(n_labels,)`` per label, of the shape of ``scores`` per cell. A constant.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" is the mean over rows, weighted by `sample_weight`; "none" returns the weighted
        loss of each row, of shape ``(...)``.

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
    mlce_loss : The same with a threshold at 0 between the sides.

    Notes
    -----
    A row without positives, or without negatives, has no pair: its loss and its gradient are
    zero, so such rows teach nothing here. At the minimum for soft targets
    :math:`s_i = \log(t_i / (1 - t_i)) / (2 \gamma)` but for a constant of the row.

    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
       https://arxiv.org/abs/2002.10857, 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import pairwise_loss
    >>> scores = torch.tensor([[2.0, -1.0, 0.5]])
    >>> round(pairwise_loss(scores, torch.tensor([[1, 0, 0]])).item(), 4)
    0.2413
    >>> round(torch.nn.functional.cross_entropy(scores, torch.tensor([0])).item(), 4)
    0.2413
    """
    check_pairwise_options(scale, margin, reduction)
    check_same_shape(scores, targets)
    flat, targets = computed_rows(scores), flatten_rows(targets.detach())
    form = checked_form(targets)
    log_weight = log_label_weight(label_weight, scores, flat.dtype)
    transform = LogitTransform(scale, (margin, 0.0), log_weight)

    def closed(
        scores: Tensor, *, weight: Tensor | None, with_gradient: bool
    ) -> tuple[Tensor, tuple[Tensor] | None]:
        losses, gradient = pairwise_rows(scores, form, weight, transform=transform)
        return losses, (gradient,) if with_gradient else None

    return reduced_loss(
        closed,
        partial(plain_pairs, targets=targets, transform=transform),
        flat,
        sample_weight=sample_weight,
        rows=scores.shape[:-1],
        reduction=reduction,
        traced=is_traced(flat, targets),
    )


def check_pairwise_options(scale: float, margin: float, reduction: str) -> None:
    """Raise ValueError unless the options are usable."""
    check_options(scale, reduction)
    check_number("margin", margin, at_least=-LARGEST_MARGIN, at_most=LARGEST_MARGIN)


class PairwiseLoss(RowLoss):
    """Pairwise loss as a torch module.

    Parameters
    ----------
    scale : float, default=1.0
        Factor of the differences of scores.
    margin : float, default=0.0
        Margin by which a positive is to lie above a negative.
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's exponential. Kept as a buffer, so that it moves
        with the module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If an option is unusable; in the forward pass as in :func:`pairwise_loss`.

    See Also
    --------
    pairwise_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
       https://arxiv.org/abs/2002.10857, 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import PairwiseLoss
    >>> loss = PairwiseLoss(margin=1.0)
    >>> round(loss(torch.zeros(2, 3), torch.eye(2, 3)).item(), 4)
    1.862
    """

    __module__ = "sklearn_mlce.losses"

    _function = staticmethod(pairwise_loss)
    _options = ("scale", "margin")

    def __init__(
        self,
        *,
        scale: float = 1.0,
        margin: float = 0.0,
        label_weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(label_weight, reduction)
        check_pairwise_options(scale, margin, reduction)
        self.scale = scale
        self.margin = margin
