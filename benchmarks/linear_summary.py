"""What the tables of the linear methods say together: threshold zero, and the time of one fit."""

import numpy as np

from .report import Table, cells, holds, mean
from .store import Store

QUALITY_SETS = ("bibtex", "cooking", "goemotions", "delicious", "asklibrarian_yso", "films")
TIME_SETS = ("bibtex", "cooking", "goemotions", "delicious")
OURS = "auto"
#: Method, and by how much ours is to be ahead of it in micro-F1 at the threshold zero.
ZERO_BARS = {"linear_svc": 0.02, "logistic": 0.02}
#: Method, and the most that our fit may take of its time, in the geometric mean.
TIME_BARS = {"lml_1vsrest": 1.0, "linear_svc": 0.5}
#: Ours, its one-vs-rest counterpart on the same loss.
COUNTERPARTS = {"bce": "logistic", "squared_hinge": "linear_svc"}


def tables(store: Store) -> list[Table]:
    """Lay out what the store of `benchmarks.linear` holds.

    Parameters
    ----------
    store : Store

    Returns
    -------
    list of Table
        Three: micro-F1 at the threshold zero; time of one fit; time of the comparison losses.
    """
    return [_zero(store), _times(store), _counterparts(store)]


def figures(store: Store, methods, key: str, names) -> np.ndarray:
    """Medians of one figure.

    Parameters
    ----------
    store : Store
    methods : sequence of str
    key : str
        Of the samples.
    names : sequence of str
        Sets.

    Returns
    -------
    ndarray of shape (n_sets, n_methods)
        NaN where there is none.
    """
    return np.array(
        [[store.medians(name, method).get(key, np.nan) for method in methods] for name in names]
    )


def _zero(store):
    peers = list(ZERO_BARS)
    columns = ("set", "MLCEClassifier()", "LinearSVC", "LogisticRegression", "- SVC", "- LR")
    result = Table("Micro-F1 at the threshold zero", columns)
    grid = figures(store, [OURS, *peers], "micro", QUALITY_SETS)
    for name, row in zip((*QUALITY_SETS, "mean"), (*grid, mean(grid)), strict=True):
        gains = row[0] - row[1:]
        result.add(name, *cells(row, ".3f"), *cells(gains, "+.3f"))
    gains = mean(grid)[0] - mean(grid)[1:]
    bars = np.array(list(ZERO_BARS.values()))
    result.add("at least", *[""] * 3, *(f"{bar:+.3f}" for bar in bars))
    result.add("holds", *[""] * 3, *(holds(x, bar) for x, bar in zip(gains, bars, strict=True)))
    result.note(f"Mean over {', '.join(QUALITY_SETS)}; C = 1 for the one-vs-rest models.")
    return result


def _times(store):
    columns = ("set", *(f"fit / {title}" for title in ("LibMultiLabel 1vsrest", "LinearSVC")))
    result = Table("Time of one fit of MLCEClassifier()", columns)
    seconds = figures(store, [OURS, *TIME_BARS], "fit_s", TIME_SETS)
    ratios = seconds[:, :1] / seconds[:, 1:]
    for name, row in zip(TIME_SETS, ratios, strict=True):
        result.add(name, *cells(row, ".2f"))
    whole = np.exp(mean(np.log(ratios)))
    result.add("geometric mean", *cells(whole, ".2f"))
    result.add("at most", *(f"{bar:.2f}" for bar in TIME_BARS.values()))
    pairs = zip(whole, TIME_BARS.values(), strict=True)
    result.add("holds", *(holds(-x, -bar) for x, bar in pairs))
    result.note("All get the stated threads; LinearSVC as processes of one-vs-rest, kept warm.")
    return result


def _counterparts(store):
    columns = ("set", 'loss="bce" / LogisticRegression', 'loss="squared_hinge" / LinearSVC')
    result = Table("Time of the comparison losses beside one-vs-rest with the same loss", columns)
    names = [name for name in store.groups if store.samples(name, OURS)]
    for name in names:
        ours = figures(store, list(COUNTERPARTS), "fit_s", [name])
        peers = figures(store, list(COUNTERPARTS.values()), "fit_s", [name])
        ratios = (ours / peers)[0]
        marks = (holds(-x, -1.0) for x in ratios)
        pairs = zip(cells(ratios, ".2f"), marks, strict=True)
        result.add(name, *(f"{x} ({mark})" if mark else "" for x, mark in pairs))
    result.note("Yes in brackets where ours takes no longer.")
    return result
