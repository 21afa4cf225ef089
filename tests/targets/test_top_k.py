"""The labels of a row with the highest scores, beside a sort of each row."""

import numpy as np
import pytest

from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce._targets.top_k import largest_scores, shifted_to_best


@pytest.mark.parametrize("n_values", [2, 5, 10_000])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_largest_scores_are_those_of_a_stable_sort(n_values, k):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, n_values, (50, 8)).astype(np.float32)
    columns, values = largest_scores(scores, k)
    np.testing.assert_array_equal(columns, np.argsort(-scores, axis=1, kind="stable")[:, :k])
    np.testing.assert_array_equal(values, np.take_along_axis(scores, columns, axis=1))


def test_no_rows_have_no_largest_scores():
    columns, values = largest_scores(np.empty((0, 4)), 2)
    assert columns.shape == values.shape == (0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_k_best_are_shifted_above_zero_by_a_number_a_row(k, dtype):
    scores = np.random.default_rng(0).normal(size=(50, 8)).astype(dtype)
    shifted = shifted_to_best(scores, k)
    ordered = np.sort(scores, axis=1)[:, ::-1]
    middle = (ordered[:, k - 1] + ordered[:, k]) / 2
    np.testing.assert_allclose(shifted, scores - middle[:, None], atol=1e-6)
    assert ((shifted > 0).sum(axis=1) == k).all()
    assert shifted.dtype == dtype


@pytest.mark.parametrize("k", [1, 2, 3])
def test_equal_scores_are_chosen_by_column(k):
    shifted = shifted_to_best(np.full((2, 4), 3.0), k)
    np.testing.assert_array_equal(shifted > 0, [[column < k for column in range(4)]] * 2)
    np.testing.assert_allclose(shifted, 0, atol=1e-300)


CONSTANT = CONSTANT_LABEL_SCORE


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [
        ([1.0, 3.0], 2, [1.0, 3.0]),  # nothing follows: the last is one above zero
        ([1.0, 4.0, -CONSTANT], 2, [1.0, 4.0, -CONSTANT]),
        ([CONSTANT, 1.0, -2.0], 1, [CONSTANT, -1.0, -4.0]),  # the next is one below zero
        ([CONSTANT, 5.0, 2.0], 2, [CONSTANT, 1.5, -1.5]),
        ([CONSTANT, -CONSTANT], 1, [CONSTANT, -CONSTANT]),
    ],
)
def test_constant_labels_make_no_midpoint(scores, k, expected):
    shifted = shifted_to_best(np.array([scores]), k)
    near = np.abs(expected) < CONSTANT
    np.testing.assert_allclose(shifted[0, near], np.array(expected)[near])
    np.testing.assert_array_equal(np.sign(shifted[0]), np.sign(expected))
