"""Time and memory of fits of many labels, each fit in its own process.

``python -m benchmarks.scale`` measures the cases that are still missing and writes
``results/scale.md``; ``python -m benchmarks.scale CASE`` prints the figures of one as JSON.
"""

import json
import subprocess
import sys
import time
from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer

from .datasets import ROOT
from .environment import describe, fingerprint
from .loss_memory import RESET, kernel_bytes
from .report import Table, command_parser, write
from .store import Job, Store
from .store import measure as measure_jobs

N_WORDS, N_TAGS, N_OWN_WORDS, N_OWN_DRAWN = 80, 5, 10, 4
#: Rows, features and labels, the parameters, and the passes over the rows.
CASES = {
    "50k x 100k x 10k": ((50_000, 100_000, 10_000), {}, 1),
    "50k x 100k x 10k, pruned": ((50_000, 100_000, 10_000), {"coef_threshold": 1e-4}, 1),
    "20k x 50k x 10k, one job": ((20_000, 50_000, 10_000), {"label_block_size": 1250}, 1),
    "20k x 50k x 10k, two jobs": (
        (20_000, 50_000, 10_000),
        {"label_block_size": 1250, "n_jobs": 2},
        1,
    ),
    "20k x 50k x 100k, pruned": ((20_000, 50_000, 100_000), {"coef_threshold": 1e-4}, 1),
    "100k x 50k x 1999": ((100_000, 50_000, 1999), {}, 1),
    "300k x 50k x 1999": ((300_000, 50_000, 1999), {}, 1),
    "1M x 50k x 1999": ((1_000_000, 50_000, 1999), {}, 1),
}
#: Cases whose times are compared: fits of each in turns.
TURNS = 3
PAIR = ("20k x 50k x 10k, one job", "20k x 50k x 10k, two jobs")
#: Two cases, and rows for which the straight line through them is shown as well.
LINE, BEYOND = ("300k x 50k x 1999", "1M x 50k x 1999"), 3_000_000


def made_rows(n_rows: int, n_features: int, n_labels: int, seed: int = 0):
    """TF-IDF rows whose words and labels follow Zipf's law; each label has words of its own.

    Returns
    -------
    tuple of csr_matrix
        Float32 features and int8 labels.
    """
    rng = np.random.default_rng(seed)
    counts = rng.poisson(N_TAGS - 1, n_rows) + 1
    columns = rng.choice(n_labels, counts.sum(), p=_zipf(n_labels))
    labels = _counted(np.repeat(np.arange(n_rows), counts), columns, (n_rows, n_labels))
    labels.data[:] = 1
    row, label = labels.nonzero()
    own = rng.integers(n_features, size=(n_labels, N_OWN_WORDS))
    drawn = own[label][:, rng.permutation(N_OWN_WORDS)[:N_OWN_DRAWN]]
    words = rng.choice(n_features, (n_rows, N_WORDS), p=_zipf(n_features))
    rows = np.concatenate([np.repeat(np.arange(n_rows), N_WORDS), np.repeat(row, N_OWN_DRAWN)])
    features = _counted(rows, np.concatenate([words.ravel(), drawn.ravel()]), (n_rows, n_features))
    features = TfidfTransformer(sublinear_tf=True).fit_transform(features)
    return features.astype(np.float32).tocsr(), labels.astype(np.int8).tocsr()


def _zipf(size):
    weight = 1 / np.arange(1, size + 1)
    return weight / weight.sum()


def _counted(rows, columns, shape):
    return sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def measure(case: str) -> dict:
    """Fit a case, and return its seconds, bytes at the highest, before and of the model, and P@1.

    The seconds are those of the clock (``seconds``) and of the processor (``cpu``).
    """
    from sklearn_mlce import MLCEClassifier
    from sklearn_mlce.metrics import precision_at_k

    sizes, parameters, n_epochs = CASES[case]
    X, Y = made_rows(*sizes)
    RESET.write_text("5")  # the rows took more while they were made
    before = kernel_bytes("VmRSS")
    for _ in range(2 if case in PAIR else 1):
        model = None  # with its coefficients
        model = MLCEClassifier(solver="sgd", max_iter=n_epochs, random_state=0, **parameters)
        start, start_cpu = time.perf_counter(), time.process_time()
        model.fit(X, Y)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    size = coefficient_bytes(model)
    best, _ = model.predict_topk(X[:500], 5)
    peak = kernel_bytes("VmHWM")
    scores = np.zeros((500, sizes[2]), np.float32)
    np.put_along_axis(scores, best, np.arange(5, 0, -1, dtype=np.float32), axis=1)
    precision = precision_at_k(Y[:500], scores, k=1)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak": peak,
        "before": before,
        "coef": size,
        "precision": precision,
    }


