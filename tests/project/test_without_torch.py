"""Where torch and skorch are not installed, fitted linear models load and predict."""

import json
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

skops_io = pytest.importorskip("skops.io")

ROOT = Path(__file__).parents[2]
ROOMS = ["metrics", "labels", "inspection", "model_selection", "calibration", "decisions"]
# An interpreter of an environment without torch; without one its imports are blocked.
BARE_PYTHON = os.environ.get("SKLEARN_MLCE_BARE_PYTHON")
BLOCKED = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "skorch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
"""
SERVE = """
import json, pickle, sys, traceback, warnings
from pathlib import Path
import joblib, numpy as np
import skops.io
from sklearn.base import clone
from sklearn_mlce.inspection import label_report
from sklearn_mlce.labels import predicted_labels, top_features, top_labels

warnings.simplefilter("error")


def serve(folder):
    X, y, expected = (joblib.load(folder / f"{name}.joblib") for name in ("X", "y", "expected"))
    trusted = json.loads((folder / "trusted.json").read_text())
    models = [
        pickle.loads((folder / "model.pickle").read_bytes()),
        joblib.load(folder / "model.joblib"),
        skops.io.load(folder / "model.skops", trusted=trusted),
    ]
    for model in models:
        for method, answer in expected.items():
            found = getattr(model, method)(X)
            pairs = zip(found, answer) if isinstance(answer, list) else [(found, answer)]
            for one, other in pairs:
                if hasattr(one, "toarray"):
                    one, other = one.toarray(), other.toarray()
                np.testing.assert_array_equal(one, other)
        if y is not None:
            assert 0 <= model.score(X, y) <= 1
            n_rows = np.shape(X)[0]
            assert len(predicted_labels(model, X)) == n_rows
            assert top_labels(model, X, 2).shape[0] == 2 * n_rows
            assert top_features(model, 1, X=X)["feature"].notna().all()
            if folder.name == "texts":  # whose steps name their features
                assert "fruit" in set(top_features(model, 1)["label"])
            if hasattr(model, "predict_topk"):
                assert model.predict_topk(X, 2)[0].shape == (n_rows, 2)
            if hasattr(y, "shape"):  # tags have no report
                assert "micro" in str(label_report(y, model, X))
        clone(model), model.get_params(), model._repr_html_(), repr(model)
    assert not {"torch", "skorch"} & set(sys.modules)


# One process for all models: each takes longer to start than to serve.
failures = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    try:
        serve(folder)
    except Exception:
        failures[folder.name] = traceback.format_exc()
