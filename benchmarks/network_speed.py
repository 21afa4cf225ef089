"""Time of the network beside MLPClassifier and a plain torch loop, and sparse beside dense rows."""

import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch import nn

from sklearn_mlce import MLCEMLP
from sklearn_mlce.losses import mlce_loss

from .datasets import ROOT, load
from .environment import fingerprint
from .report import Table, holds
from .store import Job, Store, measure

HIDDEN, BATCH = 256, 200
#: Epochs, repeats, and the most of MLPClassifier's time that the same network may take.
SETS = {"yeast": (60, 5, 1.0), "made": (3, 3, 0.5)}
MADE = (20_000, 500, 100)
LOOP_BAR = 1.25
N_FEATURES = 5000
#: Of the dense array's: time of an epoch, memory.
SPARSE_BARS = (1.0, 0.1)
_CLOCKS = {"cpu_time": "the CPU time of the one thread", "time": "the time that passes"}
OURS, DEFAULTS = "MLCEMLP, relu, no dropout", "MLCEMLP, silu, dropout 0.3"
PEER, LOOP, LOOP_DEFAULTS = "MLPClassifier", "torch, relu", "torch, silu, dropout 0.3"
#: Title, what it is compared with.
ROWS = ((OURS, PEER), (DEFAULTS, PEER), (OURS, LOOP), (DEFAULTS, LOOP_DEFAULTS))


