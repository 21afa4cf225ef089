"""Class-balanced focal loss: labels weighted by how much there is to learn from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sklearn_mlce._kernels.focal_terms import FocalTerm
from sklearn_mlce._kernels.hard_targets import HardTargets
from sklearn_mlce._kernels.loss_function import check_label_counts
from sklearn_mlce._utils.numbers import check_number
from sklearn_mlce.losses._focal import check_focal_options
from sklearn_mlce.losses._module import RowLoss
from sklearn_mlce.losses._per_label import LabelLoss, MakeLoss, per_label_loss, weights_of


def class_balanced_focal_loss(
    scores: Tensor,
    targets: Tensor,
    label_counts: Tensor,
    *,
    beta: float = 0.9,
    gamma: float = 2.0,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Class-balanced focal loss of scores and hard targets.

    With :math:`p_i = \sigma(s_i)`, positives :math:`P`, negatives :math:`N` and the number
    :math:`n_i` of training rows that carry label :math:`i`, the loss of one row is

    .. math::

        &-\sum_{j \in P} w_j (1 - p_j)^\gamma \log p_j \\
        &- \sum_{i \in N} w_i\, p_i^\gamma \log(1 - p_i), \\
        &w_i \propto \frac{1 - \beta}{1 - \beta^{n_i}}.

    The weights are the inverse of the *effective number* of rows, which grows with
    :math:`n_i` up to :math:`1 / (1 - \beta)`. As in the paper they are scaled to a mean of 1,
    over the labels that some row carries.

    Use it where rare labels should count as much as frequent ones. It weighs both sides of a
    label alike; :func:`distribution_balanced_loss` does not.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, NaN for an unknown label, which
        takes no part in the loss. Soft targets are refused: the loss would not be least where
        the predicted probability is the target.
    label_counts : Tensor of shape (n_labels,)
        Number of training rows that carry each label. 0 counts as 1.
    beta : float, default=0.9
        Number from 0, where all weights are equal, to below 1, near which the weights are the
        inverse counts. Labels of more than about ``1 / (1 - beta)`` rows weigh the same: 0.9, which
        [2]_ uses, favours labels of a few rows, and 0.999 labels of some hundreds.
    gamma : float, default=2.0
        Power of the focal factor, at least 0. With 0 the loss is weighted binary cross-entropy.
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
        If a shape does not fit, a target is not 0, 1 or NaN, a weight or a count is negative,
        `beta` lies outside [0, 1), `gamma` is negative, or `reduction` is unknown.

    See Also
    --------
    focal_loss : The same without weights.
    distribution_balanced_loss : Weights that depend on the other labels of the row.

    Notes
    -----
    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of
       Samples", https://arxiv.org/abs/1901.05555, 2019.
    .. [2] Huang, Giledereli, Köksal, Özgür, Ozkirimli, "Balancing Methods for Multi-label Text
       Classification with Long-Tailed Class Distribution", https://arxiv.org/abs/2109.04712,
       2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import class_balanced_focal_loss
    >>> scores, targets = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1, 0, 0]])
    >>> counts = torch.tensor([500, 40, 2])
    >>> round(class_balanced_focal_loss(scores, targets, counts).item(), 4)
    0.829
    """
    counts = check_label_counts(label_counts, scores)
    return per_label_loss(
        scores,
        targets,
        class_balanced_labels(counts, beta, gamma),
        name="class_balanced_focal_loss",
        sample_weight=sample_weight,
        label_weight=label_weight,
        reduction=reduction,
    )


def class_balanced_labels(counts: Tensor, beta: float = 0.9, gamma: float = 2.0) -> MakeLoss:
    """Return the function that makes a label's terms, from checked counts and options."""
    check_class_balanced_options(beta, gamma)
    balanced = effective_number_weights(counts, beta)
    term = FocalTerm(gamma)

    def make_loss(targets: HardTargets, scores: Tensor, weight: Tensor | None) -> LabelLoss:
        own = balanced if weight is None else balanced.to(scores.device, torch.float64) * weight
        own = own.to(scores.device, scores.dtype)
        return LabelLoss(term, term, weight=weights_of(own))

    return make_loss


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """Inverse effective numbers of rows ``(n_labels,)``, with a mean of 1 over labels in use."""
    # 1 - beta^n; with beta near 1 the difference would cancel
    log_beta = math.log(beta) if beta else -math.inf
    inverse = torch.expm1(counts.clamp(min=1) * log_beta).reciprocal_()  # negative, as is its mean
    # 1 for a label in use; the mean is over all labels where none is.
    in_use = counts.sign().clamp_(min=torch.finfo(counts.dtype).tiny)
    return inverse * (in_use.sum() / torch.dot(inverse, in_use))


def check_class_balanced_options(beta: float, gamma: float) -> None:
    """Raise ValueError unless the options are usable."""
    check_number("beta", beta, at_least=0, below=1)
    check_focal_options(gamma)


class ClassBalancedFocalLoss(RowLoss):
    """Class-balanced focal loss as a torch module.

    Parameters
    ----------
    label_counts : Tensor of shape (n_labels,)
        Number of training rows that carry each label. Kept as a buffer.
    beta : float, default=0.9
        How far the weights follow the counts.
    gamma : float, default=2.0
        Power of the focal factor.
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's loss. Kept as a buffer, so that it moves with the
        module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If an option is unusable; in the forward pass as in :func:`class_balanced_focal_loss`.

    See Also
    --------
    class_balanced_focal_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of
       Samples", https://arxiv.org/abs/1901.05555, 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import ClassBalancedFocalLoss
    >>> targets = torch.tensor([[1, 0, 0], [1, 1, 0]])
    >>> loss = ClassBalancedFocalLoss(targets.sum(dim=0))
    >>> round(loss(torch.zeros(2, 3), targets).item(), 4)
    0.5736
    """

    __module__ = "sklearn_mlce.losses"

    label_counts: Tensor
    _function = staticmethod(class_balanced_focal_loss)
    _options = ("label_counts", "beta", "gamma")

    def __init__(
        self,
        label_counts: Tensor,
        *,
        beta: float = 0.9,
        gamma: float = 2.0,
        label_weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(label_weight, reduction)
        check_class_balanced_options(beta, gamma)
        self.register_buffer("label_counts", label_counts)
        self.beta = beta
        self.gamma = gamma
