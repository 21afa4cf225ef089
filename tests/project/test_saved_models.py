"""Models that an earlier version saved load, and answer as they did.

A folder comes from scikit-learn 1.9 and NumPy 2, another from scikit-learn 1.6 and NumPy 1.26:
`make test` reads both with the newest, and `make oldest` both with the oldest.
"""

import json
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

from tests.fixtures import make

skops_io = pytest.importorskip("skops.io")

PATHS = sorted(make.FOLDER.glob("*/*.skops"))
each_model = pytest.mark.parametrize(
    "path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
# Of scikit-learn, about its own estimators, such as those in a pipeline.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")


def compare(found, expected):
    """Check numbers up to rounding, and all else exactly."""
    if isinstance(expected, list) and expected and isinstance(expected[0], list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            compare(one, other)
    elif np.asarray(expected).dtype.kind == "f":
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
    else:
        assert found == expected


def test_each_estimator_and_kind_of_y_is_among_them():
    for folder in {path.parent for path in PATHS}:
        assert {path.stem for path in folder.glob("*.skops")} >= {"linear", "network", "tuner"}
    assert set(make.models()) == {path.stem for path in PATHS}


@each_model
def test_a_saved_model_answers_as_it_did(path):
    names = skops_io.get_untrusted_types(file=path)
    ours = [name for name in names if not name.startswith("scipy.sparse.")]
    assert all(name.startswith("sklearn_mlce.") and "._" not in name for name in ours), names
    model = skops_io.load(path, trusted=names)
    assert_answers(model, path)
    clone(model).get_params()  # those that came since too


@each_model
def test_a_pickled_model_answers_as_it_did_and_can_be_fitted(path):
    model = pickle.loads(path.with_suffix(".pickle").read_bytes())
    assert_answers(model, path)
    X = make.TEXTS if path.stem == "texts" else make.rows()[0]
    y = make.models()[path.stem][1]
    model.fit(X, y)
    if hasattr(model, "partial_fit") and path.stem != "pruned":  # which takes no chunks
        model.partial_fit(X, y)


def assert_answers(model, path):
    """Fail unless a model answers what the file beside it says."""
    expected = json.loads(Path(path).with_suffix(".json").read_text(encoding="utf-8"))
    found = make.answers(model, path.stem)
    assert found.keys() == expected.keys()
    for method, values in expected.items():
        compare(found[method], values)


@each_model
def test_a_saved_model_decides_alike_in_float32(path):
    model = pickle.loads(path.with_suffix(".pickle").read_bytes())
    if path.stem == "texts":
        return  # whose rows have no type
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    rows = make.asked(path.stem).astype(np.float32)
    assert make.as_lists(model.predict(rows)) == expected["predict"]
    found = make.as_lists(model.decision_function(rows))
    compare_closely = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4)
    if path.stem == "several_outputs":
        for one, other in zip(found, expected["decision_function"], strict=True):
            compare_closely(one, other)
    else:
        compare_closely(found, expected["decision_function"])
    if hasattr(model, "partial_fit") and path.stem != "pruned":
        before = {name: np.asarray(value).dtype for name, value in weights_of(model).items()}
        model.partial_fit(make.rows()[0].astype(np.float32), make.models()[path.stem][1])
        after = {name: np.asarray(value).dtype for name, value in weights_of(model).items()}
        assert after == before


def weights_of(model):
    """Learned arrays of an estimator by name."""
    names = ("coef_", "intercept_")
    return getattr(model, "state_dict_", None) or {name: getattr(model, name) for name in names}
