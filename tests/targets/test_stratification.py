"""Parts of the rows that share each label, against all that there could be."""

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.row_exchanges import RowExchanges
from sklearn_mlce._targets.stratification import label_masses, stratified_parts


def parts_of(labels, sizes, seed=0, **options):
    rng = np.random.default_rng(seed)
    return stratified_parts(sp.csr_array(labels, dtype=float), sizes, rng, **options)


def n_missing(labels, parts, sizes):
    """Labels that a part has not, though a row moved there would bring both nearer their shares."""
    counts = np.array([labels[parts == part].sum(axis=0) for part in range(len(sizes))])
    equal = np.ptp(sizes) <= 1  # but for a row, which may be in any part
    fractions = np.full(len(sizes), 1 / len(sizes)) if equal else np.asarray(sizes) / sum(sizes)
    shares = np.outer(fractions, labels.sum(axis=0))
    missing = 0
    for label in range(labels.shape[1]):
        count, share = counts[:, label], shares[:, label]
        for part in np.flatnonzero(count == 0):
            missing += any(
                abs(count[other] - 1 - share[other]) ** 2 + (1 - share[part]) ** 2
                < (count[other] - share[other]) ** 2 + share[part] ** 2 - 1e-9
                for other in np.flatnonzero(count)
            )
    return missing


@pytest.mark.parametrize("sizes", [(4, 4), (3, 3, 2), (2, 6), (1, 2, 5)])
def test_hardly_ever_can_fewer_labels_be_missing(sizes):
    every = [np.array(parts) for parts in product(range(len(sizes)), repeat=8)]
    every = [
        parts for parts in every if (np.bincount(parts, minlength=3)[: len(sizes)] == sizes).all()
    ]
    worse = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        labels = (rng.random((8, 5)) < rng.uniform(0.2, 0.6, 5)).astype(int)
        found = parts_of(labels, sizes, seed)
        np.testing.assert_array_equal(np.bincount(found, minlength=len(sizes)), sizes)
        least = min(n_missing(labels, parts, sizes) for parts in every)
        worse += n_missing(labels, found, sizes) > least
    assert worse <= 2


def test_one_label_is_shared_to_within_a_row():
    labels = np.zeros((100, 1), dtype=int)
    labels[:37] = 1
    counts = np.bincount(parts_of(labels, (50, 30, 20))[:37], minlength=3)
    assert (np.abs(counts - 0.37 * np.array([50, 30, 20])) < 1).all()


def test_rows_are_exchanged_for_a_missing_label(monkeypatch):
    rng, sizes = np.random.default_rng(1), (20, 20, 20)
    every = [(rng.random((60, 40)) < 0.08).astype(int) for _ in range(10)]
    mended = [n_missing(labels, parts_of(labels, sizes), sizes) for labels in every]
    monkeypatch.setattr(RowExchanges, "mend", lambda self: None)
    placed = [n_missing(labels, parts_of(labels, sizes), sizes) for labels in every]
    assert all(after <= before for after, before in zip(mended, placed, strict=True))
    assert sum(mended) < sum(placed) / 4


def test_soft_labels_are_shared_by_mass():
    masses = np.random.default_rng(0).beta(0.3, 1, (400, 6))
    parts = parts_of(masses, (200, 200))
    halves = np.array([masses[parts == part].sum(axis=0) for part in range(2)])
    shuffled = np.random.default_rng(0).permutation(np.arange(400) % 2)
    by_chance = np.array([masses[shuffled == part].sum(axis=0) for part in range(2)])
    assert np.ptp(halves, axis=0).mean() < np.ptp(by_chance, axis=0).mean() / 2
    small = parts_of(0.01 * masses, (200, 200))  # none of which places a row
    assert np.ptp([masses[small == part].sum(axis=0) for part in range(2)], axis=0).max() < 2


def test_groups_fill_parts_to_less_than_a_group_above_their_sizes():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        group_sizes = rng.integers(1, 30, 25)
        labels = rng.binomial(group_sizes[:, None], 0.2, (25, 4))
        n = group_sizes.sum()
        sizes = np.full(3, n // 3)
        sizes[: n % 3] += 1
        parts = parts_of(labels, sizes, seed, group_sizes=group_sizes)
        filled = np.bincount(parts, group_sizes, minlength=3)
        assert filled.sum() == n
        assert (filled < sizes + group_sizes.max()).all()


def test_rows_as_they_come_give_the_same_parts_each_time():
    labels = sp.csr_array((np.random.default_rng(0).random((50, 8)) < 0.3).astype(float))
    first = stratified_parts(labels, (25, 25))
    np.testing.assert_array_equal(first, stratified_parts(labels, (25, 25)))
    drawn = [stratified_parts(labels, (25, 25), np.random.default_rng(i)) for i in range(2)]
    assert (drawn[0] != drawn[1]).any()


def test_rows_of_no_label():
    np.testing.assert_array_equal(np.sort(parts_of(np.zeros((5, 3)), (3, 2))), [0, 0, 0, 1, 1])


def test_masses_of_every_kind_of_y():
    def masses(y):
        return label_masses(encode_targets(y)).toarray().tolist()

    assert masses(np.array(["b", "a", "b"])) == [[0, 1], [1, 0], [0, 1]]
    assert masses(np.array([2, 0, 1])) == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]
    assert masses(sp.csr_array([[1, 0], [1, 1]])) == [[1, 0], [1, 1]]
    assert masses(np.array([[0.5, np.nan], [0, 1]])) == [[0.5, 0], [0, 1]]
    outputs = np.array([["x", "p"], ["y", None]], dtype=object)
    assert masses(outputs) == [[1, 0, 1], [0, 1, 0]]


def test_parts_do_not_hang_on_the_processor():
    """Stored parts: BLAS kernels that round equal sums differently would break ties otherwise."""
    rng = np.random.RandomState(0)
    labels = rng.random_sample((40, 6)) < [0.6, 0.4, 0.3, 0.2, 0.1, 0.05]
    masses = sp.csr_array(labels, dtype=float)
    parts = stratified_parts(masses, np.full(5, 8), np.random.RandomState(1))
    assert "".join(map(str, parts)) == "3230113301031022401423114344104030422422"
