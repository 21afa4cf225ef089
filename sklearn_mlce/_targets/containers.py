"""Containers of y, for errors that say what to type."""

from __future__ import annotations

from typing import Any

import numpy as np


def container_of(y: Any) -> str:
    """Return "numpy", "pandas", "polars", "pyarrow", or "other", such as a list."""
    if isinstance(y, np.ndarray):
        return "numpy"
    library = type(y).__module__.partition(".")[0]
    return library if library in ("pandas", "polars", "pyarrow") else "other"
