"""torch is imported where training begins, whole, and names of the package when asked for."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import sklearn_mlce
from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from tests.helpers.estimators import labelled_rows

ROOT = Path(__file__).parents[2]
ROOMS = ["calibration", "decisions", "inspection", "labels", "metrics", "model_selection"]
IMPORTS = [
    "import sklearn_mlce",
    "\n".join(f"sklearn_mlce.{room}.__all__" for room in ROOMS),
    "\n".join(f"from sklearn_mlce.{room} import *" for room in ROOMS),
    "from sklearn_mlce import MLCEClassifier, MLCEClassifierCV, progress_bar",
]
ABSENT = """
import sys

class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())

def sentence(code):
    try:
        exec(code)
    except ImportError as error:
        print(error)
"""
X, Y = labelled_rows()


def run(code):
    """Run code in a fresh interpreter that imports this checkout, and return what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_only_what_trains_imports_torch():
    heavy = {"numpy", "sklearn", "torch", "skorch", "matplotlib"}
    report = f"\nimport sys\nprint(sorted({heavy} & sys.modules.keys()))\n"
    first, *others = run(report.join([*IMPORTS, ""])).splitlines()
    assert first == "[]"
    assert others == ["['numpy', 'sklearn']"] * 3


def test_rooms_and_linear_estimators_need_nothing_that_is_not_required():
    absent = ["torch", "skorch", "matplotlib", "pandas", "rich"]
    run(ABSENT.format(names=absent) + "\n".join(IMPORTS))


def test_every_public_name_is_listed_and_there():
    assert {*sklearn_mlce.__all__, *ROOMS, "losses", "nn"} <= set(dir(sklearn_mlce))
    for name in [*sklearn_mlce.__all__, *ROOMS, "losses", "nn"]:
        assert getattr(sklearn_mlce, name) is getattr(sklearn_mlce, name)
    assert sklearn_mlce.MLCEClassifier is MLCEClassifier
    for name in ("MLCE", "_linear", "metric"):
        with pytest.raises(AttributeError, match=f"'sklearn_mlce' has no attribute '{name}'"):
            getattr(sklearn_mlce, name)


@pytest.mark.parametrize(
    ("absent", "users"),
    [
        (
            "torch",
            {
                "from sklearn_mlce import MLCEMLP": "sklearn_mlce.MLCEMLP",
                "from sklearn_mlce import losses": "sklearn_mlce.losses",
                "import sklearn_mlce; sklearn_mlce.nn.PairScore": "sklearn_mlce.nn",
            },
        ),
        ("skorch", {"from sklearn_mlce import MLCEMLP": "sklearn_mlce.MLCEMLP"}),
    ],
    ids=["torch", "skorch"],
)
def test_networks_and_losses_say_what_to_install(absent, users):
    code = "".join(f"sentence({code!r})\n" for code in users)
    printed = run(ABSENT.format(names=[absent]) + code).splitlines()
    for user, said in zip(users.values(), printed, strict=True):
        assert f"{user} needs {absent}, which is not installed here" in said
        assert "Type pip install torch skorch" in said


def test_a_fit_that_finds_no_torch_keeps_the_earlier_one(monkeypatch):
    model = MLCEClassifier().fit(X, Y)
    before = {name: np.copy(value) for name, value in vars(model).items() if name.endswith("_")}
    monkeypatch.setitem(sys.modules, "torch", None)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ImportError, match="needs torch, which is not installed here"):
            method(X, Y[:, :2])
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(model, name), value)
    assert model.predict(X).shape == Y.shape


def test_what_else_fails_in_an_import_is_not_called_an_absent_torch(monkeypatch):
    broken = "import libtorch.so failed"

    def import_module(name):
        raise ImportError(broken)

    monkeypatch.setattr("sklearn_mlce._utils.optional.import_module", import_module)
    monkeypatch.delitem(sys.modules, "torch")
    with pytest.raises(ImportError, match=broken):
        MLCEClassifier().fit(X, Y)


@pytest.mark.parametrize("make", [MLCEClassifier, MLCEClassifierCV, MLCEMLP])
def test_a_module_is_known_as_a_loss_without_importing_torch(make):
    for loss in (nn.BCEWithLogitsLoss, 1.0, print):  # a class is no module
        with pytest.raises(ValueError, match=r"or an instance of 'torch\.nn.*\.Module'"):
            make(loss=loss).fit(X, Y)
    make(loss=nn.BCEWithLogitsLoss())._validate_params()


INTERRUPTED = """
import os, signal, sys, threading, time, warnings
import numpy as np
import sklearn_mlce

X = np.random.default_rng(0).normal(size=(40, 3))

def interrupt(module):
    while module not in sys.modules:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

for estimator, module in {"MLCEClassifier": "torch.nn", "MLCEMLP": "sympy.core"}.items():
    assert module not in sys.modules
    model = getattr(sklearn_mlce, estimator)(random_state=0)
    filters = list(warnings.filters)
    threading.Thread(target=interrupt, args=[module]).start()
    try:
        model.fit(X, X > 0.3)
    except KeyboardInterrupt:
        print("interrupted", hasattr(model, "classes_"))
    print(model.fit(X, X > 0.3).predict(X).shape, warnings.filters == filters)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_an_interrupted_import_leaves_torch_whole():
    """torch cannot be imported again once it was broken off, and the first fits import it."""
    assert run(INTERRUPTED) == 2 * "interrupted False\n(40, 3) True\n"