def coefficient_bytes(model) -> int:
    """Bytes of the coefficients of a linear model, dense or sparse."""
    coef = model.coef_
    return coef.data.nbytes + coef.indices.nbytes if sp.issparse(coef) else coef.nbytes


def beyond(measured: dict, key: str) -> float:
    """Figure of `BEYOND` rows on the straight line through the figures of two cases."""
    first, last = (CASES[case][0][0] for case in LINE)
    low, high = (measured[case][key] for case in LINE)
    return high + (high - low) / (last - first) * (BEYOND - last)


def in_process(module: str, case: str) -> dict:
    """Figures that a module of the benchmarks prints of a case, from a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.{module}", case]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments=None) -> None:
    """Measure, and write ``scale.md`` and ``scale.csv``; or print the figures of one case.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    parser = command_parser("scale", __doc__)
    parser.add_argument("case", nargs="?", choices=list(CASES))
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs measured")
    options = parser.parse_args(arguments)
    if options.case:
        print(json.dumps(measure(options.case)))
        return
    from . import scale_wrappers  # which makes its rows by the functions of this module

    store = Store(options.out / ".state" / "scale.json", options.fresh)
    mark = fingerprint("scale", 1)
    jobs = {
        case: Job(partial(in_process, "scale", case), TURNS if case in PAIR else 1, mark)
        for case in CASES
    }
    measure_jobs(store, "fits", jobs, _say)
    scale_wrappers.run(store, mark, _say)
    tables = [_fits(store, mark), scale_wrappers.table(store)]
    write(options.out, "scale", "Fits of many labels", describe(1), tables)


def _say(line):
    print(line, file=sys.stderr, flush=True)


def _fits(store: Store, mark: str) -> Table:
    fits = Table(
        "Made TF-IDF rows, float32: rows x features x labels",
        (
            "case",
            "seconds",
            "of the processor",
            "peak GB",
            "of it before the fit",
            "coef_ GB",
            "P@1, training rows",
        ),
    )
    measured = {case: store.medians("fits", case) for case in CASES}
    for case, found in measured.items():
        times = (f"{found[key]:.0f}" for key in ("seconds", "cpu"))
        sizes = (f"{found[key] / 1e9:.2f}" for key in ("peak", "before", "coef"))
        title = case + ("" if store.is_current("fits", case, mark) else " (old)")
        fits.add(title, *times, *sizes, f"{found['precision']:.3f}")
    if any("(old)" in cells[0] for cells in fits.rows):
        fits.note("(old): measured with other versions or source than today's.")
    seconds, peak, before = (beyond(measured, key) for key in ("cpu", "peak", "before"))
    fits.note(
        f"{BEYOND:,} x 50k x 1999, on the straight line through {' and '.join(LINE)}: "
        f"{seconds:.0f} s of the processor, {peak / 1e9:.1f} GB, of them {before / 1e9:.1f} GB "
        "before the fit."
    )
    one, two = ([row["seconds"] for row in store.samples("fits", case)] for case in PAIR)
    ratios = ", ".join(f"{a / b:.2f}" for a, b in zip(one, two, strict=True))
    fits.note(
        f"One job over two, {len(one)} fits of each in turns: {ratios}. These are second fits of "
        "their process, as the first waits for the machine to hand out its memory, up to 6 s for "
        "2 GB, whatever the jobs. Other times are of one first fit."
    )
    fits.note(store.loads("fits"))
    fits.note(
        "One pass over the rows, where a fit makes ten: the memory does not depend on them. Each "
        "fit in a process of its own, imports and rows included, with one thread a process. The "
        "peak is that of the fit and of the best five labels of 500 rows."
    )
    return fits


if __name__ == "__main__":
    main()
