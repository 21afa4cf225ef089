"""Tags become a DataFrame of labels, and labels tags again."""

import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.preprocessing import MultiLabelBinarizer

from sklearn_mlce.labels import tags_to_y, y_to_tags

ROWS = [["sun", "sea"], ["sky"], [], ["sky", "sea"]]
SORTED = [tuple(sorted(row)) for row in ROWS]


def objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    "tags",
    [
        ROWS,
        list(map(tuple, ROWS)),
        list(map(set, ROWS)),
        objects(ROWS),
        objects([np.array(row, dtype=object) for row in ROWS]),
        pd.Series(ROWS),
        pd.DataFrame({"tags": ROWS}),
        pl.Series(ROWS),
        pl.DataFrame({"tags": ROWS}),
        [dict.fromkeys(row) for row in ROWS],
    ],
    ids=lambda tags: type(tags).__name__,
)
def test_any_container_gives_what_the_binariser_gives(tags, sparse):
    binarizer = MultiLabelBinarizer()
    expected = pd.DataFrame(binarizer.fit_transform(ROWS), columns=binarizer.classes_)
    found = tags_to_y(tags, sparse=sparse)
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
    assert all(isinstance(dtype, pd.SparseDtype) == sparse for dtype in found.dtypes)
    assert y_to_tags(found) == SORTED


@pytest.mark.parametrize("container", [list, pd.Series, pl.Series, np.array])
@pytest.mark.parametrize("delimiter", [",", "|"])
def test_strings_are_split(container, delimiter):
    strings = [f" {delimiter} ".join(row) for row in ROWS]
    assert y_to_tags(tags_to_y(container(strings), delimiter=delimiter)) == SORTED


def test_the_index_is_kept():
    tags = pd.Series(ROWS, index=list("abcd"))
    assert tags_to_y(tags).index.tolist() == list("abcd")
    assert tags_to_y(tags, sparse=True).index.tolist() == list("abcd")


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("container", [list, pd.Series, objects])
def test_missing_rows_mean_what_is_said(container, missing):
    tags = container([*ROWS, missing])
    with pytest.raises(ValueError, match=r"1 of 5 rows of tags are missing. Pass missing=\"empty"):
        tags_to_y(tags)
    assert y_to_tags(tags_to_y(tags, missing="empty")) == [*SORTED, ()]
    unknown = tags_to_y(tags, missing="unknown")
    assert unknown.iloc[4].isna().all()
    assert y_to_tags(unknown) == [*SORTED, None]


def test_labels_and_counts_choose_the_columns():
    assert list(tags_to_y(ROWS, min_count=2).columns) == ["sea", "sky"]
    chosen = tags_to_y(ROWS, labels=["sun", "moon", "sea"])
    assert list(chosen.columns) == ["sun", "moon", "sea"]
    assert y_to_tags(chosen) == [("sun", "sea"), (), (), ("sea",)]
    assert list(tags_to_y(ROWS, labels=["sun", "moon", "sea"], min_count=2)) == ["sea"]
    backwards = tags_to_y(ROWS[::-1])
    assert list(backwards.columns) == list(tags_to_y(ROWS).columns)


def test_tags_need_not_be_text():
    y = tags_to_y([{3, 10}, {(1, 2)}, {"a", 3}])
    assert list(y.columns) == ["a", 3, 10, (1, 2)]
    assert y_to_tags(y) == [(3, 10), ((1, 2),), ("a", 3)]


@pytest.mark.parametrize(
    ("tags", "options", "message"),
    [
        (["sea", "sky"], {}, r"'sea'; expected a list.*delimiter=\",\""),
        ([3, 4], {}, "row of tags is 3; expected a list"),
        ([["sea"]], {"delimiter": ","}, "expected a string of tags with ','"),
        ([["sea", None]], {}, "holds None, which is not a tag"),
        ([["sea", ["sky"]]], {}, r"holds \['sky'\], which is not a tag"),
        ([[], []], {}, "no tag is left of 2 rows"),
        (ROWS, {"min_count": 3}, "no tag is left of 4 rows with min_count=3"),
        (ROWS, {"min_count": 0}, "min_count must be a whole number from 1 on, got 0"),
        (ROWS, {"missing": "none"}, r"missing must be one of \['error', 'empty', 'unknown'\]"),
        (ROWS, {"missing": "unknown", "sparse": True}, "would fill sparse columns"),
        (ROWS, {"labels": ["sea", "sky", "sea"]}, "labels holds 'sea' more than once"),
        (np.eye(3), {}, r"ndarray of shape \(3, 3\); expected a list or a column"),
    ],
)
def test_what_is_no_tags_is_refused(tags, options, message):
    with pytest.raises(ValueError, match=message):
        tags_to_y(tags, **options)


@pytest.mark.parametrize(
    "container", [np.array, sp.csr_matrix, sp.csc_array, sp.coo_array, pd.DataFrame, pl.DataFrame]
)
@pytest.mark.parametrize("dtype", [bool, int, float])
def test_matrices_become_tags(container, dtype):
    y = container(tags_to_y(ROWS).to_numpy().astype(dtype))
    assert y_to_tags(y, ["sea", "sky", "sun"]) == SORTED
    if container not in (pd.DataFrame, pl.DataFrame):
        assert y_to_tags(y) == [(0, 2), (1,), (), (0, 1)]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([[0.3, 1.0]], "y holds 0.3; expected 0 and 1. Pass y > 0.5"),
        (sp.csr_array([[0, 2]]), "y holds 2; expected 0 and 1"),
        ([["a", "b"]], "y holds 'a'; expected 0 and 1"),
        ([0, 1], r"y has shape \(2,\); expected a matrix"),
        ([[0, 1], [1]], "y holds rows of different lengths; expected a matrix of 0 and 1"),
    ],
)
def test_what_is_no_labels_is_refused(y, message):
    with pytest.raises(ValueError, match=message):
        y_to_tags(y)
    with pytest.raises(ValueError, match="labels has 1 names; expected 2"):
        y_to_tags([[0, 1]], labels=["sea"])


def test_without_pandas_the_error_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"tags_to_y returns a DataFrame.*pip install pandas"):
        tags_to_y(ROWS)
