"""Multi-label classification with the multi-label softmax cross-entropy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sklearn_mlce._estimators.linear import MLCEClassifier
    from sklearn_mlce._estimators.linear_cv import MLCEClassifierCV
    from sklearn_mlce._estimators.mlp import MLCEMLP
    from sklearn_mlce._utils.progress import progress_bar

__version__ = "0.1.0"

__all__ = ["MLCEMLP", "MLCEClassifier", "MLCEClassifierCV", "progress_bar"]

# Imported where they are asked for: the network needs torch, which takes seconds to import.
_MODULES = {
    "MLCEClassifier": "sklearn_mlce._estimators.linear",
    "MLCEClassifierCV": "sklearn_mlce._estimators.linear_cv",
    "MLCEMLP": "sklearn_mlce._estimators.mlp",
    "progress_bar": "sklearn_mlce._utils.progress",
}


# What they need besides torch.
_NEED_TORCH = {"MLCEMLP": ("skorch",), "losses": (), "nn": ()}


def _rooms() -> list[str]:
    """Public modules."""
    from pkgutil import iter_modules

    return [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]


def __getattr__(name: str) -> Any:
    """Import a public name or module."""
    if name not in _MODULES and (name.startswith("_") or name not in _rooms()):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _NEED_TORCH:
        from sklearn_mlce._utils.optional import import_torch

        import_torch(f"{__name__}.{name}", *_NEED_TORCH[name])
    if name not in _MODULES:
        return import_module(f"{__name__}.{name}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_rooms()})
