"""Targets as tensors: each form of them, of all rows and of some, beside the matrix that y is."""

import numpy as np
import pytest
import torch

from sklearn_mlce._objectives.target_tensors import FORMS, encode
from sklearn_mlce._targets.encoding import encode_outputs, encode_targets

CPU = torch.device("cpu")
N_ROWS = 7


def one_hot(codes, n_classes):
    return np.eye(n_classes)[codes]


RNG = np.random.default_rng(0)
CODES = np.array([2, 0, 1, 1, 2, 0, 2])
LABELS = (RNG.random((N_ROWS, 4)) < 0.5).astype(int)
UNKNOWN = np.where(RNG.random((N_ROWS, 4)) < 0.3, np.nan, LABELS)
OUTPUTS = np.column_stack([CODES, CODES[::-1] + 5])
SOME_OUTPUTS = np.where([[True, False], *[[True, True]] * 5, [False, True]], OUTPUTS, np.nan)
PROBABILITIES = RNG.dirichlet(np.ones(3), (N_ROWS, 2))
#: Targets with the matrix that they are.
KINDS = {
    "binary": (CODES == 2, (CODES == 2)[:, None]),
    "classes": (CODES, one_hot(CODES, 3)),
    "labels": (LABELS, LABELS),
    "unknown": (UNKNOWN, UNKNOWN),
    "outputs": (OUTPUTS, np.hstack([one_hot(CODES, 3), one_hot(CODES[::-1], 3)])),
    "probabilities": (PROBABILITIES, PROBABILITIES.reshape(N_ROWS, 6)),
}
on_each_kind = pytest.mark.parametrize("kind", KINDS)


@on_each_kind
@pytest.mark.parametrize(("start", "stop"), [(0, 7), (0, 3), (2, 6), (4, 7), (3, 3)])
def test_the_matrix_of_some_rows(kind, start, stop):
    y, matrix = KINDS[kind]
    targets = encode_targets(y)
    part = encode(targets, np.float64, CPU).slice_rows(start, stop)
    found = FORMS["matrix"](part, targets.n_outputs)
    np.testing.assert_allclose(found, matrix[start:stop])
    found += 1  # a copy
    np.testing.assert_allclose(FORMS["matrix"](part, targets.n_outputs), matrix[start:stop])


@on_each_kind
def test_entries_are_those_of_the_matrix(kind):
    y, matrix = KINDS[kind]
    targets = encode_targets(y)
    part = encode(targets, np.float64, CPU).slice_rows(1, 6)
    found = FORMS["entries"](part, targets.n_outputs)
    if kind in ("unknown", "probabilities"):
        np.testing.assert_allclose(found, matrix[1:6])
        return
    rows, columns = np.nonzero(matrix[1:6])
    for name, expected in (("rows", rows), ("columns", columns)):
        np.testing.assert_array_equal(getattr(found, name), expected)
    np.testing.assert_array_equal(found.flat_index, rows * targets.n_outputs + columns)
    if kind != "classes":
        np.testing.assert_array_equal(part.indptr, np.append(0, np.cumsum(matrix[1:6].sum(axis=1))))


def test_unknown_entries_are_masked():
    targets = encode_targets(UNKNOWN)
    found = FORMS["hard_entries"](encode(targets, np.float64, CPU), 4)
    np.testing.assert_array_equal(found.flat_index, np.flatnonzero(UNKNOWN == 1))
    np.testing.assert_array_equal(found.masked, np.flatnonzero(UNKNOWN.ravel() != 0))


@pytest.mark.parametrize("y", [OUTPUTS, SOME_OUTPUTS], ids=["known", "some unknown"])
def test_columns_of_the_classes_of_outputs(y):
    targets = encode_targets(y)
    columns, sizes = FORMS["columns"](encode(targets, np.float64, CPU), targets.n_outputs)
    assert sizes == (3, 3)
    expected = np.column_stack([CODES, CODES[::-1] + 3])
    np.testing.assert_array_equal(columns.view(-1, 2), np.where(np.isnan(y), -1, expected))


@pytest.mark.parametrize("n_known", range(2, 2 * N_ROWS + 1))
def test_columns_whatever_number_of_classes_is_known(n_known):
    known = np.zeros(2 * N_ROWS, dtype=bool)
    known[np.random.default_rng(n_known).permutation(2 * N_ROWS)[:n_known]] = True
    codes = np.where(known.reshape(N_ROWS, 2), np.column_stack([CODES, CODES[::-1]]), np.nan)
    classes = [np.arange(3.0), np.arange(3.0)]
    targets = encode_outputs(codes, classes)
    columns, _ = FORMS["columns"](encode(targets, np.float64, CPU), 6)
    np.testing.assert_array_equal(columns.view(-1, 2), np.nan_to_num(np.add(codes, [0, 3]), nan=-1))


def test_codes_and_probabilities():
    targets = encode_targets(CODES)
    np.testing.assert_array_equal(FORMS["codes"](encode(targets, np.float64, CPU), 3), CODES)
    targets = encode_targets(PROBABILITIES)
    matrix, sizes = FORMS["probabilities"](encode(targets, np.float32, CPU), 6)
    assert (sizes, matrix.dtype) == ((3, 3), torch.float32)
    np.testing.assert_allclose(matrix, PROBABILITIES.reshape(N_ROWS, 6), rtol=1e-6)
