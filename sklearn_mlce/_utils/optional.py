"""Packages that only some functions need, and torch, which predictions of a linear model do not."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from sklearn_mlce._utils.warnings import kept_filters


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


def import_torch(what: str, *others: str) -> None:
    """Import torch, which training needs, and what is to come with it, before anything is begun.

    torch cannot be imported again where an interruption broke it off half-way. So it is imported
    whole in a thread, which Ctrl-C does not reach, together with what it would import later on. The
    filters of warnings are put back, to which torch and sympy add, and so is the environment.

    Parameters
    ----------
    what : str
        What needs it, for the message.
    *others : str
        Modules to import as well.

    Raises
    ------
    ImportError
        If torch or skorch is not installed.
    """
    names = ("torch", *others)
    if all(sys.modules.get(name) is not None for name in names):
        return
    with ThreadPoolExecutor(1) as thread:  # which is waited for, whatever happens here
        try:
            thread.submit(_import_all, names).result()
        except ModuleNotFoundError as error:
            if error.name not in ("torch", "skorch"):
                raise
            raise ImportError(
                f"{what} needs {error.name}, which is not installed here; predictions of a fitted "
                "linear model do without. Type pip install torch skorch"
            ) from error


def _import_all(names: tuple[str, ...]) -> None:
    before = set(os.environ)
    with kept_filters():
        for name in names:
            import_module(name)
    for name in set(os.environ) - before:
        if name.startswith("TORCH"):  # torch notes where it would cache what it compiles
            os.environ.pop(name, None)


class _IsModule(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        # Nothing is a module of torch before torch.nn is imported.
        module = getattr(sys.modules.get("torch.nn"), "Module", None)
        return module is not None and isinstance(instance, module)


class Module(metaclass=_IsModule):
    """What torch's modules are instances of, for a check that does not import torch."""

    __module__ = "torch.nn"  # as errors name it
