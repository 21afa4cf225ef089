"""What weights of labels that follow their frequency are worth, on out-of-fold training rows."""

from functools import partial

import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import KFold

from .defaults_search import SETS as ROWS
from .defaults_search import best_micro_f1, training_rows
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table, cells
from .store import Job, Store

SETS = tuple(ROWS)
#: Whose weight is 1: a label as frequent as that of the typical positive, or as labels on average.
TYPICAL, AVERAGE = "typical", "average"
#: Powers of one over the frequency, with whose weight is 1.
CANDIDATES = ((TYPICAL, 0.0), (TYPICAL, 0.15), (TYPICAL, 0.3), (TYPICAL, 0.5), (AVERAGE, 0.3))
FIGURES = {
    "zero": "micro-F1 at 0",
    "macro": "macro-F1 at 0",
    "tuned": "micro-F1 tuned",
    "lrap": "LRAP",
}


def weights(positives: np.ndarray, reference: str, power: float) -> np.ndarray:
    """Weight of each label: a reference frequency over its own, to a power.

    Parameters
    ----------
    positives : ndarray of shape (L,)
        Rows that carry each label, at least one.
    reference : str
        `TYPICAL` is the geometric mean over the positives of the frequency of their label,
        `AVERAGE` the mean over labels.
    power : float

    Returns
    -------
    ndarray of shape (L,)
    """
    if reference == AVERAGE:
        return (positives.mean() / positives) ** power
    typical = np.average(np.log(positives), weights=positives)
    return np.exp(power * (typical - np.log(positives)))


def judge(name: str, reference: str, power: float) -> dict[str, float]:
    """Out-of-fold figures of weights on one set, with the default options.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    reference, power : str, float
        Of `weights`.

    Returns
    -------
    dict
        The keys of `FIGURES`.
    """
    X, Y, _ = training_rows(name)
    scores = np.empty(Y.shape, np.float32)
    for train, test in KFold(3, shuffle=True, random_state=0).split(X):
        positives = np.asarray(Y[train].sum(axis=0), dtype=float).ravel()
        chosen = weights(np.maximum(positives, 1), reference, power)
        model = mlce_classifier(label_weight=chosen, random_state=0)
        scores[test] = timed_fit(model, X[train], Y[train])[1].decision_function(X[test])
    return figures(Y.toarray(), scores)


def figures(truth: np.ndarray, scores: np.ndarray, ranked=slice(None)) -> dict[str, float]:
    """F1 at zero and with one tuned threshold, and the ranking of some rows.

    Parameters
    ----------
    truth, scores : ndarray of shape (n, L)
    ranked : slice or boolean ndarray of shape (n,), default=slice(None)
        Rows whose ranking counts.

    Returns
    -------
    dict
        The keys of `FIGURES`.
    """
    predicted = scores > 0
    ranking = label_ranking_average_precision_score(truth[ranked], scores[ranked])
    return {
        "zero": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "macro": float(f1_score(truth, predicted, average="macro", zero_division=0)),
        "tuned": best_micro_f1(truth, scores),
        "lrap": float(ranking),
    }


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by the name of each of `CANDIDATES`."""
    mark = fingerprint("label weight", threads)
    return {
        _key(candidate): Job(partial(judge, name, *candidate), 1, mark) for candidate in CANDIDATES
    }


def _key(candidate):
    return f"{candidate[0]} {candidate[1]:g}"


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds, one table for each figure."""
    done = store.complete(names, [_key(candidate) for candidate in CANDIDATES])
    return [_table(store, done, figure) for figure in FIGURES] if done else []


def _table(store, done, figure):
    result = gains(store, done, figure, [_key(candidate) for candidate in CANDIDATES])
    rows = ", ".join(f"{name} {ROWS[name] or 'all'}" for name in done)
    result.note(
        "Three folds of the training rows, pooled; no test row was used. A label of n positives "
        f"has the weight (r / n) ** power. *{TYPICAL}*: r is the geometric mean over all positives "
        f"of the n of their label; *{AVERAGE}*: the mean n of labels. Rows: {rows}."
    )
    return result


def gains(store: Store, done, figure: str, names) -> Table:
    """Lay out a figure of `FIGURES` by set and name, and its gain over the first name.

    Parameters
    ----------
    store : Store
    done : sequence of str
        Sets that have all names.
    figure : str
        A key of `FIGURES`.
    names : sequence of str
        Of the samples: columns of the table.
    """
    result = Table(FIGURES[figure], ("set", *names))
    grid = np.array([[store.medians(one, name)[figure] for name in names] for one in done])
    for one, row in zip(done, grid, strict=True):
        result.add(one, *cells(row, ".4f"))
    result.add("mean", *cells(grid.mean(axis=0), ".4f"))
    gain = grid - grid[:, :1]
    result.add(f"mean gain over {names[0]}", *cells(gain.mean(axis=0), "+.4f"))
    result.add("least gain", *cells(gain.min(axis=0), "+.4f"))
    return result
