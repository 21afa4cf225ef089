"""Linear models of many labels beside Omikuji and napkinXC, each fit in a process of its own.

``python -m benchmarks.many_labels SET METHOD THREADS`` prints the figures of one fit as JSON.
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import dump_svmlight_file
from sklearn.metrics import f1_score

from . import datasets
from .environment import fingerprint, limited_threads
from .loss_memory import RESET, kernel_bytes
from .report import Table
from .scale import made_rows
from .store import Job, Store

REQUIREMENTS = Path(__file__).with_name("requirements-trees.txt")
#: Rows for training, features and labels of the made set, and rows for testing.
MADE, N_TEST = (20_000, 50_000, 10_000), 2_000
SETS = ("cooking", "delicious", "asklibrarian_yso", "made")
K = 5


class Ours:
    """`MLCEClassifier` with some parameters."""

    package = "sklearn_mlce"

    def __init__(self, folder: str, threads: int, **parameters):
        from sklearn_mlce import MLCEClassifier

        self.model = MLCEClassifier(random_state=0, **parameters)
        rng = np.random.default_rng(0)
        small = sp.random_array((200, 50), density=0.1, rng=rng, format="csr", dtype=np.float32)
        MLCEClassifier(solver="sgd", max_iter=1).fit(small, (small[:, :3] > 0).astype(np.int64))

    def fit(self, X, Y):
        self.model.fit(X, Y)

    def best(self, X):
        return self.model.predict_topk(X, K)[0]

    def labels(self, X):
        return self.model.predict(X)

    def stored(self):
        return len(pickle.dumps(self.model))


class Omikuji:
    """Forests of label trees; they answer with the best labels and have no threshold."""

    package = "omikuji"

    def __init__(self, folder: str, threads: int, **parameters):
        import omikuji

        self._peer, self._threads, self._folder = omikuji.Model, threads, Path(folder)
        self._parameters = self._peer.default_hyper_param()
        for name, value in parameters.items():
            setattr(self._parameters, name, value)

    def prepare(self, X, Y):
        """Write the rows in the form that is read: there is no other way in.

        A row without features cannot be read, and is left out.
        """
        known = np.diff(X.indptr) > 0
        X, Y = X[known], Y[known]
        with (self._folder / "rows.txt").open("wb") as stream:
            stream.write("{} {} {}\n".format(*X.shape, Y.shape[1]).encode())
            dump_svmlight_file(X, Y, stream, multilabel=True)

    def fit(self, X, Y):
        rows = str(self._folder / "rows.txt")
        self._model = self._peer.train_on_data(rows, self._parameters, self._threads)

    def best(self, X):
        self._model.init_prediction_thread_pool(self._threads)
        found = np.full((X.shape[0], K), -1)
        for row in range(X.shape[0]):
            part = slice(X.indptr[row], X.indptr[row + 1])
            pairs = list(zip(X.indices[part].tolist(), X.data[part].tolist(), strict=True))
            best = [label for label, _ in self._model.predict(pairs, top_k=K)]
            found[row, : len(best)] = best
        return found

    def labels(self, X):
        return None

    def stored(self):
        self._model.save(str(self._folder / "model"))
        return _bytes_of(self._folder / "model")


class NapkinXC:
    """A probabilistic label tree ("PLT"), or one model for each label ("BR")."""

    package = "napkinxc"

    def __init__(self, folder: str, threads: int, kind: str):
        from napkinxc import models

        self._folder = Path(folder) / "model"
        self._model = getattr(models, kind)(str(self._folder), threads=threads, seed=0)

    def fit(self, X, Y):
        self._n_labels = Y.shape[1]
        self._model.fit(X, sp.csr_matrix(Y, dtype=np.float32))

    def best(self, X):
        self._model.load()
        found = np.full((X.shape[0], K), -1)
        for row, best in enumerate(self._model.predict(X, top_k=K)):
            found[row, : len(best)] = best
        return found

    def labels(self, X):
        rows = self._model.predict(X, threshold=0.5)
        indptr = np.cumsum([0, *map(len, rows)])
        columns = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
        ones = np.ones(len(columns), np.int64)
        return sp.csr_matrix((ones, columns, indptr), shape=(len(rows), self._n_labels))

    def stored(self):
        return _bytes_of(self._folder)


#: Each with its default options, or with those that its name says.
METHODS = {
    "MLCEClassifier(coef_threshold=1e-4)": partial(Ours, coef_threshold=1e-4),
    'MLCEClassifier(coef_threshold=1e-4, solver="sgd")': partial(
        Ours, coef_threshold=1e-4, solver="sgd"
    ),
    "Omikuji": Omikuji,
    "Omikuji, shallow trees": partial(Omikuji, cluster_balanced=False, cluster_k=100, max_depth=3),
    "napkinXC PLT": partial(NapkinXC, kind="PLT"),
    "napkinXC BR": partial(NapkinXC, kind="BR"),
}
#: What takes an hour on a set, or is there what another method is.
LEFT_OUT = {
    "made": {
        'MLCEClassifier(coef_threshold=1e-4, solver="sgd")',  # as "auto" does there
        "Omikuji, shallow trees",
        "napkinXC BR",
    }
}


def _bytes_of(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def rows_of(name: str):
    """Load or make a set.

    Parameters
    ----------
    name : str
        Of `SETS`.

    Returns
    -------
    tuple of csr_matrix
        Float32 features and int64 labels of the training rows, and of the test rows.
    """
    if name != "made":
        data = datasets.load(name)
        X, X_test = (rows.astype(np.float32) for rows in (data.X_train, data.X_test))
        return X, data.Y_train, X_test, data.Y_test
    n, d, n_labels = MADE
    X, Y = made_rows(n + N_TEST, d, n_labels)
    Y = Y.astype(np.int64)
    return X[:n], Y[:n], X[n:], Y[n:]


def precision(Y: sp.csr_matrix, best: np.ndarray, k: int) -> float:
    """Share of a row's first `k` labels of `best` that it carries; a missing one (-1) is none."""
    first = best[:, :k]
    hits = np.asarray(Y[np.arange(len(best))[:, None], first].todense())
    return float(np.where(first < 0, 0, hits).mean())


