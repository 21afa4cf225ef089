"""Time and memory of tags and of the best labels of many rows, each in a process of its own.

``python -m benchmarks.top_labels`` measures every case and writes ``results/top_labels.md``;
``python -m benchmarks.top_labels CASE`` prints the seconds and bytes of one.
"""

import subprocess
import sys
import time

import numpy as np
import scipy.sparse as sp

from .datasets import ROOT
from .loss_memory import kernel_bytes
from .report import Table

N_ROWS, N_LABELS, N_FEATURES = 100_000, 5_000, 2_000
#: Non-zero features, and tags, of a row.
N_WORDS, N_TAGS = 50, 5
#: Rows that the estimator is fitted on: what is measured is prediction.
N_FITTED = 2_000
CASES = ("tags_to_y sparse", "top_labels", "predicted_labels")


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


def _task(case):
    """Return what is to be measured, with all it needs made before."""
    from sklearn_mlce import MLCEClassifier
    from sklearn_mlce.labels import predicted_labels, tags_to_y, top_labels

    rng = np.random.default_rng(0)
    if case == "tags_to_y sparse":
        tags = _tags(rng, N_ROWS)
        return lambda: tags_to_y(tags, sparse=True)
    X = _sparse(rng, N_ROWS, N_FEATURES, N_WORDS)
    tags = _tags(rng, N_FITTED)
    tags[: N_LABELS // N_TAGS] = [  # each tag once at least
        tuple(f"tag {start + step}" for step in range(N_TAGS))
        for start in range(0, N_LABELS, N_TAGS)
    ]
    model = MLCEClassifier(solver="sgd", max_iter=2, random_state=0).fit(X[:N_FITTED], tags)
    if case == "predicted_labels":
        return lambda: predicted_labels(model, X)
    return lambda: top_labels(model, X, 5)


def measure(case: str) -> tuple[float, int, int]:
    """Seconds, highest resident bytes, and the bytes resident before.

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
    start = time.perf_counter()
    task()
    return time.perf_counter() - start, kernel_bytes("VmHWM"), before


def main(cases=CASES) -> None:
    """Measure the cases and write the table."""
    table = Table(
        f"{N_ROWS:,} sparse rows by {N_LABELS:,} labels",
        ("case", "seconds", "peak MB", "of it before the call, MB"),
    )
    for case in cases:
        command = [sys.executable, "-m", "benchmarks.top_labels", case]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds, peak, before = done.stdout.split()
        table.add(
            case, f"{float(seconds):.1f}", f"{int(peak) / 1e6:.0f}", f"{int(before) / 1e6:.0f}"
        )
    table.note(
        f"{N_FEATURES:,} features, {N_WORDS} of them in a row; {N_TAGS} tags a row; float32; the "
        "five best labels. The whole process is counted: imports, X, the model and the fit, whose "
        "peak may be the higher one. All scores at once would take 2,000 MB of float32."
    )
    text = table.markdown() + "\n"
    (ROOT / "benchmarks" / "results" / "top_labels.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(*measure(sys.argv[1]))
    else:
        main()
