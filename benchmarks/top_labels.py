"""Time and memory of tags and of the best labels of many rows, each in a process of its own.

``python -m benchmarks.top_labels`` measures every case and writes ``results/top_labels.md``;
``python -m benchmarks.top_labels CASE`` prints the seconds and bytes of one.
"""

import os
import subprocess
import sys
import time

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from .datasets import ROOT
from .environment import describe, load_average
from .loss_memory import kernel_bytes
from .report import Table, command_parser, write

N_ROWS, N_LABELS, N_FEATURES = 100_000, 5_000, 2_000
#: Non-zero features, and tags, of a row.
N_WORDS, N_TAGS = 50, 5
#: Rows that the estimator is fitted on: what is measured is prediction.
N_FITTED = 2_000
#: What is measured, and on how many rows.
CASES = {
    "tags_to_y, sparse": N_ROWS,
    "top_labels of MLCEClassifier": N_ROWS,
    "decision_function, predict_proba and predict of it, by blocks": N_ROWS,
    "top_labels of the tuner around it": N_ROWS,
    "predicted_labels of MLCEClassifier": N_ROWS,
    "top_labels of one-vs-rest LinearSVC": N_ROWS // 20,
    "top_labels of one-vs-rest LogisticRegression": N_ROWS // 20,
}


def _sparse(rng, n_rows, n_columns, per_row):
    columns = (n_columns * rng.random((n_rows, per_row)) ** 3).astype(np.int32)  # few are frequent
    values = rng.random(columns.size, dtype=np.float32)
    indptr = np.arange(0, columns.size + 1, per_row)
    matrix = sp.csr_matrix((values, columns.ravel(), indptr), shape=(n_rows, n_columns))
    matrix.sum_duplicates()
    return matrix


def _tags(rng, n_rows):
    rows = (N_LABELS * rng.random((n_rows, N_TAGS)) ** 3).astype(int).tolist()
    return [tuple(f"tag {tag}" for tag in row) for row in rows]


def _fitted(case, X, tags):
    """Estimator of a case, whose fit is short: few passes, or few iterations."""
    from sklearn_mlce import MLCEClassifier
    from sklearn_mlce.labels import tags_to_y
    from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

    ours = MLCEClassifier(solver="sgd", max_iter=2, random_state=0)
    if "one-vs-rest" not in case:
        tuner = MultilabelTunedThresholdClassifierCV(ours, cv=0.3, random_state=0)
        return (tuner if "tuner" in case else ours).fit(X, tags)
    svm = LinearSVC(tol=1.0) if "SVC" in case else LogisticRegression(solver="liblinear", tol=1.0)
    return OneVsRestClassifier(svm).fit(X, tags_to_y(tags, sparse=True).sparse.to_coo().tocsr())


def _three_methods(model, X):
    from sklearn_mlce._targets.targets import row_blocks

    for rows in row_blocks(X.shape[0], N_LABELS):
        for method in (model.decision_function, model.predict_proba, model.predict):
            method(X[rows])


def _task(case):
    """Return what is to be measured, with all it needs made before."""
    from sklearn_mlce.labels import predicted_labels, tags_to_y, top_labels

    rng = np.random.default_rng(0)
    if case.startswith("tags_to_y"):
        tags = _tags(rng, CASES[case])
        return lambda: tags_to_y(tags, sparse=True)
    X = _sparse(rng, CASES[case], N_FEATURES, N_WORDS)
    tags = _tags(rng, N_FITTED)
    tags[: N_LABELS // N_TAGS] = [  # each tag once at least
        tuple(f"tag {start + step}" for step in range(N_TAGS))
        for start in range(0, N_LABELS, N_TAGS)
    ]
    model = _fitted(case, X[:N_FITTED], tags)
    if case.startswith("predicted_labels"):
        return lambda: predicted_labels(model, X)
    if "by blocks" in case:
        return lambda: _three_methods(model, X)
    return lambda: top_labels(model, X, 5)


def measure(case: str) -> tuple[float, int, int]:
    """Seconds of a processor, highest resident bytes, and the bytes resident before.

    Parameters
    ----------
    case : str
        One of `CASES`.

    Returns
    -------
    tuple
    """
    task = _task(case)
    before = kernel_bytes("VmRSS")
    start = time.process_time()
    task()
    return time.process_time() - start, kernel_bytes("VmHWM"), before


def table(cases=CASES) -> Table:
    """Measure cases, each in a process of its own with one thread.

    Parameters
    ----------
    cases : iterable of str

    Returns
    -------
    Table
    """
    columns = ("case", "rows", "seconds", "peak MB", "of it before the call, MB")
    found = Table(f"Sparse rows by {N_LABELS:,} labels", columns)
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    load = load_average()
    for case in cases:
        command = [sys.executable, "-m", "benchmarks.top_labels", case]
        options = {"check": True, "capture_output": True, "text": True, "cwd": ROOT}
        done = subprocess.run(command, env=os.environ | one_thread, **options)
        seconds, peak, before = map(float, done.stdout.split())
        cells = f"{CASES[case]:,}", f"{seconds:.1f}", f"{peak / 1e6:.0f}", f"{before / 1e6:.0f}"
        found.add(case, *cells)
        print(found.markdown().splitlines()[-1], file=sys.stderr, flush=True)
    found.note(
        f"{N_FEATURES:,} features, {N_WORDS} of them in a row; {N_TAGS} tags a row; float32; the "
        "five best labels. Seconds are a processor's. The whole process is counted as memory: "
        "imports, X, the model and the fit, whose peak may be the higher one. All scores of "
        f"{N_ROWS:,} rows at once would take 2,000 MB of float32. Load average before: {load:.1f}."
    )
    return found


def main(arguments=None) -> None:
    """Measure, and write ``top_labels.md`` and ``top_labels.csv``; or print what one case takes.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    parser = command_parser("top_labels", __doc__)
    parser.add_argument("case", nargs="?", choices=list(CASES))
    options = parser.parse_args(arguments)
    if options.case:
        print(*measure(options.case))
        return
    write(options.out, "top_labels", "Tags, and the best labels of rows", describe(1), [table()])


if __name__ == "__main__":
    main()
