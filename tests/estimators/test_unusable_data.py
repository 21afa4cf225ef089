"""What is no number in X, and no label in y, is refused by all five estimators."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from sklearn_mlce import MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both
from tests.helpers.tables import Table

FIVE = {
    "linear": linear,
    "linear_cv": lambda: MLCEClassifierCV(Cs=[1.0], cv=2, random_state=0),
    "mlp": mlp,
    "tuner": lambda: MultilabelTunedThresholdClassifierCV(linear(), cv=2, random_state=0),
    "calibrator": lambda: MultilabelCalibratedClassifierCV(linear(), cv=2, random_state=0),
}
on_all_five = pytest.mark.parametrize("make", FIVE.values(), ids=FIVE)
X, Y = labelled_rows()
X_NAMES, Y_NAMES = list("abcdef"), ["sea", "sky", "sand", "snow"]
FRAME = pd.DataFrame(X, columns=X_NAMES)
DATES = pd.date_range("2020-01-01", periods=len(X))


def with_values(*values):
    """Labels that hold other values, -1 in half of the rows."""
    y = Y.astype(float)
    for number, value in enumerate(values):
        y[: 45 if value == -1 else 1, number] = value
    return y


STRAY = {
    "twice": (with_values(2), r"2 in 1 cell \(column"),
    "huge": (with_values(1e300), r"1e\+300 in 1 cell \(column"),
    "unknown": (with_values(-1), r"-1 in 45 cells \(column.*means unknown"),
    "both": (with_values(-1, 2), r"-1 in 45 cells .* and 2 in 1 cell \(column"),
    "pandas": (pd.DataFrame(with_values(-1), columns=Y_NAMES), r"column 'sea'\).*y\.replace\(-1"),
    "polars": (pl.DataFrame(with_values(2), schema=Y_NAMES), r"'sea'\).*\.cast\(pl\.Int64\)"),
    "sets": ([{3, 4}] * 45 + [{4, 7}] * 45, "collection of label sets"),
    "series": (pd.Series([None] + [{"sea", "sky"}] * 89), "1 of 90 rows of y are missing"),
    "lists": (pl.Series([[3, 4], [4]] * 45), "collection of label sets"),
    "strings": (["sea,sky", "sky", "sea", "sun,sea", "sky,sun,sea"] * 18, "of several labels"),
}


def assert_refused(call, error, match, model, before):
    """Fail unless a call raises, and the model predicts as it did before."""
    with pytest.raises(error, match=match):
        call()
    np.testing.assert_array_equal(model.decision_function(X), before)


@on_all_five
@pytest.mark.parametrize(("y", "match"), STRAY.values(), ids=STRAY)
def test_other_labels_are_refused_and_an_earlier_fit_stays(y, match, make):
    model = make().fit(X, Y)
    before = model.decision_function(X)
    assert_refused(lambda: model.fit(X, y), ValueError, match, model, before)


@on_both
@pytest.mark.parametrize(("y", "match"), STRAY.values(), ids=STRAY)
def test_other_labels_are_refused_in_streams(y, match, make):
    with pytest.raises(ValueError, match=match):
        make().partial_fit(X, y)
    model = make().partial_fit(X, Y)
    before = model.decision_function(X)
    if isinstance(y, list) and isinstance(y[0], str):
        match = "has 1 labels; expected 4|labels"
    assert_refused(lambda: model.partial_fit(X, y), ValueError, match, model, before)


@pytest.mark.parametrize("value", [-1, 2])
def test_other_labels_to_stop_by_are_refused(value):
    model = mlp(early_stopping=True)
    with pytest.raises(ValueError, match=f"^y_val: y is a matrix of labels but for {value} in"):
        model.fit(X, Y, X_val=X, y_val=with_values(value))


def with_column(values):
    """Six columns of objects, the third of which holds other values."""
    array = X.astype(object)
    array[:, 2] = values
    return array


POLARS = pl.DataFrame(X, schema=X_NAMES)
NO_NUMBERS = {
    "text": (X.astype(str), r"text in column 0 \(dtype <U32, such as '"),
    "bytes": (X.astype("S"), r"text in column 0 \(dtype \|S32, such as b'"),
    "dates": (X.astype("datetime64[s]"), r"dates in column 0 \(dtype datetime64\[s\]"),
    "durations": (X.astype("timedelta64[s]"), r"durations in column 0 \(dtype timedelta64\[s\]"),
    "list": (X.astype(str).tolist(), "text in column 0"),
    "mixed": ([[1.0, 2, 3, 4, 5, "6"]] * 90, r"text in column 5 \(dtype object, such as '6'\)"),
    "object text": (with_column(X[:, 2].astype(str)), r"text in column 2 \(dtype object"),
    "object dates": (with_column(DATES.to_pydatetime()), r"dates in column 2 \(dtype object"),
    "object stamps": (with_column(list(DATES)), "dates in column 2 .*Timestamp"),
    "object days": (with_column(datetime.timedelta(1)), "durations in column 2"),
    "pandas text": (FRAME.assign(c=FRAME.c.astype(str)), r"text in column 'c' \(dtype (str|obj)"),
    "pandas string": (FRAME.astype({"c": "string"}), r"text in column 'c' \(dtype string"),
    "pandas category": (FRAME.astype({"c": str}).astype({"c": "category"}), r"'c' \(dtype cat"),
    "pandas dates": (FRAME.assign(c=DATES), r"dates in column 'c' \(dtype datetime64"),
    "pandas zone": (FRAME.assign(c=DATES.tz_localize("UTC")), "dates in column 'c' .*UTC"),
    "pandas days": (FRAME.assign(c=DATES - DATES[0]), r"durations in column 'c' \(dtype timedel"),
    "polars text": (POLARS.with_columns(c=pl.lit("1")), r"text in column 'c' \(dtype String"),
    "polars category": (
        POLARS.with_columns(c=pl.lit("1").cast(pl.Categorical)),
        r"text in column 'c' \(dtype Categorical",
    ),
    "polars dates": (POLARS.with_columns(c=pl.lit(DATES[0].date())), r"dates in column 'c' \(dty"),
    "polars days": (
        POLARS.with_columns(c=pl.lit(datetime.timedelta(1))),
        r"durations in column 'c' \(dtype Duration",
    ),
}


@on_all_five
@pytest.mark.parametrize(("numbers", "match"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_x_that_is_no_number_is_refused(numbers, match, make):
    model = make().fit(FRAME if hasattr(numbers, "columns") else X, Y)
    before = model.decision_function(FRAME if hasattr(numbers, "columns") else X)
    calls = [
        lambda: model.fit(numbers, Y),
        lambda: model.predict(numbers),
        lambda: model.predict_proba(numbers),
        lambda: model.decision_function(numbers),
        lambda: model.score(numbers, Y),
    ]
    if hasattr(model, "partial_fit"):
        calls += [
            lambda: model.partial_fit(numbers, Y),
            lambda: make().partial_fit(numbers, Y),
            lambda: model.predict_topk(numbers, 1),
        ]
    for call in calls:
        with pytest.raises(TypeError, match=f"^X holds .*{match}.*expected numbers"):
            call()
    after = model.decision_function(FRAME if hasattr(numbers, "columns") else X)
    np.testing.assert_array_equal(after, before)


@on_all_five
@pytest.mark.parametrize(
    "numbers",
    [
        X.astype(object),
        FRAME.astype(object),
        FRAME.astype("Float64"),
        POLARS,
        FRAME.round(1).astype("category"),
        X.astype(object).tolist(),
    ],
    ids=lambda numbers: type(numbers).__name__,
)
def test_numbers_of_any_container_are_numbers(numbers, make):
    values = np.asarray(numbers, dtype=float)
    names = hasattr(numbers, "columns")
    model = make().fit(pd.DataFrame(values, columns=X_NAMES) if names else values, Y)
    other = make().fit(numbers, Y)
    expected = model.decision_function(pd.DataFrame(values, columns=X_NAMES) if names else values)
    np.testing.assert_array_equal(other.decision_function(numbers), expected)


@on_all_five
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_truth_values_are_numbers(container, make):
    truth = X > 0
    expected = make().fit(truth.astype(float), Y).decision_function(truth.astype(float))
    data = container(truth)
    model = make().fit(data, Y)
    np.testing.assert_array_equal(model.decision_function(data), expected)


@pytest.mark.parametrize("make", [linear, FIVE["linear_cv"], mlp], ids=["linear", "cv", "mlp"])
@pytest.mark.parametrize(
    "container",
    [
        lambda X: X.astype(np.float16),
        lambda X: pd.DataFrame(X).astype(np.float16),
        lambda X: pd.DataFrame(X).astype({0: np.float16, 1: np.float32}).astype(np.float32),
        lambda X: pl.DataFrame(X).cast(pl.Float32),
        lambda X: pd.DataFrame(X).astype("Float32"),
        lambda X: sp.csr_array(X.astype(np.float32)),
    ],
)
def test_half_and_single_precision_become_single_precision(container, make):
    halves = X.astype(np.float16)
    data = container(halves.astype(float))
    scores = make().fit(data, Y).decision_function(data)
    assert scores.dtype == np.float32
    if not sp.issparse(data):
        singles = halves.astype(np.float32)
        expected = make().fit(singles, Y).decision_function(singles)
        np.testing.assert_array_equal(scores, expected)


@on_both
def test_chunks_of_half_precision_become_single_precision(make):
    halves = X.astype(np.float16)
    model = make().partial_fit(halves, Y).partial_fit(halves, Y)
    assert model.decision_function(halves).dtype == np.float32


@on_all_five
@pytest.mark.parametrize("y", [Y, Y[:, 0], sp.csr_array(Y)], ids=["labels", "binary", "sparse"])
def test_none_is_refused_in_a_sentence(y, make):
    model = make()
    no_X = r"X is None; expected the features of each row"
    for call in (lambda: model.fit(None, y), lambda: make().fit(None, y)):
        with pytest.raises(ValueError, match=no_X):
            call()
    with pytest.raises(ValueError, match="fit requires y to be passed, but the target y is None"):
        model.fit(X, None)
    model.fit(X, y)
    before = model.decision_function(X)
    calls = [model.predict, model.decision_function, model.predict_proba]
    for call in (*calls, lambda nothing: model.score(nothing, y)):
        with pytest.raises(ValueError, match=no_X):
            call(None)
    with pytest.raises(ValueError, match="score requires y to be passed, but the target y is None"):
        model.score(X, None)
    np.testing.assert_array_equal(model.decision_function(X), before)


@on_both
@pytest.mark.parametrize("y", [Y, Y[:, 0], Y + np.arange(4)], ids=["labels", "binary", "outputs"])
def test_none_is_refused_in_streams(y, make):
    classes = [[number, number + 1] for number in range(4)] if y.max() > 1 else None
    model = make().partial_fit(X, y, classes=classes)
    for other in (model, make()):
        with pytest.raises(ValueError, match="partial_fit requires y to be passed, but the target"):
            other.partial_fit(X, None)
        with pytest.raises(ValueError, match="X is None; expected the features"):
            other.partial_fit(None, y, classes=classes)


@on_all_five
@pytest.mark.parametrize("text", [["a text", "another"] * 45, pd.Series(["a text"] * 90)])
def test_texts_are_refused_with_a_vectorizer(text, make):
    with pytest.raises(TypeError, match=r"X holds text \(.*such as 'a.*TfidfVectorizer"):
        make().fit(text, Y)


def table_of(library):
    """What looks like a table of labels, or one."""
    if library is None:
        return Table(Y, Y_NAMES)
    pyarrow = pytest.importorskip(library)
    return pyarrow.table(dict(zip(Y_NAMES, Y.T, strict=True)))


@on_all_five
@pytest.mark.parametrize("library", [None, "pyarrow"])
def test_a_table_names_its_labels(library, make):
    table = table_of(library)
    model = make().fit(X, table)
    assert model.label_names_.tolist() == Y_NAMES
    expected = make().fit(X, Y)
    np.testing.assert_array_equal(model.decision_function(X), expected.decision_function(X))
    assert model.score(X, table) == expected.score(X, Y)
