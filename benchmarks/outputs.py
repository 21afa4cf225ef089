"""The default C of several outputs: accuracy by C, and by its factor over the rows' distances."""

from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.multioutput import MultiOutputClassifier

from . import output_sets
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table, cells
from .store import Job, Store

SETS = (*output_sets.SETS, *output_sets.TWO_VALUED)
#: Of C, times one over the squared distance of the rows from their mean.
FACTORS = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
#: The one that the default C has.
KEPT = 10.0
CS = (0.1, 1.0, 10.0, 100.0, 1000.0)
#: Of scikit-learn's logistic regression, one an output, to compare with.
REFERENCES = (1.0, 10.0)


def judge(name: str) -> dict[str, float]:
    """Mean accuracy over outputs of held-out rows, by C.

    Parameters
    ----------
    name : str
        A key of `output_sets.SETS` or `output_sets.TWO_VALUED`.

    Returns
    -------
    dict
        By the columns of the tables.
    """
    X, Y = output_sets.load(name)
    # The default C of labels is that of factor 1.
    labels = np.eye(2, dtype=np.int64)[np.arange(len(Y)) % 2]
    default = timed_fit(mlce_classifier(max_iter=1), X, labels)[1]
    # The labels of sparse rows have "association", which outputs refuse.
    unit, scaling = default.C_, None if sp.issparse(X) else default.input_scaling_
    found = {}
    for factor in FACTORS:
        model = mlce_classifier(C=factor * unit, input_scaling=scaling)
        found[f"factor {factor:g}"] = accuracy(model, X, Y)
    for C in CS:
        found[f"C = {C:g}"] = accuracy(mlce_classifier(C=C), X, Y)
    for C in REFERENCES:
        model = MultiOutputClassifier(LogisticRegression(C=C, max_iter=1000))
        found[f"logistic, C = {C:g}"] = accuracy(model, X, Y)
    return found


def accuracy(model, X, Y) -> float:
    """Mean accuracy over outputs, of three folds.

    Parameters
    ----------
    model : estimator instance
    X : ndarray or csr_matrix of shape (n, d)
    Y : ndarray of shape (n, n_outputs)

    Returns
    -------
    float
    """
    predicted = np.empty_like(Y)
    for train, test in KFold(3, shuffle=True, random_state=0).split(Y):
        predicted[test] = timed_fit(model, X[train], Y[train])[1].predict(X[test])
    return float((predicted == Y).mean())


def jobs(name: str, threads: int) -> dict[str, Job]:
    """The one job of a set, ``accuracy``."""
    return {"accuracy": Job(partial(judge, name), 1, fingerprint("outputs", threads))}


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: sets of more classes, and of two an output."""
    titles = {"Several outputs": output_sets.SETS, "Outputs of two values": output_sets.TWO_VALUED}
    done = [name for name in names if store.samples(name, "accuracy")]
    parts = {title: [name for name in done if name in of] for title, of in titles.items()}
    return [_table(store, title, part) for title, part in parts.items() if part]


def _columns():
    ours = [*(f"factor {factor:g}" for factor in FACTORS), *(f"C = {C:g}" for C in CS)]
    return [*ours, *(f"logistic, C = {C:g}" for C in REFERENCES)]


def _table(store, title, names):
    keys = _columns()
    result = Table(f"{title}: mean accuracy", ("set", *keys))
    grid = store.grid([(name, "accuracy") for name in names], keys)
    for name, row in zip(names, grid, strict=True):
        result.add(name, *cells(row, ".3f"))
    result.add("mean", *cells(grid.mean(axis=0), ".3f"))
    ours = grid[:, : len(FACTORS) + len(CS)]
    short = (ours.max(axis=1, keepdims=True) - grid).max(axis=0)
    result.add("short of the best, at most", *cells(short, ".3f"))
    result.note(
        "Share of the held-out classes that are predicted right, of three folds. C is the factor "
        f"over the squared distance of the rows from their mean; {KEPT:g} is the default. "
        "logistic is one LogisticRegression an output, by MultiOutputClassifier. The last row is "
        "how far below the best of our own columns a column is on its worst set."
    )
    return result
