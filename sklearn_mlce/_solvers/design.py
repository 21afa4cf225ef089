"""Design matrix of a linear model: its products with coefficients and with row gradients.

Parameters are one tensor ``(n_features, n_outputs)``, with a last row of intercepts where the
model has them. Beside an intercept, which is not penalised, features may be centred without
changing the objective: the solver then sees features that do not correlate with the intercept,
and takes a third of the conjugate-gradient steps on TF-IDF data. Its parameters are those of
the centred features, and are translated at both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_mlce._kernels.exponentials import row_blocks
from sklearn_mlce._utils.tensors import csr_tensor, dense_tensor, rows_that_fit


class Design:
    """Products of ``[X - offset, 1]`` (or X, without intercept) and of its transpose.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Features.
    row_weight : ndarray of shape (n_rows,)
        Weights of the rows' losses; they sum to one, and weigh the mean that is the offset.
    fit_intercept : bool
        Whether a column of ones stands at the right of the centred features.
    device : torch.device
        Where the products are made.
    """

    def __init__(
        self, X: Any, row_weight: np.ndarray, fit_intercept: bool, device: torch.device
    ) -> None:
        self.fit_intercept = fit_intercept
        self.n_rows, self.n_features = X.shape
        # By columns: a transpose in compressed rows is at hand for the products anyway.
        transposed = X.T.tocsr() if sp.issparse(X) else X.T
        largest = np.ones(self.n_parameters, dtype=X.dtype)
        largest[: self.n_features] = _largest_of_rows(transposed)
        with np.errstate(over="ignore"):
            check_squares(float(np.square(largest).max()), X.dtype)
        self.largest_entries = dense_tensor(largest, device)  # (n_parameters,), of the given
        offset = sum_of_rows(X, row_weight).astype(X.dtype) if fit_intercept else None
        self._offset = None if offset is None else dense_tensor(offset, device)
        if sp.issparse(X):
            self._products: _DenseProducts | _SparseProducts = _SparseProducts(
                X, transposed, self._offset, device
            )
        else:
            self._products = _DenseProducts(X if offset is None else X - offset, device)

    @property
    def n_parameters(self) -> int:
        """Rows of the parameter tensor."""
        return self.n_features + self.fit_intercept

    def scores(self, parameters: Tensor, out: Tensor | None = None) -> Tensor:
        """Scores ``(n_rows, n_outputs)`` of parameters of the centred features."""
        out = parameters.new_empty(self.n_rows, parameters.shape[1]) if out is None else out
        self._products.forward(parameters[: self.n_features], out)
        return out.add_(parameters[-1]) if self.fit_intercept else out

    def transposed(self, row_values: Tensor, out: Tensor | None = None) -> Tensor:
        """Transpose times ``row_values``, shape (n_parameters, n_outputs)."""
        return self._with_intercept(self._products.backward, row_values, out)

    def transposed_squared(self, row_values: Tensor) -> Tensor:
        """Transpose of the squared entries times ``row_values``."""
        return self._with_intercept(self._products.backward_squared, row_values, None)

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
        product: Callable[[Tensor, Tensor, Tensor], None],
        row_values: Tensor,
        out: Tensor | None,
    ) -> Tensor:
        sums = row_values.sum(dim=0)
        out = row_values.new_empty(self.n_parameters, len(sums)) if out is None else out
        product(row_values, sums, out[: self.n_features])
        if self.fit_intercept:
            out[-1] = sums
        return out


class _DenseProducts:
    """Products with a dense matrix, centred by its maker."""

    def __init__(self, X: np.ndarray, device: torch.device) -> None:
        self._matrix = dense_tensor(np.ascontiguousarray(X), device)

    def forward(self, coefficients: Tensor, out: Tensor) -> None:
        torch.mm(self._matrix, coefficients, out=out)

    def backward(self, row_values: Tensor, sums: Tensor, out: Tensor) -> None:
        torch.mm(self._matrix.T, row_values, out=out)

    def backward_squared(self, row_values: Tensor, sums: Tensor, out: Tensor) -> None:
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
        self._matrix(coefficients, out)
        if self._offset is not None:
            out.sub_(self._offset @ coefficients)

    def backward(self, row_values: Tensor, sums: Tensor, out: Tensor) -> None:
        self._transposed(row_values, out)
        if self._offset is not None:
            out.addr_(self._offset, sums, alpha=-1)

    def backward_squared(self, row_values: Tensor, sums: Tensor, out: Tensor) -> None:
        self._squared(row_values, out)
        if self._offset is not None:
            floor = torch.finfo(out.dtype).eps * out  # the difference may round to less than zero
            cross = torch.empty_like(out)
            self._transposed(row_values, cross)
            out.addcmul_(self._offset[:, None], cross, value=-2)
            out.addr_(self._offset.square(), sums)
            torch.maximum(out, floor, out=out)


def _largest_of_rows(matrix: Any) -> np.ndarray:
    smallest, largest = matrix.min(axis=1), matrix.max(axis=1)
    if sp.issparse(matrix):
        smallest, largest = smallest.toarray().ravel(), largest.toarray().ravel()
    return np.maximum(largest, -smallest)


def _torch_multiplies_csr(device: torch.device) -> bool:
    # On the CPU torch hands CSR products to MKL, which its builds for Arm do not have.
    return device.type != "cpu" or torch.backends.mkl.is_available()


def _torch_product(matrix: Any, device: torch.device) -> Callable[[Tensor, Tensor], Any]:
    tensor = csr_tensor(matrix, device)
    return lambda dense, out: torch.mm(tensor, dense, out=out)


def _scipy_product(matrix: Any, device: torch.device) -> Callable[[Tensor, Tensor], Any]:
    return lambda dense, out: out.copy_(torch.from_numpy(matrix @ dense.numpy()))


# Entries of X that are looked at at a time: 32 MiB of float64.
_BLOCK_ENTRIES = 2**22
_ROUNDING = 4 * float(np.finfo(np.float64).eps)  # of a mean


def sum_of_rows(X: Any, weight: np.ndarray) -> np.ndarray:
    """Weighted sum ``(n_features,)`` of the rows, in float64.

    A block of rows at a time: the product of all would first copy X to the precision of the sum.
    """
    total = np.zeros(X.shape[1])
    for rows in _row_blocks(X):
        total += X[rows].T @ weight[rows]
    return total


def mean_squared_distance(X: Any, row_weight: np.ndarray, *, centred: bool) -> float:
    """Weighted mean of the rows' squared distance from their mean, or from zero; any weights.

    1 where it is zero, so that it can be divided by. Distances are summed, never differences of
    large squares: a feature may vary little beside its mean.

    Raises
    ------
    ValueError
        If they overflow.
    """
    weight = row_weight / row_weight.sum(dtype=np.float64)
    mean = sum_of_rows(X, weight) if centred else np.zeros(X.shape[1])
    with np.errstate(over="ignore"):
        distance = (_sparse_distance if sp.issparse(X) else _dense_distance)(X, weight, mean)
    check_squares(distance, X.dtype)
    rounding = _ROUNDING**2 * float(mean @ mean)
    return distance if distance > rounding else 1.0


def _dense_distance(X: np.ndarray, weight: np.ndarray, mean: np.ndarray) -> float:
    distance = 0.0
    for rows in _row_blocks(X):
        centred = X[rows] - mean
        distance += float(weight[rows] @ np.einsum("ij,ij->i", centred, centred))
    return distance


def _sparse_distance(X: Any, weight: np.ndarray, mean: np.ndarray) -> float:
    """Sum by columns, of the entries that are stored and of the zeros that are not."""
    distance, stored, n_stored = 0.0, np.zeros(X.shape[1]), np.zeros(X.shape[1], dtype=np.intp)
    for rows in _row_blocks(X):
        block = X[rows]
        of_entries = np.repeat(weight[rows], np.diff(block.indptr))
        distance += float(of_entries @ (block.data - mean[block.indices]) ** 2)
        stored += np.bincount(block.indices, weights=of_entries, minlength=X.shape[1])
        n_stored += np.bincount(block.indices, minlength=X.shape[1])
    left = np.where(n_stored == X.shape[0], 0.0, 1 - stored)  # of the weight
    return distance + float(left @ mean**2)


def check_squares(largest: float, dtype: np.dtype) -> None:
    """Raise ValueError where squares of features overflow: no step would have a length.

    Parameters
    ----------
    largest : float
        The largest square, or sum of squares.
    dtype : dtype
        Of the features.
    """
    if np.isfinite(largest):
        return
    wider = "" if dtype == np.float64 else ", or pass X as float64"
    raise ValueError(
        f"the rows of X are so long that their squared norms overflow {dtype}; expected features "
        f"of ordinary size. Scale them, as sklearn.preprocessing.MaxAbsScaler does{wider}"
    )


def _row_blocks(X: Any) -> Iterator[slice]:
    entries_per_row = (X.nnz if sp.issparse(X) else X.size) // max(X.shape[0], 1)
    return gen_batches(X.shape[0], rows_that_fit(entries_per_row, _BLOCK_ENTRIES))
