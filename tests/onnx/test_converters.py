"""Models of ONNX answer as the estimators that they were made of."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_mlce import MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.decisions import MultilabelDecisionClassifier as Decided
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from sklearn_mlce.onnx import register_converters
from tests.helpers.estimators import labelled_rows, linear, mlp, single_labels

skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

# Of onnxscript and skl2onnx, about themselves.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
X, Y = labelled_rows()
Y[:, 3] = 0  # never positive
COUNTS = np.column_stack([Y[:, :2].sum(axis=1), 5 * Y[:, 2:].sum(axis=1)])
TEXT_COUNTS = np.array([["none", "one", "two"]])[0][np.minimum(COUNTS, 2)]
CASES = {
    "linear": (linear, Y),
    "sparse y": (linear, sp.csr_matrix(Y)),
    "names": (linear, pd.DataFrame(Y, columns=[f"label {i}" for i in range(Y.shape[1])])),
    "pruned": (lambda: linear(coef_threshold=0.05), Y),
    "search": (lambda: MLCEClassifierCV([0.1, 1.0], random_state=0), Y),
    "binary": (linear, single_labels(Y)["binary"]),
    "multiclass": (linear, single_labels(Y)["multiclass"]),
    "numbers as classes": (linear, 10 * Y[:, 0] + 5 * Y[:, 1]),
    "several outputs": (linear, COUNTS),
    "several outputs of text": (mlp, TEXT_COUNTS),
    "unknown": (linear, np.where(np.arange(Y.size).reshape(Y.shape) % 11 == 0, np.nan, Y)),
    "soft": (linear, np.clip(0.8 * Y, 0, 1)),
    "no probabilities": (lambda: linear(loss="squared_hinge"), Y),
    "two labels a row": (lambda: linear(n_labels_per_row=2), Y),
    "network": (mlp, Y),
    "learned threshold": (lambda: mlp(learn_threshold=True), Y),
    "tuner": (lambda: Tuned(linear(), thresholds="per_label", random_state=0), Y),
    "tuned network": (lambda: Tuned(mlp(), random_state=0), Y),
    "calibrator": (lambda: Calibrated(linear(), random_state=0), Y),
    "isotonic": (lambda: Calibrated(linear(), method="isotonic", random_state=0), Y),
    "highest F1": (lambda: Decided(Calibrated(linear(), random_state=0)), Y),
    "one threshold": (lambda: Decided(mlp(), decision="f1_micro", random_state=0), Y),
    "two best": (lambda: Decided(linear(), decision="top_k", k=2), Y),
    "best and above": (lambda: Decided(linear(), decision="best_and_above", threshold=0.3), Y),
    "decided classes": (lambda: Decided(linear()), single_labels(Y)["multiclass"]),
}


def converted(model, rows, **options):
    register_converters()
    return skl2onnx.to_onnx(model, rows, **options)


def answers(onnx_model, inputs):
    """Return the outputs of a model by name."""
    session = onnxruntime.InferenceSession(onnx_model.SerializeToString())
    if not isinstance(inputs, dict):
        inputs = {session.get_inputs()[0].name: inputs}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def assert_same_answers(found, model, rows, tolerance):
    expected = model.predict(rows)
    expected = expected.toarray() if sp.issparse(expected) else expected
    assert found["label"].shape == expected.shape
    np.testing.assert_array_equal(found["label"], expected)
    for name, method in (("scores", "decision_function"), ("probabilities", "predict_proba")):
        if not hasattr(model, method):
            assert name not in found
            continue
        values = getattr(model, method)(rows)
        parts = {f"{name}_{i}": part for i, part in enumerate(values)}
        for part, value in (parts if isinstance(values, list) else {name: values}).items():
            np.testing.assert_allclose(found[part], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CASES)
def test_each_estimator_and_kind_of_y(name, dtype):
    make, y = CASES[name]
    rows = X.astype(dtype)
    model = make().fit(rows, y)
    found = answers(converted(model, rows[:1]), rows)
    assert_same_answers(found, model, rows, 1e-5 if dtype is np.float32 else 1e-7)
    assert found["scores_0" if "several" in name else "scores"].dtype == dtype


@pytest.mark.parametrize("make", [linear, mlp])
def test_texts(make):
    texts = ["red apple", "green pear", "red car", "green car", "apple pie", "fast car"] * 5
    tags = [["fruit"], ["fruit"], ["car", "red"], ["car"], ["fruit"], ["car"]] * 5
    # Lower case takes a locale of onnxruntime's choice, which not every machine has.
    model = make_pipeline(TfidfVectorizer(lowercase=False), make()).fit(texts, tags)
    types = [("text", skl2onnx.common.data_types.StringTensorType([None]))]
    found = answers(converted(model, None, initial_types=types), {"text": np.array(texts)})
    assert_same_answers(found, model, texts, 1e-4)


def test_columns():
    frame = pd.DataFrame({"size": X[:, 0].astype("f"), "colour": np.where(X[:, 1] > 0, "a", "b")})
    columns = make_column_transformer((StandardScaler(), ["size"]), (OneHotEncoder(), ["colour"]))
    model = make_pipeline(columns, Tuned(linear(), random_state=0)).fit(frame, Y)
    inputs = {name: frame[[name]].to_numpy() for name in frame}
    types = [
        ("size", skl2onnx.common.data_types.FloatTensorType([None, 1])),
        ("colour", skl2onnx.common.data_types.StringTensorType([None, 1])),
    ]
    found = answers(converted(model, None, initial_types=types), inputs)
    assert_same_answers(found, model, frame, 1e-4)


def test_whole_numbers():
    rows = np.round(3 * X).astype(np.int64)
    model = linear().fit(rows, Y)
    assert_same_answers(answers(converted(model, rows[:1]), rows), model, rows, 1e-4)


def test_any_number_of_rows_and_the_operators_of_an_older_version():
    model = linear().fit(X, Y)
    onnx_model = converted(model, X[:1], target_opset=18)
    assert onnx_model.opset_import[0].version <= 18
    for n_rows in (1, 2, len(X)):
        assert_same_answers(answers(onnx_model, X[:n_rows]), model, X[:n_rows], 1e-7)


def test_what_has_no_converter_says_so():
    foreign = Tuned(OneVsRestClassifier(LogisticRegression()), random_state=0).fit(X, Y[:, :2])
    with pytest.raises((TypeError, ValueError), match="no torch module"):
        converted(foreign, X[:1])


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'sklearn-mlce\[onnx\]'"):
        register_converters()
