"""Packages that only some results need, imported where they are needed."""

from __future__ import annotations

from types import ModuleType


def import_pandas(what: str) -> ModuleType:
    """The module pandas, for `what`, which returns a DataFrame.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            f"{what} returns a pandas.DataFrame, and pandas is not installed. Type: pip install "
            "pandas"
        ) from error
    return pandas
