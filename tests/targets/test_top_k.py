"""The labels of a row with the highest scores, beside a sort of each row."""

import numpy as np
import pytest

from sklearn_mlce._targets.top_k import largest_scores


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
