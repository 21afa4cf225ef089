"""torch.compile for the network, and whether it works here."""

from __future__ import annotations

import torch
from torch import nn

_BACKEND = "inductor"  # torch's default


def compile_in_place(module: nn.Module, device: torch.device) -> None:
    """Let a module's forward and backward pass be compiled when they are first called.

    Its weights keep their names.

    Raises
    ------
    ValueError
        If torch can compile nothing here.
    """
    _refuse_without_compiler(device)
    module.compile(backend=_BACKEND)


def _refuse_without_compiler(device: torch.device) -> None:
    try:
        torch.compile(_probe, backend=_BACKEND)(torch.zeros(2, device=device))
    except Exception as error:  # whatever the compiler's absence looks like
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"compile=True, but torch.compile fails here: {type(error).__name__}: {reason}. "
            "Set compile=False, or install what it needs: a C++ compiler, for a GPU Triton too"
        ) from error


def _probe(x: torch.Tensor) -> torch.Tensor:
    return torch.relu(x) + 1
