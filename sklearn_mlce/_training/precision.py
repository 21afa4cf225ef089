"""In which precision the layers compute while they are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def resolve_precision(precision: str, device: torch.device, dtype: Any) -> bool:
    """Whether to train in mixed precision: layers in bfloat16, weights and loss in float32.

    Parameters
    ----------
    precision : {"auto", "full", "mixed"}
        "auto" is mixed on a GPU that computes in bfloat16, where X is float32.
    device : torch.device
        Where to train.
    dtype : dtype
        Of X.

    Returns
    -------
    bool
        False for the precision of X throughout.

    Raises
    ------
    ValueError
        If "mixed" is asked for where it would be of no use: X is float64, or the device has no
        instructions for bfloat16, so that it would be slower.
    """
    fits = np.dtype(dtype) == np.float32
    if precision == "auto":
        return fits and device.type == "cuda" and _has_bfloat16(device)
    if precision == "full":
        return False
    if not fits:
        raise ValueError(
            "precision='mixed' computes in bfloat16 and float32, but X is not float32. Pass "
            "X.astype(np.float32), or set precision='full'"
        )
    if not _has_bfloat16(device):
        raise ValueError(
            f"precision='mixed' computes in bfloat16, for which this {device.type} has no "
            "instructions: it would be slower than float32. Set precision='full'"
        )
    return True


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported() and native and native())
