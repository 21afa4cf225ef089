r"""Preconditioner of the conjugate gradients.

The Hessian's diagonal is a bad guide where all labels shift along a feature at once and neither
the loss nor the penalty resists, as with a learned threshold: the labels' terms cancel beside the
diagonal. With the diagonal :math:`d` of a feature's labels and its curvature :math:`c` along the
shift of all of them, the matrix that has both,

.. math:: M = D - a \, d d^T, \quad 1^T M 1 = c,

has the inverse :math:`D^{-1} + (1 / c - 1 / s) \, 1 1^T` with the sum :math:`s` of the diagonal.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._solvers.design import inverted


class Preconditioner:
    """Inverse of what stands for the Hessian.

    Parameters
    ----------
    diagonal : Tensor of shape (n_parameters, n_outputs)
        The Hessian's; overwritten, as is `common`.
    common : Tensor of shape (n_parameters, 1) or None, default=None
        Curvature along the shift of all outputs. None: the diagonal alone.
    """

    def __init__(self, diagonal: Tensor, common: Tensor | None = None) -> None:
        self._common: Tensor | None = None
        if common is not None:
            # Nothing where the outputs' terms add up: the diagonal is guide enough.
            total = inverted(diagonal.sum(dim=1, keepdim=True))
            self._common = inverted(common).sub_(total).clamp_(min=0)
        self._inverse = inverted(diagonal)

    def times(self, residual: Tensor, out: Tensor | None = None) -> Tensor:
        """Its product with a residual ``(n_parameters, n_outputs)``."""
        product = torch.mul(self._inverse, residual, out=out)
        if self._common is not None:
            product.add_(self._common * residual.sum(dim=1, keepdim=True))
        return product
