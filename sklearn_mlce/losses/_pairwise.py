"""Pairwise loss: every positive against every negative, without a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.arguments import (
    check_number,
    check_options,
    check_same_shape,
    check_soft_targets,
    computed_rows,
    flatten_rows,
    log_label_weight,
    row_factors,
)
from sklearn_mlce._kernels.autograd import closed_form_loss, empty_gradient
from sklearn_mlce._kernels.elementwise import softplus
from sklearn_mlce._kernels.hard_targets import Cells, HardMatrix, hard_from_dense
from sklearn_mlce._kernels.row_blocks import Affine, BlockMemory, matrix_blocks, positive_exponents
from sklearn_mlce._kernels.row_layouts import CellRows, MatrixRows, softmax_
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

        \log\Bigl(1 + \sum_{i \in N} \sum_{j \in P} w_i w_j\,
        e^{\gamma (s_i - s_j + m)}\Bigr)
        = \mathrm{softplus}\Bigl(\gamma m + \mathrm{lse}_{i \in N}(\gamma s_i + \log w_i)
        + \mathrm{lse}_{j \in P}(-\gamma s_j + \log w_j)\Bigr),

    lse being the logarithm of a sum of exponentials. Soft targets :math:`t` are weights
    :math:`1 - t` on the one side and :math:`t` on the other.

    It asks that all positives score above all negatives, and nothing of where zero lies: a
    constant may be added to the scores of a row. With one positive it is the softmax
    cross-entropy. Use it where the number of labels per row is known, so that the best ones can
    be predicted, or where only the ranking matters; :func:`mlce_loss` elsewhere.

    Parameters
    ----------
    scores : Tensor of shape (..., n_labels)
        One score per label. Half-precision scores are computed with in float32.
    targets : Tensor of shape (..., n_labels)
        1 (or True) for a positive label, 0 for a negative one, a number between for a soft
        target, NaN for an unknown label, which then takes no part in the loss.
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

    The gradient is exact and comes with the forward pass. It cannot be differentiated a second
    time: a backward pass with ``create_graph=True`` raises a RuntimeError that says so.

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
    flat = computed_rows(scores)
    targets = flatten_rows(targets.detach())
    hard = hard_from_dense(targets)
    if hard is None:
        check_soft_targets(targets)
    affine = Affine(scale, (margin, 0.0), log_label_weight(label_weight, scores, flat.dtype))
    factor = row_factors(sample_weight, scores, reduction, flat.dtype)

    def evaluate(scores: Tensor, *, with_gradient: bool) -> tuple[Tensor, tuple[Tensor] | None]:
        out = empty_gradient(scores)
        if isinstance(hard, Cells):
            losses = pairs_of_cells(scores, hard, affine, factor, out)
        else:
            of_matrix = targets if hard is None else hard
            losses = pairs_of_matrix(scores, of_matrix, affine, factor, out)
        return losses, (out,) if with_gradient else None

    rows = closed_form_loss(evaluate, flat)
    return rows.reshape(scores.shape[:-1]) if reduction == "none" else rows.sum()


def pairs_of_cells(
    scores: Tensor, cells: Cells, affine: Affine, factor: Tensor | None, out: Tensor
) -> Tensor:
    """Losses ``(n,)`` of rows times their factors; their gradient is written to ``out``."""
    rows = CellRows(cells.rows, len(scores))
    positives = positive_exponents(scores, cells, affine)
    exponents_of_positives = softmax_(positives, rows)
    losses = torch.zeros_like(exponents_of_positives)
    slopes = torch.zeros_like(losses)
    memory = BlockMemory(scores, out)
    for block, negatives in matrix_blocks(scores, cells, affine, 1, memory):
        paired = softmax_(negatives, MatrixRows()).add_(exponents_of_positives[block])
        losses[block], slopes[block] = _losses_and_slopes(paired, affine, factor, block)
        negatives.mul_(slopes[block, None])  # in place, in out
    at_positives = positives.mul_(rows.spread(slopes)).neg_()
    out.view(-1).index_copy_(0, cells.positive, at_positives)
    return losses


def pairs_of_matrix(
    scores: Tensor,
    targets: Tensor | HardMatrix,
    affine: Affine,
    factor: Tensor | None,
    out: Tensor,
) -> Tensor:
    """Losses ``(n,)`` of rows times their factors; their gradient is written to ``out``."""
    losses = scores.new_zeros(len(scores))
    blocks = zip(
        matrix_blocks(scores, targets, affine, 1, BlockMemory(scores, out)),
        matrix_blocks(scores, targets, affine, -1, BlockMemory(scores, None)),
        strict=True,
    )
    for (block, negatives), (_, positives) in blocks:
        paired = softmax_(negatives, MatrixRows())
        paired += softmax_(positives, MatrixRows())
        losses[block], slopes = _losses_and_slopes(paired, affine, factor, block)
        negatives.sub_(positives).mul_(slopes[:, None])  # in place, in out
    return losses


def _losses_and_slopes(
    paired: Tensor, affine: Affine, factor: Tensor | None, block: slice
) -> tuple[Tensor, Tensor]:
    """Losses of a block of rows and their slopes, both times the rows' factors."""
    losses, slopes = softplus(paired), torch.sigmoid(paired).mul_(affine.scale)
    if factor is None:
        return losses, slopes
    return losses.mul_(factor[block]), slopes.mul_(factor[block])


def check_pairwise_options(scale: float, margin: float, reduction: str) -> None:
    """Raise ValueError unless the options are usable."""
    check_options(scale, reduction)
    check_number("margin", margin)


class PairwiseLoss(RowLoss):
    """Pairwise loss as a torch module.

    Parameters
    ----------
    scale : float, default=1.0
        Factor of the differences of scores.
    margin : float, default=0.0
        Margin by which a positive is asked to lie above a negative.
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each label's exponential. Kept as a buffer, so that it moves
        with the module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        What becomes of the rows' losses.

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
