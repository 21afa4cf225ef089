"""What the tables of the networks say together: the bars that the project has set itself."""

import numpy as np

from .report import Table, cells, holds, mean
from .store import Store

SETS = ("yeast", "birds", "bibtex", "films", "goemotions", "delicious")
#: Sets on which MLPClassifier's grid is searched.
GRID_SETS = ("yeast", "birds", "bibtex")
#: Dense sets, on which the network is to be ahead of the linear model.
DENSE_SETS = ("yeast", "birds")
#: By how much to be ahead of MLPClassifier() at the threshold zero, in the mean over sets.
ZERO_BAR = 0.02
#: On how many sets to be ahead of it with one tuned threshold.
TUNED_BAR = 5


def tables(store: Store) -> list[Table]:
    """Lay out what the store holds.

    Parameters
    ----------
    store : Store
        Samples of `benchmarks.network.run`.

    Returns
    -------
    list of Table
        Three: against MLPClassifier(), against the best of its grid, against the linear model.
    """
    return [_against_defaults(store), _against_grid(store), _against_linear(store)]


def means(store: Store, methods, key: str, names, mean_of=np.mean) -> np.ndarray:
    """Means of one figure over the seeds, ``(n_sets, n_methods)``; NaN where there is none.

    Parameters
    ----------
    store : Store
    methods : sequence of str
    key : str
        Of the samples.
    names : sequence of str
        Sets.
    mean_of : callable, default=numpy.mean
        Takes the mean, or the median.

    Returns
    -------
    ndarray
    """

    def one(name, method):
        rows = store.samples(name, method)
        return mean_of([row[key] for row in rows]) if rows else np.nan

    return np.array([[one(name, method) for method in methods] for name in names])


def _against_defaults(store):
    titles = ("ours at 0", "theirs at 0", "gain", "ours tuned", "theirs tuned", "gain")
    result = Table("Micro-F1 of MLCEMLP() and of MLPClassifier()", ("set", *titles, "time ratio"))
    both = ("ours", "sklearn")
    zero, tuned = (means(store, both, key, SETS) for key in ("micro_zero", "micro"))
    seconds = means(store, both, "fit_s", SETS, np.median)  # other processes stretch some
    grid = np.column_stack([zero, zero[:, 0] - zero[:, 1], tuned, tuned[:, 0] - tuned[:, 1]])
    ratios = seconds[:, 0] / seconds[:, 1]
    rows = zip((*SETS, "mean"), (*grid, mean(grid)), (*ratios, np.nan), strict=True)
    for name, row, ratio in rows:
        result.add(name, *cells(row, ".3f"), *cells([ratio], ".2f"))
    ahead = int((grid[:, 5] > 0).sum())
    known = not np.isnan(grid[:, 5]).any()
    result.add("at least", "", "", f"{ZERO_BAR:+.3f}", "", "", f"{TUNED_BAR} of {len(SETS)}", "")
    verdict = f"{ahead} of {len(SETS)}: {holds(ahead, TUNED_BAR)}" if known else ""
    result.add("holds", "", "", holds(mean(grid)[2], ZERO_BAR), "", "", verdict, "")
    result.note("MLPClassifier's zero is a probability of one half. Times are medians.")
    return result


def _against_grid(store):
    titles = ("ours at 0", "grid at 0", "gain", "ours tuned", "grid tuned", "gain")
    result = Table(
        "Micro-F1 of MLCEMLP() and of the best of MLPClassifier's grid", ("set", *titles)
    )
    both = ("ours", "sklearn_grid")
    zero, tuned = (means(store, both, key, GRID_SETS) for key in ("micro_zero", "micro"))
    grid = np.column_stack([zero, zero[:, 0] - zero[:, 1], tuned, tuned[:, 0] - tuned[:, 1]])
    for name, row in zip((*GRID_SETS, "mean"), (*grid, mean(grid)), strict=True):
        result.add(name, *cells(row, ".3f"))
    gains = mean(grid)
    result.add("holds", "", "", holds(gains[2], 0.0), "", "", holds(gains[5], 0.0))
    result.note(
        "Hidden layers 100, 256, 256-256; alpha 1e-4, 1e-2; early stopping on and off. For each "
        "seed the best of the 12 is the one of the highest micro-F1 at its zero on a held-out "
        "fifth of the training rows, and is then fitted on all of them."
    )
    return result


def _against_linear(store):
    titles = ("micro, network", "linear", "gain", "macro, network", "linear", "gain")
    result = Table("F1 at zero of MLCEMLP() and of MLCEClassifier()", ("set", *titles, "ahead"))
    both = ("ours", "linear")
    micro, macro = (means(store, both, f"{key}_zero", SETS) for key in ("micro", "macro"))
    grid = np.column_stack([micro, micro[:, 0] - micro[:, 1], macro, macro[:, 0] - macro[:, 1]])
    for name, row in zip(SETS, grid, strict=True):
        verdict = holds(min(row[2], row[5]), 0.0) if name in DENSE_SETS else ""
        result.add(name, *cells(row, ".3f"), verdict)
    return result
