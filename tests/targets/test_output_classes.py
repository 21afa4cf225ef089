"""Classes of several outputs: text and numbers, in every container, unknown where missing."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_mlce._targets.encoding import encode_outputs, encode_targets, known_entries
from sklearn_mlce._targets.output_classes import encode_columns
from sklearn_mlce._targets.targets import LabelCounts, constant_label_scores

HARD = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 0]])
GRADES = HARD + np.array([0, 1, 0])
TEXT = np.where(HARD, "yes", "no")
TICKETS = {
    "queue": ["sales", "billing", "sales", "help"],
    "urgent": ["yes", "no", "no", "yes"],
    "grade": [3, 1, 2, 1],
}
CODES = [[2, 1, 2], [0, 0, 0], [2, 0, 1], [1, 1, 0]]
NAMES = list(TICKETS)


def frame(**dtypes):
    return pd.DataFrame(TICKETS).astype(dtypes)


def scores_of(codes, sizes):
    """Scores whose largest are at the codes of the outputs."""
    return np.hstack(
        [np.eye(m)[column] for column, m in zip(np.transpose(codes), sizes, strict=True)]
    )


@pytest.mark.parametrize(
    "y",
    [
        frame(),
        frame(queue=object, urgent=object),
        frame(queue="string", urgent="string"),
        frame(queue="category", urgent="category"),
        frame(queue="category", urgent="string", grade="Int64"),
        frame(grade="category"),
        pl.DataFrame(TICKETS),
        pl.DataFrame(TICKETS).with_columns(pl.col("queue").cast(pl.Categorical)),
        frame().to_numpy(),
        frame().to_numpy().tolist(),
    ],
    ids=lambda y: type(y).__module__,
)
def test_columns_of_text_and_numbers_are_outputs(y):
    targets = encode_targets(y)
    assert targets.kind == "multioutput"
    assert targets.output_codes().tolist() == CODES
    assert [classes.tolist() for classes in targets.classes] == [
        ["billing", "help", "sales"],
        ["no", "yes"],
        [1, 2, 3],
    ]
    assert targets.classes[2].dtype.kind == "i"
    predicted = targets.format.decode(scores_of(CODES, targets.format.sizes))
    assert predicted.dtype == object
    np.testing.assert_array_equal(predicted, frame().to_numpy())
    assert isinstance(predicted[0, 2], int)
    np.testing.assert_array_equal(targets.labels(targets.format), predicted)


@pytest.mark.parametrize(
    ("y", "dtype"),
    [
        (TEXT, "<U3"),
        (TEXT.astype("S3"), "S3"),
        (TEXT.astype(object), object),
        (TEXT.tolist(), object),
        (HARD.astype(str), HARD.astype(str).dtype),
        (pd.DataFrame(TEXT, dtype="string"), object),
        (pd.DataFrame(TEXT, dtype="category"), object),
        (pl.DataFrame(TEXT), object),
        (GRADES, int),
        (GRADES.astype(np.int8), np.int8),
        (GRADES.astype(object), int),
    ],
    ids=lambda y: type(y).__name__,
)
def test_outputs_of_two_values_keep_them(y, dtype):
    targets = encode_targets(y)
    assert targets.kind == "multioutput"
    assert targets.format.sizes == (2, 2, 2)
    predicted = targets.format.decode(scores_of(HARD, (2, 2, 2)))
    assert predicted.dtype == dtype
    np.testing.assert_array_equal(predicted, np.asarray(y))


def test_text_of_any_length_is_text():
    dtypes = pytest.importorskip("numpy.dtypes")
    if not hasattr(dtypes, "StringDType"):
        pytest.skip("this NumPy has none")
    targets = encode_targets(TEXT.astype(dtypes.StringDType()))
    assert [classes.tolist() for classes in targets.classes] == [["no", "yes"]] * 3


@pytest.mark.parametrize("missing", [None, np.nan, float("nan"), pd.NA])
@pytest.mark.parametrize("numbers", [False, True])
def test_missing_entries_are_unknown(missing, numbers):
    y = (5 + 2 * HARD.astype(object)) if numbers else TEXT.astype(object)
    y[0, 1] = y[2, 2] = y[2, 1] = missing
    if numbers:
        y[0, 0] = 9
    for given in (y, pd.DataFrame(y), y.tolist()):
        targets = encode_targets(given)
        assert targets.kind == "multioutput"
        codes = targets.output_codes()
        np.testing.assert_array_equal(codes < 0, [[0, 1, 0], [0, 0, 0], [0, 1, 1]])
        assert len(targets.positives.indices) == 6
        back, is_known = known_entries(targets.labels(targets.format), targets.format)
        np.testing.assert_array_equal(is_known, codes >= 0)
        np.testing.assert_array_equal(back[is_known], y[is_known])
        assert known_entries(given, targets.format)[1].tolist() == is_known.tolist()


@pytest.mark.parametrize(
    "y",
    [
        np.array([[5, np.nan], [7, 6], [np.nan, 8]]),
        pd.DataFrame({"a": [5, 7, None], "b": [None, 6, 8]}, dtype="Int64"),
        pl.DataFrame({"a": [5, 7, None], "b": [None, 6, 8]}),
    ],
    ids=lambda y: type(y).__module__,
)
def test_numbers_with_missing_ones(y):
    targets = encode_targets(y)
    assert targets.output_codes().tolist() == [[0, -1], [1, 0], [-1, 1]]
    assert targets.format.decode(np.eye(4)[:2]).tolist() == [[5, 6], [7, 6]]
    back = targets.labels(targets.format)
    np.testing.assert_array_equal(back, [[5, np.nan], [7, 6], [np.nan, 8]])


def test_rows_are_indexed_and_counted_without_the_unknown():
    y = np.array([["a", "x"], ["b", None], ["a", "z"], [None, None]], dtype=object)
    targets = encode_targets(y)
    assert targets.index_rows([3, 1, 0]).output_codes().tolist() == [[-1, -1], [1, -1], [0, 0]]
    counts = LabelCounts.of(targets, np.array([1.0, 2.0, 4.0, 8.0]))
    assert counts.positive.tolist() == [5, 2, 1, 4]
    assert counts.negative.tolist() == [2, 5, 4, 1]
    assert counts.total == 15
    np.testing.assert_array_equal(
        constant_label_scores(targets.index_rows([0, 1])), [np.nan, np.nan, 1e9, -1e9]
    )
    trained = targets.index_rows([0, 1]).select_outputs(np.array([True, True, False, False]))
    assert trained.output_codes().tolist() == [[0], [1]]


def test_true_and_false_stay_labels():
    assert encode_targets(HARD.astype(bool)).kind == "multilabel"
    assert encode_targets(pd.DataFrame(HARD.astype(bool))).kind == "multilabel"
    mixed = pd.DataFrame({"a": [True, False, True], "b": ["x", "y", "z"]})
    assert encode_targets(mixed).format.decode(np.eye(5)[[1]]).tolist() == [[True, "x"]]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (
            np.array([["a", 1], ["b", "c"]], dtype=object),
            r"output 1 of y holds text and other.*'c', 1",
        ),
        (pd.DataFrame({"a": ["x", "y"], "b": [0.5, 1]}), r"output 1 \('b'\) of y holds \[0.5\]"),
        (pd.DataFrame({"a": ["x", "y"], "b": [1, np.inf]}), r"output 1 \('b'\) of y holds \[inf\]"),
        (pd.DataFrame({"a": ["x", None], "b": [None, None]}), r"output 1 \('b'\) of y is unknown"),
        (np.array([[1.0, np.nan], [2, np.nan], [3, np.nan]]), "output 1 of y is unknown.*Leave"),
        (
            pd.DataFrame({"a": ["x", "y"], "b": pd.to_datetime(["2020", "2021"])}),
            r"output 1 \('b'\) of y holds Timestamp.*expected whole numbers or text",
        ),
    ],
)
def test_what_is_no_class_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        encode_targets(y)


def test_the_number_of_outputs_is_that_of_the_classes():
    for y in (np.array([["a"], ["b"]]), np.array([["a", "b", "c"]])):
        with pytest.raises(ValueError, match="a column for each of 2 outputs"):
            encode_columns(y, [np.array(["a", "b"])] * 2, None)
    with pytest.raises(ValueError, match="a column for each of some outputs"):
        encode_columns(np.array(["a", "b"]), None, None)


def test_given_classes_need_not_be_there():
    classes = [np.array(["no", "yes"]), np.array([1, 2, 3])]
    y = np.array([["yes", None], [None, 2]], dtype=object)
    targets = encode_outputs(y, classes)
    assert targets.output_codes().tolist() == [[1, -1], [-1, 1]]
    assert targets.format.dtype == object
    unknown = encode_outputs(np.full((2, 2), np.nan), classes)
    assert unknown.output_codes().tolist() == [[-1, -1], [-1, -1]]
    with pytest.raises(ValueError, match=r"output 1 of y holds \['2'\], which are not among"):
        encode_outputs(np.array([["yes", "2"]]), classes)
    with pytest.raises(ValueError, match=r"output 0 of y holds \[1\], which are not among"):
        encode_outputs([[1, 2]], classes)
