"""Packages that only some functions need."""

from __future__ import annotations

from typing import Any


def pandas_for(name: str) -> Any:
    """Import pandas for a function that returns a DataFrame.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{name} returns a DataFrame, but pandas is not installed. Type pip install pandas"
        ) from error
    return pd