print(json.dumps(failures))
"""
TUNED = {"random_state": 0}
MODELS = {
    "linear": MLCEClassifier(random_state=0),
    "sparse coefficients": MLCEClassifier(coef_threshold=0.02),
    "streamed": MLCEClassifier(random_state=0),
    "published loss": MLCEClassifier(loss="mlce"),
    "search": MLCEClassifierCV(Cs=[0.1, 1.0], random_state=0),
    "grid search": GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, cv=3),
    "tuner": MultilabelTunedThresholdClassifierCV(MLCEClassifier(), **TUNED),
    "calibrator": MultilabelCalibratedClassifierCV(MLCEClassifier(), **TUNED),
    "decision": MultilabelDecisionClassifier(MLCEClassifier()),
    "tuner of calibrator": MultilabelTunedThresholdClassifierCV(
        MultilabelCalibratedClassifierCV(MLCEClassifier(), **TUNED), **TUNED
    ),
}
KINDS = ["names", "sparse", "binary", "multiclass", "several outputs", "unknown"]


def python(code, *arguments):
    """Run code where there is no torch."""
    executable = BARE_PYTHON or sys.executable
    done = subprocess.run(
        [executable, "-c", ("" if BARE_PYTHON else BLOCKED) + code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(kind="names"):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 5)) @ np.diag([1, 2, 3, 4, 5])
    Y = (X @ rng.normal(size=(5, 4)) + rng.normal(size=(80, 4)) > 0).astype(int)
    y = {
        "names": pd.DataFrame(Y, columns=list("abcd")),
        "sparse": sp.csr_matrix(Y),
        "binary": np.array(["no", "yes"])[Y[:, 0]],
        "multiclass": Y[:, 0] + Y[:, 1],
        "several outputs": np.column_stack([Y[:, 0] + Y[:, 1], Y[:, 2]]),
        "unknown": np.where(rng.random(Y.shape) < 0.1, np.nan, Y),
    }[kind]
    return X, y


def store(model, X, y, folder):
    methods = ["predict", "decision_function", "predict_proba", "predict_log_proba"]
    expected = {method: getattr(model, method)(X) for method in methods if hasattr(model, method)}
    for name, value in {"X": X, "y": y, "expected": expected, "model": model}.items():
        joblib.dump(value, folder / f"{name}.joblib")
    (folder / "model.pickle").write_bytes(pickle.dumps(model))
    skops_io.dump(model, folder / "model.skops")
    trusted = skops_io.get_untrusted_types(file=folder / "model.skops")
    assert not [name for name in trusted if "._" in name and name.startswith("sklearn_mlce")]
    (folder / "trusted.json").write_text(json.dumps(trusted))


def store_model(name, folder):
    X, y = rows()
    model = MODELS[name]
    if name == "streamed":
        model.partial_fit(X[:40], y[:40]).partial_fit(X[40:], y[40:])
    else:
        model.fit(X, y)
    store(model, X, y, folder)


def store_kind(kind, folder):
    X, y = rows(kind)
    model = MLCEClassifier(loss="bce") if kind == "unknown" else MLCEClassifier()
    store(model.fit(X, y), X, y if kind in ("names", "sparse") else None, folder)


def store_texts(folder):
    texts = ["red apple", "green pear", "red car", "green car", "apple pie", "fast car"] * 5
    tags = [["fruit"], ["fruit"], ["car", "red"], ["car"], ["fruit"], ["car"]] * 5
    model = make_pipeline(TfidfVectorizer(), MLCEClassifier()).fit(texts, tags)
    store(model, texts, tags, folder)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with a folder for each model."""
    parent = tmp_path_factory.mktemp("stored")
    stores = {name: partial(store_model, name) for name in MODELS}
    stores |= {f"y, {kind}": partial(store_kind, kind) for kind in KINDS}
    for name, store_it in {**stores, "texts": store_texts}.items():
        (parent / name).mkdir()
        store_it(parent / name)
    return parent


@pytest.fixture(scope="module")
def failures(stored):
    """What went wrong where the models were served, by name."""
    return json.loads(python(SERVE, stored))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_fitted_models_predict(name, stored, failures):
    assert (stored / name / "model.skops").exists()
    assert name not in failures, failures[name]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_each_kind_of_y_predict(kind, stored, failures):
    assert (stored / f"y, {kind}" / "model.skops").exists()
    assert f"y, {kind}" not in failures, failures[f"y, {kind}"]


@pytest.mark.slow
def test_a_pipeline_of_texts_predicts_tags(failures):
    assert "texts" not in failures, failures["texts"]


WITHOUT_MODELS = """
import sys
import sklearn_mlce
assert not {"sklearn", "torch", "numpy"} & set(sys.modules)
assert {"MLCEClassifier", "MLCEMLP", "__version__"} <= set(dir(sklearn_mlce))
try:
    sklearn_mlce.MLCEClasifier
except AttributeError as error:
    print(error)

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
for estimator in (MLCEClassifier(), MLCEClassifierCV()):
    for method in ("fit", "partial_fit"):
        if not hasattr(estimator, method):
            continue
        try:
            getattr(estimator, method)([[0.0], [1.0]] * 5, [[0, 1], [1, 0]] * 5)
        except ImportError as error:
            print(error)
"""


@pytest.mark.slow
def test_rooms_need_no_torch_and_a_fit_says_what_is_missing():
    imports = "".join(f"import sklearn_mlce.{room}\n" for room in ROOMS)
    misspelt, *lines = python(WITHOUT_MODELS + imports).splitlines()
    assert "has no attribute 'MLCEClasifier'" in misspelt
    assert len(lines) == 3
    for line in lines:
        assert "needs torch, which is not installed here" in line
        assert "pip install torch" in line
