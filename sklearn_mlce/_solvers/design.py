"""Design matrix of a linear model: its products with coefficients and with row gradients.

Parameters are one tensor ``(n_features, n_outputs)``, with a last row of intercepts where the
model has them. Beside an intercept, which is not penalised, features may be centred without
changing the objective: the solver then sees features that do not correlate with the intercept,
and takes a third of the conjugate-gradient steps on TF-IDF data. Its parameters are those of
the centred features, and are translated at both ends. Where features are divided by their sizes,
the divided ones are those that are called given here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_mlce._kernels.exponentials import row_blocks
from sklearn_mlce._solvers.standardisation import Standardisation, check_squares
from sklearn_mlce._utils.tensors import csr_tensor, dense_tensor


class Design:
    """Products of ``[X - offset, 1]`` (or X, without intercept) and of its transpose.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Features.
    standardisation : Standardisation
        Division and offset of the features. Where there is an offset, a column of ones stands at
        the right of the centred features.
    device : torch.device
        Where the products are made.
    """

    def __init__(self, X: Any, standardisation: Standardisation, device: torch.device) -> None:
        offset, factor = standardisation.divided_offset, standardisation.factor
        self.fit_intercept = offset is not None
        self.n_rows, self.n_features = X.shape
        X = standardisation.of_sparse(X) if sp.issparse(X) else X
        # By columns: a transpose in compressed rows is at hand for the products anyway.
        transposed = X.T.tocsr() if sp.issparse(X) else X.T
        largest = np.ones(self.n_parameters, dtype=X.dtype)
        largest[: self.n_features] = _largest_of_rows(transposed)
        if factor is not None and not sp.issparse(X):
            largest[: self.n_features] *= factor
        with np.errstate(over="ignore"):
            check_squares(float(np.square(largest).max()), X.dtype)
        self.largest_entries = dense_tensor(largest, device)  # (n_parameters,), of the given
        self._offset = None if offset is None else dense_tensor(offset, device)
        if sp.issparse(X):
            self._products: _DenseProducts | _SparseProducts = _SparseProducts(
                X, transposed, self._offset, device
            )
        else:
            self._products = _DenseProducts(standardisation.of_dense(X), device)

    @property
    def n_parameters(self) -> int:
        """Rows of the parameter tensor."""
        return self.n_features + self.fit_intercept

    def scores(self, parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Scores ``(n_rows, n_outputs)`` of parameters of the centred features."""
        out = parameters.new_empty(self.n_rows, parameters.shape[1]) if out is None else out
        self._products.forward(parameters[: self.n_features], out)
        return out.add_(parameters[-1]) if self.fit_intercept else out

    def transposed(
        self, row_values: Tensor, out: Tensor | None = None, *, add: bool = False
    ) -> Tensor:
        """Transpose times ``row_values``, shape (n_parameters, n_outputs); added to ``out``."""
        return self._with_intercept(self._products.backward, row_values, out, add)

    def transposed_squared(
        self, row_values: Tensor, out: Tensor | None = None, *, add: bool = False
    ) -> Tensor:
        """Transpose of the squared entries times ``row_values``; added to ``out``."""
        return self._with_intercept(self._products.backward_squared, row_values, out, add)

    def to_centred(self, parameters: Tensor) -> Tensor:
        """Parameters of the centred features that give the scores of these parameters."""
        return self._with_intercepts_shifted(parameters, 1)

    def from_centred(self, parameters: Tensor) -> Tensor:
        """Parameters of the features as given; the inverse of :meth:`to_centred`."""
        return self._with_intercepts_shifted(parameters, -1)

    def gradient_of_given(self, gradient: Tensor) -> Tensor:
        """Gradient in the parameters of the features as given, from that of the centred ones."""
        if self._offset is None:
            return gradient
        coefficients = torch.addr(gradient[:-1], self._offset, gradient[-1])
        return torch.cat([coefficients, gradient[-1:]])

    def _with_intercepts_shifted(self, parameters: Tensor, sign: int) -> Tensor:
        if self._offset is None:
            return parameters
        shift = self._offset @ parameters[:-1]
        return torch.cat([parameters[:-1], (parameters[-1] + sign * shift)[None]])

    def _with_intercept(
        self,
        product: Callable[[Tensor, Tensor, Tensor, bool], None],
        row_values: Tensor,
        out: Tensor | None,
        add: bool,
    ) -> Tensor:
        sums = row_values.sum(dim=0)
        out = row_values.new_empty(self.n_parameters, len(sums)) if out is None else out
        product(row_values, sums, out[: self.n_features], add)
        if self.fit_intercept:
            out[-1] = out[-1] + sums if add else sums
        return out


