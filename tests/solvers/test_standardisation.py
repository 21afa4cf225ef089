"""Sums and spread of rows, by blocks, beside slow loops."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlce._solvers import standardisation as moments

containers = pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csr_matrix])


@containers
@pytest.mark.parametrize("entries", [1, 12, 10**6])
def test_rows_are_summed_in_blocks(container, entries, monkeypatch):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(23, 5)) * (rng.random((23, 5)) < 0.5)
    weight = rng.random(23)
    expected = sum(w * row for w, row in zip(weight, X, strict=True))
    monkeypatch.setattr(moments, "_BLOCK_ENTRIES", entries)
    np.testing.assert_allclose(moments.sum_of_rows(container(X), weight), expected)


@containers
def test_blocks_of_rows_hold_as_many_entries(container, monkeypatch):
    X = container(np.ones((23, 5)))
    for entries, rows in ((1, 1), (5, 1), (12, 2), (55, 11), (10**6, 23)):
        monkeypatch.setattr(moments, "_BLOCK_ENTRIES", entries)
        assert [block.start for block in moments._row_blocks(X)] == [*range(0, 23, rows)]


@containers
@pytest.mark.parametrize("entries", [1, 12, 10**6])
@pytest.mark.parametrize("centred", [True, False])
def test_mean_squared_distance(centred, container, entries, monkeypatch):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(23, 5)) * (rng.random((23, 5)) < 0.5)
    weight = rng.random(23)
    weight[3] = 0
    mean = np.average(X, axis=0, weights=weight) if centred else 0
    expected = np.average(((X - mean) ** 2).sum(axis=1), weights=weight)
    monkeypatch.setattr(moments, "_BLOCK_ENTRIES", entries)
    found = moments.mean_squared_distance(container(X), weight, centred=centred)
    assert found == pytest.approx(expected)


@containers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_feature_may_vary_little_beside_its_mean(container, dtype):
    rng = np.random.default_rng(6)
    days = np.arange(150) % 28
    X = np.column_stack([rng.normal(size=(150, 3)), 738_000 + days, np.full(150, 1e7)])
    weight = np.ones(150)
    found = moments.mean_squared_distance(container(X.astype(dtype)), weight, centred=True)
    assert found == pytest.approx(X[:, :3].var(axis=0).sum() + days.var(), rel=1e-5)


def test_rows_that_are_all_alike_have_distance_one():
    X, weight = np.full((4, 3), 7.0), np.ones(4)
    assert moments.mean_squared_distance(X, weight, centred=True) == 1
    assert moments.mean_squared_distance(0 * X, weight, centred=False) == 1


@containers
@pytest.mark.parametrize("entries", [1, 12, 10**6])
@pytest.mark.parametrize("centred", [True, False])
def test_sizes_of_columns_and_the_distance_of_a_typical_row(
    centred, container, entries, monkeypatch
):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(23, 5)) * (rng.random((23, 5)) < 0.5) * [1, 1e-3, 1e3, 1, 0] + [
        0,
        0,
        0,
        9,
        0,
    ]
    X[[0, 11, 22]] = 0
    weight = rng.integers(0, 4, 23).astype(float)
    weight[[0, 11, 22]] = 1
    monkeypatch.setattr(moments, "_BLOCK_ENTRIES", entries)
    sizes = moments.column_sizes(container(X), weight, centred=centred)
    rows = np.repeat(X, weight.astype(int), axis=0)
    moved = rows - rows.mean(axis=0) if centred else rows
    expected = [sum(entry**4 for entry in column) / len(column) for column in moved.T]
    np.testing.assert_allclose(sizes, np.sqrt(np.sqrt(expected)))
    found = moments.typical_squared_distance(container(X), weight, sizes, centred=centred)
    distances = [np.linalg.norm(row[:4] / sizes[:4]) for row in moved]
    assert found == pytest.approx(np.mean(np.sqrt(distances)) ** 4)


@containers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1e-30, 1e-3, 1e3, 1e30])
def test_sizes_are_in_the_unit_of_the_column(unit, dtype, container):
    rng = np.random.default_rng(8)
    X, weight = rng.normal(size=(40, 3)), np.ones(40)
    sizes = moments.column_sizes(container((X * unit).astype(dtype)), weight, centred=True)
    plain = moments.column_sizes(container(X), weight, centred=True)
    np.testing.assert_allclose(sizes, plain * unit, rtol=1e-5)


@containers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_sizes_of_columns_that_were_constant_are_about_their_constant(unit, dtype, container):
    rng = np.random.default_rng(9)
    centre = (np.array([0.0, 3.0, -3.0, 3.0, 0.0]) * unit).astype(dtype).astype(float)
    X = (centre + unit * rng.normal(size=(40, 5)) * [1, 1, 10, 0, 0]).astype(dtype)
    weight = rng.integers(0, 4, 40).astype(float)
    sizes = moments.sizes_of_new_columns(container(X), weight, centre)
    moved = np.repeat(X.astype(float) - centre, weight.astype(int), axis=0)[:, :3]
    expected = [*(np.mean((moved / unit) ** 4, axis=0) ** 0.25), 0, 0]
    np.testing.assert_allclose(sizes / unit, expected, rtol=1e-5)
    assert (sizes[3:] == 0).all()
    beside = moments.sizes_of_new_columns(container(X), weight, centre * (1 - 1e-10))
    assert (beside[3:] == 0).all()  # the centre is a rounded sum
    assert (moments.sizes_of_new_columns(container(X), weight, centre * 0.9)[3] > 0).all()
