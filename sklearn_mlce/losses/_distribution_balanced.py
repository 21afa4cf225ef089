"""Distribution-balanced loss: weights against co-occurrence, and tolerance for negatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sklearn_mlce._kernels.focal_terms import FocalTerm
from sklearn_mlce._kernels.hard_targets import HardTargets
from sklearn_mlce._kernels.loss_function import (
    check_label_counts,
    check_tensors,
    computing_dtype,
    operand,
)
from sklearn_mlce._utils.numbers import check_number
from sklearn_mlce.losses._focal import check_focal_options
from sklearn_mlce.losses._module import RowLoss
from sklearn_mlce.losses._per_label import LabelLoss, MakeLoss, per_label_loss, weights_of

WeightMap = tuple[float, float, float]

_EXACT_IN_FLOAT32 = 2**24  # whole numbers up to here


def distribution_balanced_loss(
    scores: Tensor,
    targets: Tensor,
    label_counts: Tensor,
    n_samples: int,
    *,
    weight_map: WeightMap | None = (0.1, 10.0, 0.2),
    negative_scale: float = 2.0,
    bias_scale: float = 0.05,
    gamma: float = 2.0,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Distribution-balanced loss of scores and hard targets.

    With the number :math:`n_i` of the :math:`n` training rows that carry label :math:`i`,
    positives :math:`P` and negatives :math:`N`, the loss of one row is

    .. math::

        &-\sum_{j \in P} \hat r_j (1 - q_j)^\gamma \log q_j \\
        &- \frac{1}{\lambda} \sum_{i \in N} \hat r_i\, q_i^\gamma \log(1 - q_i),

    .. math::

        q_j &= \sigma(s_j - \nu_j) \text{ in } P, \\
        q_i &= \sigma(\lambda (s_i - \nu_i)) \text{ in } N, \\
        \nu_i &= \kappa \log\Bigl(\frac{n}{n_i} - 1\Bigr),

    .. math::

        \hat r_i &= \alpha + \sigma\bigl(\beta (r_i - \mu)\bigr), \\
        r_i &= \frac{1 / n_i}{\sum_{j \in P} 1 / n_j}.

    The loss has three parts, and each can be used alone. The *rebalanced weights* :math:`\hat r`
    correct for the frequent labels of rows that are drawn for a rare one. The *negative-tolerant
    regularisation* (:math:`\lambda, \nu`) gives negatives of low score little loss, and starts
    labels at their frequency. The *focal factor* (:math:`\gamma`) is that of :func:`focal_loss`,
    which [2]_ adds to [1]_.

    Use it as a comparison where labels are long-tailed and co-occur. The papers chose the
    constants anew for each data set.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, NaN for an unknown label, which
        takes no part in the loss. Soft targets are refused: the loss would not be least where
        the predicted probability is the target.
    label_counts : Tensor of shape (n_labels,)
        Number of training rows that carry each label; taken to lie in [1, ``n_samples - 1``].
    n_samples : int
        Number :math:`n` of training rows.
    weight_map : (float, float, float), default=(0.1, 10.0, 0.2)
        :math:`\alpha`, :math:`\beta` and :math:`\mu` of the rebalanced weights; None leaves
        the weights at 1. The best :math:`\mu` falls with the number of labels a row carries:
        [2]_ takes 0.9 at 1.2 labels a row, 0.05 at 12.
    negative_scale : float, default=2.0
        Factor :math:`\lambda > 0` of the negatives' scores. With 1, and `bias_scale` 0, there is
        no regularisation.
    bias_scale : float, default=0.05
        Factor :math:`\kappa \ge 0` of the labels' biases :math:`\nu_i`.
    gamma : float, default=2.0
        Power of the focal factor; 0 leaves it out.
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
        or an option lies outside its range.

    See Also
    --------
    class_balanced_focal_loss : Weights that depend on the label alone.

    Notes
    -----
    A row without positives has no :math:`r`. Its weight is :math:`\alpha + 1`, the limit of a
    vanishing sum. With :math:`\beta = 0` all weights are :math:`\alpha + 1/2`. An even chance has
    the score :math:`\nu_i`, not 0: with the default :math:`\kappa`, 0.23 for a label of one row in
    a hundred.

    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Wu, Huang, Liu, Wang, Lin, "Distribution-Balanced Loss for Multi-Label Classification
       in Long-Tailed Datasets", https://arxiv.org/abs/2007.09654, 2020.
    .. [2] Huang, Giledereli, Köksal, Özgür, Ozkirimli, "Balancing Methods for Multi-label Text
       Classification with Long-Tailed Class Distribution", https://arxiv.org/abs/2109.04712,
       2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import distribution_balanced_loss
    >>> scores, targets = torch.tensor([[2.0, -1.0, 0.5]]), torch.tensor([[1, 1, 0]])
    >>> counts = torch.tensor([500, 40, 2])
    >>> round(distribution_balanced_loss(scores, targets, counts, 1000).item(), 4)
    1.0869
    """
    check_tensors(scores=scores)
    dtype = _dtype_of_counts(label_counts, n_samples, scores)
    counts = check_label_counts(label_counts, scores, dtype)
    return per_label_loss(
        scores,
        targets,
        distribution_balanced_labels(
            counts, n_samples, weight_map, negative_scale, bias_scale, gamma
        ),
        name="distribution_balanced_loss",
        sample_weight=sample_weight,
        label_weight=label_weight,
        reduction=reduction,
    )


