"""Matrices as tensors on a device: the device, and the conversion."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

_BETA_WARNING_LOCK = threading.Lock()
_beta_warning_taken = False


def dense_tensor(array: np.ndarray, device: torch.device | str = "cpu") -> Tensor:
    """A tensor of an array; shares its memory where that is on the CPU and writeable."""
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch has no read-only tensors and warns of such arrays
    return torch.from_numpy(array).to(device)


def csr_tensor(matrix: Any, device: torch.device | str = "cpu") -> Tensor:
    """A torch CSR tensor of a scipy CSR matrix or array."""
    _take_beta_warning()
    indptr, indices, data = (
        dense_tensor(part, device) for part in (matrix.indptr, matrix.indices, matrix.data)
    )
    return torch.sparse_csr_tensor(indptr, indices, data, size=matrix.shape, check_invariants=False)


def _take_beta_warning() -> None:
    """Let torch give its warning that CSR tensors are in beta, which it gives once a process.

    One thread alone does so: overlapping changes of the warnings filters would outlast it.
    """
    global _beta_warning_taken
    with _BETA_WARNING_LOCK:
        if _beta_warning_taken:
            return
        zero = torch.zeros(1, dtype=torch.int64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.sparse_csr_tensor(zero, zero[:0], zero[:0], size=(0, 0), check_invariants=False)
        _beta_warning_taken = True


def resolve_device(device: str) -> torch.device:
    """Turn the estimators' ``device`` parameter into a :class:`torch.device`.

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}
        Where to compute. ``"auto"`` takes the GPU when torch can use one and the CPU otherwise;
        ``"cuda"`` insists on the GPU.

    Returns
    -------
    torch.device
        The device, one that torch can use now.

    Raises
    ------
    ValueError
        If ``device`` is another value, or is ``"cuda"`` where torch can use no GPU.

    Examples
    --------
    >>> from sklearn_mlce._utils.tensors import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device not in ("cpu", "cuda", "auto"):
        raise ValueError(
            f"device={device!r} is not a device known here; expected 'cpu', 'cuda' or 'auto'. "
            "Type device='auto' to use a GPU when there is one."
        )
    has_cuda = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ValueError(
            f"device='cuda' was asked for, but torch {torch.__version__} can use no CUDA GPU on "
            "this machine (torch.cuda.is_available() is False). Type device='auto' to fall back "
            "to the CPU, or device='cpu' to ask for it."
        )
    return torch.device("cuda" if has_cuda else "cpu")
