"""Models that an earlier version saved load, and answer as they did."""

import json
from pathlib import Path

import numpy as np
import pytest
import sklearn
from packaging.version import Version
from sklearn.base import clone

from tests.fixtures import make

skops_io = pytest.importorskip("skops.io")

PATHS = sorted(make.FOLDER.glob("*/*.skops"))
OF_SCIKIT_LEARN = "1.9"


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


@pytest.mark.skipif(
    Version(sklearn.__version__) < Version(OF_SCIKIT_LEARN),
    reason="the files were saved with a newer scikit-learn, whose estimators an older may not know",
)
@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
def test_a_saved_model_answers_as_it_did(path):
    names = skops_io.get_untrusted_types(file=path)
    ours = [name for name in names if not name.startswith("scipy.sparse.")]
    assert all(name.startswith("sklearn_mlce.") and "._" not in name for name in ours), names
    model = skops_io.load(path, trusted=names)
    expected = json.loads(Path(path).with_suffix(".json").read_text(encoding="utf-8"))
    found = make.answers(model, path.stem)
    assert found.keys() == expected.keys()
    for method, values in expected.items():
        compare(found[method], values)
    clone(model).get_params()  # those that came since too