def row_designs(
    X: Any, standardisation: Standardisation, device: torch.device, n_rows: int
) -> list[Design]:
    """Designs of `n_rows` consecutive rows each; their `largest_entries` are those of all rows."""
    if n_rows >= X.shape[0]:
        return [Design(X, standardisation, device)]
    blocks = gen_batches(X.shape[0], n_rows)
    designs = [Design(X[rows], standardisation, device) for rows in blocks]
    largest = reduce(torch.maximum, (design.largest_entries for design in designs))
    for design in designs:
        design.largest_entries = largest
    return designs


class _DenseProducts:
    """Products with a dense matrix, centred by its maker."""

    def __init__(self, X: np.ndarray, device: torch.device) -> None:
        self._matrix = dense_tensor(np.ascontiguousarray(X), device)

    def forward(self, coefficients: Tensor, out: Tensor) -> None:
        torch.mm(self._matrix, coefficients, out=out)

    def backward(self, row_values: Tensor, sums: Tensor, out: Tensor, add: bool) -> None:
        if add:
            out.addmm_(self._matrix.T, row_values)
        else:
            torch.mm(self._matrix.T, row_values, out=out)

    def backward_squared(self, row_values: Tensor, sums: Tensor, out: Tensor, add: bool) -> None:
        if not add:
            out.zero_()
        for block in row_blocks(self._matrix):  # never a squared copy of the whole matrix
            out.addmm_(self._matrix[block].square().T, row_values[block])


class _SparseProducts:
    """Products with a sparse matrix whose columns are centred in effect, never in memory."""

    def __init__(
        self, X: Any, transposed: Any, offset: Tensor | None, device: torch.device
    ) -> None:
        squared = sp.csr_array(
            (transposed.data**2, transposed.indices, transposed.indptr), shape=transposed.shape
        )
        multiplier = _torch_product if _torch_multiplies_csr(device) else _scipy_product
        self._matrix = multiplier(X, device)
        self._transposed = multiplier(transposed, device)
        self._squared = multiplier(squared, device)
        self._offset = offset

    def forward(self, coefficients: Tensor, out: Tensor) -> None:
        self._matrix(coefficients, out, False)
        if self._offset is not None:
            out.sub_(self._offset @ coefficients)

    def backward(self, row_values: Tensor, sums: Tensor, out: Tensor, add: bool) -> None:
        self._transposed(row_values, out, add)
        if self._offset is not None:
            out.addr_(self._offset, sums, alpha=-1)

    def backward_squared(self, row_values: Tensor, sums: Tensor, out: Tensor, add: bool) -> None:
        of_rows = torch.empty_like(out) if add else out
        self._squared(row_values, of_rows, False)
        if self._offset is not None:
            # The difference may round to less than zero.
            floor = torch.finfo(out.dtype).eps * of_rows
            cross = torch.empty_like(out)
            self._transposed(row_values, cross, False)
            of_rows.addcmul_(self._offset[:, None], cross, value=-2)
            of_rows.addr_(self._offset.square(), sums)
            torch.maximum(of_rows, floor, out=of_rows)
        if add:
            out.add_(of_rows)


def _largest_of_rows(matrix: Any) -> np.ndarray:
    smallest, largest = matrix.min(axis=1), matrix.max(axis=1)
    if sp.issparse(matrix):
        smallest, largest = smallest.toarray().ravel(), largest.toarray().ravel()
    return np.maximum(largest, -smallest)


def _torch_multiplies_csr(device: torch.device) -> bool:
    # On the CPU torch hands CSR products to MKL, which its builds for Arm do not have.
    return device.type != "cpu" or torch.backends.mkl.is_available()


def _torch_product(matrix: Any, device: torch.device) -> Callable[[Tensor, Tensor, bool], Any]:
    tensor = csr_tensor(matrix, device)

    def product(dense: Tensor, out: Tensor, add: bool) -> None:
        if add:
            torch.addmm(out, tensor, dense, out=out)
        else:
            torch.mm(tensor, dense, out=out)

    return product


def _scipy_product(matrix: Any, device: torch.device) -> Callable[[Tensor, Tensor, bool], Any]:
    def product(dense: Tensor, out: Tensor, add: bool) -> None:
        found = torch.from_numpy(matrix @ dense.numpy())
        (out.add_ if add else out.copy_)(found)

    return product
