"""What becomes of odd input, in our estimators and in three of scikit-learn's."""

import json
import os
import subprocess
import sys
import traceback
import warnings
from collections import Counter

import numpy as np

from .datasets import ROOT
from .environment import describe
from .report import Table, command_parser, write

OURS = ("linear", "linear_cv", "mlp", "tuner", "calibrator")
#: What the table calls an estimator.
TITLES = {
    "linear": "MLCEClassifier",
    "linear_cv": "MLCEClassifierCV",
    "mlp": "MLCEMLP",
    "tuner": "MultilabelTunedThresholdClassifierCV",
    "calibrator": "MultilabelCalibratedClassifierCV",
    "logistic": "OneVsRest LogisticRegression",
    "perceptron": "MLPClassifier",
    "ridge": "RidgeClassifier",
}
VERDICTS = ("right", "clear", "unclear", "silent", "crash")
#: A file whose errors are those of NumPy or torch, which it calls.
PASSED_ON = "_array_api.py"
PACKAGES = ("sklearn", "sklearn_mlce")


def estimator(name):
    """Make an unfitted estimator.

    Parameters
    ----------
    name : str
        One of `TITLES`.

    Returns
    -------
    estimator
    """
    if name in OURS:
        from tests.estimators.test_unusable_data import FIVE

        return FIVE[name]()
    if name == "ridge":
        from sklearn.linear_model import RidgeClassifier

        return RidgeClassifier()
    if name == "perceptron":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier((8,), max_iter=30, random_state=0)
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    return OneVsRestClassifier(LogisticRegression())


def cases():
    """Cases of the table of the tests, in order.

    Returns
    -------
    list of tuple
        Part of the input, name, and the case.
    """
    from tests.helpers.bad_input import FEATURES, TARGETS, WEIGHTS

    parts = {"X": FEATURES, "y": TARGETS, "sample_weight": WEIGHTS}
    return [(part, name, case) for part, table in parts.items() for name, case in table.items()]


def fit(name, part, value, model=None):
    """Fit an estimator on odd input; None has no use for the part."""
    from tests.helpers.bad_input import X, Y

    given = {"X": X, "y": Y} | {part: value}
    if part == "sample_weight" and name == "logistic":
        return None  # which takes no weights but by metadata routing
    return (estimator(name) if model is None else model).fit(**given)


def scores(model, X):
    """Scores of rows, whatever they are called."""
    of = getattr(model, "decision_function", None) or model.predict_proba
    found = of(X)
    found = np.column_stack([part[:, -1] for part in found]) if isinstance(found, list) else found
    return np.asarray(found, dtype=float).reshape(len(X), -1)[:, -4:]


def judge(name, part, case):
    """Verdict on a case, and whether an earlier fit was lost.

    Parameters
    ----------
    name : str
        An estimator.
    part : str
        Of the input.
    case : Case
        Of the table of the tests.

    Returns
    -------
    tuple of str and bool
        The verdict is empty where the estimator has no use for the part.
    """
    from tests.helpers.bad_input import X, Y

    earlier = estimator(name).fit(X, Y)
    before = scores(earlier, X)
    try:
        model = fit(name, part, case.make())
    except Exception as error:
        verdict = "clear" if is_own(error) else "unclear"
        return verdict, is_lost(name, earlier, before, part, case)
    if model is None:
        return "", False
    if not case.works:
        return "silent", False
    names = getattr(model, "feature_names_in_", None)
    rows = X if names is None else case.make()
    same = np.allclose(scores(model, rows), scores(fit(name, part, case.plain()), X), atol=1e-4)
    return ("right" if same else "silent"), False


def is_own(error):
    """Whether an error is a sentence of the package, not of what it calls."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    own = any(f"{os.sep}{package}{os.sep}" in last for package in PACKAGES)
    python = "not supported between" in str(error) or "object has no" in str(error)
    return own and not last.endswith(PASSED_ON) and not python


def is_lost(name, earlier, before, part, case):
    """Whether an estimator that was fitted predicts something else after a failed fit."""
    from tests.helpers.bad_input import X

    try:
        fit(name, part, case.make(), earlier)
    except Exception:
        try:
            return not np.array_equal(scores(earlier, X), before)
        except Exception:
            return True
    return True


def child(name, first):
    """Judge the cases from a number on, and print a line for each."""
    warnings.simplefilter("ignore")
    for number, (part, _, case) in enumerate(cases()):
        if number >= first:
            print(json.dumps([number, *judge(name, part, case)]), flush=True)


def judged(name):
    """Verdicts of an estimator by the number of a case; a process that dies is begun anew.

    Parameters
    ----------
    name : str
        An estimator.

    Returns
    -------
    dict of int to list
        Verdict, and whether an earlier fit was lost.
    """
    found, first, n_cases = {}, 0, len(cases())
    command = [sys.executable, "-m", "benchmarks.bad_input", "--child", name, "--first"]
    while first < n_cases:
        run = subprocess.run(
            [*command, str(first)], capture_output=True, text=True, cwd=ROOT, check=False
        )
        lines = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("[")]
        found |= {number: rest for number, *rest in lines}
        first = max(found, default=-1) + 1
        if first < n_cases:  # it died in this one
            if run.returncode > 0:
                raise RuntimeError(run.stderr[-2000:])
            found[first] = ["crash", True]
            first += 1
    return found


def table_of(verdicts):
    """Lay out the verdicts.

    Parameters
    ----------
    verdicts : dict of str to dict
        What `judged` found, by estimator.

    Returns
    -------
    Table
    """
    columns = ("estimator", "cases", *VERDICTS, "unclear, share", "earlier fit lost")
    table = Table("Odd input of fit", columns)
    for name, found in verdicts.items():
        kept = [rest for rest in found.values() if rest[0]]
        counts = Counter(verdict for verdict, _ in kept)
        numbers = [str(counts[verdict]) for verdict in VERDICTS]
        share = f"{counts['unclear'] / len(kept):.1%}"
        n_lost = sum(lost for _, lost in kept)
        table.add(TITLES[name], str(len(kept)), *numbers, share, str(n_lost))
    table.note(
        "*right*: fitted, to the scores of a fit on the plain form. *clear*: refused by a sentence "
        "of the package itself. *unclear*: an error of NumPy, scipy, pandas, torch or Python. "
        "*silent*: fitted on what cannot be meant, or to other scores than the plain form. "
        "*crash*: the process ended. Labels of -1 and 1, and of 1 and 2, which scikit-learn takes "
        "for labels, count as silent there."
    )
    return table


def main(arguments=None):
    """Judge all estimators, and write ``bad_input.md`` and ``bad_input.csv``.

    Parameters
    ----------
    arguments : list of str or None, default=None
        None reads the process's own.
    """
    parser = command_parser("bad_input", __doc__)
    parser.add_argument("--child", choices=TITLES, help="judge this one, in this process")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    options = parser.parse_args(arguments)
    if options.child:
        child(options.child, options.first)
        return
    tables = [table_of({name: judged(name) for name in TITLES})]
    write(options.out, "bad_input", "What becomes of odd input", describe(1), tables)
    print(tables[0].markdown())


if __name__ == "__main__":
    main()
