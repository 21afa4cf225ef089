"""Fit time of MLCEClassifier at a stated distance from the optimum, beside liblinear's."""

import numpy as np

from . import datasets, objective
from .environment import fingerprint
from .methods import logistic, mlce_classifier, timed_fit
from .report import Table
from .store import Job, Store, measure

TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
GAP = 1e-4
#: Sets, the most that the fit may take of liblinear's time, and how often both are timed.
BARS = {"yeast": (1 / 3, 9), "birds": (1 / 3, 9), "goemotions": (0.8, 3)}


def _fit(name, dtype, **parameters):
    dataset = datasets.load(name)
    model = mlce_classifier(C=1.0, loss="mlce", **parameters)  # whose optimum is known
    return timed_fit(model, dataset.X_train.astype(dtype), dataset.Y_train)


def loosest_tolerance(name: str) -> tuple[float, float]:
    """Find the loosest `tol` of `TOLERANCES` whose fit is within `GAP` of the optimum.

    Parameters
    ----------
    name : str
        A set.

    Returns
    -------
    tol : float
    gap : float
        Relative distance of that fit's objective from the optimum.

    Raises
    ------
    RuntimeError
        If none is.
    """
    dataset = datasets.load(name)
    for tol in TOLERANCES:
        model = _fit(name, np.float32, tol=tol)[1]
        gap = objective.relative_gap(objective.of_model(model, dataset), dataset)
        if gap <= GAP:
            return tol, gap
    raise RuntimeError(f"{name}: at tol={tol:g} the relative objective gap is still {gap:.1e}")


def run(store: Store, names, threads: int, say=print) -> None:
    """Measure what is still missing, in turns.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    names : sequence of str
        Sets; those without a bar are passed over.
    threads : int
        That the measuring process has.
    say : callable, default=print
        Told the progress.
    """
    for name in (name for name in names if name in BARS):
        mark, repeats = fingerprint("mlce", threads), BARS[name][1]
        measure(store, name, {"tolerance": Job(lambda n=name: _tolerance_sample(n), 1, mark)}, say)
        tol = store.medians(name, "tolerance")["tol"]
        jobs = {key: Job(job, repeats, mark) for key, job in _timings(name, tol).items()}
        measure(store, name, jobs, say)


def _tolerance_sample(name):
    tol, gap = loosest_tolerance(name)
    return {"tol": tol, "gap": gap}


def _timings(name, tol):
    dataset = datasets.load(name)

    def default():
        seconds, model, unconverged = _fit(name, np.float32)
        gap = objective.relative_gap(objective.of_model(model, dataset), dataset)
        return {"s": seconds, "gap": gap, "unconverged": float(unconverged)}

    def liblinear(n_jobs):
        return {"s": timed_fit(logistic(n_jobs), dataset.X_train, dataset.Y_train)[0]}

    return {
        "mlce": lambda: {"s": _fit(name, np.float32, tol=tol)[0]},
        "liblinear": lambda: liblinear(None),
        "mlce default": default,
        "mlce float64": lambda: {"s": _fit(name, np.float64, tol=tol)[0]},
        "liblinear 2 jobs": lambda: liblinear(2),
    }


def table(store: Store, names) -> Table:
    """Lay out what the store holds, one column a set.

    Parameters
    ----------
    store : Store
    names : sequence of str
        Sets; those without a bar are passed over.

    Returns
    -------
    Table
    """
    done = [name for name in names if name in BARS and store.samples(name, "mlce default")]
    result = Table(f"Fit time at a relative objective gap of {GAP:g}, C = 1", ("figure", *done))
    columns = [_figures(store, name) for name in done]
    for figure in columns[0] if columns else ():
        result.add(figure, *(column[figure] for column in columns))
    for name in done:
        result.note(f"{name}: {store.loads(name)}")
    return result


def _figures(store, name):
    limit = BARS[name][0]
    found, default = store.medians(name, "tolerance"), store.medians(name, "mlce default")
    keys = ("mlce", "mlce default", "mlce float64", "liblinear", "liblinear 2 jobs")
    s = {key: store.medians(name, key).get("s", np.nan) for key in keys}
    best = {key: min(row["s"] for row in store.samples(name, key)) for key in ("mlce", "liblinear")}
    ratio = s["mlce"] / s["liblinear"]
    return {
        "fit / liblinear": f"{ratio:.3f}",
        "at most": f"{limit:.2f}",
        "holds": "yes" if ratio <= limit else "NO",
        "fastest fit / fastest liblinear": f"{best['mlce'] / best['liblinear']:.3f}",
        "default tol / liblinear": f"{s['mlce default'] / s['liblinear']:.3f}",
        "float64 X / liblinear": f"{s['mlce float64'] / s['liblinear']:.3f}",
        "fit / liblinear with n_jobs=2": f"{s['mlce'] / s['liblinear 2 jobs']:.3f}",
        "tol": f"{found['tol']:g}",
        "gap at tol": f"{found['gap']:.1e}",
        "gap at default tol": f"{default['gap']:.1e}",
        "fit, s": f"{s['mlce']:.3g}",
        "liblinear, s": f"{s['liblinear']:.3g}",
    }
