"""The default scaling of dense columns: what to divide by, and what C to take then."""

from functools import partial
from itertools import product

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import f1_score
from sklearn.model_selection import ShuffleSplit

from . import datasets
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table
from .store import Job, Store

#: Public sets as they ship, tables of scikit-learn with a label for each class, and made tables
#: whose columns are log-normal: their logarithms decide the labels.
PUBLIC = ("yeast", "birds", *datasets.SMALL)
CLASSES = {"wine": load_wine, "breast_cancer": load_breast_cancer, "digits": load_digits}
TAILS = {"log-normal, tail 1": 1.0, "log-normal, tail 2": 2.0}
SETS = (*PUBLIC, *CLASSES, *TAILS)
SIZES = {
    "none": lambda centred: np.ones(centred.shape[1]),
    "standard deviation": lambda centred: centred.std(axis=0),
    "fourth moment": lambda centred: (centred**4).mean(axis=0) ** 0.25,
}
DISTANCES = {
    "mean": lambda squares: squares.mean(),
    "median": np.median,
    "typical": lambda squares: (squares**0.25).mean() ** 4,
}
FACTORS = (0.3, 1.0, 3.0, 10.0)
#: What the estimator has.
KEPT = ("fourth moment", "typical", 1.0)


def load(name: str) -> tuple[np.ndarray, sp.csr_matrix]:
    """Features in their units, and labels.

    Parameters
    ----------
    name : str
        Of `SETS`.

    Returns
    -------
    X : ndarray of shape (n, d)
    Y : csr_matrix of shape (n, L)
    """
    if name in PUBLIC:
        dataset = datasets.load(name, as_shipped=True)
        X = np.vstack([dataset.X_train, dataset.X_test])
        return X, sp.vstack([dataset.Y_train, dataset.Y_test], format="csr")
    if name in CLASSES:
        X, y = CLASSES[name](return_X_y=True)
        return X, sp.csr_matrix(np.eye(y.max() + 1, dtype=np.int64)[y])
    return _log_normal(TAILS[name])


def _log_normal(tail, n=800, d=25, n_labels=8):
    rng = np.random.default_rng(0)
    logarithms = rng.normal(size=(n, 5)) @ rng.normal(size=(5, d)) / 5**0.5
    logarithms += 0.7 * rng.normal(size=(n, d))
    scores = logarithms @ rng.normal(size=(d, n_labels)) / 5 + 0.5 * rng.normal(size=(n, n_labels))
    shares = np.linspace(0.5, 0.05, n_labels)
    least = [np.quantile(scores[:, j], 1 - share) for j, share in enumerate(shares)]
    return np.exp(tail * logarithms), sp.csr_matrix((scores > least).astype(np.int64))


def judge(name: str, n_splits: int = 10) -> dict[str, float]:
    """Micro-F1 of held-out rows at the threshold zero, by what columns are divided by and by C.

    Parameters
    ----------
    name : str
        Of `SETS`.
    n_splits : int, default=10
        Random thirds that are held out; a third of them where there are over a thousand rows.

    Returns
    -------
    dict
        Means over the splits, by `key` of what was chosen.
    """
    X, Y = load(name)
    n_splits = max(1, n_splits // 3) if len(X) > 1000 else n_splits
    found = {key(*choice): [] for choice in product(SIZES, DISTANCES, FACTORS)}
    for train, test in ShuffleSplit(n_splits, test_size=1 / 3, random_state=0).split(X):
        mean = X[train].mean(axis=0)
        for size, of_centred in SIZES.items():
            sizes = of_centred(X[train] - mean)
            sizes = np.where(sizes > 1e-9 * np.abs(mean), sizes, np.inf)  # constant columns
            rows, others = (X[train] - mean) / sizes, (X[test] - mean) / sizes
            squares = (rows**2).sum(axis=1)
            for (distance, of_squares), factor in product(DISTANCES.items(), FACTORS):
                C = factor / of_squares(squares)
                model = timed_fit(mlce_classifier(C=C, random_state=0), rows, Y[train])[1]
                score = f1_score(Y[test], model.predict(others), average="micro", zero_division=0)
                found[key(size, distance, factor)].append(score)
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def key(size: str, distance: str, factor: float) -> str:
    """Name of a choice in the samples."""
    return f"{size}, {distance}, {factor:g}"


def jobs(name: str, threads: int) -> dict[str, Job]:
    """The one job of a set, ``micro-F1``."""
    return {"micro-F1": Job(partial(judge, name), 1, fingerprint("column scaling", threads))}


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: the means over sets, and factors of C on each set."""
    done = [name for name in names if store.samples(name, "micro-F1")]
    return [_means(store, done), _of_sets(store, done)] if done else []


def _means(store, names):
    columns = ("columns divided by", "squared distance", *(f"factor {f:g}" for f in FACTORS))
    result = Table("Mean micro-F1 over sets", columns)
    rows = [store.medians(name, "micro-F1") for name in names]
    for size, distance in product(SIZES, DISTANCES):
        means = [np.mean([row[key(size, distance, f)] for row in rows]) for f in FACTORS]
        kept = " (kept)" if (size, distance) == KEPT[:2] else ""
        result.add(f"{size}{kept}", distance, *(f"{mean:.4f}" for mean in means))
    result.note(
        f"Micro-F1 at the threshold zero of random thirds of the rows, over {', '.join(names)}; "
        "features in the units that they ship in, nominal ones as columns of 0 and 1. C is the "
        "factor over the squared distance of the rows from their mean once columns are divided: "
        "the mean, the median, or the fourth power of the mean of the distances' square roots. "
        f"Kept: {KEPT[0]}, {KEPT[1]}, factor {KEPT[2]:g}."
    )
    return result


def _of_sets(store, names):
    one = [choice for choice in product(SIZES, DISTANCES, FACTORS) if choice[1] == KEPT[1]]
    columns = ("set", *(f"{size}, {factor:g}" for size, _, factor in one))
    result = Table("Typical distance: micro-F1 on each set", columns)
    for name in names:
        row = store.medians(name, "micro-F1")
        result.add(name, *(f"{row[key(*choice)]:.3f}" for choice in one))
    return result
