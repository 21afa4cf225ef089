"""The losses of several outputs, as modules."""

from __future__ import annotations

from torch import Tensor

from sklearn_mlce.losses._module import RowLoss
from sklearn_mlce.losses._multioutput import multioutput_loss, soft_multioutput_loss


class MultioutputLoss(RowLoss):
    """Multi-label softmax cross-entropy of several outputs, as a torch module.

    Parameters
    ----------
    label_weight : Tensor broadcastable to the scores, default=None
        Non-negative factor of each exponential. Kept as a buffer, so that it moves with the
        module between devices.
    reduction : {"mean", "sum", "none"}, default="mean"
        What becomes of the rows' losses.

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
        What becomes of the rows' losses.

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

    _function = staticmethod(soft_multioutput_loss)

    def __init__(self, *, label_weight: Tensor | None = None, reduction: str = "mean") -> None:
        super().__init__(label_weight, reduction)
