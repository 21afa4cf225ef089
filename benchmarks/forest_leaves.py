"""The leaves of a forest as features of the linear model, honest ones or as grown."""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline

from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table, cells, mean_and_spread
from .store import Job, Store
from .tables import AVERAGES, splits

SETS = ("yeast", "birds", "flags", "foodtruck")
SEEDS = 3


class ForestLeaves(TransformerMixin, BaseEstimator):
    """Rows as the leaves that they reach in each tree of a forest, one-hot.

    Parameters
    ----------
    estimator : forest instance
        Of scikit-learn, made with ``bootstrap=True`` where `honest`.
    honest : bool, default=True
        Whether `fit_transform` leaves out, row by row, the leaves of trees that were grown on the
        row, and multiplies the others up to as many.
    """

    def __init__(self, estimator, honest=True):
        self.estimator = estimator
        self.honest = honest

    def fit(self, X, y):
        """Grow the forest.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray or sparse matrix of shape (n, L)

        Returns
        -------
        ForestLeaves
        """
        y = y.toarray() if sp.issparse(y) else y
        self.estimator_ = clone(self.estimator).fit(X, y)
        is_leaf = [tree.tree_.children_left < 0 for tree in self.estimator_.estimators_]
        self.columns_ = [leaves.cumsum() - 1 for leaves in is_leaf]
        self.starts_ = np.cumsum([0, *(leaves.sum() for leaves in is_leaf)])
        return self

    def transform(self, X):
        """Leaves of any rows, of all trees.

        Parameters
        ----------
        X : ndarray of shape (n, d)

        Returns
        -------
        csr_array of shape (n, n_leaves)
        """
        return self._one_hot(X, np.ones((len(X), len(self.columns_)), dtype=np.float32))

    def fit_transform(self, X, y):
        """Grow the forest, and give the leaves of its own rows.

        Parameters
        ----------
        X : ndarray of shape (n, d)
        y : ndarray or sparse matrix of shape (n, L)

        Returns
        -------
        csr_array of shape (n, n_leaves)
        """
        self.fit(X, y)
        if not self.honest:
            return self.transform(X)
        unseen = np.ones((len(X), len(self.columns_)), dtype=np.float32)
        for number, rows in enumerate(self.estimator_.estimators_samples_):
            unseen[rows, number] = 0
        unseen *= len(self.columns_) / np.maximum(unseen.sum(axis=1, keepdims=True), 1)
        return self._one_hot(X, unseen)

    def _one_hot(self, X, values):
        leaves = self.estimator_.apply(X)
        columns = np.column_stack(
            [
                start + of_leaf[reached]
                for start, of_leaf, reached in zip(
                    self.starts_[:-1], self.columns_, leaves.T, strict=True
                )
            ]
        )
        ends = np.arange(len(X) + 1) * leaves.shape[1]
        shape = (len(X), int(self.starts_[-1]))
        found = sp.csr_array((values.ravel(), columns.ravel(), ends), shape=shape)
        found.eliminate_zeros()
        return found


def _leaves(honest, bootstrap):
    def make(seed):
        forest = ExtraTreesClassifier(
            300, min_samples_leaf=5, bootstrap=bootstrap, random_state=seed
        )
        return make_pipeline(ForestLeaves(forest, honest), mlce_classifier(random_state=seed))

    return make


#: Estimators of a seed.
METHODS: dict[str, Callable] = {
    "ExtraTrees(300)": lambda seed: ExtraTreesClassifier(300, random_state=seed),
    "leaves as grown": _leaves(honest=False, bootstrap=False),
    "leaves as grown, bootstrapped": _leaves(honest=False, bootstrap=True),
    "honest leaves": _leaves(honest=True, bootstrap=True),
}


def judge(name: str, method: str, seed: int) -> dict[str, float]:
    """F1 of held-out rows at zero and with a tuned threshold.

    Parameters
    ----------
    name : str
        Of `SETS`.
    method : str
        A key of `METHODS`.
    seed : int
        Of the folds and of the method.

    Returns
    -------
    dict
        ``zero_micro``, ``tuned_micro`` and so on.
    """
    from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

    found = []
    for X_train, Y_train, X_held, Y_held in splits(name, seed):
        tuner = MultilabelTunedThresholdClassifierCV(
            METHODS[method](seed), scoring="f1_micro", cv=3, random_state=seed
        )
        tuned = timed_fit(tuner, X_train, Y_train)[1]
        found.append(
            _f1("tuned", Y_held, tuned.predict(X_held))
            | _f1("zero", Y_held, tuned.estimator_.predict(X_held))
        )
    return {key: float(np.mean([row[key] for row in found])) for key in found[0]}


def _f1(prefix, truth, predicted):
    return {
        f"{prefix}_{average}": f1_score(truth, predicted, average=average, zero_division=0)
        for average in AVERAGES
    }


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by method."""
    mark = fingerprint("forest leaves", threads)
    return {
        method: Job(partial(judge, name, method), SEEDS, mark, seeded=True) for method in METHODS
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: a table with a tuned threshold and one at zero."""
    done = store.complete(names, METHODS)
    return [
        _table(store, "One tuned threshold", "tuned", done),
        _table(store, "At zero", "zero", done),
    ]


def _table(store, title, prefix, names):
    result = Table(f"{title}: micro / macro / samples-F1", ("method", *names, "mean micro-F1"))
    for method in METHODS:
        micro, parts = [], []
        for name in names:
            rows = store.samples(name, method)
            values = [[row[f"{prefix}_{average}"] for row in rows] for average in AVERAGES]
            means = [f"{np.mean(of_seeds):.3f}" for of_seeds in values[1:]]
            parts.append(" / ".join([mean_and_spread(values[0]), *means]))
            micro.append(np.mean(values[0]))
        result.add(method, *parts, *cells([np.mean(micro) if micro else np.nan], ".3f"))
    result.note(
        f"Means over {SEEDS} seeds, and the deviation of micro-F1: on the public test rows "
        "of yeast and birds, of flags and foodtruck out of two folds. Tables as they ship, "
        "nominal columns one-hot. Leaves of ExtraTrees(300, min_samples_leaf=5), one-hot, before "
        "MLCEClassifier(). As grown: training rows have the leaves of all trees. Honest: of "
        "bootstrapped trees, and each training row has the leaves of those alone that had not seen "
        "it."
    )
    return result
