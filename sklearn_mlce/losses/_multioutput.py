"""Losses of several outputs of several classes each, for hard and for soft targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor

from sklearn_mlce._kernels.loss_function import (
    ClosedForm,
    check_label_weight,
    check_reduction,
    check_same_shape,
    check_soft_targets,
    check_tensors,
    computing_dtype,
    is_traced,
    reduced_loss,
)
from sklearn_mlce._kernels.multioutput import (
    divergence_rows,
    hard_rows,
    plain_divergence_rows,
    plain_hard_rows,
    plain_soft_rows,
    soft_rows,
)
from sklearn_mlce.losses._module import RowLoss


def multioutput_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Multi-label softmax cross-entropy of several outputs with several classes each.

    Write :math:`s_{ik}` for the score of class :math:`k` of output :math:`i`, and :math:`w_{ij}`
    for weights. Put :math:`t_{ij} = 1` where output :math:`i` is of class :math:`j`, and 0
    elsewhere. The loss of one row is

    .. math::

        \sum_j \log\Bigl(1 + \sum_i w_{ij}\, t_{ij} \sum_{k \ne j} e^{s_{ik} - s_{ij}}\Bigr).

    The outputs that carry class :math:`j` share one logarithm, in which the most mistaken of
    them dominates. With one output this is the softmax cross-entropy, and with two classes
    :func:`mlce_loss` of :math:`s_{i1} - s_{i0}`. The prediction of an output is its class with
    the highest score.

    Use it for many outputs with the same classes, where few outputs of a row leave the usual
    class. The loss pools the outputs by class, so *class codes must mean the same in each output*.
    Where they do not, number the classes of each output by frequency, or take softmax
    cross-entropies instead.

    Parameters
    ----------
    scores : Tensor of shape (..., n_outputs, n_classes)
        Score of each class of each output, -inf for a class that an output does not have.
        Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_outputs)
        Code of each output's class, 0 to ``n_classes - 1``. In a floating-point tensor NaN
        stands for an unknown class, which takes no part in the loss.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each exponential, inside the logarithm, by output and by the
        class :math:`j` that the output carries: of shape ``(n_classes,)``,
        ``(n_outputs, n_classes)``, ``(n_outputs, 1)`` or that of ``scores``. A constant.
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
        If a shape does not fit, a target is no class code, a weight is negative, or
        `reduction` is unknown.

    See Also
    --------
    multioutput_divergence_loss : For targets that are probabilities.

    Notes
    -----
    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022 (the case of two classes).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import multioutput_loss
    >>> scores = torch.tensor([[[2.0, 0.0, 0.0], [0.5, 0.0, 1.0]]])
    >>> round(multioutput_loss(scores, torch.tensor([[0, 2]])).item(), 4)
    0.9198
    >>> round(multioutput_loss(scores, torch.tensor([[0, 0]])).item(), 4)
    1.2601
    """
    check_reduction(reduction)
    codes = _check_codes(scores, targets)
    dtype = computing_dtype(scores)
    weight = check_label_weight(label_weight, scores, dtype)
    flat = _flatten(scores).to(dtype)
    log_weight = None if weight is None else _by_class(weight, flat).log()
    return reduced_loss(
        _closed(partial(hard_rows, codes=codes, log_weight=log_weight)),
        partial(plain_hard_rows, codes=codes, log_weight=log_weight),
        flat,
        sample_weight=sample_weight,
        rows=scores.shape[:-2],
        reduction=reduction,
        traced=is_traced(flat, targets),
    )