def judge(name: str, method: str, threads: int) -> dict[str, float]:
    """Fit and answer once, in this process.

    Parameters
    ----------
    name : str
        Of `SETS`.
    method : str
        Of `METHODS`.
    threads : int
        That the method may use.

    Returns
    -------
    dict
        ``fit`` and ``row``, CPU seconds of the fit and of the best labels of a test row; ``added``,
        bytes that the fit added to the process at its highest, and ``stored``, those of the model
        in files; ``p1``, ``p5``, and ``f1`` where the method decides.
    """
    X, Y, X_test, Y_test = rows_of(name)
    with limited_threads(threads), tempfile.TemporaryDirectory() as folder:
        model = METHODS[method](folder, threads)
        if hasattr(model, "prepare"):
            model.prepare(X, Y)
        RESET.write_text("5")
        before, start = kernel_bytes("VmRSS"), time.process_time()
        model.fit(X, Y)
        found = {"fit": time.process_time() - start, "added": kernel_bytes("VmHWM") - before}
        model.best(X_test[:1])  # which loads the model where it was left in files
        start = time.process_time()
        best = model.best(X_test)
        found["row"] = (time.process_time() - start) / len(best)
        found |= {f"p{k}": precision(Y_test, best, k) for k in (1, K)}
        labels = model.labels(X_test)
        if labels is not None:
            found["f1"] = f1_score(Y_test, labels, average="micro", zero_division=0)
        return found | {"stored": model.stored()}


def _in_process(name, method, threads):
    command = [sys.executable, "-m", __spec__.name, name, method, str(threads)]
    counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=datasets.ROOT, env=os.environ | counts
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by method.

    Raises
    ------
    ModuleNotFoundError
        If a peer is not installed.
    """
    for package in (Omikuji.package, NapkinXC.package):
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f"{package} is not installed. Type: pip install -r benchmarks/{REQUIREMENTS.name}"
            )
    mark = fingerprint("many labels", threads)
    return {
        method: Job(partial(_in_process, name, method, threads), 1, mark)
        for method in METHODS
        if method not in LEFT_OUT.get(name, ())
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: a table for each set."""
    n, d, n_labels = MADE
    columns = ("method", "P@1", "P@5", "micro-F1", "fit s", "ms a row", "fit MB", "model MB")
    found = []
    for name in (name for name in names if name in store.groups):
        found.append(Table(name, columns))
        for method in (method for method in METHODS if method in store.groups[name]):
            row = store.medians(name, method)
            f1 = f"{row['f1']:.3f}" if "f1" in row else ""
            sizes = (f"{row[key] / 1e6:.0f}" for key in ("added", "stored"))
            found[-1].add(
                method,
                f"{row['p1']:.3f}",
                f"{row['p5']:.3f}",
                f1,
                f"{row['fit']:.1f}",
                f"{1000 * row['row']:.2f}",
                *sizes,
            )
    if found:
        found[-1].note(
            "*fit s* and *ms a row* are CPU time, the latter of the five best labels of a test "
            "row; Omikuji reads rows from text and answers one a call. *fit MB* is what the fit "
            "adds to the process at its highest, *model MB* the size of the stored model. Options "
            "are the defaults but for those named; Omikuji's shallow trees have cluster_k=100, "
            "max_depth=3 and are not balanced. Omikuji has no threshold; napkinXC's is a "
            "probability of 1/2."
        )
        found[-1].note(
            f"made: {n:,} + {N_TEST:,} rows, {d:,} features and {n_labels:,} labels of "
            "`benchmarks/scale.py`. BR and shallow trees would take an hour there."
        )
    return found


if __name__ == "__main__":
    print(json.dumps(judge(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
