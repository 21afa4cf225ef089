"""LibMultiLabel in an environment of its own, made on first use."""

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from .datasets import ROOT, DataSet
from .environment import PEER_REQUIREMENTS, digest

FOLDER = ROOT / ".venv-peers"
RUNNER = Path(__file__).with_name("peers_runner.py")

# C = 1, and an intercept (-B 1), as all others have one.
OPTIONS = "-s 1 -c 1 -B 1"


def _python():
    return FOLDER / ("Scripts" if sys.platform == "win32" else "bin") / "python"


def ensure_environment(say=print) -> Path:
    """Make ``.venv-peers`` unless it is there with the pins of today.

    Parameters
    ----------
    say : callable, default=print
        Told what is being done.

    Returns
    -------
    Path
        Its Python.

    Raises
    ------
    RuntimeError
        If it cannot be made; the message holds pip's own last words.
    """
    stamp = FOLDER / ".has-requirements"
    wanted = digest(PEER_REQUIREMENTS)
    if stamp.is_file() and stamp.read_text() == wanted:
        return _python()
    say(f"making {FOLDER.name} with {PEER_REQUIREMENTS.name} (about a minute)")
    _call([sys.executable, "-m", "venv", "--clear", str(FOLDER)])
    pip = [str(_python()), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    _call([*pip, "-r", str(PEER_REQUIREMENTS)])
    stamp.write_text(wanted)
    return _python()


def _call(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}\n"
            "The peers need Python 3.11 or 3.12 and a C++ compiler. To measure without them, type: "
            "python -m benchmarks --no-peers"
        )


def _csr_parts(key, matrix):
    csr = sp.csr_matrix(matrix)
    return {
        f"{key}_data": csr.data,
        f"{key}_indices": csr.indices,
        f"{key}_indptr": csr.indptr,
        f"{key}_shape": np.array(csr.shape),
    }


@cache
def _exchange():
    return tempfile.TemporaryDirectory(prefix="mlce-bench-")


def _handed_over(dataset):
    source = Path(_exchange().name) / f"{dataset.name}.npz"
    if not source.is_file():
        parts = _csr_parts("X_train", dataset.X_train) | _csr_parts("Y_train", dataset.Y_train)
        np.savez(source, **parts, **_csr_parts("X_test", dataset.X_test))
    return source


def run(dataset: DataSet, function: str, threads: int, seed: int = 0):
    """Train and apply one LibMultiLabel model.

    Parameters
    ----------
    dataset : DataSet
        What to train on and predict.
    function : str
        Name of the training function in ``libmultilabel.linear``.
    threads : int
        That it gets: LIBLINEAR's ``-m``, or how many labels ``train_1vsrest`` has in hand at once.
    seed : int, default=0
        Of the folds that it draws.

    Returns
    -------
    fit_s, predict_s : float
        Seconds inside the peer's own process, start-up and file exchange excluded.
    predicted : ndarray of bool of shape (n_test, L)
    scores : ndarray of float of shape (n_test, L)
    """
    python = ensure_environment()
    target = Path(_exchange().name) / "answer.npz"
    options = f"{OPTIONS} -m {threads}"
    files = [str(RUNNER), str(_handed_over(dataset)), str(target)]
    _call([str(python), *files, function, options, str(threads), str(seed)])
    with np.load(target, allow_pickle=False) as answer:
        fit_s, predict_s = answer["seconds"]
        return float(fit_s), float(predict_s), answer["predicted"], answer["scores"]
