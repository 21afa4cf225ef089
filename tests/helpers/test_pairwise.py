"""Pairwise cases hold every pair of values, and are few."""

import itertools

import pytest

from tests.helpers.pairwise import all_pairs


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ((3, 4), 12),
        ((2, 2, 2), 6),
        ((6, 3, 3, 2, 2), 20),
        ((5, 5, 5, 5), 38),
        ((4, 1, 3), 12),
    ],
)
def test_each_two_values_meet(sizes, most):
    factors = [[f"{factor}{value}" for value in range(size)] for factor, size in enumerate(sizes)]
    cases = all_pairs(*factors)
    for (i, first), (j, second) in itertools.combinations(enumerate(factors), 2):
        met = {(case[i], case[j]) for case in cases}
        assert met == set(itertools.product(first, second))
    assert len(cases) == len(set(cases)) <= most
    assert cases == all_pairs(*factors)


def test_values_may_be_anything():
    options = [{"margin": 1.0}, {}]
    assert all_pairs(options, [None], [0]) == [(options[0], None, 0), (options[1], None, 0)]
