"""Stored models of one float type meet rows of another: same decisions, and training goes on."""

import functools
import io
import pickle

import joblib
import numpy as np
import pytest
from skops import io as skops

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, mlp

X, Y = labelled_rows()
X = np.round(8 * X)  # whole numbers, which every type below holds
FLOATS = (np.float32, np.float64)
TYPES = (*FLOATS, np.float16, np.int8)  # the first is kept, float16 becomes it; int8 the second
MAKERS = {
    "newton": lambda: MLCEClassifier(),
    "pruned": lambda: MLCEClassifier(coef_threshold=0.05),
    "network": lambda: mlp(warm_start=True, max_epochs=3),
    "tuner": lambda: Tuned(MLCEClassifier(), cv=2, random_state=0),
    "calibrator": lambda: Calibrated(MLCEClassifier(), cv=2, random_state=0),
}


@functools.cache
def fitted(name, dtype):
    """Return an estimator fitted on rows of a type; do not change it."""
    return MAKERS[name]().fit(X.astype(dtype), Y)


def by_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def by_skops(model):
    stored = skops.dumps(model)
    return skops.loads(stored, trusted=skops.get_untrusted_types(data=stored))


WAYS = {"pickle": lambda model: pickle.loads(pickle.dumps(model)), "joblib": by_joblib}
WAYS["skops"] = by_skops
in_each_way = pytest.mark.parametrize("way", WAYS)
on_each_type = pytest.mark.parametrize("dtype", TYPES, ids=lambda dtype: dtype.__name__)


def dtypes_of(value):
    """Types of all arrays in what an estimator has, in order."""
    if isinstance(value, np.ndarray):
        return [value.dtype]
    parts = getattr(value, "__dict__", value)  # of sparse arrays and estimators
    parts = parts.values() if isinstance(parts, dict) else parts
    nested = parts if isinstance(parts, list | tuple) or hasattr(parts, "mapping") else ()
    return [dtype for part in nested for dtype in dtypes_of(part)]


def kept_dtypes(model):
    """Types of the arrays of each attribute."""
    return {name: dtypes_of(value) for name, value in vars(model).items()}


@on_each_type
@pytest.mark.parametrize("name", MAKERS)
def test_decisions_do_not_depend_on_the_type_of_the_rows(name, dtype):
    model = fitted(name, dtype)
    labels, scores = model.predict(X.astype(dtype)), model.decision_function(X.astype(dtype))
    certain = np.abs(scores) > 1e-4  # beyond what float32 rounds
    assert certain.mean() > 0.9
    for load in WAYS.values():
        loaded = load(model)
        assert kept_dtypes(loaded) == kept_dtypes(model)
        for asked in TYPES:
            found = loaded.predict(X.astype(asked))
            np.testing.assert_array_equal(found[certain], labels[certain])
            found = loaded.decision_function(X.astype(asked))
            np.testing.assert_allclose(found, scores, rtol=1e-4, atol=1e-4)


@in_each_way
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("make", [MLCEClassifier, mlp])
def test_a_stream_goes_on_in_its_own_precision_after_loading(make, dtype, way):
    (other,) = set(FLOATS) - {dtype}
    stream = make(random_state=0).partial_fit(X.astype(dtype), Y)
    loaded = WAYS[way](stream)
    whole = make(random_state=0).partial_fit(X.astype(dtype), Y)
    for model in (loaded, whole):
        model.partial_fit(X.astype(other), Y).partial_fit(X.astype(np.int8), Y)
    rows = X.astype(dtype)
    assert loaded.decision_function(rows).dtype == dtype
    # Coefficients that are read are written out, which rounds them once.
    tolerance = 1e3 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        loaded.decision_function(rows), whole.decision_function(rows), tolerance, tolerance
    )
    assert kept_dtypes(loaded) == kept_dtypes(whole)


@in_each_way
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("make", [MLCEClassifier, mlp])
def test_a_warm_start_takes_the_precision_of_its_rows_after_loading(make, dtype, way):
    (other,) = set(FLOATS) - {dtype}
    whole = make(warm_start=True, random_state=0).fit(X.astype(dtype), Y)
    loaded = WAYS[way](whole)
    for model in (loaded, whole):
        model.fit(X.astype(other), Y)
        assert model.decision_function(X.astype(other)).dtype == other
    np.testing.assert_array_equal(loaded.decision_function(X), whole.decision_function(X))
    assert kept_dtypes(loaded) == kept_dtypes(whole)
