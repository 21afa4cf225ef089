"""Packages that only some functions need, and torch, which predictions of a linear model do not."""

from __future__ import annotations

import sys
from importlib import import_module
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


def import_torch(what: str) -> None:
    """Import torch, which training needs, before anything is begun.

    Parameters
    ----------
    what : str
        What needs it, for the message.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"{what} needs torch, which is not installed here; predictions of a fitted linear "
            "model do without. Type pip install torch"
        ) from error


class _IsModule(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        torch = sys.modules.get("torch")  # nothing is a module of torch before it is imported
        return torch is not None and isinstance(instance, torch.nn.Module)


class Module(metaclass=_IsModule):
    """What torch's modules are instances of, for a check that does not import torch."""
