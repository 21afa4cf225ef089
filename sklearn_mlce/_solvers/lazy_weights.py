r"""Coefficients that are shrunk and centred lazily.

A step of stochastic gradient descent on a few sparse rows should cost no more than the features
that occur in them. Shrinking all coefficients by the penalty, and centring the features, would
cost all of them, so both are kept apart:

.. math:: W = a (V - \mu h^T),

with a factor :math:`a`, the offset :math:`\mu` of the features and a vector :math:`h` of the
gradients' sums. With :math:`c = \mu^T (V - \mu h^T)`, which is kept as well, the scores of
rows X are

.. math:: (X - 1 \mu^T) W + b = a (X V - (X \mu) h^T - 1 c^T) + b.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._solvers.row_batches import BatchFeatures

# Below this the factor is multiplied into the matrix: far from where float32 overflows.
_SMALLEST_FACTOR = 1e-9


class CentredWeights:
    """Parameters of the centred features.

    Parameters
    ----------
    parameters : Tensor of shape (n_features + 1, L) or (n_features, L)
        Coefficients and, where the features are centred, intercepts of the features as given.
        They are overwritten.
    offset : Tensor of shape (n_features,) or None
        Subtracted from the features. None: neither offset nor intercepts.
    """

    def __init__(self, parameters: Tensor, offset: Tensor | None) -> None:
        self._parameters = parameters
        self._offset = offset
        self._factor = 1.0
        n_features = len(parameters) if offset is None else len(offset)
        self._matrix = parameters[:n_features]
        self._sums = parameters.new_zeros(parameters.shape[1])  # h
        self._along_offset = torch.zeros_like(self._sums)  # c
        self._offset_square = 0.0
        self.intercepts = torch.zeros_like(self._sums)
        if offset is not None:
            self._along_offset = offset @ self._matrix
            self._offset_square = float(offset @ offset)
            self.intercepts = parameters[-1] + self._along_offset

    def scores(self, features: BatchFeatures) -> Tensor:
        """Scores ``(n, L)`` of a batch."""
        scores = features.product(self._matrix)
        if self._offset is None:
            return scores.mul_(self._factor) if self._factor != 1 else scores
        if features.at_offset is None:
            return scores.mul_(self._factor).add_(self.intercepts)
        scores.addr_(features.at_offset, self._sums, beta=self._factor, alpha=-self._factor)
        return scores.add_(torch.sub(self.intercepts, self._along_offset, alpha=self._factor))

    def step(
        self, features: BatchFeatures, gradient: Tensor, rate: float, decay: float
    ) -> Tensor | None:
        """Step against the gradient ``(n, L)`` in the scores, then divide by ``1 + decay``.

        Returns the sums of the gradient over the rows, where there are intercepts: theirs.
        """
        alpha = -rate / self._factor
        features.add_transposed_(self._matrix, gradient, alpha)
        sums = None if self._offset is None else gradient.sum(dim=0)
        if sums is not None and features.at_offset is not None:
            self._sums.add_(sums, alpha=alpha)
            self._along_offset.add_(features.at_offset @ gradient, alpha=alpha)
            self._along_offset.sub_(sums, alpha=alpha * self._offset_square)
        self._factor /= 1 + decay
        if self._factor < _SMALLEST_FACTOR:
            for part in (self._matrix, self._sums, self._along_offset):
                part.mul_(self._factor)
            self._factor = 1.0
        return sums

    def squared_norm(self) -> float:
        """Sum of the squared coefficients."""
        square = float(torch.linalg.vector_norm(self._matrix)) ** 2
        square -= 2 * float(self._sums @ self._along_offset)
        square -= self._offset_square * float(self._sums @ self._sums)
        return self._factor**2 * max(square, 0.0)

    def parameters(self) -> Tensor:
        """Parameters of the features as given, written over those that were passed."""
        if self._offset is not None:
            self._matrix.addr_(self._offset, self._sums, alpha=-1)
            self._sums.zero_()
        self._matrix.mul_(self._factor)
        self._factor = 1.0
        if self._offset is not None:
            self._along_offset = self._offset @ self._matrix
            torch.sub(self.intercepts, self._along_offset, out=self._parameters[-1])
        return self._parameters