def _dtype_of_counts(label_counts: Any, n_samples: Any, scores: Tensor) -> torch.dtype:
    """Return a precision in which counts, and the number of rows less each count, are exact."""
    is_narrow = isinstance(label_counts, Tensor) and label_counts.dtype != torch.float64
    is_exact = isinstance(n_samples, int | float) and n_samples <= _EXACT_IN_FLOAT32
    return computing_dtype(scores) if is_narrow and is_exact else torch.float64


def distribution_balanced_labels(
    counts: Tensor,
    n_samples: float,
    weight_map: WeightMap | None = (0.1, 10.0, 0.2),
    negative_scale: float = 2.0,
    bias_scale: float = 0.05,
    gamma: float = 2.0,
) -> MakeLoss:
    """Return the function that makes a label's terms, from checked counts and options."""
    check_distribution_balanced_options(n_samples, weight_map, negative_scale, bias_scale, gamma)
    counts = counts.clamp(1, n_samples - 1)
    inverse_counts = counts.reciprocal()
    # bias_scale log(n / n_i - 1), where the difference is exact for whole counts
    biases = (operand(n_samples, counts) - counts).mul_(inverse_counts).log_()
    biases.mul_(operand(bias_scale, biases))
    negative, positive = FocalTerm(gamma, scale=negative_scale), FocalTerm(gamma)

    def make_loss(targets: HardTargets, scores: Tensor, weight: Tensor | None) -> LabelLoss:
        device, dtype = scores.device, scores.dtype
        weights = weights_of(weight)
        if weight_map is not None:
            inverse = inverse_counts.to(device, dtype)
            n_rows = scores.shape[0]  # in Python, len of a tensor takes longer
            weights = _rebalanced_weights(targets, inverse, n_rows, weight_map, weights)
        return LabelLoss(
            negative,
            positive,
            shift=biases.to(device, dtype) if bias_scale else None,
            weight=weights,
        )

    return make_loss


