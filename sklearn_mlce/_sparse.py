"""scipy sparse matrices as torch tensors, and dense arrays without a warning."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor


def dense_tensor(array: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """A tensor of an array; shares its memory where that is on the CPU and writeable."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch has no read-only tensors and warns of such arrays
    return torch.from_numpy(array).to(device)


def csr_tensor(matrix: Any, device: torch.device | str = "cpu") -> Tensor:
    """A torch CSR tensor of a scipy CSR matrix or array."""
    indptr, indices, data = (
        dense_tensor(part, device) for part in (matrix.indptr, matrix.indices, matrix.data)
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
        return torch.sparse_csr_tensor(
            indptr, indices, data, size=matrix.shape, check_invariants=False
        )
