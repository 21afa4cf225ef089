"""A matrix of 0 and 1 with a few other values is refused, and what is to be typed mends it."""

import re
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from sklearn_mlce._targets.encoding import encode_targets
from tests.helpers.tables import Table

NAMES = ["sea", "sky", "sand", "snow", "sun"]
CONTAINERS = {
    "array": np.asarray,
    "list": np.ndarray.tolist,
    "pandas": partial(pd.DataFrame, columns=NAMES),
    "polars": partial(pl.DataFrame, schema=NAMES),
    "objects": lambda y: y.astype(object),
}
in_each_container = pytest.mark.parametrize("container", CONTAINERS)


@pytest.fixture
def Y():
    """Labels of 0 and 1, of 500 cells."""
    return (np.random.default_rng(0).random((100, 5)) < 0.4).astype(float)


def refusal(y):
    """The message of a refusal, and the expressions that it says to pass."""
    with pytest.raises(ValueError, match="is a matrix of labels but for") as refused:
        encode_targets(y)
    message = str(refused.value)
    typed = re.split(r" where .*?(?:, or |, |$)", message.partition("Pass ")[2])
    return message, [expression for expression in typed if expression]


def typed_values(expression, y):
    """What the expression makes of y, as an array; as labels they are of two values."""
    made = eval(expression, {"y": y, "np": np, "pl": pl, "pd": pd})
    if not isinstance(y, list | np.ndarray):  # the names are kept
        assert list(made.columns) == list(y.columns)
    return np.asarray(made, dtype=float), encode_targets(made)


@in_each_container
@pytest.mark.parametrize("value", [2, 3.5, 1e300])
def test_a_label_that_is_counted_twice_is_refused(value, container, Y):
    stray = Y.copy()
    stray[7, 2] = value
    y = CONTAINERS[container](stray)
    message, (labels, _) = refusal(y)
    column = "'sand'" if hasattr(y, "columns") else "2"
    assert f"but for {value!r} in 1 cell (column {column})" in message
    stray[7, 2] = 1
    made, targets = typed_values(labels, y)
    np.testing.assert_array_equal(made, stray)
    assert targets.kind == "multilabel"


@in_each_container
@pytest.mark.parametrize("code", [-1, -99])
@pytest.mark.parametrize("others", [[], [2], [2, 7]], ids=str)
def test_a_code_for_unknown_labels_is_refused_in_any_number(others, code, container, Y):
    coded = Y.copy()
    coded[:50] = code
    coded[60, : len(others)] = others
    y = CONTAINERS[container](coded)
    message, (unknown, no_label, _) = refusal(y)
    assert f"{code} in 250 cells (columns" in message
    assert f"where {code} means unknown" in message
    known = np.minimum(coded, 1)
    made, targets = typed_values(unknown, y)
    np.testing.assert_array_equal(made, np.where(known < 0, np.nan, known))
    assert (targets.kind, targets.format.fractional) == ("soft", False)
    np.testing.assert_array_equal(typed_values(no_label, y)[0], known > 0)


def test_minus_one_is_the_code_beside_other_negative_values(Y):
    Y[:50] = -1
    Y[60, :2] = -3
    assert "-3 in 2 cells (columns 0, 1) and -1 in 250 cells" in refusal(Y)[0]
    Y[Y == -1] = -7  # two codes, and no telling which one is unknown
    assert encode_targets(Y).kind == "multioutput"


@pytest.mark.parametrize("stray", [[-1, -1], [2, 2], [-1, 2]], ids=str)
def test_a_table_of_pyarrow_goes_by_pandas(stray, Y):
    Y[7, :2] = stray
    table = Table(Y, list("abcde"))
    known = np.where(Y < 0, np.nan, np.minimum(Y, 1)) if min(stray) < 0 else Y > 0
    made = eval(refusal(table)[1][0], {"y": table, "np": np})
    assert list(made.columns) == list("abcde")
    np.testing.assert_array_equal(made, known)


