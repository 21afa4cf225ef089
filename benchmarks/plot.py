"""Pictures: quality beside fit time, and growth."""

from pathlib import Path

import matplotlib
import numpy as np

from .growth import GROUP, LINES, SOLVERS, bound, key
from .linear import BASELINE
from .methods import METHODS
from .store import Store

MARKS = {"mlce": "o", "sklearn": "s", "peer": "^"}


def quality_beside_time(store: Store, names, path: Path) -> None:
    """Draw one panel a set: micro-F1 over fit time.

    Parameters
    ----------
    store : Store
        Samples of `benchmarks.linear`.
    names : sequence of str
        Sets; those without samples are left out.
    path : Path
        The picture to write.
    """
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    names = [name for name in names if store.samples(name, BASELINE)]
    if not names:
        return
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(3.4 * columns, 3.0 * rows + 1.3),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names, strict=False):
        _panel(axis, store, name)
    known = {}
    for axis in axes.flat[: len(names)]:
        handles, labels = axis.get_legend_handles_labels()
        known |= dict(zip(labels, handles, strict=True))
    figure.legend(
        known.values(), known, loc="outside lower center", ncols=min(2, columns), frameon=False
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _panel(axis, store, name):
    base = store.medians(name, BASELINE)["fit_s"]
    for number, method in enumerate(METHODS):
        row = store.medians(name, method.name)
        if row:
            axis.plot(
                row["fit_s"] / base,
                row["micro"],
                MARKS[method.kind],
                color=f"C{number}",
                markersize=8,
                label=method.title,
            )
    axis.axvline(1.0, color="0.8", zorder=0)
    axis.set(
        xscale="log",
        title=name,
        xlabel="fit time, x MLCEClassifier()",
        ylabel="micro-F1",
    )
    _widen(axis)


def _widen(axis):
    """Plain numbers on the time axis, and no F1 axis that makes much of a hundredth."""
    low, high = axis.get_xlim()
    low, high = min(low, 0.5), max(high, 20)
    ticks = [tick for tick in (0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000) if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlim(low, high)
    bottom, top = axis.get_ylim()
    spare = max(0.0, 0.1 - (top - bottom)) / 2
    axis.set_ylim(bottom - spare, top + spare)


def growth(store: Store, path: Path) -> None:
    """Draw fit time and peak memory over rows, features and labels.

    Parameters
    ----------
    store : Store
        Samples of `benchmarks.growth`.
    path : Path
        The picture to write.
    """
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10.2, 6.0), layout="constrained")
    for position, (line, points) in enumerate(LINES.items()):
        for solver, mark in zip(SOLVERS, "os", strict=True):
            rows = [store.medians(GROUP, key(solver, point)) for point in points]
            kept = [i for i, row in enumerate(rows) if np.isfinite(row.get("fit_s", np.inf))]
            sizes = [points[i][position] for i in kept]
            seconds = [rows[i]["fit_s"] for i in kept]
            peaks = [(rows[i]["peak"] - rows[i]["constant"]) / 2**20 for i in kept]
            axes[0, position].plot(sizes, seconds, f"{mark}-", label=solver)
            axes[1, position].plot(sizes, peaks, f"{mark}-", label=solver)
            if solver == "sgd":
                bounds = [bound(rows[i]) / 2**20 for i in kept]
                axes[1, position].plot(sizes, bounds, "--", color="0.6", label="X + Y + 3 W")
        for axis, title in zip(axes[:, position], ("fit s", "peak MiB"), strict=True):
            axis.set(xscale="log", yscale="log", xlabel=line, ylabel=title)
    handles, labels = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
