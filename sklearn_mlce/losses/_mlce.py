"""Multi-label softmax cross-entropy, as functions and as a module."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from sklearn_mlce._kernels.hard_targets import (
    DenseTargets,
    HardTargets,
    PositiveEntries,
    checked_form,
    entries_from_indices,
)
from sklearn_mlce._kernels.loss_function import (
    check_ascending,
    check_indices,
    check_options,
    check_same_shape,
    check_tensors,
    computed_rows,
    flatten_rows,
    is_small,
    is_traced,
    log_label_weight,
    per_row,
    reduced_loss,
)
from sklearn_mlce._kernels.mlce import LogitTransform, evaluate_rows, plain_rows
from sklearn_mlce._utils.numbers import check_margin


def mlce_loss(
    scores: Tensor,
    targets: Tensor,
    *,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    threshold_scores: Tensor | None = None,
    scale: float = 1.0,
    margin: float | tuple[float, float] = 0.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Multi-label softmax cross-entropy of scores and dense targets.

    With targets :math:`t`, label weights :math:`w`, threshold score :math:`s_0`, scale
    :math:`\gamma` and margin :math:`m`, the loss of one row is

    .. math::

        &\log\Bigl(e^{\gamma s_0} + \sum_i w_i (1 - t_i)\, e^{\gamma (s_i + m)}\Bigr) \\
        +\, &\log\Bigl(e^{-\gamma s_0} + \sum_i w_i t_i\, e^{-\gamma (s_i - m)}\Bigr).

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, a number between for a soft target.
        NaN is an unknown label, which takes no part in the loss.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss. A constant: no gradient reaches it.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each label's exponential, inside the logarithm: of shape
        ``(n_labels,)`` per label, of the shape of ``scores`` per cell. A constant.
    threshold_scores : Tensor of shape (...) or (..., 1), default=None
        Threshold score of each row, 0 where None. The loss is then the loss of
        ``scores - threshold_scores`` with threshold 0.
    scale : float, default=1.0
        Factor :math:`\gamma > 0` of the exponents. The loss is not divided by it.
    margin : float or pair of float, default=0.0
        Margin :math:`m` by which each score is to clear the threshold. The first of a pair is for
        negatives, the second for positives.
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
    mlce_loss_from_indices : The same loss from the positives' indices, for many labels.

    Notes
    -----
    At the minimum of the plain loss a soft target satisfies :math:`t_i = \sigma(2 s_i)`. A row
    without positives, or without negatives, has a finite loss: the threshold takes part in both
    logarithms.

    The loss is convex in the scores. Write :math:`x_i` for the exponentials of one of its
    logarithms. The logarithm of :math:`\prod_i (1 + x_i) = 1 + \sum_i x_i + \sum_{i < j} x_i x_j +
    \cdots` is its part of binary cross-entropy, summed over the labels
    (:func:`binary_cross_entropy_loss`). MLCE keeps the terms of first order alone, so it is never
    larger.

    The gradient in `scores` and `threshold_scores` is exact and comes with the forward pass. Where
    torch compiles, exports, uses :mod:`torch.func` or differentiates a second time, it traces the
    same formula in its own operations. Values of tensors are not checked there.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.
    .. [2] Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization",
       https://arxiv.org/abs/2002.10857, 2020 (scale and margin).

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import mlce_loss
    >>> scores = torch.tensor([[2.0, -1.0, 0.5]])
    >>> round(mlce_loss(scores, torch.tensor([[1, 0, 0]])).item(), 4)
    1.2311
    >>> round(mlce_loss(scores, torch.tensor([[1.0, float("nan"), 0.0]])).item(), 4)
    1.101
    """
    check_same_shape(scores, targets)
    targets = flatten_rows(targets.detach())
    return _loss(
        scores,
        targets,
        checked_form(targets),
        sample_weight=sample_weight,
        label_weight=label_weight,
        threshold_scores=threshold_scores,
        scale=scale,
        margin=margin,
        reduction=reduction,
    )