def test_rows_without_a_positive_are_labels_too(Y):
    Y[Y == 1] = -1
    message, (unknown, no_label, _) = refusal(Y)
    assert "means unknown" in message
    assert typed_values(no_label, Y)[0].sum() == 0
    assert np.isnan(typed_values(unknown, Y)[0]).sum() == (Y < 0).sum()


def test_labels_of_minus_one_and_one_keep_their_own_advice(Y):
    with pytest.raises(ValueError, match=r"coded as \[-1.0, 1.0\]; expected 0 and 1. Pass \(y =="):
        encode_targets(2 * Y - 1)


def test_the_expression_for_arrays_is_the_usual_one(Y):
    Y[:50] = -1
    assert "Pass np.where(y == -1, np.nan, y) where -1 means unknown" in refusal(Y)[0]
    Y[Y < 0] = 0
    Y[0, 0] = 2
    assert "Pass (y > 0).astype(int) where" in refusal(Y.astype(int))[0]


@in_each_container
def test_what_is_unknown_already_stays_unknown(container, Y):
    Y[:9] = np.nan
    Y[20, 1] = 2
    Y[21, 1] = -1
    y = CONTAINERS[container](Y)
    if container == "polars":
        y = y.fill_nan(None)
    if container == "list":
        y[0][0] = None
    made = typed_values(refusal(y)[1][0], y)[0]
    np.testing.assert_array_equal(made, np.where(Y < 0, np.nan, np.minimum(Y, 1)))


@in_each_container
def test_soft_labels_with_a_code_for_unknown_stay_soft(container, Y):
    Y[:9] = 0.3
    Y[20:60] = -1
    y = CONTAINERS[container](Y)
    made, targets = typed_values(refusal(y)[1][0], y)
    np.testing.assert_array_equal(made, np.where(Y < 0, np.nan, Y))
    assert targets.format.fractional


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_the_dtype_plays_no_part(dtype, Y):
    Y[:50] = -1
    Y[60, 0] = 2
    assert "-1 in 250 cells (columns 0, 1, 2, ...) and 2 in 1 cell" in refusal(Y.astype(dtype))[0]


@pytest.mark.parametrize(
    "columns",
    [
        [0, 1, 2],  # grades
        [-1, 0, 1, 2],  # as many of each
        [0, 1, 2, 3, 4],
        [-2, -1, 0, 1, 2],
        [1, 2, 3],
        [0, 5, 7],
    ],
    ids=str,
)
def test_classes_of_several_outputs_stay(columns):
    y = np.random.default_rng(0).choice(columns, size=(100, 5))
    assert encode_targets(y).kind == "multioutput"
    assert encode_targets(pd.DataFrame(y)).kind == "multioutput"


def test_a_hundredth_of_the_cells_makes_a_class(Y):
    Y.flat[:5] = 2
    assert encode_targets(Y).kind == "multioutput"
    Y.flat[4] = 0
    assert "2 in 4 cells" in refusal(Y)[0]
    Y.flat[100:] = np.nan  # of the known cells
    assert encode_targets(Y[:20]).kind == "multioutput"


def test_three_rare_values_are_classes(Y):
    Y.flat[:3] = [2, 3, 4]
    assert encode_targets(Y).kind == "multioutput"
    Y.flat[2] = 3
    assert "2 in 1 cell (column 0) and 3 in 2 cells (columns 1, 2)" in refusal(Y)[0]


def test_soft_labels_beyond_one_keep_their_own_advice(Y):
    Y[0] = 0.5
    Y[1, 0] = 1.0000001
    with pytest.raises(ValueError, match=r"Pass y\.clip\(0, 1\)"):
        encode_targets(Y)


def test_infinity_is_refused_as_such(Y):
    Y[1, 0] = np.inf
    with pytest.raises(ValueError, match="contains infinity"):
        encode_targets(Y)


def test_sparse_labels_are_refused_as_before(Y):
    Y[0, 0] = 2
    with pytest.raises(ValueError, match=r"sparse y must hold only 0 and 1, got \[2.0\]"):
        encode_targets(sp.csr_array(Y))
