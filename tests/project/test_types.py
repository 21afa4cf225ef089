"""What type checkers see of the public classes is what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from sklearn.utils._param_validation import StrOptions

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._objectives.registry import LOSSES, LossName
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

ROOT = Path(__file__).parents[2]
USER = "tests/project/typed_user.py"
ESTIMATORS = [
    MLCEMLP,
    MLCEClassifier,
    MLCEClassifierCV,
    MultilabelCalibratedClassifierCV,
    MultilabelDecisionClassifier,
    MultilabelTunedThresholdClassifierCV,
]


def literals(hint):
    """Return the strings of a type, of those in a union too."""
    if get_origin(hint) is Literal:
        return set(get_args(hint))
    return set().union(*map(literals, get_args(hint)))


def test_the_type_of_losses_names_them_all():
    assert get_args(LossName) == LOSSES


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_types_of_parameters_are_their_constraints(estimator):
    hints = get_type_hints(estimator.__init__)
    for name, constraints in estimator._parameter_constraints.items():
        if hints[name] is Any or name == "device":  # torch has devices of more names
            continue
        accepted = set().union(*(c.options for c in constraints if isinstance(c, StrOptions)))
        if estimator is MLCEClassifierCV and name == "loss":
            accepted |= {"pairwise"}  # refused, as it has no threshold; all have one type of losses
        assert literals(hints[name]) == accepted, name
        assert (NoneType in get_args(hints[name])) == (None in constraints), name


def checked(command):
    """Run a type checker and return what it printed; it must find nothing."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_mypy_understands_a_users_script():
    pytest.importorskip("mypy", reason="type checkers come with the extra lint")
    options = ["--strict", "--follow-imports=silent", "--cache-dir=.mypy_cache/strict"]
    assert "no issues found" in checked(["mypy", *options, USER])


@pytest.mark.slow
def test_pyright_understands_a_users_script(tmp_path):
    pytest.importorskip("pyright", reason="pyright is not installed")
    project = {
        "include": [os.path.relpath(ROOT / USER, tmp_path)],  # which has to be relative
        "extraPaths": [str(ROOT)],
        "reportUnnecessaryTypeIgnoreComment": "error",
        "typeCheckingMode": "strict",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(project))
    options = ["--project", str(tmp_path), "--pythonpath", sys.executable]
    assert "0 errors" in checked(["pyright", *options])
