"""Epochs of the network on sparse rows or on the same rows as an array, in a process of its own.

``python -m benchmarks.network_point FOLDER {sparse,dense} THREADS`` reads ``X.npz`` and ``Y.npz``
from the folder and prints what the epochs took as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEMLP

from .growth_data import make_rows
from .loss_memory import kernel_bytes


def _fit_seconds(X, Y, epochs):
    model = MLCEMLP((256,), max_epochs=epochs, random_state=0)
    start, cpu_start = time.perf_counter(), time.process_time()
    model.fit(X, Y)
    return np.array([time.perf_counter() - start, time.process_time() - cpu_start])


def measure_epochs(folder: Path, dense: bool) -> dict[str, float]:
    """Fit twice, and take the difference for the epochs that one made and the other did not.

    Parameters
    ----------
    folder : Path
        Holds ``X.npz`` and ``Y.npz``, CSR matrices.
    dense : bool
        Whether to fit on X as an array.

    Returns
    -------
    dict
        ``time`` and ``cpu_time`` of an epoch in seconds, and ``bytes``, the highest resident
        memory, the data included, less what the process held after a first small fit.
    """
    _fit_seconds(*make_rows(0, 1000, 1000, 20), 1)  # imports, and wakes the threads
    before = kernel_bytes("VmRSS")
    X, Y = sp.load_npz(folder / "X.npz"), sp.load_npz(folder / "Y.npz")
    if dense:
        X = X.toarray()
    seconds, cpu_seconds = _fit_seconds(X, Y, 2) - _fit_seconds(X, Y, 1)
    held = kernel_bytes("VmHWM") - before
    return {"time": seconds, "cpu_time": cpu_seconds, "bytes": held}


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(measure_epochs(Path(sys.argv[1]), sys.argv[2] == "dense")))
