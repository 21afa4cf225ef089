"""Tags are encoded as the DataFrame of 0 and 1 that stands for them, in any container."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.stream_classes import chunk_encoder
from sklearn_mlce._targets.tags import tag_accuracy
from tests.targets.test_label_sets import objects

ROWS = [["sea", "sun"], ["sky"], [], ["sky", "sea"]]
PAIRS = [("sea", "sun"), ("sky", "sun"), ("sky", "sea")]
LABELS = ["sea", "sky", "sun"]


def assert_encodes(targets, rows, labels=LABELS):
    assert targets.kind == "multilabel"
    assert targets.label_names.tolist() == list(labels)
    expected = [[int(label in row) for label in labels] for row in rows]
    np.testing.assert_array_equal(targets.positives.toarray(), expected)
    assert targets.format.dtype == np.int64


@pytest.mark.parametrize(
    "y",
    [
        ROWS,
        list(map(set, ROWS)),
        list(map(frozenset, ROWS)),
        list(map(tuple, ROWS)),
        tuple(map(set, ROWS)),
        objects(ROWS),
        objects([np.array(row) for row in ROWS]),
        objects(ROWS)[:, None],
        pd.Series(ROWS, index=[5, 6, 7, 8]),
        pd.Series(list(map(set, ROWS))),
        pd.DataFrame({"tags": ROWS}),
        pl.Series(ROWS),
        pl.DataFrame({"tags": ROWS}),
        [["sea", "sun", "sun"], *ROWS[1:]],
    ],
    ids=lambda y: type(y).__name__,
)
def test_collections_of_text_are_tags(y):
    assert_encodes(encode_targets(y), ROWS)


@pytest.mark.parametrize(
    "y",
    [
        PAIRS,
        tuple(PAIRS),
        list(map(set, PAIRS)),
        objects(PAIRS),
        pd.Series(PAIRS),
        pd.DataFrame({"tags": PAIRS}),
        pl.Series(list(map(list, PAIRS))),
        pl.Series(list(map(list, PAIRS)), dtype=pl.Array(pl.String, 2)),
    ],
    ids=lambda y: type(y).__name__,
)
def test_as_many_tags_in_each_row_are_no_matrix(y):
    assert_encodes(encode_targets(y), PAIRS)


def test_one_tag_is_one_label():
    assert_encodes(encode_targets([["sea"], [], ["sea"]]), [["sea"], [], ["sea"]], ["sea"])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("container", [pd.Series, objects, list])
def test_missing_rows_are_refused(container, missing):
    with pytest.raises(ValueError, match=r"1 of 5 rows of y are missing.*missing=\"empty\""):
        encode_targets(container([missing, *ROWS]))


def test_known_labels_keep_their_order():
    names = objects(["sun", "sand", "sky", "sea"])
    assert_encodes(encode_targets(ROWS, names), ROWS, names.tolist())
    assert_encodes(encode_targets([[], []], names), [[], []], names.tolist())
    as_lists = [["sea", "sun"], ["sun", "sky"], ["sky", "sea"]]  # a matrix of text otherwise
    assert_encodes(encode_targets(as_lists, names), as_lists, names.tolist())
    for tag in ("moon", "zoo"):
        with pytest.raises(ValueError, match=f"such as '{tag}' that are none of the 4 labels"):
            encode_targets([["sea"], [tag, "sun"]], names)


@pytest.mark.parametrize("classes", [LABELS[::-1], np.array(LABELS), pd.Index(LABELS)])
def test_chunks_go_by_all_tags(classes):
    first = [["sea", "sun"], ["sea", "sun"]]
    encoded = chunk_encoder(first, classes, None)(first)
    assert_encodes(encoded, first)
    for y in (ROWS, PAIRS, [["sky"]], [[]], pd.DataFrame({"tags": ROWS})):
        rows = ROWS if isinstance(y, pd.DataFrame) else y
        assert_encodes(chunk_encoder(y, None, encoded.format)(y), rows)
        assert_encodes(chunk_encoder(y, classes, encoded.format)(y), rows)
    with pytest.raises(ValueError, match="pass every tag to the first call"):
        chunk_encoder([["moon"]], None, encoded.format)([["moon"]])
    with pytest.raises(ValueError, match="not the same as on the first call"):
        chunk_encoder(ROWS, ["sea", "sun"], encoded.format)


def test_accuracy_counts_unseen_tags_as_missed():
    names = objects(LABELS)
    predicted = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]])
    assert tag_accuracy(ROWS, predicted, names, None) == 0.75
    assert tag_accuracy(ROWS, predicted, names, [1, 1, 1, 5]) == 3 / 8
    assert tag_accuracy([*ROWS[:2], ["moon"], ["sea", "moon"]], predicted, names, None) == 0.5
    with pytest.raises(ValueError, match=r"no tag of y, such as 'moon', is among the labels"):
        tag_accuracy([["moon"]] * 4, predicted, names, None)
    with pytest.raises(ValueError, match="labels without names"):
        tag_accuracy(ROWS, predicted, None, None)


def test_sparse_columns_stay_sparse():
    frame = pd.DataFrame(np.eye(3, dtype=int), columns=LABELS).astype(pd.SparseDtype(int, 0))
    targets = encode_targets(frame)
    assert targets.format.sparse_container is not None
    assert targets.label_names.tolist() == LABELS
    np.testing.assert_array_equal(targets.positives.toarray(), np.eye(3))
