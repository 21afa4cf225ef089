"""A batch of sparse rows times a dense weight matrix, with its gradient.

The gradient too is a product of sparse rows, the transposed ones, with a dense matrix.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sklearn_mlce._kernels.sparse_rows import CompressedRows
from sklearn_mlce._utils.sparse import dense_tensor


class SparseBatch(NamedTuple):
    """Sparse rows ``(n, d)`` of a batch and, for training, the same rows transposed."""

    rows: CompressedRows
    transposed: CompressedRows | None

    def to(self, dtype: torch.dtype) -> SparseBatch:
        """The same rows with values of another precision."""
        if self.rows.values.dtype == dtype:
            return self
        transposed = None if self.transposed is None else self.transposed.to(dtype)
        return SparseBatch(self.rows.to(dtype), transposed)

    def matmul(self, weight: Tensor) -> Tensor:
        """Product ``(n, width)`` with a dense weight ``(d, width)``, differentiable in it."""
        if self.transposed is None:
            return self.rows.matmul(weight)
        return _SparseProduct.apply(weight, self.rows, self.transposed)


class _SparseProduct(torch.autograd.Function):
    """Sparse rows times a dense weight; the gradient is the transposed rows times a dense one."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, rows: CompressedRows, transposed: CompressedRows
    ) -> Tensor:
        ctx.transposed = transposed
        return rows.matmul(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed.matmul(grad_output.contiguous()), None, None


def sparse_batch(matrix: Any, device: torch.device, *, training: bool) -> SparseBatch:
    """A batch of the rows of a scipy CSR matrix or array.

    Parameters
    ----------
    matrix : csr_matrix or csr_array of shape (n, d)
        Rows; their values have the dtype of the network's weights.
    device : torch.device
        Where the network computes.
    training : bool
        Whether a gradient will be asked for, which needs the transposed rows too.

    Returns
    -------
    SparseBatch
        The rows as tensors on `device`.
    """
    rows = _compressed_rows(matrix, device)
    # The CSC form of a matrix is the CSR form of its transpose.
    return SparseBatch(rows, _compressed_rows(matrix.tocsc(), device) if training else None)


def _compressed_rows(matrix: Any, device: torch.device) -> CompressedRows:
    columns = dense_tensor(matrix.indices, device)
    offsets = dense_tensor(matrix.indptr, device).to(columns.dtype)
    return CompressedRows(offsets, columns, dense_tensor(matrix.data, device))