def mlce_loss_from_indices(
    scores: Tensor,
    indptr: Tensor,
    indices: Tensor,
    *,
    sample_weight: Tensor | None = None,
    label_weight: Tensor | None = None,
    threshold_scores: Tensor | None = None,
    scale: float = 1.0,
    margin: float | tuple[float, float] = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Multi-label softmax cross-entropy of scores and the positives' indices.

    The positives come in compressed sparse row form, as in a scipy CSR matrix: those of row ``r``
    are ``indices[indptr[r]:indptr[r + 1]]``. Every other label is negative. No tensor of the
    targets' full shape is made. The value is that of :func:`mlce_loss`. Positives are left out of
    the sum over negatives, not subtracted from a sum over all labels, which would cancel.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label; the rows of the compressed form are the flattened leading
        dimensions.
    indptr : Tensor of shape (n_rows + 1,), int64
        Where each row's positives begin in `indices`.
    indices : Tensor of shape (n_positives,), int64
        Labels of the positives, ascending and without repetition within a row.
    sample_weight : Tensor of shape (...), default=None
        Factor of each row's loss.
    label_weight : Tensor broadcastable to ``scores``, default=None
        Non-negative factor of each label's exponential, inside the logarithm.
    threshold_scores : Tensor of shape (...) or (..., 1), default=None
        Threshold score of each row, 0 where None.
    scale : float, default=1.0
        Factor of the exponents.
    margin : float or pair of float, default=0.0
        Margin by which each score is to clear the threshold.
    reduction : {"mean", "sum", "none"}, default="mean"
        As in :func:`mlce_loss`.

    Returns
    -------
    Tensor
        A scalar, or a tensor of shape ``(...)`` where ``reduction="none"``.

    Raises
    ------
    ValueError
        If the indices are not a valid compressed form for these scores, and as in
        :func:`mlce_loss`.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce.losses import mlce_loss_from_indices
    >>> scores = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]])
    >>> indptr, indices = torch.tensor([0, 1, 3]), torch.tensor([0, 1, 2])
    >>> mlce_loss_from_indices(scores, indptr, indices, reduction="none")
    tensor([1.2311, 1.0422])
    """
    check_tensors(scores=scores, indptr=indptr, indices=indices)
    indptr, indices = indptr.long(), indices.long()
    rows = computed_rows(scores.detach())
    traced = is_traced(scores, indptr, indices)
    if traced:  # values cannot be checked
        positives = entries_from_indices(indptr, indices, rows.shape[1])
    else:
        positives = _checked_entries(indptr, indices, rows.shape)
    return _loss(
        scores,
        positives,
        positives
        if traced or not is_small(rows)
        else DenseTargets(positives.to_matrix(rows), all_known=True),
        sample_weight=sample_weight,
        label_weight=label_weight,
        threshold_scores=threshold_scores,
        scale=scale,
        margin=margin,
        reduction=reduction,
    )


def _checked_entries(indptr: Tensor, indices: Tensor, shape: torch.Size) -> PositiveEntries:
    """Entries of a compressed form for scores of a shape.

    Raises
    ------
    ValueError
        If the form does not fit the shape, or lists a row's labels twice or out of order.
    """
    form = (indptr.numpy(), indices.numpy()) if indices.is_cpu else (indptr, indices)
    check_indices(*form, *shape)
    positives = entries_from_indices(indptr, indices, shape[1])
    places = positives.flat_index
    check_ascending(places.numpy() if places.is_cpu else places)
    return positives


def _loss(
    scores: Tensor,
    targets: Tensor | PositiveEntries,
    form: Tensor | HardTargets,
    *,
    sample_weight: Tensor | None,
    label_weight: Tensor | None,
    threshold_scores: Tensor | None,
    scale: float,
    margin: float | tuple[float, float],
    reduction: str,
) -> Tensor:
    check_options(scale, reduction)
    flat = computed_rows(scores)
    log_weight = log_label_weight(label_weight, scores, flat.dtype)
    transform = LogitTransform(scale, check_margin(margin), log_weight)
    threshold = per_row(threshold_scores, scores.shape[:-1], scores.device, "threshold_scores")

    def plain(*inputs: Tensor) -> Tensor:
        matrix = targets if isinstance(targets, Tensor) else targets.to_matrix(flat.detach())
        return plain_rows(*inputs, targets=matrix, transform=transform)

    return reduced_loss(
        partial(evaluate_rows, targets=form, transform=transform),
        plain,
        flat,
        *(() if threshold is None else (threshold.to(flat.dtype),)),
        sample_weight=sample_weight,
        rows=scores.shape[:-1],
        reduction=reduction,
        traced=is_traced(flat, targets if isinstance(targets, Tensor) else targets.flat_index),
    )


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
        Margin by which each score is to clear the threshold.
    reduction : {"mean", "sum", "none"}, default="mean"
        As in :func:`mlce_loss`.

    Raises
    ------
    ValueError
        At construction, if `scale` is not positive, `margin` is not finite, or `reduction` is
        unknown; in the forward pass as in :func:`mlce_loss`.

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

    __module__ = "sklearn_mlce.losses"

    label_weight: Tensor | None

    def __init__(
        self,
        label_weight: Tensor | None = None,
        scale: float = 1.0,
        margin: float | tuple[float, float] = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_options(scale, reduction)
        check_margin(margin)
        self.register_buffer("label_weight", label_weight)
        self.scale = scale
        self.margin = margin
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
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """Parameters as torch prints them inside a module's repr.

        Returns
        -------
        str
            The scale, the margin and the reduction.
        """
        return f"scale={self.scale}, margin={self.margin}, reduction={self.reduction!r}"
