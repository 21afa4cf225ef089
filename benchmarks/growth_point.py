"""One fit on made data, or one stream of chunks, in a process of its own.

``python -m benchmarks.growth_point SOLVER ROWS FEATURES LABELS CHUNK THREADS`` prints what it took
as JSON; a CHUNK of 0 is a fit of all rows at once.
"""

import json
import sys
import time

import numpy as np
import torch

from .growth_data import make_rows
from .loss_memory import kernel_bytes
from .methods import mlce_classifier

#: A quick fit is repeated until it has taken this many seconds, or has been made three times.
_LONG = 2.0


def fit(solver: str, n: int, d: int, n_labels: int) -> dict[str, float]:
    """Fit all rows at once.

    Parameters
    ----------
    solver : {"sgd", "newton-cg"}
    n, d, n_labels : int
        Rows, features, labels.

    Returns
    -------
    dict
        ``fit_s``; ``data``, ``weights`` and ``peak``, the bytes of X and Y, of the coefficients and
        of the whole process at its highest; ``constant``, its bytes before there were data.
    """
    constant = _warmed_up(solver)
    X, Y = make_rows(0, n, d, n_labels)
    seconds = []
    while len(seconds) < 3 and sum(seconds) < _LONG:
        model = mlce_classifier(solver=solver, random_state=0)
        start = time.perf_counter()
        model.fit(X, Y)
        seconds.append(time.perf_counter() - start)
        weights = model.coef_.nbytes
        del model
    found = {"fit_s": float(np.median(seconds)), "weights": weights, "nnz": X.nnz}
    return found | {"data": _bytes(X) + _bytes(Y), "constant": constant, "peak": _peak()}


def stream(solver: str, n: int, d: int, n_labels: int, chunk: int) -> dict[str, float]:
    """Pass once over the rows in chunks, each made and dropped again.

    Parameters
    ----------
    solver : str
    n, d, n_labels : int
        Rows, features, labels.
    chunk : int
        Rows of a chunk, a multiple of `growth_data.BLOCK`.

    Returns
    -------
    dict
        As of `fit`, the seconds being those in `partial_fit` and the data those of a chunk.
    """
    constant, seconds = _warmed_up(solver), 0.0
    model = mlce_classifier(solver=solver, random_state=0)
    for first in range(0, n, chunk):
        X, Y = make_rows(first, min(chunk, n - first), d, n_labels)
        start = time.perf_counter()
        model.partial_fit(X, Y)
        seconds += time.perf_counter() - start
    found = {"fit_s": seconds, "weights": model.coef_.nbytes, "nnz": n * X.nnz / X.shape[0]}
    return found | {"data": _bytes(X) + _bytes(Y), "constant": constant, "peak": _peak()}


def _warmed_up(solver):
    """Bytes of the process once everything that a fit imports is there."""
    X, Y = make_rows(0, 2000, 1000, 20)
    mlce_classifier(solver=solver, random_state=0, max_iter=2, tol=1.0).fit(X, Y)
    return kernel_bytes("VmRSS")


def _bytes(matrix):
    return sum(part.nbytes for part in (matrix.data, matrix.indices, matrix.indptr))


def _peak():
    # Not ru_maxrss: that starts from the size of the process that started this one.
    return kernel_bytes("VmHWM")


if __name__ == "__main__":
    name, *numbers = sys.argv[1:]
    rows, features, labels, chunk_rows, threads = map(int, numbers)
    torch.set_num_threads(threads)
    shape = (rows, features, labels)
    print(json.dumps(stream(name, *shape, chunk_rows) if chunk_rows else fit(name, *shape)))
