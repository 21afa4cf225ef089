"""What a stream keeps from chunk to chunk beside its coefficients; it needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class StreamState:
    """State of a stream beside the parameters; arrays are never written to.

    An estimator keeps it as the plain values of its fields, ``vars(state)``.
    """

    seed: int
    total_weight: float  # of all rows seen
    fixed: np.ndarray  # (n_outputs,), scores of outputs not trained yet, NaN for the others
    n_chunks: int = 0
    n_steps: int = 0
    batch_size: int = 0  # 0: no chunk was seen, only a fit
    weight_unit: float = 1.0  # mean weight of a row of the first chunk
    gram: float = 1.0
    offset: np.ndarray | None = None  # (n_features,)
    sizes: np.ndarray | None = None  # (n_features,), 0 of columns that were constant so far
    positive: Any = 0.0  # (n_outputs,), weight of the positive rows of chunks
    negative: Any = 0.0
