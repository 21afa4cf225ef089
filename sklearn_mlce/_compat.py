"""Stand-ins for what the oldest supported scikit-learn lacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn < 1.9 has no callbacks

    class _NoCallbackContext:
        """A callback context that no callback listens to."""

        max_subtasks: int | None = None

        def subcontext(self, *args: Any, **kwargs: Any) -> _NoCallbackContext:
            return self

        def call_on_fit_task_begin(self, **kwargs: Any) -> _NoCallbackContext:
            return self

        def call_on_fit_task_end(self, **kwargs: Any) -> bool:
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Without ``set_callbacks``, as estimators are in these versions of scikit-learn."""

        def _init_callback_context(self, **kwargs: Any) -> _NoCallbackContext:
            return _NoCallbackContext()

    def with_callbacks(method: Callable) -> Callable:
        """Return the method: there are no callbacks to tear down."""
        return method


__all__ = ["CallbackSupportMixin", "with_callbacks"]
