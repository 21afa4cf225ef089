"""Ordinal levels: six outputs of four levels, as classes and as probabilities that spread."""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import StandardScaler

from . import datasets
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table, cells
from .store import Job, Store

N_LEVELS, N_OUTPUTS = 4, 6
SEEDS = 5


def by_quarters(table: np.ndarray, columns) -> tuple[np.ndarray, np.ndarray]:
    """Take columns of a table as outputs, cut into quarters of the rows; the rest are features.

    Parameters
    ----------
    table : ndarray of shape (n, d)
    columns : sequence of int

    Returns
    -------
    X : ndarray of shape (n, d - 6)
    levels : ndarray of shape (n, 6)
    """
    edges = np.quantile(table[:, columns], (0.25, 0.5, 0.75), axis=0)
    levels = (table[:, columns, None] > edges.T).sum(axis=2)
    return np.delete(table, columns, axis=1), levels


def _training_rows(name):
    return np.asarray(datasets.load(name).X_train)


def _ratings():
    """Ratings of food trucks by their guests, 1 to 5 with 1 and 2 as one; others as features."""
    table = _training_rows("foodtruck")
    # Taste, hygiene, menu, presentation, attendance and ingredients, standardised.
    columns = range(2, 8)
    levels = np.column_stack(
        [np.unique(table[:, column], return_inverse=True)[1] for column in columns]
    )
    return np.delete(table, columns, axis=1), np.maximum(levels - 1, 0)


#: Of features and levels ``(n, 6)`` from 0 to 3, by the name of the set.
SETS: dict[str, Callable] = {
    "foodtruck, ratings": _ratings,
    "wine, quarters": lambda: by_quarters(load_wine().data, range(6)),
    "diabetes, quarters": lambda: by_quarters(load_diabetes().data, range(4, 10)),
    "breast cancer, quarters": lambda: by_quarters(load_breast_cancer().data, range(4, 10)),
    "yeast, quarters": lambda: by_quarters(_training_rows("yeast"), range(0, 60, 10)),
}


@cache
def load(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Load one set and keep it in memory.

    Parameters
    ----------
    name : str
        A key of `SETS`.

    Returns
    -------
    X : ndarray of shape (n, d)
        Standardised.
    levels : ndarray of shape (n, 6)
    """
    X, levels = SETS[name]()
    return StandardScaler().fit_transform(X), levels


def one_hot(levels: np.ndarray) -> np.ndarray:
    """All of the probability at the level, ``(n, n_outputs, 4)``."""
    return np.eye(N_LEVELS)[levels]


def smoothed(levels: np.ndarray) -> np.ndarray:
    """A tenth of the probability over all levels alike: label smoothing."""
    return 0.9 * one_hot(levels) + 0.1 / N_LEVELS


def spread(width: float) -> Callable[[np.ndarray], np.ndarray]:
    """Probabilities that fall with the distance from the level, as a normal density does.

    Parameters
    ----------
    width : float
        Standard deviation of the density, in levels.

    Returns
    -------
    callable
        Of levels.
    """

    def probabilities(levels):
        density = np.exp(-(((np.arange(N_LEVELS) - levels[..., None]) / width) ** 2) / 2)
        return density / density.sum(axis=-1, keepdims=True)

    return probabilities


#: What is made of levels to train on. The widths are in levels.
TARGETS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "classes": lambda levels: levels,
    "one-hot": one_hot,
    "smoothed .1": smoothed,
    "spread .5": spread(0.5),
    "spread .7": spread(0.7),
    "spread 1": spread(1.0),
}
REFERENCE = "logistic"
#: Mean figures over outputs, with their titles.
MEASURES = {
    "rmse": "RMSE of the predicted level",
    "rmse_mean": "RMSE of the mean level",
    "macro": "macro-F1",
}


MODELS = ("linear", "network")


def _make(model, seed):
    if model == "linear":
        return mlce_classifier(random_state=seed)
    from sklearn_mlce import MLCEMLP

    return MLCEMLP(random_state=seed)


def judge(name: str, seed: int) -> dict[str, float]:
    """Figures of levels that are predicted out of three folds.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    seed : int
        Of the folds and of the models.

    Returns
    -------
    dict
        By model, targets and measure.
    """
    X, levels = load(name)
    found = {}
    for model in MODELS:
        for targets, make_y in TARGETS.items():
            figures = _out_of_fold(_make(model, seed), X, levels, make_y, seed)
            found |= {f"{model}, {targets}, {key}": value for key, value in figures.items()}
    logistic = MultiOutputClassifier(LogisticRegression(max_iter=1000))
    figures = _out_of_fold(logistic, X, levels, TARGETS["classes"], seed)
    return found | {f"linear, {REFERENCE}, {key}": value for key, value in figures.items()}


def _out_of_fold(estimator, X, levels, make_y, seed):
    predicted, means = np.empty_like(levels), np.empty(levels.shape)
    for train, test in KFold(3, shuffle=True, random_state=seed).split(X):
        model = timed_fit(clone(estimator), X[train], make_y(levels[train]))[1]
        predicted[test] = model.predict(X[test])
        probabilities = model.predict_proba(X[test])
        means[test] = np.column_stack([p @ np.arange(p.shape[1]) for p in probabilities])
    return {
        "rmse": float(np.sqrt(np.square(predicted - levels).mean(axis=0)).mean()),
        "rmse_mean": float(np.sqrt(np.square(means - levels).mean(axis=0)).mean()),
        "macro": float(
            np.mean(
                [
                    f1_score(truth, own, average="macro")
                    for truth, own in zip(levels.T, predicted.T, strict=True)
                ]
            )
        ),
    }


def jobs(name: str, threads: int) -> dict[str, Job]:
    """The one job of a set, ``levels``."""
    mark = fingerprint("ordinal levels", threads)
    # A sample has a number for each model, targets and measure: too many for a terminal.
    return {"levels": Job(partial(judge, name), SEEDS, mark, seeded=True, shown=80)}


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: one table for each model and measure."""
    done = [name for name in names if store.samples(name, "levels")]
    return [_table(store, model, key, done) for model in MODELS for key in MEASURES]


def _table(store, model, key, names):
    columns = [*TARGETS, *([REFERENCE] if model == "linear" else [])]
    result = Table(f"{model.capitalize()}: {MEASURES[key]}", ("set", *columns, "spread of seeds"))
    values = [
        [
            [row[f"{model}, {targets}, {key}"] for targets in columns]
            for row in store.samples(name, "levels")
        ]
        for name in names
    ]
    for name, of_seeds in zip(names, map(np.array, values), strict=True):
        deviation = of_seeds.std(axis=0, ddof=1).mean() if len(of_seeds) > 1 else np.nan
        result.add(name, *cells([*of_seeds.mean(axis=0), deviation], ".3f"))
    grid = np.array([np.mean(of_seeds, axis=0) for of_seeds in values])
    result.add("mean", *cells(grid.mean(axis=0), ".3f"), "")
    result.note(
        f"Mean over {N_OUTPUTS} outputs of {N_LEVELS} levels, out of three folds, and over {SEEDS} "
        "seeds, whose standard deviation, in the mean over the columns, is the last column."
    )
    return result
