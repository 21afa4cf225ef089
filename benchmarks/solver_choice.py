"""Time of the two solvers side by side: where `solver="auto"` should change between them."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score
from sklearn.preprocessing import normalize

from . import datasets
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table
from .store import Job, Store

#: Sets, and the losses that are fitted to each. Those that are one problem take hours on the last.
PUBLIC = {
    **dict.fromkeys(("films", "bibtex", "goemotions"), ("auto", "bce", "squared_hinge", "mlce")),
    **dict.fromkeys(("cooking", "delicious"), ("auto", "bce", "squared_hinge", "mlce")),
    "asklibrarian_yso": ("auto",),
}
SOLVERS = ("sgd", "newton-cg")
#: The slowdown up to which the exact solver is taken.
MOST = 3.0


@dataclass(frozen=True)
class Made:
    """Sparse rows whose features are as frequent as words are.

    Attributes
    ----------
    n, d, entries, n_labels : int
        Rows, features, entries of a row and labels.
    cardinality : int, default=3
        Labels of a row in the mean.
    """

    n: int
    d: int
    entries: int
    n_labels: int
    cardinality: int = 3

    @property
    def name(self) -> str:
        """What the tables call it."""
        return f"{self.n} rows, {self.d} features, {self.entries} a row, {self.n_labels} labels"

    def draw(self) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """Draw features and labels, by a fixed seed."""
        rng = np.random.default_rng(0)
        frequency = np.arange(1, self.d + 1) ** -0.8
        columns = rng.choice(self.d, self.n * self.entries, p=frequency / frequency.sum())
        rows = np.repeat(np.arange(self.n), self.entries)
        X = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(self.n, self.d))
        X.sum_duplicates()
        rarity = np.log(self.n / (1 + np.bincount(X.indices, minlength=self.d)))
        X = normalize(X.multiply(np.maximum(rarity, 0.1)).tocsr())
        shape, density = (self.d, self.n_labels), min(1, 200 / self.d)
        draw = {"density": density, "rng": rng, "data_sampler": rng.normal}
        scores = (X @ sp.random_array(shape, **draw)).toarray()
        scores += 0.02 * rng.normal(size=scores.shape)
        share = min(0.3, self.cardinality / self.n_labels)
        return X, sp.csr_matrix((scores > np.quantile(scores, 1 - share, axis=0)).astype(np.int64))


MADE = (
    Made(2000, 20_000, 50, 20),
    Made(2000, 20_000, 50, 500),
    Made(20_000, 20_000, 20, 5),
    Made(20_000, 20_000, 20, 50),
    Made(20_000, 20_000, 20, 500),
    Made(20_000, 200_000, 80, 50),
    Made(100_000, 50_000, 20, 5),
    Made(100_000, 50_000, 20, 30),
    Made(100_000, 50_000, 20, 200),
    Made(300_000, 50_000, 20, 10),
    Made(50_000, 1000, 20, 1000, 20),
    Made(100_000, 500, 20, 800, 20),
)
SETS = (*PUBLIC, *(one.name for one in MADE))


def judge(name: str, loss: str) -> dict[str, float]:
    """Fit the same objective by both solvers, in float32.

    Parameters
    ----------
    name : str
        Of `SETS`.
    loss : str
        The estimator's.

    Returns
    -------
    dict
        Seconds and micro-F1 of the test rows (of public sets) by solver, ``work`` and ``scores`` as
        the choice counts them.
    """
    X_test = Y_test = None
    if name in PUBLIC:
        dataset = datasets.load(name)
        X, Y, X_test, Y_test = (dataset.X_train, dataset.Y_train, dataset.X_test, dataset.Y_test)
    else:
        X, Y = next(one for one in MADE if one.name == name).draw()
    n_labels = int((np.asarray(Y.sum(axis=0)).ravel() > 0).sum())
    found = {"work": float((X.nnz + X.shape[1]) * n_labels), "scores": float(len(Y.indptr) - 1)}
    found["scores"] *= n_labels
    for solver in SOLVERS:
        options = {"loss": loss, "solver": solver, "input_scaling": None}
        model = mlce_classifier(random_state=0, **options)
        found[f"{solver} s"], model, _ = timed_fit(model, X.astype(np.float32), Y)
        if X_test is not None:
            predicted = model.predict(X_test.astype(np.float32))
            found[solver] = float(f1_score(Y_test, predicted, average="micro", zero_division=0))
    return found


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by loss."""
    mark = fingerprint("solver choice", threads)
    return {loss: Job(partial(judge, name, loss), 1, mark) for loss in PUBLIC.get(name, ("auto",))}


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: a row for each set and loss."""
    columns = ("set", "loss", "work", "scores", *(f"{solver} s" for solver in SOLVERS))
    columns = (*columns, "newton-cg / sgd", *(f"micro-F1, {solver}" for solver in SOLVERS))
    result = Table("Time of a fit by each solver", columns)
    for name in names:
        for loss in store.groups.get(name, {}):
            row = store.medians(name, loss)
            seconds = [row[f"{solver} s"] for solver in SOLVERS]
            ratio = seconds[1] / seconds[0]
            mark = " *" if ratio > MOST else ""
            quality = [f"{row[solver]:.3f}" if solver in row else "" for solver in SOLVERS]
            size = [f"{row[key]:.1e}" for key in ("work", "scores")]
            times = [f"{s:.2f}" for s in seconds]
            result.add(name, loss, *size, *times, f"{ratio:.2f}{mark}", *quality)
    result.note(
        "Work is (stored entries + features) times labels, scores are rows times labels; labels "
        "that no row carries are left out. Both minimise the same objective: "
        "`input_scaling=None`, and the other options are their defaults."
    )
    result.note(f"\\* more than {MOST:g} times slower.")
    return [result]
