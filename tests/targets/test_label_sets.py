"""Label sets that are no tags, or may not be, are refused; the line to type makes the labels."""

import ast
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.label_sets import check_no_label_sets
from sklearn_mlce._targets.stream_classes import chunk_encoder
from sklearn_mlce.labels import tags_to_y

ROWS = [["sea", "sun"], ["sky"], [], ["sky", "sea"]]
NUMBERS = [[3, 7], [4], [], [4, 3]]
STRINGS = ["sea,sun", "sky", "sun", "sky,sea", "sun,sea,sky"]


def typed_labels(y, match):
    """What the line of a refusal makes of y: a DataFrame of labels."""
    with pytest.raises(ValueError, match=match) as refused:
        encode_targets(y)
    (line,) = re.findall("^    (.*)", str(refused.value), re.MULTILINE)
    names = {"tags_to_y": tags_to_y, "y": y, "ast": ast, "np": np}
    exec(line, names)
    return names["y"]


def assert_labels_of_rows(frame, rows):
    """Fail unless a DataFrame has a column for each label, and a 1 where a row carries it."""
    labels = sorted({label for row in rows for label in row})
    assert list(frame.columns) == labels
    expected = [[int(label in row) for label in labels] for row in rows]
    np.testing.assert_array_equal(np.asarray(frame), expected)
    assert encode_targets(frame).label_names.tolist() == labels


def objects(rows):
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


@pytest.mark.parametrize("rows", [NUMBERS, [*NUMBERS, None]], ids=["whole", "missing"])
@pytest.mark.parametrize("container", [list, tuple, objects, pd.Series, pl.Series])
def test_sets_of_numbers_may_be_anything(container, rows):
    frame = typed_labels(container(rows), r"collection of label sets such as \[3, 7\]; expected")
    assert_labels_of_rows(frame, [row or [] for row in rows])


@pytest.mark.parametrize(
    "y",
    [
        [["sea", "sun"], ["sky", "sea"], ["sun", "sky"]],
        (["sea", "sun"], ["sun", "sky"], ["sky", "sea"], ["sand", "sun"]),
    ],
)
def test_lists_of_as_many_texts_may_be_either(y):
    with pytest.raises(
        ValueError, match=r"classes of as many outputs, but .* as tags do"
    ) as refused:
        encode_targets(y)
    sets, matrix = re.search(r"Pass (.*) for tags, (.*) for several", str(refused.value)).groups()
    tags, outputs = (eval(expression, {"np": np, "y": y}) for expression in (sets, matrix))
    labels = sorted({label for row in y for label in row})
    assert encode_targets(tags).label_names.tolist() == labels
    assert encode_targets(outputs).kind == "multioutput"


@pytest.mark.parametrize(
    "y",
    [
        [["billing", "no"], ["sales", "yes"], ["help", "no"]],
        [["no", "yes"], ["yes", "no"], ["yes", "yes"]],
    ],
)
def test_lists_of_columns_of_text_are_several_outputs(y):
    assert encode_targets(y).kind == "multioutput"


@pytest.mark.parametrize("empty", [[], (), set()])
def test_empty_collections_are_label_sets_too(empty):
    for y in ([empty, empty], pd.Series([empty, empty]), [empty, {3}]):
        with pytest.raises(ValueError, match="collection of label sets such as"):
            encode_targets(y)


def test_one_column_of_several_is_named():
    y = pd.DataFrame({"rating": [1, 2, 3, 4], "tags": ROWS})
    assert_labels_of_rows(typed_labels(y, "^column 'tags' of y is a collection"), ROWS)
    y = pl.DataFrame({"rating": [1, 2, 3, 4], "tags": ROWS})
    assert_labels_of_rows(typed_labels(y, "^column 'tags' of y is a collection"), ROWS)


@pytest.mark.parametrize("container", [pd.Series, pl.Series, objects])
def test_rows_of_a_matrix_are_put_together(container):
    matrix = [[0, 1, 1], [1, 0, 0]]
    y = container(matrix)
    with pytest.raises(ValueError, match=r"rows of a matrix such as \[0, 1, 1\]") as refused:
        encode_targets(y)
    made = eval(str(refused.value).partition("Pass ")[2], {"np": np, "y": y})
    np.testing.assert_array_equal(made, matrix)


