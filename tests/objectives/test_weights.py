"""Weights of labels and rows: what they are made of, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mlce._objectives.registry import resolve_objective
from sklearn_mlce._objectives.weights import check_label_weight, warn_unknown_labels
from sklearn_mlce._targets.encoding import encode_targets

Y = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]])


def checked(label_weight, y=Y, sample_weight=None):
    targets = encode_targets(y)
    objective = resolve_objective("bce", None, None, targets.format)
    return check_label_weight(label_weight, targets, objective, sample_weight)


def test_balanced_labels_have_equal_sums_of_weights():
    weight = checked("balanced")
    np.testing.assert_allclose((weight * Y.sum(axis=0))[[0, 1, 3]], 2)  # (3 + 1 + 2) / 3
    assert weight[2] == 1
    rows = np.array([3, 1, 1, 2])
    repeated = checked("balanced", np.repeat(Y, rows, axis=0))
    np.testing.assert_allclose(checked("balanced", sample_weight=rows), repeated)


@pytest.mark.parametrize(
    "weight", [[1, 2, 0.5, 3], np.array([1, 2, 0.5, 3]), {0: 1, 1: 2, 2: 0.5, 3: 3}]
)
def test_numbers_are_taken_in_the_order_of_the_labels(weight):
    np.testing.assert_array_equal(checked(weight), [1, 2, 0.5, 3])


def test_a_dict_goes_by_names_and_leaves_the_others_one():
    frame = pd.DataFrame(Y, columns=["sea", "sun", "sky", "sand"])
    np.testing.assert_array_equal(checked({"sky": 4, "sea": 2}, frame), [2, 1, 4, 1])
    with pytest.raises(ValueError, match=r"keys \['moon'\], which are no column names of y"):
        checked({"moon": 1}, frame)
    with pytest.raises(ValueError, match=r"keys \['sea', 4\], which are no column numbers of y"):
        checked({"sea": 1, 4: 1})
    assert checked(None) is None


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2, 3], r"has shape \(3,\); expected one number for each of the 4 labels"),
        ([[1, 2, 3, 4]], r"has shape \(1, 4\)"),
        ([1, 2, 3, "a"], "does not hold numbers"),
        ([1, 2, 3, 0], r"positive finite numbers, got values from 0.0 to 3.0"),
        ([1, 2, 3, -1], r"got values from -1.0 to 3.0"),
        ([1, 2, 3, np.inf], r"got values from 1.0 to inf"),
        ([1, 2, 3, np.nan], r"got values from nan"),
    ],
)
def test_other_weights_are_refused(weight, message):
    with pytest.raises(ValueError, match=message):
        checked(weight)


def test_classes_have_no_label_weight():
    for y, kind in (([0, 1, 0], "binary"), ([0, 1, 2], "multiclass")):
        with pytest.raises(ValueError, match=f"but y is {kind}"):
            checked([1, 2], y)


def test_what_is_unknown_in_every_row_is_told():
    warn_unknown_labels(encode_targets(Y))
    warn_unknown_labels(encode_targets([[1, np.nan], [np.nan, 0]]))
    with pytest.warns(UserWarning, match=r"labels \[1, 3\] are unknown"):
        warn_unknown_labels(encode_targets(np.where([0, 1, 0, 1], np.nan, Y)))
    with pytest.raises(ValueError, match="y holds only NaN"):
        warn_unknown_labels(encode_targets(np.full((3, 2), np.nan)))
    outputs = encode_targets([[5, 1], [np.nan, 2], [6, 3]])
    warn_unknown_labels(outputs)
    with pytest.warns(UserWarning, match=r"outputs \[0\] are unknown in every row"):
        warn_unknown_labels(outputs.index_rows([1]))
