"""Warnings that are left out for a while, and their filters kept, in whichever threads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCK = threading.Lock()
_open = 0  # blocks that have not ended yet
_outermost: Any = None


@contextmanager
def kept_filters() -> Iterator[None]:
    """Put the filters of warnings back after the block, whatever it has added.

    The filters are the process's own, and put back when the last of all blocks that overlap has
    ended: put back by each in turn, those of one thread would outlast it in another.
    """
    global _open, _outermost
    with _LOCK:
        if _open == 0:
            _outermost = warnings.catch_warnings()
            _outermost.__enter__()
        _open += 1
    try:
        yield
    finally:
        with _LOCK:
            _open -= 1
            if _open == 0:
                _outermost.__exit__(None, None, None)


@contextmanager
def ignored_warnings(category: type[Warning], message: str = "") -> Iterator[None]:
    """Ignore the warnings of a category whose text matches a regular expression at its start."""
    with kept_filters():
        with _LOCK:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield
