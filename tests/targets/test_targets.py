"""Every kind of y is recognised, encoded and given back; every other one is refused."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.exceptions import DataConversionWarning

from sklearn_mlce._targets.encoding import check_y_given, encode_targets
from sklearn_mlce._targets.targets import (
    CONSTANT_LABEL_SCORE,
    LabelCounts,
    TargetFormat,
    constant_label_scores,
    is_never_positive,
    is_trainable,
    row_blocks,
)

HARD = np.array([[0, 1, 1], [1, 0, 1], [0, 0, 0]])


@pytest.mark.parametrize(
    ("y", "kind", "classes"),
    [
        ([0, 1, 0], "binary", [0, 1]),
        ([-1, 1, 1], "binary", [-1, 1]),
        ([1, 2, 2], "binary", [1, 2]),
        ([0.0, 1.0, 0.0], "binary", [0, 1]),
        (["no", "yes", "no"], "binary", ["no", "yes"]),
        (pd.Series(["b", "a", "b"], dtype="category"), "binary", ["a", "b"]),
        (["c", "a", "b"], "multiclass", ["a", "b", "c"]),
        ([3, 1, 2, 1], "multiclass", [1, 2, 3]),
        (HARD, "multilabel", [0, 1, 2]),
        (HARD.tolist(), "multilabel", [0, 1, 2]),
        (np.zeros((3, 2)), "multilabel", [0, 1]),
        (np.ones((3, 2), dtype=bool), "multilabel", [0, 1]),
        (HARD * 0.5, "soft", [0, 1, 2]),
        (np.where(HARD, np.nan, 0), "soft", [0, 1, 2]),
        (np.where(HARD, None, 0), "soft", [0, 1, 2]),
        (np.where(HARD, pd.NA, 0), "soft", [0, 1, 2]),
    ],
)
def test_kinds_and_classes(y, kind, classes):
    targets = encode_targets(y)
    assert targets.kind == kind
    assert targets.classes.tolist() == classes
    assert targets.n_rows == len(y)
    assert targets.n_outputs == (1 if kind == "binary" else len(classes))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_multilabel_comes_back_as_it_went_in(dtype, container):
    y = container(HARD.astype(dtype))
    targets = encode_targets(y)
    np.testing.assert_array_equal(targets.positives.toarray(), HARD)
    predicted = targets.format.decode(np.where(HARD, 0.1, 0.0))
    assert predicted.dtype == dtype
    assert sp.issparse(predicted) == sp.issparse(y)
    assert isinstance(predicted, sp.sparray) == isinstance(y, sp.sparray)
    np.testing.assert_array_equal(predicted.toarray() if sp.issparse(y) else predicted, HARD)


@pytest.mark.parametrize(
    "y",
    [
        ["no", "yes", "no"],
        pd.Series([3, 1, 2]),
        HARD.astype(np.int8),
        sp.csr_matrix(HARD),
        sp.csr_array(HARD),
        HARD * 0.5,
        np.array([[0, 2], [1, 0], [2, 1]]),
        pd.DataFrame(HARD, columns=["a", 1, ("b", 2)]),
    ],
    ids=str,
)
def test_a_format_is_stored_as_plain_values(y):
    known = encode_targets(y).format
    state = known.to_state()
    lists = [part for value in state.values() if isinstance(value, list) for part in value]
    kinds = {type(part) for part in (*state.values(), *lists)}
    assert kinds <= {str, bool, list, np.ndarray, type(None)}
    restored = TargetFormat.from_state(state)
    for name, value in vars(known).items():
        np.testing.assert_equal(getattr(restored, name), value)
    scores = np.random.default_rng(0).normal(size=(5, known.n_outputs))
    first, second = known.decode(scores), restored.decode(scores)
    assert type(first) is type(second)
    assert first.dtype == second.dtype
    assert (first != second).sum() == 0


def test_more_than_128_labels_of_int8_keep_their_columns():
    """scikit-learn's LabelBinarizer permutes such columns."""
    y = np.eye(300, dtype=np.int8)[::-1]
    np.testing.assert_array_equal(encode_targets(y).positives.toarray(), y)
    np.testing.assert_array_equal(encode_targets(sp.csr_array(y)).positives.toarray(), y)