def _rebalanced_weights(
    targets: HardTargets,
    inverse: Tensor,
    n_rows: int,
    weight_map: WeightMap,
    other: Callable[[slice], Tensor | None],
) -> Callable[[slice], Tensor]:
    """Return a function of a block of rows: its rebalanced weights times the other factors.

    The weights of all rows at once would be as large as the scores.
    """
    alpha, beta, mu = weight_map
    total = targets.sum_positives(inverse, n_rows)
    # inf for a row without positives, whose weight is alpha + 1; 0 / 0 would be no limit
    steepness = total.reciprocal().mul_(operand(beta, total)) if beta else torch.zeros_like(total)

    def weights(block: slice) -> Tensor:
        rows = steepness if block == slice(None) else steepness[block]
        ratio = torch.outer(rows, inverse)
        rebalanced = ratio.sub_(operand(beta * mu, ratio)).sigmoid_().add_(operand(alpha, ratio))
        factor = other(block)
        return rebalanced if factor is None else rebalanced.mul_(factor)

    return weights


def check_distribution_balanced_options(
    n_samples: float,
    weight_map: WeightMap | None,
    negative_scale: float,
    bias_scale: float,
    gamma: float,
) -> None:
    """Raise ValueError unless the options are usable."""
    check_number("n_samples", n_samples, at_least=2, at_most=1e18)
    if weight_map is not None:
        if not isinstance(weight_map, tuple | list) or len(weight_map) != 3:
            raise ValueError(
                "weight_map must be None or three finite numbers, alpha >= 0, beta >= 0 and mu, "
                f"got {weight_map!r}"
            )
        alpha, beta, mu = weight_map
        check_number("alpha of weight_map", alpha, at_least=0, at_most=1e6)
        check_number("beta of weight_map", beta, at_least=0, at_most=1e6)
        check_number("mu of weight_map", mu, at_least=-1e6, at_most=1e6)
    check_number("negative_scale", negative_scale, above=0, at_most=1e6)
    check_number("bias_scale", bias_scale, at_least=0, at_most=1e6)
    check_focal_options(gamma)


class DistributionBalancedLoss(RowLoss):
    """Distribution-balanced loss as a torch module.

    Parameters
    ----------
    label_counts : Tensor of shape (n_labels,)
        Number of training rows that carry each label. Kept as a buffer.
    n_samples : int
        Number of training rows.
    weight_map : (float, float, float), default=(0.1, 10.0, 0.2)
        Constants of the rebalanced weights; None leaves the weights at 1.
    negative_scale : float, default=2.0
        Scale of the negatives' scores.
    bias_scale : float, default=0.05
        Scale of the labels' biases.
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
        If an option is unusable; in the forward pass as in :func:`distribution_balanced_loss`.

    See Also
    --------
    distribution_balanced_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Wu, Huang, Liu, Wang, Lin, "Distribution-Balanced Loss for Multi-Label Classification
       in Long-Tailed Datasets", https://arxiv.org/abs/2007.09654, 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import DistributionBalancedLoss
    >>> targets = torch.tensor([[1, 0, 0], [1, 1, 0]])
    >>> tolerant_only = DistributionBalancedLoss(
    ...     targets.sum(dim=0), len(targets), weight_map=None, gamma=0
    ... )
    >>> round(tolerant_only(torch.zeros(2, 3), targets).item(), 4)
    1.5596
    """

    __module__ = "sklearn_mlce.losses"

    label_counts: Tensor
    _function = staticmethod(distribution_balanced_loss)
    _options = (
        "label_counts",
        "n_samples",
        "weight_map",
        "negative_scale",
        "bias_scale",
        "gamma",
    )

    def __init__(
        self,
        label_counts: Tensor,
        n_samples: int,
        *,
        weight_map: WeightMap | None = (0.1, 10.0, 0.2),
        negative_scale: float = 2.0,
        bias_scale: float = 0.05,
        gamma: float = 2.0,
        label_weight: Tensor | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(label_weight, reduction)
        check_distribution_balanced_options(
            n_samples, weight_map, negative_scale, bias_scale, gamma
        )
        self.register_buffer("label_counts", label_counts)
        self.n_samples = n_samples
        self.weight_map = weight_map
        self.negative_scale = negative_scale
        self.bias_scale = bias_scale
        self.gamma = gamma