def soft_multioutput_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Loss of several outputs whose targets are probabilities of classes.

    Write :math:`s_{ij}` for the score of class :math:`j` of output :math:`i`, and :math:`\bar s_i`
    for the mean score of its classes. With targets :math:`t_{ij}` and weights :math:`w_{ij}`, the
    loss of one row is

    .. math::

        \sum_j \log\Bigl(1 + \sum_i w_{ij}\, t_{ij}\, e^{\bar s_i - s_{ij}}\Bigr).

    Where the targets of an output add up to 1 and the weights are 1, it is least at
    :math:`t_i = \mathrm{softmax}(s_i)`.

    It is convex, and poor on targets near 0 and 1: :func:`multioutput_divergence_loss` has the same
    optimum and is good on both. As in :func:`multioutput_loss`, class codes must mean the same in
    each output.

    Parameters
    ----------
    scores : Tensor of shape (..., n_outputs, n_classes)
        Finite score of each class of each output. Half-precision scores are computed with in
        float32.
    targets : Tensor of shape (..., n_outputs, n_classes)
        Probability of each class. NaN throughout for an unknown output, which takes no part in
        the loss.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each exponential, inside the logarithm, by output and by the
        class :math:`j` that the output carries: of shape ``(n_classes,)``,
        ``(n_outputs, n_classes)``, ``(n_outputs, 1)`` or that of ``scores``. A constant.
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
        If a shape does not fit, a target lies outside [0, 1] or is NaN for some classes of an
        output only, a weight is negative, or `reduction` is unknown.

    See Also
    --------
    multioutput_divergence_loss : Has the same optimum, and is good on hard targets too.
    multioutput_loss : For targets that are classes.

    Notes
    -----
    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022 (the case of two classes).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import soft_multioutput_loss
    >>> votes = torch.tensor([[[0.7, 0.2, 0.1]]])
    >>> round(soft_multioutput_loss(votes.log(), votes).item(), 4)
    0.6478
    >>> round(soft_multioutput_loss(torch.zeros(1, 1, 3), votes).item(), 4)
    0.8083
    """
    check_reduction(reduction)
    targets = _check_probabilities(scores, targets)
    dtype = computing_dtype(scores)
    weight = check_label_weight(label_weight, scores, dtype)
    flat, target_weight = _flatten(scores).to(dtype), targets.to(dtype)
    if weight is not None:
        target_weight = target_weight * _by_class(weight, flat)
    return reduced_loss(
        _closed(partial(soft_rows, target_weight=target_weight)),
        partial(plain_soft_rows, target_weight=target_weight),
        flat,
        sample_weight=sample_weight,
        rows=scores.shape[:-2],
        reduction=reduction,
        traced=is_traced(flat, targets),
    )


def multioutput_divergence_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Divergence of the probabilities of several outputs' classes from their softmax.

    Write :math:`s_{ij}` for the score of class :math:`j` of output :math:`i`, :math:`t_{ij}` for
    its target and :math:`w_{ij}` for its weight. With the ratios :math:`r_{ij} = t_{ij} /
    \mathrm{softmax}(s_i)_j` the loss of one row is

    .. math::

        \sum_j \log\Bigl(1 + \sum_i w_{ij}\, t_{ij}\, (r_{ij} - 1 - \log r_{ij})\Bigr),

    where a term of target 0 is 0. No term is negative, and one is 0 only where the softmax is the
    target. So the loss is 0 at :math:`\mathrm{softmax}(s_i) = t_i` and positive elsewhere, whatever
    the weights, if the targets of each output add up to 1.

    Use it to match distributions, such as smoothed classes, the votes of several people or a larger
    model's probabilities. Targets of 0 and 1 may be among them. A hard target of class :math:`j`
    has the term :math:`u - \log(1 + u)` with the odds :math:`u = \sum_{k \ne j} e^{s_{ik} -
    s_{ij}}` of :func:`multioutput_loss`. This term is about :math:`u` where the class is missed,
    and about :math:`u^2 / 2` where it wins. As in that loss, the outputs are pooled by class, so
    *class codes must mean the same in each output*. The loss is not convex.

    Parameters
    ----------
    scores : Tensor of shape (..., n_outputs, n_classes)
        Score of each class of each output, -inf for a class that an output does not have, whose
        target is 0. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_outputs, n_classes)
        Probability of each class. NaN throughout for an unknown output, which takes no part in
        the loss.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each term, inside the logarithm, by output and by class: of shape
        ``(n_classes,)``, ``(n_outputs, n_classes)``, ``(n_outputs, 1)`` or that of ``scores``. A
        constant.
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
        If a shape does not fit, a target lies outside [0, 1] or is NaN for some classes of an
        output only, a weight is negative, or `reduction` is unknown.

    See Also
    --------
    multioutput_loss : For targets that are classes; convex.
    soft_multioutput_loss : Is convex, has the same optimum, and is poor on hard targets.

    Notes
    -----
    The gradient is exact and comes with the forward pass. Where torch compiles, exports, uses
    :mod:`torch.func` or differentiates a second time, it traces the same formula in its own
    operations. Values of tensors are not checked there.

    For one output the sum of the terms is the chi-squared divergence of the targets from the
    softmax, less the Kullback-Leibler divergence. At the optimum the Hessian of the loss is that of
    the sum of the outputs' cross-entropies. Where rows of the same scores have different targets,
    the mean loss is least between the mean of the targets and equal probabilities.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022 (the logarithm that pools labels).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import multioutput_divergence_loss
    >>> votes = torch.tensor([[[0.7, 0.3, 0.0]]])
    >>> round(multioutput_divergence_loss(votes.log(), votes).item(), 4)
    0.0
    >>> round(multioutput_divergence_loss(torch.zeros(1, 1, 3), votes).item(), 4)
    0.2253
    """
    check_reduction(reduction)
    targets = _check_probabilities(scores, targets)
    dtype = computing_dtype(scores)
    weight = check_label_weight(label_weight, scores, dtype)
    flat, targets = _flatten(scores).to(dtype), targets.to(dtype)
    if weight is not None:
        weight = _by_class(weight, flat)
    return reduced_loss(
        _closed(partial(divergence_rows, targets=targets, label_weight=weight)),
        partial(plain_divergence_rows, targets=targets, label_weight=weight),
        flat,
        sample_weight=sample_weight,
        rows=scores.shape[:-2],
        reduction=reduction,
        traced=is_traced(flat, targets),
    )


