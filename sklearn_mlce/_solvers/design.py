"""The design matrix of a linear model: its products with coefficients and with row gradients.

Parameters are one tensor ``(n_features, n_outputs)``, with a last row of intercepts where the
model has them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from sklearn_mlce._sparse import csr_tensor, dense_tensor


class Design:
    """Products of ``[X, 1]`` (or X, without intercept) and of its transpose.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Features.
    fit_intercept : bool
        Whether a column of ones stands at the right of X.
    device : torch.device
        Where the products are made.
    """

    def __init__(self, X: Any, fit_intercept: bool, device: torch.device) -> None:
        self.fit_intercept = fit_intercept
        self.n_rows, self.n_features = X.shape
        self._forward, self._backward, self._squared = _operators(X, device)

    @property
    def n_parameters(self) -> int:
        """Rows of the parameter tensor."""
        return self.n_features + self.fit_intercept

    def scores(self, parameters: Tensor) -> Tensor:
        """``[X, 1] @ parameters``, shape (n_rows, n_outputs)."""
        scores = self._forward(parameters[: self.n_features])
        return scores.add_(parameters[-1]) if self.fit_intercept else scores

    def transposed(self, row_values: Tensor) -> Tensor:
        """``[X, 1].T @ row_values``, shape (n_parameters, n_outputs)."""
        return self._with_intercept(self._backward(row_values), row_values)

    def transposed_squared(self, row_values: Tensor) -> Tensor:
        """``([X, 1] ** 2).T @ row_values``: the diagonal of ``[X, 1].T @ diag @ [X, 1]``."""
        return self._with_intercept(self._squared(row_values), row_values)

    def _with_intercept(self, products: Tensor, row_values: Tensor) -> Tensor:
        if not self.fit_intercept:
            return products
        return torch.cat([products, row_values.sum(dim=0, keepdim=True)])


def _operators(X: Any, device: torch.device) -> tuple[Any, Any, Any]:
    """Products with X, with its transpose and with the transpose of its square."""
    if not sp.issparse(X):
        matrix = dense_tensor(np.asarray(X), device)
        return (
            lambda coefficients: matrix @ coefficients,
            lambda row_values: matrix.T @ row_values,
            lambda row_values: matrix.square().T @ row_values,
        )
    transposed = X.T.tocsr()
    squared = sp.csr_array(
        (transposed.data**2, transposed.indices, transposed.indptr), shape=transposed.shape
    )
    product = _torch_product if _torch_multiplies_csr(device) else _scipy_product
    return product(X, device), product(transposed, device), product(squared, device)


def _torch_multiplies_csr(device: torch.device) -> bool:
    # On the CPU torch hands CSR products to MKL, which its builds for Arm do not have.
    return device.type != "cpu" or torch.backends.mkl.is_available()


def _torch_product(matrix: Any, device: torch.device) -> Any:
    tensor = csr_tensor(matrix, device)
    return lambda dense: tensor @ dense


def _scipy_product(matrix: Any, device: torch.device) -> Any:
    return lambda dense: torch.from_numpy(matrix @ dense.numpy())
