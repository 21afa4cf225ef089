"""Probabilities of the classes of several outputs: one array, or a list of matrices."""

import numpy as np
import pytest

from sklearn_mlce._targets.class_probabilities import check_rows_of_outputs
from sklearn_mlce._targets.encoding import encode_outputs, encode_targets, known_entries
from sklearn_mlce._targets.tags import tag_rows
from sklearn_mlce._targets.targets import TargetFormat, constant_label_scores

N_ROWS = 6


def matrices(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.ones(m), N_ROWS) for m in sizes]


@pytest.mark.parametrize("sizes", [(3, 3), (2, 4, 3), (1, 2)])
def test_they_are_soft_targets_of_several_outputs(sizes):
    parts = matrices(sizes)
    parts[1][2] = np.nan
    forms = [parts, tuple(parts)]
    if len(set(sizes)) == 1:
        array = np.stack(parts, axis=1)
        forms += [array, array.tolist(), array.astype(object)]
    for y in forms:
        targets = encode_targets(y)
        assert targets.kind == "multioutput"
        assert targets.format.fractional
        assert targets.format.sizes == sizes
        assert (targets.n_rows, targets.n_outputs) == (N_ROWS, sum(sizes))
        np.testing.assert_array_equal(targets.dense, np.hstack(parts))
        assert [classes.tolist() for classes in targets.classes] == [[*range(m)] for m in sizes]
        assert TargetFormat.from_state(targets.format.to_state()).fractional
        codes = targets.output_codes()
        assert codes[2, 1] == -1
        for number, part in enumerate(parts):
            known = codes[:, number] >= 0
            np.testing.assert_array_equal(codes[known, number], part[known].argmax(axis=1))


@pytest.mark.parametrize("sizes", [(3, 3), (2, 4, 3)])
def test_rows_outputs_and_the_way_back(sizes):
    parts = matrices(sizes)
    targets = encode_targets(parts)
    back = targets.index_rows([4, 1]).labels(targets.format)
    assert isinstance(back, list) == (len(set(sizes)) > 1)
    again = encode_targets(back)
    np.testing.assert_array_equal(again.dense, targets.dense[[4, 1]])
    mask = np.ones(sum(sizes), dtype=bool)
    mask[[0, sizes[0]]] = False
    fewer = targets.select_outputs(mask)
    assert fewer.format.sizes == (sizes[0] - 1, sizes[1] - 1, *sizes[2:])
    np.testing.assert_array_equal(fewer.dense, targets.dense[:, mask])


def test_lists_of_matrices_are_no_tags():
    assert tag_rows(matrices((2, 3)), certain=True) is None


def test_precision():
    y = np.stack(matrices((3, 3)), axis=1)
    assert encode_targets(y.astype(np.float16)).dense.dtype == np.float32
    assert encode_targets(y.astype(np.float32)).dense.dtype == np.float32
    assert encode_targets((y == y.max(axis=2, keepdims=True)).astype(int)).dense.dtype == float


def test_classes_that_are_the_same_in_all_rows():
    y = np.array([[[1, 0, 0], [0.5, 0.5, 0]], [[1, 0, 0], [np.nan] * 3]])
    fixed = constant_label_scores(encode_targets(y))
    assert np.isnan(fixed).tolist() == [False, False, False, True, True, False]
    assert np.sign(fixed[[0, 1, 2, 5]]).tolist() == [1, -1, -1, -1]


GOOD = np.stack(matrices((3, 3)), axis=1)


def changed(value, where):
    y = GOOD.copy()
    y[where] = value
    return y


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (GOOD * 100, r"holds \[.*\]; expected numbers from 0 to 1.*softmax\(y, axis=2\)"),
        ([*(100 * GOOD).swapaxes(0, 1)], r"Pass|pass \[softmax\(part, axis=1\) for part in y\]"),
        (changed(-0.25, (1, 1, 2)), r"holds \[-0.25\]"),
        (changed(np.inf, (1, 1, 2)), r"holds \[inf\]"),
        (changed(np.nan, (4, 1, 2)), r"output 1 of y is NaN for some of its classes in row 4"),
        (changed(0.0, (5, 0)), r"output 0 of y add up to 0 in row 5.*y / y.sum\(axis=2, keepdims"),
        ([GOOD[:, 0], GOOD[:, 1] / 2], r"output 1 .* 0.5 in row 0.*\[part / part.sum\(axis=1, k"),
        ([GOOD[:, 0], GOOD[:4, 1]], "output 0 of y has 6 rows, output 1 has 4"),
        (GOOD[:, :0], r"y has shape \(6, 0, 3\); expected probabilities"),
        ([GOOD[:, 0], GOOD[:, 1, :0]], r"outputs of shapes \[\(6, 3\), \(6, 0\)\]"),
        (GOOD[..., None], r"\(n_samples, n_outputs, n_classes\) for probabilities"),
        (GOOD.astype(str), "y must hold numbers"),
    ],
)
def test_what_is_unusable_is_named(y, message):
    with pytest.raises(ValueError, match=message):
        encode_targets(y)


def test_a_list_of_rows_is_no_list_of_outputs():
    with pytest.raises(ValueError, match=r"list of 6 matrices of shape \(2, 3\).*np.stack\(y\)"):
        check_rows_of_outputs([*GOOD], N_ROWS)
    # Outputs as they should be, as many as rows, too few rows, and an array.
    for y in (matrices((3, 3)), matrices((3,) * N_ROWS), matrices((3,) * 4), GOOD):
        check_rows_of_outputs(y, N_ROWS)
    check_rows_of_outputs([part[:2] for part in matrices((3,) * 7)], N_ROWS)


def test_rounding_passes():
    y = np.stack(matrices((7, 7)), axis=1)
    for rounded in (y.round(4), y.astype(np.float16)):
        assert encode_targets(rounded).n_outputs == 14


def test_later_rows_are_encoded_by_the_format_of_the_first():
    targets = encode_targets(GOOD)
    np.testing.assert_array_equal(encode_outputs(GOOD[:2], targets.format).dense, targets.dense[:2])
    of_classes = encode_targets(GOOD.argmax(axis=2) + 5)
    classes, known = known_entries(GOOD, of_classes.format)
    assert known.all()
    np.testing.assert_array_equal(classes, GOOD.argmax(axis=2) + 5)
    with pytest.raises(ValueError, match="first rows held their probabilities"):
        encode_outputs(GOOD.argmax(axis=2), targets.format)
    with pytest.raises(ValueError, match="first rows held classes of several outputs"):
        encode_outputs(GOOD, of_classes.format)
    for y in (GOOD[:, :1], GOOD[..., :2] / GOOD[..., :2].sum(axis=2, keepdims=True)):
        with pytest.raises(ValueError, match=r"expected \[3, 3\], as the model has"):
            encode_outputs(y, targets.format)
