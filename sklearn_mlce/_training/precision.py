"""In which precision the layers compute while they are trained."""

from __future__ import annotations

import numpy as np
import torch


def training_dtype(precision: str, dtype: np.dtype) -> np.dtype:
    """Precision of the weights in training: that of X where it is "full", float32 otherwise.

    The noise of a gradient step is far larger than what float32 rounds off.
    """
    return np.dtype(dtype if precision == "full" else np.float32)


def resolve_precision(precision: str, device: torch.device) -> bool:
    """Whether to train in mixed precision: layers in bfloat16, weights and loss in float32.

    Parameters
    ----------
    precision : {"auto", "full", "mixed"}
        "auto" is mixed on a GPU that computes in bfloat16.
    device : torch.device
        Where to train.

    Returns
    -------
    bool
        False for the precision of the weights throughout.

    Raises
    ------
    ValueError
        If "mixed" is asked for where it would be of no use: the device has no instructions for
        bfloat16, so that it would be slower.
    """
    if precision == "auto":
        return device.type == "cuda" and _has_bfloat16(device)
    if precision == "full":
        return False
    if not _has_bfloat16(device):
        raise ValueError(
            f"precision='mixed' computes in bfloat16, for which this {device.type} has no "
            "instructions: it would be slower than float32. Set precision='auto'"
        )
    return True


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    native = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported() and native and native())