def test_sparse_y_with_stored_zeros_and_unsorted_indices():
    y = sp.csr_array(([1, 0, 1], [2, 1, 0], [0, 3, 3]), shape=(2, 3))
    encoded = encode_targets(y).positives
    assert encoded.toarray().tolist() == [[1, 0, 1], [0, 0, 0]]
    assert encoded.indices.tolist() == [0, 2]
    assert y.data.tolist() == [1, 0, 1]  # the caller's matrix is left alone


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame(HARD, columns=["a", "b", "c"]),
        pd.DataFrame(HARD, columns=["a", "b", "c"], dtype="Int64"),
        pd.DataFrame(HARD.astype(bool), columns=["a", "b", "c"], dtype="boolean"),
        pl.DataFrame(HARD, schema=["a", "b", "c"]),
    ],
)
def test_data_frames_give_their_label_names(frame):
    targets = encode_targets(frame)
    assert targets.label_names.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(targets.positives.toarray(), HARD)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1, None], "b": [0, 1]}, dtype="Int64"),
        pd.DataFrame({"a": [True, None], "b": [False, True]}, dtype="boolean"),
        pd.DataFrame({"a": [True, None], "b": [False, True]}),
        pl.DataFrame({"a": [1, None], "b": [0, 1]}),
        pl.DataFrame({"a": [True, None], "b": [False, True]}),
    ],
)
def test_missing_entries_of_data_frames_are_unknown_labels(frame):
    np.testing.assert_array_equal(encode_targets(frame).dense, [[1, 0], [np.nan, 1]])


@pytest.mark.parametrize(
    ("frame", "dtype"),
    [
        (pd.DataFrame(HARD.astype(bool), dtype="boolean"), bool),
        (pd.DataFrame(HARD, dtype="Int8"), np.int8),
        (pd.DataFrame(HARD, dtype="Float32"), np.float32),
        (pd.DataFrame(HARD).astype({0: "boolean", 1: "UInt8"}), np.int64),
        (pd.DataFrame(HARD).astype(pd.SparseDtype(np.int16, 0)), np.int16),
        (pd.DataFrame(HARD, dtype="category"), np.float64),
        (HARD.astype(object), np.float64),
    ],
)
def test_the_dtype_of_y_comes_back_where_nothing_is_missing(frame, dtype):
    targets = encode_targets(frame)
    np.testing.assert_array_equal(targets.positives.toarray(), HARD)
    assert targets.format.dtype == dtype


def test_one_column_is_a_1d_target():
    with pytest.warns(DataConversionWarning):
        targets = encode_targets([[0], [1]])
    assert targets.kind == "binary"
    with pytest.warns(DataConversionWarning):
        targets = encode_targets(sp.csr_array([[0], [1]]))
    assert targets.format.decode(np.array([[1.0], [-1.0]])).tolist() == [1, 0]


def test_1d_targets_come_back_as_classes():
    binary = encode_targets(["no", "yes", "no"])
    assert binary.positives.toarray().ravel().tolist() == [0, 1, 0]
    assert binary.format.decode(np.array([[0.0], [1e-9]])).tolist() == ["no", "yes"]
    multiclass = encode_targets(["c", "a", "b"])
    assert multiclass.codes.tolist() == [2, 0, 1]
    assert multiclass.format.decode(np.eye(3)).tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("y", [[0, 1, 1], [0, 1, 2], HARD, HARD * 0.5])
def test_take_selects_rows(y):
    targets = encode_targets(y)
    rows = np.array([2, 0])
    taken = targets.index_rows(rows)
    whole = encode_targets(np.asarray(y))
    assert taken.n_rows == 2
    for part in ("codes", "dense"):
        if getattr(whole, part) is not None:
            np.testing.assert_array_equal(getattr(taken, part), getattr(whole, part)[rows])
    if whole.positives is not None:
        np.testing.assert_array_equal(taken.positives.toarray(), whole.positives.toarray()[rows])


SOFT = np.array([[0.2, np.nan, 1], [0, 0.5, np.nan], [1, 1, 0.7]])
OUTPUTS = np.array([[5, 1], [6, np.nan], [7, 2]])
EVERY_KIND = [[0, 1, 1], ["c", "a", "b"], HARD, SOFT, OUTPUTS, np.stack([HARD, 1 - HARD], axis=2)]