def make_problem(name: str, dtype) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of a set, as arrays.

    Parameters
    ----------
    name : {"yeast", "made"}
    dtype : dtype
        Of the features.

    Returns
    -------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, L), int64
    """
    if name == "yeast":
        dataset = load(name)
        return dataset.X_train.astype(dtype), dataset.Y_train.toarray()
    rng = np.random.default_rng(0)
    n, d, n_labels = MADE
    X = rng.standard_normal((n, d))
    signal = X @ rng.standard_normal((d, n_labels)) / np.sqrt(d)
    return X.astype(dtype), (signal + rng.standard_normal((n, n_labels)) > 2.3).astype(np.int64)


def plain_loop(X: np.ndarray, Y: np.ndarray, epochs: int, activation: nn.Module, dropout: float):
    """Train as one would by hand: slices of shuffled rows, our loss, a fused AdamW.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    Y : ndarray of shape (n, L)
    epochs : int
    activation : Module
        Of the hidden layer.
    dropout : float
        0 for none.
    """
    features, targets = torch.from_numpy(X), torch.from_numpy(Y)
    thinned = [nn.Dropout(dropout)] if dropout else []
    layers = nn.Linear(X.shape[1], HIDDEN), activation, *thinned, nn.Linear(HIDDEN, Y.shape[1])
    network = nn.Sequential(*layers).to(features.dtype)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001, fused=True)
    for _ in range(epochs):
        order = torch.randperm(len(X))
        shuffled, shuffled_targets = features[order], targets[order]
        for start in range(0, len(X), BATCH):
            optimizer.zero_grad()
            scores = network(shuffled[start : start + BATCH])
            mlce_loss(scores, shuffled_targets[start : start + BATCH]).backward()
            optimizer.step()


def fits(X: np.ndarray, Y: np.ndarray, epochs: int) -> dict:
    """What is timed, by its title; each makes the same number of steps."""
    common = {"batch_size": BATCH, "random_state": 0}

    def peer():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = MLPClassifier((HIDDEN,), max_iter=epochs, n_iter_no_change=epochs, **common)
            assert model.fit(X, Y).n_iter_ == epochs

    def ours(**parameters):
        model = MLCEMLP((HIDDEN,), max_epochs=epochs, loss="mlce", **common, **parameters)
        assert model.fit(X, Y).n_iter_ == epochs

    return {
        PEER: peer,
        OURS: lambda: ours(activation="relu", dropout=0.0),
        DEFAULTS: lambda: ours(activation="silu", dropout=0.3),
        LOOP: lambda: plain_loop(X, Y, epochs, nn.ReLU(), 0.0),
        LOOP_DEFAULTS: lambda: plain_loop(X, Y, epochs, nn.SiLU(), 0.3),
    }


def run(store: Store, threads: int, say=print) -> None:
    """Measure what is still missing.

    Parameters
    ----------
    store : Store
    threads : int
        That the measuring processes use.
    say : callable, default=print
        Told the progress.
    """
    mark = fingerprint("network speed", threads)
    for name, (epochs, repeats, _) in SETS.items():
        for dtype in ("float32", "float64"):
            X, Y = make_problem(name, dtype)
            for action in fits(X[:BATCH], Y[:BATCH], 1).values():
                action()  # what the first fit of a process loads is not timed
            actions = fits(X, Y, epochs)
            jobs = {
                title: Job(lambda action=action: _timed(action), repeats, mark)
                for title, action in actions.items()
            }
            measure(store, f"{name}, {dtype}", jobs, say)
    with tempfile.TemporaryDirectory() as folder:
        jobs = {
            form: Job(lambda form=form: _epochs(Path(folder), form, threads), 2, mark)
            for form in ("sparse", "dense")
        }
        measure(store, "goemotions", jobs, say)


def _timed(action):
    start, cpu_start = time.perf_counter(), time.process_time()
    action()
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {"time": seconds, "cpu_time": cpu_seconds}


def _epochs(folder, form, threads):
    if not (folder / "X.npz").is_file():
        dataset = load("goemotions")
        counts = dataset.X_train.getnnz(axis=0)
        kept = np.sort(np.argsort(-counts, kind="stable")[:N_FEATURES])
        sp.save_npz(folder / "X.npz", dataset.X_train[:, kept].astype(np.float32), False)
        sp.save_npz(folder / "Y.npz", dataset.Y_train, False)
    command = [sys.executable, "-m", "benchmarks.network_point", folder, form, threads]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def tables(store: Store, threads: int) -> list[Table]:
    """Lay out what the store holds.

    Parameters
    ----------
    store : Store
    threads : int
        Of the measuring processes. One thread is judged by its CPU time, which other processes
        disturb least; several by the time that passes.

    Returns
    -------
    list of Table
        Time of a fit, and sparse beside dense rows.
    """
    clock = "cpu_time" if threads == 1 else "time"
    return [_times(store, clock), _sparse(store, clock)]


def _times(store, clock):
    columns = ("set", "X", "model", "beside", "time, x it", "at most", "holds")
    result = Table("Time of a fit", (*columns, "fastest / fastest", "s"))
    for name, (_, _, peer_bar) in SETS.items():
        for dtype in ("float32", "float64"):
            group = f"{name}, {dtype}"
            for title, beside in ROWS:
                bar = LOOP_BAR if beside != PEER else peer_bar if title == OURS else None
                figures = _compared(store, clock, group, title, beside, bar)
                if figures:
                    result.add(name, dtype, title, beside, *figures)
            if store.groups.get(group):
                result.note(f"{group}: {store.loads(group)}")
    result.note(
        f"One hidden layer of {HIDDEN}, batches of {BATCH}; yeast {SETS['yeast'][0]} epochs, the "
        f"made set ({MADE[0]} x {MADE[1]}, {MADE[2]} labels) {SETS['made'][0]}. MLPClassifier has "
        f"ReLU and no dropout. Time is {_CLOCKS[clock]}. The loops of torch have the same layers, "
        "loss and optimiser."
    )
    return result


def _compared(store, clock, group, title, beside, bar):
    """Cells of a row; nothing where one of the two was not measured."""
    ours, theirs = ([row[clock] for row in store.samples(group, x)] for x in (title, beside))
    if not (ours and theirs):
        return []
    ratio = np.median(ours) / np.median(theirs)
    verdict = ["", ""] if bar is None else [f"{bar:.2f}", holds(-ratio, -bar)]
    return [f"{ratio:.2f}", *verdict, f"{min(ours) / min(theirs):.2f}", f"{np.median(ours):.3g}"]


def _sparse(store, clock):
    result = Table(
        f"Sparse rows beside the same rows as an array: goemotions, {N_FEATURES} features",
        ("of", "sparse", "dense", "sparse / dense", "at most", "holds"),
    )
    sparse, dense = (store.medians("goemotions", form) for form in ("sparse", "dense"))
    if sparse and dense:
        units = ((clock, "time of an epoch, s", 1.0), ("bytes", "highest memory, MB", 1e6))
        for (key, title, unit), bar in zip(units, SPARSE_BARS, strict=True):
            ratio = sparse[key] / dense[key]
            values = (f"{row[key] / unit:.3g}" for row in (sparse, dense))
            result.add(title, *values, f"{ratio:.2f}", f"{bar:.2f}", holds(-ratio, -bar))
        result.note(store.loads("goemotions"))
    return result
