"""Networks beside forests on tables as they ship, at zero and with one tuned threshold."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier

from . import datasets
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table, cells, mean_and_spread
from .store import Job, Store

SETS = ("yeast", "birds", *datasets.SMALL)
AVERAGES = ("micro", "macro", "samples")
SEEDS = 3
#: Of the tables: what they show of each method.
FIGURES = {
    **{average: f"{average}-F1, tuned" for average in AVERAGES},
    **{f"{average}_zero": f"{average}-F1 at 0" for average in AVERAGES},
}


@dataclass(frozen=True)
class Method:
    """One way of learning labels.

    Attributes
    ----------
    title : str
        What the tables call it.
    make : callable
        Gives an unfitted estimator, of a seed.
    seeds : int
        How often it is run at most; less than `SEEDS` where nothing is drawn or a run is long.
    ours : bool
        Whether it is measured again where our source changes, not the tuner's alone.
    not_on : tuple of str
        Sets on which it would take hours.
    """

    title: str
    make: Callable[[int], object]
    seeds: int = SEEDS
    ours: bool = False
    not_on: tuple[str, ...] = ()


def _network(seed, **parameters):
    from sklearn_mlce import MLCEMLP

    return MLCEMLP(random_state=seed, **parameters)


METHODS = {
    "ours": Method("MLCEMLP()", _network, ours=True),
    "members": Method("MLCEMLP(n_members=8)", partial(_network, n_members=8), ours=True),
    "narrow_members": Method(
        "MLCEMLP(128, n_members=8, learning_rate_init=0.006)",
        partial(_network, n_members=8, hidden_layer_sizes=128, learning_rate_init=0.006),
        ours=True,
    ),
    "linear": Method(
        "MLCEClassifier()", lambda seed: mlce_classifier(random_state=seed), ours=True
    ),
    "constant": Method("the labels' frequencies", lambda seed: DummyClassifier(strategy="prior")),
    "random_forest": Method(
        "RandomForest(300)", lambda seed: RandomForestClassifier(300, random_state=seed)
    ),
    "extra_trees": Method(
        "ExtraTrees(300)", lambda seed: ExtraTreesClassifier(300, random_state=seed)
    ),
    "mlp_classifier": Method("MLPClassifier()", lambda seed: MLPClassifier(random_state=seed)),
    "boosting": Method(
        "OneVsRest HistGradientBoosting",
        lambda seed: OneVsRestClassifier(HistGradientBoostingClassifier(random_state=seed)),
        seeds=1,
        not_on=("cal500",),
    ),
}
FORESTS = ("random_forest", "extra_trees")


def splits(name: str, seed: int):
    """Rows to train on and to test on: the public split, or halves of a small set in turn.

    Parameters
    ----------
    name : str
        Of `SETS`.
    seed : int
        Of the halves.

    Yields
    ------
    X_train, Y_train, X_test, Y_test : ndarray
        Features as they ship, in float32, and 0/1 labels.
    """
    dataset = datasets.load(name, as_shipped=True)
    X = np.vstack([dataset.X_train, dataset.X_test]).astype(np.float32)
    Y = np.vstack([dataset.Y_train.toarray(), dataset.Y_test.toarray()])
    n_train = len(dataset.X_train)
    pairs = [np.split(np.arange(len(X)), [n_train])]
    if name in datasets.SMALL:
        pairs = KFold(2, shuffle=True, random_state=seed).split(X)
    for train, test in pairs:
        yield X[train], Y[train], X[test], Y[test]


def judge(name: str, method: Method, seed: int) -> dict[str, float]:
    """Figures of a method on one set, in the mean over its splits.

    Parameters
    ----------
    name : str
        Of `SETS`.
    method : Method
    seed : int
        Of the splits, the folds of the tuner and the model.

    Returns
    -------
    dict
        F1 at the method's own threshold (``micro_zero`` and so on) and at the tuned one
        (``micro``), and ``fit_s``, seconds of the tuner's four fits.
    """
    found = [_judge_split(method, seed, *parts) for parts in splits(name, seed)]
    return {key: float(np.mean([figures[key] for figures in found])) for key in found[0]}


def _judge_split(method, seed, X_train, Y_train, X_test, Y_test):
    from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

    tuner = MultilabelTunedThresholdClassifierCV(
        method.make(seed), scoring="f1_micro", thresholds="global", cv=3, random_state=seed
    )
    seconds, tuner, _ = timed_fit(tuner, X_train, Y_train)
    predicted = {"": tuner.predict(X_test), "_zero": tuner.estimator_.predict(X_test)}
    return {
        f"{average}{where}": float(f1_score(Y_test, labels, average=average, zero_division=0))
        for where, labels in predicted.items()
        for average in AVERAGES
    } | {"fit_s": seconds}


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by method."""
    ours, theirs = (fingerprint(kind, threads) for kind in ("tables", "tables sklearn"))
    return {
        key: Job(
            partial(judge, name, method), method.seeds, ours if method.ours else theirs, seeded=True
        )
        for key, method in METHODS.items()
        if name not in method.not_on
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: for each figure the methods on each set and in the mean."""
    names = [name for name in names if store.groups.get(name)]
    found = [_of_figure(store, key, title, names) for key, title in FIGURES.items()]
    found[0].note(
        "Mean ± standard deviation over the seeds. Yeast and birds: the public test rows. The "
        "other sets: both halves of all rows in turn, drawn anew for each seed. The threshold is "
        "tuned by MultilabelTunedThresholdClassifierCV on three folds. Columns as they ship, "
        "nominal ones one-hot."
    )
    return [*found, _times(store, names)]


def _of_figure(store, key, title, names):
    result = Table(title, ("method", *names, "mean"))
    rows = {method: _grid(store, method, key, names) for method in METHODS}
    for method, samples in rows.items():
        if any(samples):
            shown = [mean_and_spread(values) for values in samples]
            result.add(METHODS[method].title, *shown, *cells([_mean(samples)], ".3f"))
    if all(all(rows[forest]) for forest in FORESTS):
        best = np.max([[np.mean(values) for values in rows[f]] for f in FORESTS], axis=0)
        result.add("the better forest of each", *cells(best, ".3f"), *cells([best.mean()], ".3f"))
    return result


def _times(store, names):
    result = Table("Seconds of the tuner's four fits", ("method", *names))
    for key, method in METHODS.items():
        grid = _grid(store, key, "fit_s", names)
        if any(grid):
            result.add(method.title, *(f"{np.median(row):.3g}" if row else "" for row in grid))
    for name in names:
        result.note(f"{name}: {store.loads(name)}")
    return result


def _grid(store, method, key, names):
    """The samples of a figure, a list for each set."""
    return [[sample[key] for sample in store.samples(name, method)] for name in names]


def _mean(samples):
    return np.mean([np.mean(values) if values else np.nan for values in samples])
