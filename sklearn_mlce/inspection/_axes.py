"""Axes of the displays, and names beside points; matplotlib is imported when something is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

# Shows on white and on black.
GREY = "0.5"

# Lines or points up to this number are told apart by their names, more are drawn thin and faint.
MOST_NAMED_LINES = 10
MOST_BOLD_POINTS = 50

_LONGEST_NAME = 24


def axes_for(display: Any, ax: Any) -> Any:
    """The axes to draw on, those given or new ones, which become `ax_` of the display.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    check_matplotlib_support(f"`{type(display).__name__}.plot`")
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots()
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def panel_below(ax: Any, size: str) -> Any:
    """Axes in the lower part of others, that share their horizontal axis.

    The others become so much smaller, wherever in a figure they stand, and remain the current ones.
    """
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    panel = make_axes_locatable(ax).append_axes("bottom", size=size, pad=0.1, sharex=ax)
    ax.tick_params(labelbottom=False)
    ax.figure.sca(ax)
    return panel


def short(name: Any) -> str:
    """A name of 24 characters at most."""
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def name_points(
    ax: Any, x: np.ndarray, y: np.ndarray, names: np.ndarray, order: Iterable[int], most: int
) -> list[Any]:
    """Write the names of at most so many points beside them, in an order, where there is room.

    The limits of the axes must have been set: a name that would lie over an earlier one is left
    out.
    """
    written: list[Any] = []
    taken: list[Any] = []
    middle = np.mean(ax.bbox.intervalx)
    ax.get_xlim(), ax.get_ylim()  # brings the limits up to date, which transData does not
    for i in order:
        if len(written) == most:
            break
        to_left = ax.transData.transform((x[i], y[i]))[0] > middle
        text = ax.annotate(
            short(names[i]),
            (x[i], y[i]),
            (-6 if to_left else 6, 3),
            textcoords="offset points",
            ha="right" if to_left else "left",
            fontsize="small",
        )
        box = text.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            text.remove()
            continue
        written.append(text)
        taken.append(box)
    return written
