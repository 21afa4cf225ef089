"""What features are told to become is what can be computed with."""

import datetime
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator

from sklearn_mlce._utils.features import validated_features
from tests.helpers.estimators import labelled_rows, linear, mlp

DATES = pd.date_range("2020-01-01", periods=4)
DAYS = DATES - DATES[0]


def column_of_objects(values):
    array = np.zeros((len(values), 2), dtype=object)
    array[:, 1] = values
    return array


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"a": [1.0] * 4, "at": DATES}),
        pd.DataFrame({"a": [1.0] * 4, "at": DATES.tz_localize("UTC")}),
        pd.DataFrame({"a": [1.0] * 4, "at": DATES.date}),
        pd.DataFrame({"a": [1.0] * 4, "at": DAYS}),
        pl.DataFrame({"a": [1.0] * 4, "at": DATES.to_pydatetime().tolist()}),
        pl.DataFrame({"a": [1.0] * 4, "at": DAYS.to_pytimedelta().tolist()}),
        pl.DataFrame({"a": [1.0] * 4, "at": DAYS.to_pytimedelta()}),  # a column of objects
        column_of_objects(DATES.to_pydatetime()),
        column_of_objects(DATES.date),
        column_of_objects(DAYS.to_pytimedelta()),
        np.tile(DATES.to_numpy()[:, None], 2),
        np.tile(DAYS.to_numpy()[:, None], 2),
    ],
    ids=lambda X: type(X).__name__,
)
def test_what_is_to_be_typed_makes_ascending_numbers_of_dates(X):
    with pytest.raises(TypeError, match="such as") as refused:
        validated_features(BaseEstimator(), X, reset=True)
    typed = str(refused.value).rpartition("such as ")[2]
    numbers = np.asarray(eval(typed, {"X": X, "np": np}), dtype=float)
    assert numbers.shape == (4,)
    assert (np.diff(numbers) > 0).all()


@pytest.mark.parametrize("X", [[["1", "2.5"]], np.array([["1", "2.5"]]), pl.DataFrame([["1"]])])
def test_numbers_written_as_text_are_cast_by_what_is_to_be_typed(X):
    with pytest.raises(TypeError, match=r"X holds text in column") as refused:
        validated_features(BaseEstimator(), X, reset=True)
    typed = re.search(r"X\.\S+\)", str(refused.value)).group()
    X = np.asarray(X) if isinstance(X, list) else X
    numbers = np.asarray(eval(typed, {"X": X, "pl": pl}))
    assert numbers.dtype == np.float64


def test_columns_of_one_name_are_refused():
    X = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    with pytest.raises(ValueError, match=r"2 columns of the name 'a'; .* ~X.columns.duplicated"):
        validated_features(BaseEstimator(), X, reset=True)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([[1.0, {"a": 1}]], dtype=object), r"type dict in column 1 .*DictVectorizer"),
        (np.array([[1.0, datetime.time(3)]], dtype=object), "type time in column 1"),
    ],
)
def test_other_objects_are_refused(X, message):
    with pytest.raises(TypeError, match=message):
        validated_features(BaseEstimator(), X, reset=True)


@pytest.mark.parametrize("X", [[[1, 2], [3]], np.zeros((2, 0)), [], np.ones(3)], ids=str)
def test_other_shapes_are_refused(X):
    with pytest.raises(ValueError, match=r"rows of 1 to 2 entries|2D array|0 feature"):
        validated_features(BaseEstimator(), X, reset=True)


@pytest.mark.parametrize(
    ("X", "dtype"),
    [
        (np.ones((2, 2), dtype=np.float16), np.float32),
        (np.ones((2, 2), dtype=np.float32), np.float32),
        (np.ones((2, 2)), np.float64),
        (np.ones((2, 2), dtype=np.int8), np.float64),
        (np.ones((2, 2), dtype=bool), np.float64),
        (np.ones((2, 2), dtype=object), np.float64),
        (np.ones((2, 2)).tolist(), np.float64),
        (sp.csr_array(np.ones((2, 2), dtype=np.float32)), np.float32),
        (sp.csc_matrix(np.ones((2, 2), dtype=np.int64)), np.float64),
        (pd.DataFrame({"a": [1, 2]}, dtype=np.float16), np.float32),
        (pd.DataFrame({"a": [1.0], "b": [2.0]}).astype({"a": np.float16}), np.float64),
        (pd.DataFrame({"a": [1.0], "b": [2]}).astype({"a": np.float16}), np.float64),
        (pd.DataFrame({"a": [1, 2]}, dtype="Float32"), np.float32),
        (pd.DataFrame({"a": [1, 2]}, dtype="Int8"), np.float64),
        (pl.DataFrame({"a": [1.0]}, schema={"a": pl.Float32}), np.float32),
        (pl.DataFrame({"a": [1]}), np.float64),
    ],
)
def test_single_precision_is_kept_and_half_is_raised_to_it(X, dtype):
    features = validated_features(BaseEstimator(), X, reset=True)
    assert features.dtype == dtype
    assert sp.issparse(features) == sp.issparse(X)


def test_doubles_are_not_copied():
    X = np.ones((3, 2))
    assert np.shares_memory(validated_features(BaseEstimator(), X, reset=True, order="C"), X)


@pytest.mark.parametrize("make", [linear, mlp])
def test_tensors_are_taken_and_those_with_a_gradient_refused(make):
    X, Y = labelled_rows()
    model, rows = make().fit(torch.from_numpy(X), Y), torch.from_numpy(X)
    expected = make().fit(X, Y).decision_function(X)
    np.testing.assert_array_equal(model.decision_function(rows), expected)
    for method in ("predict", "decision_function", "predict_proba"):
        with pytest.raises(TypeError, match=r"tensor that requires grad.*to_torch\(\)"):
            getattr(model, method)(rows.clone().requires_grad_())
    with pytest.raises(TypeError, match="tensor on meta"):
        model.predict(rows.to("meta"))


@pytest.mark.slow
def test_tensors_are_taken_where_scikit_learn_dispatches():
    code = """
import numpy as np, sklearn, torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
X = np.random.default_rng(0).normal(size=(40, 3))
Y = (X > 0).astype(int)
rows = torch.from_numpy(X)
for model in (
    MLCEClassifier(),
    MLCEClassifierCV([0.1, 1.0]),
    MLCEMLP((4,), max_epochs=2),
    MultilabelTunedThresholdClassifierCV(MLCEClassifier()),
    MultilabelCalibratedClassifierCV(MLCEClassifier()),
    MultilabelDecisionClassifier(MLCEClassifier()),
    make_pipeline(FunctionTransformer(), MLCEClassifier()),
):
    model.fit(X, Y)
    expected = [getattr(model, name)(X) for name in ("decision_function", "predict_proba")]
    with sklearn.config_context(array_api_dispatch=True):
        np.testing.assert_array_equal(model.decision_function(rows), expected[0])
        np.testing.assert_array_equal(model.predict_proba(rows), expected[1])
        np.testing.assert_array_equal(model.predict(rows), expected[0] > 0)
"""
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    if "array_api_compat" in done.stderr:  # which an older scikit-learn needs for it
        pytest.skip("array_api_compat is not installed")
    assert done.returncode == 0, done.stderr
