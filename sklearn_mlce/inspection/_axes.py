"""Axes of the displays, and names beside points; matplotlib is imported when something is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

# Shows on white and on black.
GREY = "0.5"

# Lines or points up to this number are told apart by their names, more are drawn thin and faint.
MOST_NAMED_LINES = 10
MOST_BOLD_POINTS = 50

_LONGEST_NAME = 24

# Between two panels, in heights of one.
_GAP = 0.1

# Where a name may stand beside its point: offset in points, and which of its sides is there.
_SIDES: tuple[tuple[tuple[int, int], dict[str, Any]], ...] = (
    ((6, 3), {"ha": "left"}),
    ((-6, 3), {"ha": "right"}),
    ((6, -3), {"ha": "left", "va": "top"}),
    ((-6, -3), {"ha": "right", "va": "top"}),
    ((0, 7), {"ha": "center"}),
    ((0, -7), {"ha": "center", "va": "top"}),
)


def axes_for(display: Any, ax: Any, figsize: tuple[float, float] | None = None) -> Any:
    """The axes to draw on, those given or new ones, which become `ax_` of the display.

    The size in inches is that of a new figure; None is the size that the user has set.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    check_matplotlib_support(f"`{type(display).__name__}.plot`")
    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=figsize, layout="constrained")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def panel_below(ax: Any, height: float) -> Any:
    """Axes in the lower part of others, so high relative to them, that share their horizontal axis.

    The others give up the room for it, wherever in a figure they stand, and remain the current
    ones. Where they are part of a grid, layout engines see both.
    """
    figure, place = ax.figure, ax.get_subplotspec()
    if place is not None:
        upper, lower = place.subgridspec(2, 1, height_ratios=[1, height], hspace=_GAP / 4)
        ax.set_subplotspec(upper)
        panel = figure.add_subplot(lower, sharex=ax)
    else:
        left, bottom, width, total = ax.get_position().bounds
        unit = total / (1 + height + _GAP)
        ax.set_position((left, bottom + (height + _GAP) * unit, width, unit))
        panel = figure.add_axes((left, bottom, width, height * unit), sharex=ax)
    ax.tick_params(labelbottom=False)
    figure.sca(ax)
    return panel


def add_legend(ax: Any, loc: str = "best") -> None:
    """Write a legend, in which what is drawn faintly is plain to see.

    To find the best place takes long where curves have many points.
    """
    for handle in ax.legend(loc=loc, fontsize="small").legend_handles:
        handle.set_alpha(1)


def faintness(n_lines: int) -> float:
    """Opacity of each of so many lines that cross."""
    return 1.0 if n_lines <= MOST_NAMED_LINES else max(0.15, min(0.5, 20 / n_lines))


def short(name: Any) -> str:
    """A name of 24 characters at most."""
    text = str(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"


def name_points(
    ax: Any, x: np.ndarray, y: np.ndarray, names: np.ndarray, order: np.ndarray, most: int
) -> list[Any]:
    """Write the names of at most so many points beside them, in an order, where there is room.

    A name that would lie over an earlier one, or in a picture of few points over another point, is
    left out. The limits of the axes must have been set.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    figure = ax.figure.figure  # of a part of a figure, the whole
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
    ax.get_xlim(), ax.get_ylim()  # brings the limits up to date, which transData does not
    places = ax.transData.transform(np.column_stack([x, y])[order])
    few = len(order) <= MOST_BOLD_POINTS
    taken = [Bbox.from_bounds(left - 3, low - 3, 6, 6) for left, low in places if few]
    halo = [withStroke(linewidth=2, foreground=ax.get_facecolor())]
    written: list[Any] = []
    for i in order.tolist():
        if len(written) == most:
            break
        for offset, sides in _SIDES:
            text = ax.annotate(
                short(names[i]),
                (x[i], y[i]),
                offset,
                textcoords="offset points",
                fontsize="small",
                path_effects=halo,
                zorder=5,
                **sides,
            )
            box = text.get_window_extent().padded(2)
            inside = all(ax.bbox.fully_contains(*corner) for corner in (box.min, box.max))
            if inside and not box.count_overlaps(taken):
                written.append(text)
                taken.append(box)
                break
            text.remove()
    return written
