"""Memory and time of tuner, calibrator and search around a fit of many labels.

``python -m benchmarks scale`` measures each case in a process of its own and writes their table;
``python -m benchmarks.scale_wrappers CASE ROWS FEATURES LABELS`` prints the figures of one as JSON.
"""

import json
import sys
import time
from functools import partial

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

from .loss_memory import kernel_bytes
from .report import Table
from .scale import in_process, made_rows
from .store import Job, Store
from .store import measure as measure_jobs

SIZES = (20_000, 20_000, 10_000)
OPTIONS = {"solver": "sgd", "max_iter": 1, "random_state": 0}


class TimedClassifier(MLCEClassifier):
    """The estimator, whose class counts the processor seconds of all its fits and scores."""

    seconds = 0.0

    def fit(self, X, y, sample_weight=None):
        """Fit, and count the seconds."""
        return self._timed(super().fit, X, y, sample_weight)

    def decision_function(self, X):
        """Score, and count the seconds."""
        return self._timed(super().decision_function, X)

    def _timed(self, function, *arguments):
        start = time.process_time()
        try:
            return function(*arguments)
        finally:
            TimedClassifier.seconds += time.process_time() - start


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
    """Fit a case; return its processor seconds, those in fits and scores, and its memory."""
    X, Y = made_rows(*sizes)
    model = CASES[case]()
    before, start = kernel_bytes("VmRSS"), time.process_time()
    model.fit(X, Y)
    return {
        "seconds": time.process_time() - start,
        "inside": TimedClassifier.seconds,
        "peak": kernel_bytes("VmHWM"),
        "before": before,
    }


def run(store: Store, mark: str, say=print) -> None:
    """Measure the cases that are still missing.

    Parameters
    ----------
    store : Store
        Holds the samples, in the group "wrappers".
    mark : str
        Fingerprint of the samples.
    say : callable, default=print
        Told the progress.
    """
    jobs = {case: Job(partial(in_process, "scale_wrappers", case), 1, mark) for case in CASES}
    measure_jobs(store, "wrappers", jobs, say)


def table(store: Store) -> Table:
    """Lay out what the store holds."""
    found = Table(
        f"Around MLCEClassifier, made TF-IDF rows, float32: {SIZES[0]} x {SIZES[1]} x {SIZES[2]}",
        ("case", "seconds", "of them fits and scores", "peak GB", "above the fit's, GB"),
    )
    peak_of_fit = store.medians("wrappers", "MLCEClassifier")["peak"]
    for case in CASES:
        figures = store.medians("wrappers", case)
        inside = f"{figures['inside']:.0f}" if figures["inside"] else "-"
        above = f"{(figures['peak'] - peak_of_fit) / 1e9:.2f}"
        found.add(case, f"{figures['seconds']:.0f}", inside, f"{figures['peak'] / 1e9:.2f}", above)
    matrix = 4 * SIZES[0] * SIZES[2] / 1e9
    found.note(
        f"A matrix of the scores is {matrix:.1f} GB, the coefficients "
        f"{4 * SIZES[1] * SIZES[2] / 1e9:.1f} GB. One pass over the rows a fit, where a fit makes "
        "ten: the memory does not depend on them. Three folds. Each case in a process of its own, "
        "one thread. Seconds are the processor's."
    )
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], tuple(map(int, sys.argv[2:])) or SIZES)))
