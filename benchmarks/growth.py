"""How fit time and peak memory grow with rows, features and labels, on made sparse data."""

import json
import subprocess
import sys

import numpy as np

from .datasets import ROOT
from .environment import fingerprint
from .growth_data import NON_ZEROS
from .report import Table, holds
from .store import Job, Store, measure

SOLVERS = ("sgd", "newton-cg")
#: What grows, and the (rows, features, labels) of each point.
LINES = {
    "rows": tuple((n, 10**5, 100) for n in (10**4, 10**5, 10**6)),
    "features": tuple((10**5, d, 100) for d in (10**3, 10**4, 10**5, 10**6)),
    "labels": tuple((10**4, 10**4, n_labels) for n_labels in (10**2, 10**3, 10**4)),
}
#: Seconds after which a process is ended and its point counts as too slow; "sgd" gets ten times it.
LIMIT = 60
#: Rows, features, labels and rows of a chunk of the streams; the last two with ``--full`` only.
STREAMS = ((10**5, 10**5, 2000, 10**4), (10**6, 10**5, 2000, 10**4), (10**6, 10**5, 2000, 10**5))
#: Beyond so many scores or weights "newton-cg" is measured with ``--full`` only.
MANY = 10**7
SLOPE_BAR = 1.2
#: The most that a process may hold beside what it held before, X, Y and three times the weights.
CONSTANT = 256 * 2**20
STREAM_BAR = 6 * 2**30
GROUP = "growth"


def key(solver: str, point, chunk: int = 0) -> str:
    """Name of a point's samples."""
    return " ".join(map(str, (solver, *point, chunk)))


def run(store: Store, threads: int, full: bool, say=print) -> None:
    """Measure what is still missing.

    Parameters
    ----------
    store : Store
    threads : int
        That each process gets.
    full : bool
        Run the long streams too, and "newton-cg" on large points.
    say : callable, default=print
        Told the progress.
    """
    mark = fingerprint("growth", threads)
    for solver in SOLVERS:
        for points in LINES.values():
            points = [p for p in points if full or solver == "sgd" or not is_large(p)]
            for before, point in zip((None, *points), points, strict=False):
                slow = before and np.isinf(_row(store, solver, before).get("fit_s", 0))
                limit = LIMIT * (10 if solver == "sgd" else 1)
                command = (solver, *point, 0, threads)
                job = Job(lambda c=command, t=0 if slow else limit: _measured(c, t), 1, mark)
                measure(store, GROUP, {key(solver, point): job}, say)
    for *point, chunk in STREAMS[: None if full else 1]:
        command = ("sgd", *point, chunk, threads)
        job = Job(lambda c=command: _measured(c, 3600), 1, mark)
        measure(store, GROUP, {key("sgd", point, chunk): job}, say)


def is_large(point) -> bool:
    """Whether a point has more scores or weights than `MANY`."""
    n, d, n_labels = point
    return max(n, d) * n_labels > MANY


def _measured(command, limit):
    """What a point's process says; without a limit it would be too slow, as a smaller one was."""
    command = [sys.executable, "-m", "benchmarks.growth_point", *map(str, command)]
    try:
        if not limit:
            raise subprocess.TimeoutExpired(command, limit)
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"fit_s": float("inf")}
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _row(store, solver, point, chunk=0):
    return store.medians(GROUP, key(solver, point, chunk))


def tables(store: Store) -> list[Table]:
    """Lay out what the store holds.

    Parameters
    ----------
    store : Store

    Returns
    -------
    list of Table
        The slopes, every point, and the streams.
    """
    return [_slopes(store), _points(store), _streams(store)]


def slope(work, seconds) -> float:
    """Slope of the least-squares line through the logarithms; NaN with fewer than two points."""
    kept = np.isfinite(seconds)
    if kept.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(np.array(work)[kept]), np.log(np.array(seconds)[kept]), 1)[0])


def _slopes(store):
    result = Table("Log-log slope of fit time", ("growing", "solver", "slope", "at most", "holds"))
    for line, points in LINES.items():
        for solver in SOLVERS:
            rows = [_row(store, solver, point) for point in points]
            seconds = [row.get("fit_s", np.inf) for row in rows]
            # nnz * L does not grow with the features, so that line is against d * L.
            per_row = [d if line == "features" else NON_ZEROS * n for n, d, _ in points]
            work = [a * point[2] for a, point in zip(per_row, points, strict=True)]
            found, bound = slope(work, seconds), line != "features" and solver == "sgd"
            verdict = holds(-found, -SLOPE_BAR) if bound else ""
            result.add(line, solver, f"{found:.2f}", f"{SLOPE_BAR:.2f}" if bound else "", verdict)
    result.note(
        "Against nnz * L for rows and labels, with which the cost of a pass grows, and against "
        "d * L for features, which nnz * L does not depend on."
    )
    return result


def _points(store):
    columns = ("solver", "rows", "features", "labels", "fit s", "peak MB", "X + Y + 3 W, MB")
    columns = (*columns, "peak / (X + Y + 3 W)", "beyond it, MB", "holds")
    result = Table("Fit time and peak memory", columns)
    for solver in SOLVERS:
        for point in sorted({point for points in LINES.values() for point in points}):
            row = _row(store, solver, point)
            if row:
                result.add(solver, *map(str, point), *_memory_cells(row, solver))
    result.note(
        "Peak: highest resident memory of the process, the data included, less what it held after "
        "a first small fit. X + Y + 3 W: the bytes of the data and of three times the "
        f"coefficients. Holds for sgd where no more than {CONSTANT >> 20} MiB lie beyond it. A "
        f"newton-cg that took longer than {LIMIT} s was ended, and no larger one tried; those of "
        f"more than {MANY:.0e} scores or weights: python -m benchmarks growth --full."
    )
    return result


def bound(row) -> float:
    """Bytes of X, Y and three times the coefficients."""
    return row["data"] + 3 * row["weights"]


def _memory_cells(row, solver):
    if np.isinf(row["fit_s"]):
        return [f"> {LIMIT}", *[""] * 5]
    peak = row["peak"] - row["constant"]
    beyond = peak - bound(row)
    megabytes = [f"{x / 1e6:.0f}" for x in (peak, bound(row))]
    verdict = holds(-beyond, -CONSTANT) if solver == "sgd" else ""
    ratio = f"{peak / bound(row):.2f}"
    return [f"{row['fit_s']:.3g}", *megabytes, ratio, f"{beyond / 1e6:.0f}", verdict]


def _streams(store):
    columns = ("rows", "features", "labels", "rows of a chunk", "in partial_fit, s")
    columns = (*columns, "highest memory, GiB", "at most", "holds")
    result = Table("Streams through partial_fit", columns)
    for *point, chunk in STREAMS:
        row = _row(store, "sgd", point, chunk)
        if row and np.isfinite(row["fit_s"]):
            peak, least = row["peak"] / 2**30, STREAM_BAR / 2**30
            cells = (f"{row['fit_s']:.3g}", f"{peak:.2f}", f"{least:.2f}", holds(-peak, -least))
            result.add(*map(str, point), str(chunk), *cells)
    result.note(
        "Of the whole process, its start included. The million rows: python -m benchmarks growth "
        "--full."
    )
    return result
