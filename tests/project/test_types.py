"""What type checkers see of the public classes is what they are."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from sklearn.utils._param_validation import StrOptions

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
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


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.__name__)
def test_types_of_parameters_are_their_constraints(estimator):
    hints = get_type_hints(estimator.__init__, localns={"nn": torch.nn})
    for name, constraints in estimator._parameter_constraints.items():
        if hints[name] is Any or name in ("activation", "device"):  # typed as any text
            continue
        accepted = set().union(*(c.options for c in constraints if isinstance(c, StrOptions)))
        assert literals(hints[name]) == accepted, name
        assert (NoneType in get_args(hints[name])) == (None in constraints), name


@pytest.mark.slow
def test_pyright_understands_a_users_script(tmp_path):
    """As mypy does in ``make lint``."""
    pytest.importorskip("pyright", reason="pyright is not installed")
    project = {
        "include": [os.path.relpath(ROOT / USER, tmp_path)],  # which has to be relative
        "extraPaths": [str(ROOT)],
        "reportUnnecessaryTypeIgnoreComment": "error",
        "typeCheckingMode": "strict",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(project))
    options = ["--project", str(tmp_path), "--pythonpath", sys.executable]
    command = [sys.executable, "-m", "pyright", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "0 errors" in done.stdout, done.stdout
