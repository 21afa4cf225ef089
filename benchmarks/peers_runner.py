"""Train one LibMultiLabel model: runs inside the peers' own environment, not in ours.

Usage: ``python peers_runner.py INPUT.npz OUTPUT.npz FUNCTION OPTIONS THREADS SEED``.
"""

import sys
import time

import numpy as np
import scipy.sparse as sp


def read_csr(stored, key):
    """Rebuild the CSR matrix that `benchmarks.peers` wrote under `key`."""
    parts = (stored[f"{key}_data"], stored[f"{key}_indices"], stored[f"{key}_indptr"])
    return sp.csr_matrix(parts, shape=tuple(stored[f"{key}_shape"]))


def main(source, target, function, options, threads, seed):
    """Fit, time, predict, and write scores and seconds to `target`."""
    import libmultilabel.linear as peer
    import psutil

    # train_1vsrest starts as many threads as this says there are cores, whatever its options.
    psutil.cpu_count = lambda logical=True: int(threads)

    with np.load(source, allow_pickle=False) as stored:
        X_train, Y_train, X_test = (
            read_csr(stored, key) for key in ("X_train", "Y_train", "X_test")
        )
    # LibMultiLabel draws its folds from NumPy's global generator, so that one has to be seeded.
    np.random.seed(int(seed))  # noqa: NPY002
    start = time.perf_counter()
    model = getattr(peer, function)(Y_train, X_train, options=options, verbose=False)
    fit_s = time.perf_counter() - start
    predict_s = []
    for _ in range(3):
        start = time.perf_counter()
        scores = np.asarray(peer.predict_values(model, X_test))
        predicted = scores > 0
        predict_s.append(time.perf_counter() - start)
    seconds = [fit_s, float(np.median(predict_s))]
    np.savez(target, scores=scores, predicted=predicted, seconds=seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
