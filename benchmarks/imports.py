"""Time to import the linear estimator, beside scikit-learn's, each in a fresh process.

``python -m benchmarks.imports`` writes ``results/imports.md``.
"""

import statistics
import subprocess
import sys
import time

from .datasets import ROOT
from .report import Table

STATEMENTS = (
    "from sklearn.linear_model import LogisticRegression",
    "from sklearn_mlce import MLCEClassifier",
    "import sklearn_mlce",
    "from sklearn_mlce import MLCEMLP",
)
REPEATS = 9


def seconds(statement: str) -> float:
    """Wall time of a process that runs one statement."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, cwd=ROOT)
    return time.perf_counter() - start


def main(repeats: int = REPEATS) -> None:
    """Measure the statements in turn, and write the table."""
    samples: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(repeats):
        for statement, times in samples.items():
            times.append(seconds(statement))
    medians = {statement: statistics.median(times) for statement, times in samples.items()}
    table = Table("Imports", ("statement", "seconds", "of the first"))
    for statement, median in medians.items():
        table.add(statement, f"{median:.2f}", f"{median / medians[STATEMENTS[0]]:.2f}")
    table.note(f"Medians of {repeats} processes each, taken in turn. The network imports torch.")
    text = table.markdown() + "\n"
    (ROOT / "benchmarks" / "results" / "imports.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
