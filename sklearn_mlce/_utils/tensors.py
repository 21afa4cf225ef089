"""Matrices as tensors on a device: the device, and the conversion."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


@contextmanager
def usual_torch_modes() -> Iterator[None]:
    """Compute as torch does outside all of its contexts, whatever the caller has entered.

    A fit needs gradients under ``no_grad`` and ``inference_mode`` too, and the same numbers under
    ``autocast`` and with another default device.
    """
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def resolve_device(device: str, automatic: tuple[str, ...] = ("cuda",)) -> torch.device:
    """Turn the estimators' ``device`` parameter into a :class:`torch.device`.

    Parameters
    ----------
    device : str
        Where to compute: ``"cpu"``, or an accelerator as torch names it, such as ``"cuda:1"`` or
        ``"mps"``, which torch has to find. ``"auto"`` takes the first that it finds.
    automatic : tuple of str, default=("cuda",)
        Kinds of accelerators that "auto" may take, before the CPU.

    Returns
    -------
    torch.device
        The device, one that torch can use now.

    Raises
    ------
    ValueError
        If torch knows no such device, or can use none now.

    Examples
    --------
    >>> from sklearn_mlce._utils.tensors import resolve_device
    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        return torch.device(next((kind for kind in automatic if _n_devices(kind)), "cpu"))
    try:
        named = torch.device(device)
    except RuntimeError:
        named = torch.device("meta")
    if named.type == "meta":  # which computes nothing
        raise ValueError(
            f"device={device!r} is not a device known here; expected 'cpu', 'auto', or the name of "
            "an accelerator, such as 'cuda' or 'cuda:1'. Type device='auto' to use a GPU when "
            "there is one."
        )
    n_devices = _n_devices(named.type)
    if n_devices and (named.index or 0) >= n_devices:
        raise ValueError(
            f"device={device!r} was asked for, but torch finds {n_devices} of this kind. Type "
            f"device='{named.type}:{n_devices - 1}' for the last one"
        )
    if not n_devices:
        raise ValueError(
            f"device={device!r} was asked for, but torch {torch.__version__} can use no "
            f"{named.type.upper()} device on this machine "
            f"(torch.{named.type}.is_available() is False). Type device='auto' to fall back to the "
            "CPU, or device='cpu' to ask for it."
        )
    return named


def _n_devices(kind: str) -> int:
    """Devices of a kind that torch can use now."""
    if kind == "cpu":
        return 1
    backend: Any = getattr(torch, kind, None)
    # torch 2.5 asks for "mps" there alone.
    asked: Any = (
        backend if hasattr(backend, "is_available") else getattr(torch.backends, kind, None)
    )
    if not hasattr(asked, "is_available") or not asked.is_available():
        return 0
    return backend.device_count() if hasattr(backend, "device_count") else 1
