"""How long imports take, and what is imported, each in a fresh process, in turns."""

import json
import os
import subprocess
import sys

import numpy as np

from .datasets import ROOT
from .environment import describe
from .report import Table, command_parser, write

REFERENCE = "from sklearn.linear_model import LogisticRegression"
#: A bar is a ratio to the reference; None where torch has to come.
BARS = {
    REFERENCE: None,
    "import sklearn_mlce": 1.3,
    "from sklearn_mlce import MLCEClassifier": 1.3,
    "from sklearn_mlce import MLCEClassifierCV": 1.3,
    "from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV": 1.3,
    "from sklearn_mlce import labels, metrics": 1.3,
    "from sklearn_mlce import calibration, decisions, inspection": 1.3,
    "from sklearn_mlce import MLCEMLP": None,
    "import torch": None,
}
MEASURE = """
import json, sys, time
start = time.perf_counter()
{}
seconds = time.perf_counter() - start
print(json.dumps([seconds, len(sys.modules), "torch" in sys.modules]))
"""


def measure(statement):
    """Seconds of an import in a fresh process, modules there, and whether torch is among them.

    Parameters
    ----------
    statement : str

    Returns
    -------
    list
    """
    command = [sys.executable, "-c", MEASURE.format(statement)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


def table_of(samples):
    """Medians and their ratios to the reference.

    Parameters
    ----------
    samples : dict of str to list
        What `measure` found, by statement; the runs of a turn at the same place in each list.

    Returns
    -------
    Table
    """
    columns = ("statement", "seconds", "of LogisticRegression's", "bar", "modules", "torch")
    table = Table("Imports in fresh processes", columns)
    reference = np.median([seconds for seconds, *_ in samples[REFERENCE]])
    for statement, runs in samples.items():
        seconds, (_, n_modules, has_torch) = np.median([run[0] for run in runs]), runs[0]
        ratio, bar = seconds / reference, BARS[statement]
        verdict = "" if bar is None else f"{bar}: {'holds' if ratio <= bar else 'FAILS'}"
        torch = "yes" if has_torch else "no"
        table.add(
            f"`{statement}`", f"{seconds:.2f}", f"{ratio:.2f}", verdict, str(n_modules), torch
        )
    table.note(
        f"Medians of {len(samples[REFERENCE])} runs in turns, the start of Python apart, files in "
        "the system's cache. pandas is installed, which scikit-learn imports where it is."
    )
    return table


def main(arguments=None):
    """Measure, and write ``imports.md`` and ``imports.csv``.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    parser = command_parser("imports", __doc__)
    parser.add_argument("--runs", type=int, default=21)
    options = parser.parse_args(arguments)
    samples = {statement: [] for statement in BARS}
    for turn in range(options.runs + 1):
        for statement in BARS:
            found = measure(statement)
            if turn:  # the first reads the files
                samples[statement].append(found)
    tables = [table_of(samples)]
    write(options.out, "imports", "What an import costs", describe(1), tables)
    print(tables[0].markdown())


if __name__ == "__main__":
    main()
