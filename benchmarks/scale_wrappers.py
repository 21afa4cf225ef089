"""Memory and time of tuner, calibrator and search around a fit of many labels.

``python -m benchmarks.scale_wrappers`` prints the table that ``python -m benchmarks scale`` writes,
each case from a process of its own; with the name of a case and sizes, the figures of that one.
"""

import json
import subprocess
import sys
import time

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

from .datasets import ROOT
from .loss_memory import kernel_bytes
from .report import Table
from .scale import made_rows

SIZES = (20_000, 20_000, 10_000)
OPTIONS = {"solver": "sgd", "max_iter": 1, "random_state": 0}


class TimedClassifier(MLCEClassifier):
    """The estimator, whose class counts the seconds that all its fits and scores take."""

    seconds = 0.0

    def fit(self, X, y, sample_weight=None):
        """Fit, and count the seconds."""
        return self._timed(super().fit, X, y, sample_weight)

    def decision_function(self, X):
        """Score, and count the seconds."""
        return self._timed(super().decision_function, X)

    def _timed(self, function, *arguments):
        start = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            TimedClassifier.seconds += time.perf_counter() - start


CASES = {
    "MLCEClassifier": lambda: TimedClassifier(**OPTIONS),
    "tuner, global": lambda: MultilabelTunedThresholdClassifierCV(
        TimedClassifier(**OPTIONS), random_state=0
    ),
    "tuner, per label": lambda: MultilabelTunedThresholdClassifierCV(
        TimedClassifier(**OPTIONS), thresholds="per_label", random_state=0
    ),
    "calibrator, sigmoid": lambda: MultilabelCalibratedClassifierCV(
        TimedClassifier(**OPTIONS), cv=3, random_state=0
    ),
    "MLCEClassifierCV, two C": lambda: MLCEClassifierCV([10.0, 30.0], **OPTIONS),
}


def measure(case: str, sizes=SIZES) -> dict:
    """Fit a case, and return its seconds, those in fits and scores, and bytes at the highest."""
    X, Y = made_rows(*sizes)
    model = CASES[case]()
    before, start = kernel_bytes("VmRSS"), time.perf_counter()
    model.fit(X, Y)
    return {
        "seconds": time.perf_counter() - start,
        "inside": TimedClassifier.seconds,
        "peak": kernel_bytes("VmHWM"),
        "before": before,
    }


def table() -> Table:
    """Measure all cases."""
    found = Table(
        f"Around MLCEClassifier, made TF-IDF rows, float32: {SIZES[0]} x {SIZES[1]} x {SIZES[2]}",
        ("case", "seconds", "of them fits and scores", "peak GB", "above the fit's, GB"),
    )
    peak_of_fit = None
    for case in CASES:
        command = [sys.executable, "-m", "benchmarks.scale_wrappers", case]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        figures = json.loads(done.stdout.splitlines()[-1])
        peak_of_fit = figures["peak"] if peak_of_fit is None else peak_of_fit
        inside = f"{figures['inside']:.0f}" if figures["inside"] else "-"
        above = f"{(figures['peak'] - peak_of_fit) / 1e9:.2f}"
        found.add(case, f"{figures['seconds']:.0f}", inside, f"{figures['peak'] / 1e9:.2f}", above)
        print(case, figures, file=sys.stderr)
    matrix = 4 * SIZES[0] * SIZES[2] / 1e9
    found.note(
        f"A matrix of the scores is {matrix:.1f} GB, the coefficients "
        f"{4 * SIZES[1] * SIZES[2] / 1e9:.1f} GB. One pass over the rows a fit, where a fit makes "
        "ten: the memory does not depend on them. Three folds. Each case in a process of its own, "
        "one thread."
    )
    return found


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(measure(sys.argv[1], tuple(map(int, sys.argv[2:])) or SIZES)))
    else:
        print(table().markdown())