@pytest.mark.parametrize("rows", [[[-1, 1], [0, -5]], [[0, 2], [1, 0]]], ids=str)
def test_rows_of_other_numbers_are_label_sets(rows):
    with pytest.raises(ValueError, match="collection of label sets such as"):
        encode_targets(objects(rows))


@pytest.mark.parametrize(
    "y", [[(0, 1), (1, 0)], ((0, 1), (1, 1)), [(0.5, 1.0), (0.0, None)]], ids=str
)
def test_tuples_of_numbers_are_rows_of_a_matrix(y):
    check_no_label_sets(y, np.asarray(y))
    assert encode_targets(y).kind in ("multilabel", "soft")


@pytest.mark.parametrize(
    "y",
    [
        STRINGS,
        np.array(STRINGS),
        np.array(STRINGS, dtype=object),
        pd.Series(STRINGS),
        pd.Series(STRINGS, dtype="category"),
        pd.Series(STRINGS, dtype="string"),
        pd.DataFrame({"tags": STRINGS}),
        pl.Series(STRINGS),
        pl.DataFrame({"tags": STRINGS}),
        [string.replace(",", ", ") for string in STRINGS],
        pd.Series([string.replace(",", "; ") for string in STRINGS]),
        pl.Series([string.replace(",", "|") for string in STRINGS]),
        [str(string.split(",")) for string in STRINGS],
        pd.Series(["{" + str(string.split(","))[1:-1] + "}" for string in STRINGS]),
    ],
    ids=lambda y: type(y).__name__,
)
def test_strings_of_labels_are_split(y):
    frame = typed_labels(y, "y holds strings of several labels.* 5 different .* of 3 labels by")
    assert_labels_of_rows(frame, [string.split(",") for string in STRINGS])


@pytest.mark.parametrize("container", [list, objects, pd.Series, pl.Series])
def test_empty_and_missing_strings_have_no_labels(container):
    frame = typed_labels(container([*STRINGS, "", None]), "strings of several labels")
    assert_labels_of_rows(frame, [*(string.split(",") for string in STRINGS), [], []])


def test_many_sets_of_few_labels_are_found_by_any_separator():
    rng = np.random.default_rng(0)
    genres = [f"genre {number}" for number in range(18)]
    for separator in (",", ", ", ";", "|"):
        sets = [sorted(rng.choice(genres, size=rng.integers(1, 4))) for _ in range(400)]
        match = f"are made of 18 labels by '{re.escape(separator[0])}'"
        with pytest.raises(ValueError, match=match):
            encode_targets([separator.join(labels) for labels in sets])


@pytest.mark.parametrize(
    "names",
    [
        ["Paris, France", "Lyon, France", "Rome, Italy", "Turin, Italy"],
        [f"{size},{colour}" for size in "SML" for colour in ("red", "green", "blue", "white")],
        ["fracture, arm, left", "fracture, arm, right", "fracture, skull", "burn, arm, left"],
        ["phones|android", "phones|other", "phones", "laptops", "laptops|other", "laptops|gaming"],
        ["sea, sun", "sky", "sand"],
        ["no", "yes", "maybe"],
        ["a;", ";b", "c"],
    ],
    ids=str,
)
def test_names_with_a_separator_are_classes(names):
    assert encode_targets(names * 5).kind == "multiclass"


def test_chunks_of_a_stream_are_refused_alike():
    labels = encode_targets([[0, 1, 1], [1, 0, 0]]).format
    classes = encode_targets(["sea", "sun", "sky"]).format
    for known, given in ((None, None), (None, [3, 4, 7]), (labels, None), (classes, None)):
        with pytest.raises(ValueError, match="collection of label sets"):
            chunk_encoder(NUMBERS, given, known)(NUMBERS)
    with pytest.raises(ValueError, match="strings of several labels"):
        chunk_encoder(STRINGS, None, None)(STRINGS)
