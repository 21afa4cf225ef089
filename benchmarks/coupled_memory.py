"""Memory of fits whose loss couples the labels of a row, each fit in a process of its own.

``python -m benchmarks coupled_memory`` measures every case, and writes
``results/coupled_memory.md``; with ``--case NUMBER`` it prints the bytes of one as JSON.
"""

import json
import subprocess
import sys
import warnings

import numpy as np
import scipy.sparse as sp

from .datasets import ROOT
from .environment import describe, limited_threads
from .loss_memory import RESET, kernel_bytes
from .report import Table, command_parser, write

N_STORED, N_TAGS = 10, 3
#: Estimator or solver, loss, and rows, features and labels.
CASES = (
    ("newton-cg", "mlce", (8_000, 500, 2_000)),
    ("newton-cg", "mlce", (16_000, 500, 2_000)),
    ("newton-cg", "mlce", (2_000, 8_000, 2_000)),
    ("newton-cg", "pairwise", (8_000, 500, 2_000)),
    ("newton-cg", "mlce", (30_000, 500, 4_000)),
    ("sgd", "mlce", (20_000, 2_000, 10_000)),
    ("sgd", "pairwise", (20_000, 2_000, 10_000)),
    ("sgd", "mlce", (40_000, 200, 100_000)),
    ("MLCEMLP", "mlce", (2_000, 200, 20_000)),
    ("MLCEMLP", "mlce", (4_000, 200, 20_000)),
    ("MLCEMLP", "pairwise", (2_000, 200, 20_000)),
)


def _rows(n, d, n_labels):
    """Sparse float32 rows, and labels each of which has a positive row."""
    rng = np.random.default_rng(0)
    ends = np.arange(n + 1)
    columns = np.sort(rng.integers(d, size=(n, N_STORED)), axis=1).ravel()
    values = rng.random(n * N_STORED, dtype=np.float32)
    X = sp.csr_matrix((values, columns, N_STORED * ends), shape=(n, d))
    X.sum_duplicates()
    tags = np.arange(n * N_TAGS) % n_labels
    Y = sp.csr_matrix((np.ones(n * N_TAGS, np.int8), tags, N_TAGS * ends), shape=(n, n_labels))
    return X, Y


def _model(kind, loss):
    from sklearn_mlce import MLCEMLP, MLCEClassifier

    options = {"loss": loss, "random_state": 0}
    if loss == "pairwise":
        options["n_labels_per_row"] = N_TAGS
    if kind == "MLCEMLP":
        return MLCEMLP(max_epochs=1, **options)
    return MLCEClassifier(solver=kind, max_iter=1, **options)


def _parameters(model):
    weights = getattr(model, "state_dict_", None)
    return model.coef_.nbytes if weights is None else sum(w.nbytes for w in weights.values())


def measure(number: int) -> dict:
    """Fit a case for one iteration, or one pass.

    Parameters
    ----------
    number : int
        Of `CASES`.

    Returns
    -------
    dict
        Bytes: ``peak``, the highest resident ones less those before the fit, and ``parameters``.
    """
    kind, loss, sizes = CASES[number]
    warnings.simplefilter("ignore")  # one iteration does not converge
    _model(kind, loss).fit(*_rows(300, 50, 20))
    X, Y = _rows(*sizes)
    before = kernel_bytes("VmRSS")
    RESET.write_text("5")
    model = _model(kind, loss).fit(X, Y)
    return {"peak": kernel_bytes("VmHWM") - before, "parameters": _parameters(model)}


def main(arguments=None) -> None:
    """Measure all cases and write the table, or print one."""
    parser = command_parser("coupled_memory", __doc__)
    parser.add_argument("--case", type=int, choices=range(len(CASES)), help="print one alone")
    options = parser.parse_args(arguments)
    if options.case is not None:
        with limited_threads(1):
            print(json.dumps(measure(options.case)))
        return
    table = Table(
        "Megabytes that a fit takes beside X and y, float32",
        ("fit", "loss", "rows", "features", "labels", "parameters", "all scores", "peak"),
    )
    for number, (kind, loss, sizes) in enumerate(CASES):
        command = [sys.executable, "-m", "benchmarks.coupled_memory", "--case", str(number)]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        found = json.loads(done.stdout.splitlines()[-1])
        scores = 4 * sizes[0] * sizes[2]
        cells = (f"{size / 1e6:.0f}" for size in (found["parameters"], scores, found["peak"]))
        table.add(kind, loss, *(f"{size:,}" for size in sizes), *cells)
        print(table.rows[-1], file=sys.stderr, flush=True)
    table.note(
        "Highest resident memory of a process of its own, less that before the fit; the parameters "
        "are in the peak. One Newton iteration, or one pass over the rows: the memory does not "
        "depend on their number. MLCEMLP has its default hidden layer of 256 units."
    )
    title = "Memory of losses that couple the labels of a row"
    write(options.out, "coupled_memory", title, describe(1), [table])


if __name__ == "__main__":
    main()
