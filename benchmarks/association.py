"""What a penalty that is weaker for the columns of a label is worth, on held-out training rows.

The strength of the penalty falls with a power of one plus the squared statistic of column and
label; see :mod:`sklearn_mlce._solvers.association`, whose two constants were chosen by this.
"""

import time
from functools import partial
from itertools import islice
from unittest.mock import patch

import numpy as np
from sklearn.model_selection import KFold

from . import datasets
from .environment import fingerprint
from .label_weight import FIGURES, figures, gains
from .methods import mlce_classifier, timed_fit
from .report import Table, cells
from .store import Job, Store

SETS = ("bibtex", "films", "goemotions", "delicious", "cooking", "asklibrarian_yso")
#: Exponent of the strength, and entries that are added to a variance.
KEPT = (0.35, 0.5)
#: None is a penalty that is the same for all columns.
CANDIDATES = {
    "none": None,
    "exponent 0.25": (0.25, 0.5),
    "exponent 0.35": KEPT,
    "exponent 0.5": (0.5, 0.5),
    "exponent 0.7": (0.7, 0.5),
    "exponent 0.35, 0 added": (0.35, 0.0),
    "exponent 0.35, 2 added": (0.35, 2.0),
}
#: Labels of a set that are fitted, drawn by a fixed seed.
N_LABELS = 100
#: Folds that are judged, of three.
N_FOLDS = 2


def training_rows(name: str):
    """All training rows of a set, and at most `N_LABELS` of the labels that they carry.

    Parameters
    ----------
    name : str
        One of `SETS`.

    Returns
    -------
    X : csr_matrix of shape (n, d)
    Y : csr_matrix of shape (n, L)
    """
    dataset = datasets.load(name)
    Y = dataset.Y_train[:, ~dataset.unseen]
    drawn = np.random.default_rng(0).permutation(Y.shape[1])[:N_LABELS]
    return dataset.X_train.astype(np.float32), Y[:, drawn]


def timed_candidate(X, Y, candidate: tuple[float, float] | None):
    """Fit one of `CANDIDATES`, and put the package's constants back.

    Parameters
    ----------
    X : csr_matrix of shape (n, d)
    Y : csr_matrix of shape (n, L)
    candidate : pair of float or None

    Returns
    -------
    seconds : float
        Of the processor.
    model : MLCEClassifier
    """
    from sklearn_mlce._solvers import association

    scaling = None if candidate is None else "association"
    exponent, entries = candidate or KEPT
    model = mlce_classifier(solver="newton-cg", input_scaling=scaling)
    with (
        patch.object(association, "_EXPONENT", exponent),
        patch.object(association, "_ADDED_ENTRIES", entries),
    ):
        start = time.process_time()
        model = timed_fit(model, X, Y)[1]
        return time.process_time() - start, model


def judge(name: str, candidate: tuple[float, float] | None) -> dict[str, float]:
    """Figures of the held-out rows of one set, all its labels being one fit a fold.

    Parameters
    ----------
    name : str
        One of `SETS`.
    candidate : pair of float or None
        A value of `CANDIDATES`.

    Returns
    -------
    dict
        The keys of `label_weight.FIGURES`, and ``seconds``, those of the processor in the fits.
    """
    X, Y = training_rows(name)
    # The first fit of a process pays for what it imports.
    timed_fit(mlce_classifier(solver="newton-cg", max_iter=1), X[:1000], Y[:1000])
    seconds, truths, scores = 0.0, [], []
    folds = KFold(3, shuffle=True, random_state=0).split(X)
    for train, test in islice(folds, N_FOLDS):
        taken, model = timed_candidate(X[train], Y[train], candidate)
        seconds += taken
        truths.append(Y[test].toarray())
        scores.append(model.decision_function(X[test]))
    truth = np.vstack(truths)
    found = figures(truth, np.vstack(scores), ranked=truth.any(axis=1))
    return found | {"seconds": seconds}


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by the name of each of `CANDIDATES`."""
    mark = fingerprint("association", threads)
    return {key: Job(partial(judge, name, chosen), 1, mark) for key, chosen in CANDIDATES.items()}


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: one table for each figure, and the time of the fits."""
    done = store.complete(names, CANDIDATES)
    return (
        [*(_table(store, done, figure) for figure in FIGURES), _times(store, done)] if done else []
    )


def _table(store, done, figure):
    result = gains(store, done, figure, list(CANDIDATES))
    result.note(
        f"{N_FOLDS} of three folds of all training rows, pooled; no test row was used. The penalty "
        "of a coefficient is divided by (1 + z^2) to the exponent, with the statistic z of its "
        f"column and label; {KEPT[1]:g} rows are added to the variance in z, or as many as the "
        "name says. *none*: it is the same for all columns. C is one over the squared distance of "
        f"the rows. At most {N_LABELS} labels of a set, drawn at random; LRAP is that of rows with "
        "one of them."
    )
    return result


def _times(store, done):
    first, *_ = CANDIDATES
    result = Table(f"Time of the fits, x {first}", ("set", *CANDIDATES, f"{first}, s"))
    grid = np.array([[store.medians(one, key)["seconds"] for key in CANDIDATES] for one in done])
    ratios = grid / grid[:, :1]
    for one, row, seconds in zip(done, ratios, grid[:, 0], strict=True):
        result.add(one, *cells(row, ".2f"), f"{seconds:.1f}")
    result.add("geometric mean", *cells(np.exp(np.log(ratios).mean(axis=0)), ".2f"), "")
    result.note('Seconds of the processor, all folds together, with `solver="newton-cg"`.')
    return result
