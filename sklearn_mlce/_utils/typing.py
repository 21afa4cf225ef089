"""Types of the public surface, and decorators of scikit-learn that keep the types of methods.

scikit-learn ships no types: what its decorators return would be Any for a type checker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

SolverName = Literal["auto", "newton-cg", "sgd"]
TorchOutput = Literal["scores", "labels", "probabilities"]

if TYPE_CHECKING:
    Method = TypeVar("Method", bound=Callable[..., Any])

    def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[Method], Method]: ...

    def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]: ...

    def validate_params(
        constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
    ) -> Callable[[Method], Method]: ...

    def with_callbacks(method: Method) -> Method: ...

else:
    from sklearn.base import _fit_context as fit_context
    from sklearn.utils._param_validation import validate_params
    from sklearn.utils.metaestimators import available_if

    from sklearn_mlce._utils.callbacks import with_callbacks

__all__ = [
    "SolverName",
    "TorchOutput",
    "available_if",
    "fit_context",
    "validate_params",
    "with_callbacks",
]