@pytest.mark.parametrize("y", EVERY_KIND)
def test_a_row_of_weight_three_counts_as_three_rows(y):
    targets = encode_targets(y)
    weighted = LabelCounts.of(targets, np.array([3, 1, 2]))
    repeated = LabelCounts.of(targets.index_rows([0, 0, 0, 1, 2, 2]), None)
    for count, other in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(count, other)
    assert weighted.total == 6


@pytest.mark.parametrize("y", EVERY_KIND)
def test_unknown_targets_count_for_neither(y):
    targets = encode_targets(y)
    counts = LabelCounts.of(targets, None)
    if targets.kind == "multioutput" and targets.dense is None:
        expected = np.array([1, 1, 1, 1, 1]), np.array([2, 2, 2, 1, 1])
    elif targets.dense is not None:
        expected = np.nansum(targets.dense, axis=0), np.nansum(1 - targets.dense, axis=0)
    else:
        cells = targets.one_hot().positives.toarray()
        expected = cells.sum(axis=0), (1 - cells).sum(axis=0)
    np.testing.assert_allclose(counts.positive, expected[0])
    np.testing.assert_allclose(counts.negative, expected[1])


@pytest.mark.parametrize("y", EVERY_KIND)
def test_labels_come_back(y):
    targets = encode_targets(y)
    np.testing.assert_array_equal(targets.labels(targets.format), y)


@pytest.mark.parametrize("y", EVERY_KIND[1:])
def test_some_outputs_are_those_outputs(y):
    targets = encode_targets(y)
    mask = np.ones(targets.n_outputs, dtype=bool)
    mask[0] = False
    if targets.codes is not None:
        targets = targets.index_rows([0, 2])  # all rows are of the classes that stay
    assert targets.select_outputs(np.ones_like(mask)) is targets
    fewer = targets.select_outputs(mask)
    assert fewer.n_outputs == mask.sum()
    of_all, of_some = LabelCounts.of(targets, None), LabelCounts.of(fewer, None)
    np.testing.assert_allclose(of_some.positive, of_all.positive[mask])
    if targets.codes is not None:
        assert fewer.labels(fewer.format).tolist() == ["c", "b"]


@pytest.mark.parametrize("y", [np.ma.array(HARD, mask=HARD == 1), sp.csr_array(HARD) * np.nan])
def test_what_only_looks_like_an_array_is_refused(y):
    with pytest.raises(ValueError, match=r"mask|sparse y"):
        encode_targets(y)


@pytest.mark.parametrize("y", [None, "abc", {"a": 1}, {1, 2}, iter([0, 1])])
def test_what_holds_no_rows_is_refused(y):
    with pytest.raises((TypeError, ValueError), match="y"):
        check_y_given(y)
    for given in (HARD, HARD.tolist(), tuple(HARD), sp.csr_array(HARD), pd.DataFrame(HARD)):
        check_y_given(given)


@pytest.mark.parametrize(("n_rows", "n_columns"), [(0, 3), (7, 0), (1000, 1000), (5000, 2000)])
def test_blocks_are_all_rows_and_few(n_rows, n_columns):
    blocks = list(row_blocks(n_rows, n_columns))
    assert [row for block in blocks for row in range(n_rows)[block]] == [*range(n_rows)]
    assert len(blocks) <= max(1, n_rows * n_columns / 10**6)
    assert all(len(range(n_rows)[block]) * n_columns <= 10**7 for block in blocks)


def test_targets_are_not_to_be_changed():
    targets = encode_targets(HARD)
    for part, name in ((targets, "positives"), (targets.format, "classes")):
        with pytest.raises(FrozenInstanceError):
            setattr(part, name, None)


def test_frequencies_are_bounded_and_the_total_stays():
    targets = encode_targets([[0, 1, np.nan, 1], [0, 1, np.nan, 0], [0, 1, np.nan, np.nan]])
    bounded = LabelCounts.of(targets, np.array([1, 2, 3])).bounded(0.1)
    np.testing.assert_allclose(bounded.positive, 6 * np.array([0.1, 0.9, 0.5, 1 / 3]))
    np.testing.assert_allclose(bounded.positive + bounded.negative, 6)
    assert bounded.total == 6


