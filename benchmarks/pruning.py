"""What small coefficients are worth: fits with `coef_threshold` beside those without."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from . import datasets
from .environment import fingerprint
from .methods import mlce_classifier
from .report import Table, cells
from .scale import coefficient_bytes
from .store import Job, Store

SETS = ("bibtex", "cooking", "delicious", "asklibrarian_yso")
#: Folds of all rows, where the public test rows are too few to tell .001: 312 of them.
FOLDS = {"asklibrarian_yso": 5}
THRESHOLDS = (0.0, 1e-5, 1e-4)
FIGURES = {"p1": "P@1", "p5": "P@5", "f1": "micro-F1"}


def judge(name: str, threshold: float) -> dict[str, float]:
    """Size of the coefficients of a set at a threshold, and quality on rows that no fit saw.

    Parameters
    ----------
    name : str
        One of `SETS`.
    threshold : float
        The `coef_threshold`.

    Returns
    -------
    dict
        The keys of `FIGURES`, ``rows`` that were judged, and ``bytes`` of the coefficients, the
        mean of the folds.
    """
    from sklearn_mlce.metrics import precision_at_k

    sizes, truths, scores = [], [], []
    for X_train, Y_train, X_test, Y_test in _splits(name):
        model = mlce_classifier(coef_threshold=threshold, random_state=0).fit(X_train, Y_train)
        sizes.append(coefficient_bytes(model))
        truths.append(Y_test)
        scores.append(model.decision_function(X_test).astype(np.float32))
    truth, scores = sp.vstack(truths, format="csr"), np.vstack(scores)
    predicted = sp.csr_array((scores > 0).astype(np.int64))
    return {
        "bytes": float(np.mean(sizes)),
        "rows": len(scores),
        "p1": float(precision_at_k(truth, scores, k=1)),
        "p5": float(precision_at_k(truth, scores, k=5)),
        "f1": float(f1_score(truth, predicted, average="micro", zero_division=0)),
    }


def _splits(name) -> Iterator[tuple]:
    if name not in FOLDS:
        data = datasets.load(name)
        yield data.X_train, data.Y_train, data.X_test, data.Y_test
        return
    raw, Y, _, _ = datasets.read(datasets.data_folder() / f"{name}.npz")
    for train, test in KFold(FOLDS[name], shuffle=True, random_state=0).split(Y):
        X_train, X_test = datasets.featurise(raw, train, test)
        yield X_train, Y[train], X_test, Y[test]


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by the name of each of `THRESHOLDS`."""
    mark = fingerprint("pruning", threads)
    return {_key(number): Job(partial(judge, name, number), 1, mark) for number in THRESHOLDS}


def _key(threshold):
    return f"{threshold:g}"


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: a row for each set and threshold, and the largest changes."""
    done = store.complete(names, [_key(threshold) for threshold in THRESHOLDS])
    return [_table(store, done)] if done else []


def _table(store, done):
    columns = ("set", "coef_threshold", "MB", *FIGURES.values())
    result = Table("Rows that no fit saw", columns)
    quality = {key: store.grid([(n, key) for n in done], FIGURES) for key in map(_key, THRESHOLDS)}
    for place, name in enumerate(done):
        for key, rows in quality.items():
            size = store.medians(name, key)["bytes"] / 1e6
            result.add(name, key, f"{size:.1f}", *cells(rows[place], ".4f"))
    for key in map(_key, THRESHOLDS[1:]):
        changes = np.abs(quality[key] - quality["0"]).max(axis=0)
        result.add("largest change", key, "", *cells(changes, ".4f"))
    counts = ", ".join(f"{name} {store.medians(name, '0')['rows']:.0f}" for name in done)
    result.note(
        f"The default model, float64. Rows: {counts}. These are the public test rows; of "
        + ", ".join(f"{name} all rows, in {number} folds" for name, number in FOLDS.items())
        + ", as 312 test rows tell no .001 apart. MB of the coefficients of a fold."
    )
    return result
