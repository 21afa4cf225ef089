"""Callbacks of scikit-learn during a fit, and the roll-back of a fit that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any

import sklearn
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator


class FitMonitor:
    """Messenger of a fit and its iterations to scikit-learn's callbacks.

    Parameters
    ----------
    estimator : estimator with scikit-learn's callbacks
        The one being fitted.
    X, y, sample_weight : array-like
        What `fit` was given, which callbacks may score the estimator on.
    """

    # Fitted attributes at the state that an iteration hands over, None where it makes no model
    # that could predict; set before the first one.
    attributes_of: Callable[[Any], dict[str, Any] | None]

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._hook_arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._context = estimator._init_callback_context(max_subtasks=None)
        self.stopped = False

    def open(
        self,
        task_name: str,
        max_iter: int | None,
        attributes_of: Callable[[Any], dict[str, Any] | None] | None = None,
    ) -> None:
        """Tell that the fit begins, with valid arguments, and the name and number of iterations.

        `attributes_of` may be set later, before the first iteration ends.
        """
        self._task_name = task_name
        if attributes_of is not None:
            self.attributes_of = attributes_of
        self._context.max_subtasks = max_iter
        self._context.call_on_fit_task_begin(**self._hook_arguments)

    def begin(self) -> None:
        """Tell that an iteration begins."""
        self._iteration = self._context.subcontext(task_name=self._task_name)
        self._iteration.call_on_fit_task_begin(**self._hook_arguments)

    def end(self, state: Any) -> bool:
        """Tell that the iteration ended in a state; return whether a callback asks to stop."""
        self.stopped = self._iteration.call_on_fit_task_end(
            **self._hook_arguments, reconstruction_attributes=lambda: self.attributes_of(state)
        )
        return self.stopped

    def tasks(self, name: str, number: int) -> list[FitTask]:
        """Tasks of fits to come, each of another estimator, as many as there are or less."""
        owner = self._hook_arguments["estimator"]
        # Workers are sent the owner, which may hold what cannot be pickled, only where one listens.
        heard = owner if getattr(owner, "_skl_callbacks", None) else None
        subcontexts = [self._context.subcontext(task_name=name) for _ in range(number)]
        return [FitTask(heard, subcontext) for subcontext in subcontexts]

    def close(self) -> None:
        """Tell that the fit ended, and the estimator holds its fitted attributes."""
        self._context.call_on_fit_task_end(**self._hook_arguments, reconstruction_attributes={})


class FitTask:
    """Fit of a wrapped estimator as a task of its wrapper, in whatever process it runs.

    Parameters
    ----------
    owner : estimator or None
        The wrapper; None where no callback listens.
    context : CallbackContext
        Of the task.
    """

    def __init__(self, owner: Any, context: Any) -> None:
        self._owner, self._context = owner, context

    @contextmanager
    def running(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> Iterator[None]:
        """Tell that the fit begins and ends; the estimator's own tasks belong to this one."""
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        hook_arguments = {"estimator": self._owner, "X": X, "y": y, "metadata": metadata}
        # What is frozen is not fitted, and the folds share it.
        frozen = isinstance(estimator, FrozenEstimator)
        propagated = (
            nullcontext() if frozen else self._context.propagate_callback_context(estimator)
        )
        try:
            with propagated:
                self._context.call_on_fit_task_begin(**hook_arguments)
                yield
        finally:
            self._context.call_on_fit_task_end(**hook_arguments)


@contextmanager
def fitted_state_kept(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator back its attributes if the block fails, so that an earlier fit survives.

    What belongs to scikit-learn's callbacks is left to scikit-learn.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        state = vars(estimator)
        for name in [name for name in state if name not in before and "callback" not in name]:
            del state[name]
        state.update((name, value) for name, value in before.items() if "callback" not in name)
        raise


def needs_newer_sklearn(name: str) -> str:
    """Sentence for an error: what scikit-learn is too old for."""
    return (
        f"{name} needs scikit-learn 1.9 or newer, got {sklearn.__version__}. Type: pip install "
        "'scikit-learn>=1.9' rich"
    )


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

        def propagate_callback_context(self, estimator: Any) -> AbstractContextManager:
            return nullcontext()

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Without callbacks, as estimators are in these versions of scikit-learn."""

        @property
        def set_callbacks(self) -> Any:
            """Not available; an AttributeError, so that `hasattr` says so too."""
            raise AttributeError(needs_newer_sklearn("set_callbacks"))

        def _init_callback_context(self, **kwargs: Any) -> _NoCallbackContext:
            return _NoCallbackContext()

    def with_callbacks(method: Callable) -> Callable:
        """Call the method: there are no callbacks to tear down.

        It takes a frame as the decorator of scikit-learn does, so that warnings name their cause.
        """

        @wraps(method)
        def called(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return called


__all__ = ["CallbackSupportMixin", "with_callbacks"]