NEVER, ALWAYS, TRAINED = -CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE, np.nan


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([[0, 1, 0], [0, 1, 1]], [NEVER, ALWAYS, TRAINED]),
        (sp.csr_array([[0, 1, 0], [0, 1, 1]]), [NEVER, ALWAYS, TRAINED]),
        ([[0, 0.2, np.nan], [0, 1, np.nan]], [NEVER, TRAINED, NEVER]),
        ([[1, np.nan, 0], [np.nan, 0, 0.5]], [ALWAYS, NEVER, TRAINED]),
        ([[5, 6], [5, np.nan], [np.nan, 7]], [ALWAYS, TRAINED, TRAINED]),
        ([0, 1, 1], [TRAINED]),
        ([0, 1, 2], [TRAINED] * 3),
    ],
)
def test_fixed_scores_of_labels_that_training_cannot_place(y, expected):
    np.testing.assert_array_equal(constant_label_scores(encode_targets(y)), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shift", [-1e6, 0.0, 1e6])
def test_a_fixed_score_is_known_after_a_shift(dtype, shift):
    scores = np.array(
        [-CONSTANT_LABEL_SCORE, -1e3, 0.0, 1e3, CONSTANT_LABEL_SCORE], dtype=dtype
    ) - dtype(shift)
    assert is_trainable(scores).tolist() == [False, True, True, True, False]
    assert is_never_positive(scores).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed"),
        ([[-1, 1], [1, -1]], r"coded as \[-1, 1\]; expected 0 and 1. Pass \(y == 1\)"),
        ([[1, 2], [2, 1]], r"coded as \[1, 2\]; expected 0 and 1. Pass \(y == 2\)"),
        ([[0, 2], [2, 0]], r"coded as \[0, 2\]"),
        ([[0.0, 1.5], [0.3, 2.0]], "continuous-multioutput, with values from 0.0 to 2.0"),
        ([[0.0, -0.5], [0.3, 1.0]], "with values from -0.5 to 1.0"),
        ([[0.0, np.inf], [0.3, 1.0]], "contains infinity"),
        (sp.csr_array([[0.0, 0.5], [1, 0]]), r"only 0 and 1, got \[0.5\].*toarray"),
        (sp.csr_array([[0.0, np.nan], [1, 0]]), r"only 0 and 1, got \[nan\]"),
        (sp.csr_array([[0, 2], [1, 0]]), r"only 0 and 1, got \[2\]"),
        (sp.csr_array([[0, -1], [1, -1]]), r"got \[-1\].*\(y > 0\)"),
        ([{1, 2}, {3}], "label sets.*tags_to_y"),
        ([[1, 2], [3]], "label sets.*tags_to_y"),
        ([("a",), ("b", 3)], "label sets.*tags_to_y"),
        (pd.Series([[1], [2]], index=[5, 6]), r"such as \[1\];.*tags_to_y"),
        (HARD.astype("M8[s]"), r"must hold numbers or text, got dtype datetime64.*astype\(str\)"),
        ([1.5, 2.3, 0.1], "Unknown label type: continuous"),
        ([1.0, np.nan, 0.0], "Input y contains NaN"),
        ([1, 1, 1], r"only 1 class, \[1\]"),
        (np.zeros((3, 0)), r"got shape \(3, 0\)"),
        (sp.csr_array((3, 0)), r"one label at least, got shape \(3, 0\)"),
        (np.zeros((2, 2, 2, 2)), r"got shape \(2, 2, 2, 2\)"),
    ],
)
def test_other_kinds_are_refused_with_what_to_type(y, message):
    with pytest.raises(ValueError, match=message):
        encode_targets(y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("high", [1.0000002, 1234567.25, 0.1 + 2.0, 2.0])
def test_what_is_to_be_typed_for_another_code_makes_the_labels(high, dtype):
    y = (HARD * high).astype(dtype)
    with pytest.raises(ValueError, match=r"Pass \(y == .*\)\.astype\(int\)$") as refused:
        encode_targets(y)
    typed = str(refused.value).rpartition("Pass ")[2]
    np.testing.assert_array_equal(eval(typed, {"y": y}), HARD)


def test_soft_targets_beyond_one_by_rounding_are_seen_as_they_are():
    y = np.array([[0.0, 1.0000001], [0.5, 0.25]])
    with pytest.raises(ValueError, match=r"to 1\.0000001; .*Pass y\.clip\(0, 1\)"):
        encode_targets(y)
    assert encode_targets(y.clip(0, 1)).kind == "soft"
