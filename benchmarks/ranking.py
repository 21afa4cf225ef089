"""Whether several networks, or two losses together, rank the labels as well as "bce" does."""

from functools import cache, partial

import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score

from . import datasets
from .environment import fingerprint
from .methods import timed_fit
from .report import Table, cells, mean_and_spread
from .store import Job, Store

SETS = ("yeast", "birds", "bibtex", "films")
SEEDS = 3
N_MEMBERS = 8
#: Networks whose scores are averaged, by what the tables call them.
METHODS: dict[str, tuple[dict, ...]] = {
    "auto": ({},),
    "bce": ({"loss": "bce"},),
    "8 members, auto": ({"n_members": N_MEMBERS},),
    "8 members, bce": ({"n_members": N_MEMBERS, "loss": "bce"},),
    "auto and bce": ({}, {"loss": "bce"}),
    "8 members, auto and bce": (
        {"n_members": N_MEMBERS},
        {"n_members": N_MEMBERS, "loss": "bce"},
    ),
}
FIGURES = {"lrap": "LRAP", "micro": "micro-F1 at 0"}


@cache
def scores_of(name: str, seed: int, n_members: int = 1, loss: str = "auto"):
    """Scores ``(n, L)`` of a network on test rows, and the seconds of its fit.

    The scores are divided by their root mean square on the training rows, so that those of two
    losses can be averaged.
    """
    from sklearn_mlce import MLCEMLP

    data = datasets.load(name)
    network = MLCEMLP(n_members=n_members, loss=loss, random_state=seed)
    seconds, network, _ = timed_fit(network, data.X_train, data.Y_train)
    trained = network.decision_function(data.X_train)
    trained = trained[:, np.ptp(trained, axis=0) > 0]  # without labels of one score for all rows
    size = np.sqrt(np.mean(np.square(trained, dtype=np.float64)))
    return network.decision_function(data.X_test) / size, seconds


def judge(name: str, method: str, seed: int) -> dict[str, float]:
    """Figures of the mean of some networks' scores on the test rows of a set.

    Parameters
    ----------
    name : str
        Of `SETS`.
    method : str
        A key of `METHODS`.
    seed : int
        Of the networks.

    Returns
    -------
    dict
        The keys of `FIGURES`, and ``fit_s``, seconds of the fits.
    """
    parts = [scores_of(name, seed, **options) for options in METHODS[method]]
    scores = np.mean([scores for scores, _ in parts], axis=0)
    truth = datasets.load(name).Y_test.toarray()
    return {
        "lrap": float(label_ranking_average_precision_score(truth, scores)),
        "micro": float(f1_score(truth, scores > 0, average="micro", zero_division=0)),
        "fit_s": sum(seconds for _, seconds in parts),
    }


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by method."""
    mark = fingerprint("ranking", threads)
    return {
        method: Job(partial(judge, name, method), SEEDS, mark, seeded=True) for method in METHODS
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: a table for each figure, and one of the fits' seconds."""
    done = store.complete(names, METHODS)
    if not done:
        return []
    found = [_of_figure(store, done, key, title) for key, title in FIGURES.items()]
    found[0].note(
        f"Mean ± standard deviation over up to {SEEDS} seeds, public test rows; films: a quarter "
        "of the rows. Two losses: the mean of the scores of two networks, each divided by its root "
        "mean square on the training rows. 8 members: each goes without an eighth of the rows."
    )
    return [*found, _seconds(store, done)]


def _of_figure(store, names, key, title):
    result = Table(title, ("networks", *names, "mean"))
    for method in METHODS:
        samples = [[row[key] for row in store.samples(name, method)] for name in names]
        shown = [mean_and_spread(found) for found in samples]
        result.add(method, *shown, *cells([np.mean([np.mean(s) for s in samples])], ".4f"))
    return result


def _seconds(store, names):
    result = Table("Seconds of the fits", ("networks", *names))
    for method in METHODS:
        result.add(method, *cells([store.medians(name, method)["fit_s"] for name in names], ".3g"))
    for name in names:
        result.note(f"{name}: {store.loads(name)}")
    return result