def _closed(rows: Callable[..., tuple[Tensor, Tensor]]) -> ClosedForm:
    def closed(
        scores: Tensor, *, weight: Tensor | None, with_gradient: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        losses, gradient = rows(scores, factor=weight)
        return losses, (gradient,)

    return closed


def _flatten(scores: Tensor) -> Tensor:
    """Reshape scores ``(..., n_outputs, n_classes)`` to ``(n_rows, n_outputs, n_classes)``."""
    if scores.ndim == 3:
        return scores  # autograd would record a reshape
    return scores.reshape(math.prod(scores.shape[:-2]), *scores.shape[-2:])


def _by_class(weight: Tensor, scores: Tensor) -> Tensor:
    """Reshape weights, to be broadcast to scores ``(n_rows, n_outputs, n_classes)``."""
    return weight.reshape(1, 1, -1) if weight.ndim < 2 else weight.reshape(scores.shape)


def _check_codes(scores: Tensor, targets: Tensor) -> Tensor:
    """Check the codes of classes, and return them ``(n_rows, n_outputs)``, -1 where unknown."""
    check_tensors(scores=scores, targets=targets)
    if scores.ndim < 2 or targets.shape != scores.shape[:-1]:
        raise ValueError(
            f"targets have shape {tuple(targets.shape)} but scores have shape "
            f"{tuple(scores.shape)}; scores must be (..., n_outputs, n_classes) and targets "
            "(..., n_outputs), the code of each output's class"
        )
    known = targets.detach()
    given = known.nan_to_num(0.0) if known.is_floating_point() else known
    codes = given.long()
    if not is_traced(targets):
        _check_range(given, codes, scores.shape[-1])
    if known.is_floating_point():
        codes = codes.masked_fill(known.isnan(), -1)
    return codes.reshape(math.prod(scores.shape[:-2]), scores.shape[-2])


def _check_range(given: Tensor, codes: Tensor, n_classes: int) -> None:
    """Raise ValueError unless the given numbers are whole, as codes are, and in [0, n_classes)."""
    if not codes.numel():
        return
    edges = codes.aminmax()
    is_whole = given is codes or bool((given == codes).all())
    if is_whole and edges.min.item() >= 0 and edges.max.item() < n_classes:
        return
    outside = (given < 0) | (given >= n_classes) | (given != codes)
    seen = given[outside].unique()[:5].tolist()
    raise ValueError(
        f"targets must be class codes from 0 to {n_classes - 1}, or NaN for unknown; got {seen}"
    )


def _check_probabilities(scores: Tensor, targets: Tensor) -> Tensor:
    """Check targets, and return them ``(n_rows, n_outputs, n_classes)``, 0 where unknown."""
    check_tensors(scores=scores)
    if scores.ndim < 2:
        raise ValueError(
            f"scores must be (..., n_outputs, n_classes), got shape {tuple(scores.shape)}"
        )
    check_same_shape(scores, targets)
    may_be_unknown = check_soft_targets(targets)
    targets = _flatten(targets.detach())
    if not may_be_unknown:
        return targets
    unknown = targets.isnan()
    if not is_traced(targets) and bool((unknown.any(dim=-1) != unknown.all(dim=-1)).any()):
        raise ValueError(
            "targets of an output must be NaN for all of its classes or for none: an output is "
            "known or unknown as a whole"
        )
    return targets.masked_fill(unknown, 0)


class MultioutputLoss(RowLoss):
    """Multi-label softmax cross-entropy of several outputs, as a torch module.

    Parameters
    ----------
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each exponential. Kept as a buffer, so that it moves with the
        module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If `reduction` is unknown; in the forward pass as in :func:`multioutput_loss`.

    See Also
    --------
    multioutput_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022 (the case of two classes).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import MultioutputLoss
    >>> loss = MultioutputLoss()
    >>> round(loss(torch.zeros(2, 3, 4), torch.tensor([[0, 1, 2], [3, 3, 3]])).item(), 4)
    3.2307
    """

    __module__ = "sklearn_mlce.losses"

    _function = staticmethod(multioutput_loss)

    def __init__(self, *, label_weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(label_weight, reduction)


class SoftMultioutputLoss(RowLoss):
    """Loss of several outputs whose targets are probabilities, as a torch module.

    Parameters
    ----------
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each exponential. Kept as a buffer, so that it moves with the
        module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If `reduction` is unknown; in the forward pass as in :func:`soft_multioutput_loss`.

    See Also
    --------
    soft_multioutput_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022 (the case of two classes).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import SoftMultioutputLoss
    >>> loss = SoftMultioutputLoss()
    >>> round(loss(torch.zeros(2, 3, 4), torch.full((2, 3, 4), 0.25)).item(), 4)
    2.2385
    """

    __module__ = "sklearn_mlce.losses"

    _function = staticmethod(soft_multioutput_loss)

    def __init__(self, *, label_weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(label_weight, reduction)


class MultioutputDivergenceLoss(RowLoss):
    """Divergence of probabilities from the softmax of several outputs, as a torch module.

    Parameters
    ----------
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each term. Kept as a buffer, so that it moves with the module
        between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        Reduction of the losses of rows: their mean, their sum, or none.

    Raises
    ------
    ValueError
        If `reduction` is unknown; in the forward pass as in :func:`multioutput_divergence_loss`.

    See Also
    --------
    multioutput_divergence_loss : The function behind it, with the formula.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022 (the logarithm that pools labels).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import MultioutputDivergenceLoss
    >>> loss = MultioutputDivergenceLoss()
    >>> round(loss(torch.zeros(2, 3, 4), torch.full((2, 3, 4), 0.25)).item(), 4)
    0.0
    """

    __module__ = "sklearn_mlce.losses"

    _function = staticmethod(multioutput_divergence_loss)

    def __init__(self, *, label_weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(label_weight, reduction)
