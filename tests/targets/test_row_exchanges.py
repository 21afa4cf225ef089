"""Exchanges of rows: what they mend, and what they never spoil."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlce._targets.row_exchanges import RowExchanges


def exchanges(labels, parts, row_sizes=None, sizes=None):
    row_sizes = np.ones(len(parts), dtype=int) if row_sizes is None else row_sizes
    sizes = np.bincount(parts, row_sizes).astype(int) if sizes is None else sizes
    return RowExchanges(sp.csr_array(labels, dtype=float), parts, sizes, row_sizes)


def mended(labels, parts, **options):
    found = parts.copy()
    exchanges(labels, found, **options).mend()
    return found


def n_lacking(labels, parts):
    """Labels that a part lacks, of those that at least as many rows carry as there are parts."""
    counts = np.array([labels[parts == part].sum(axis=0) for part in range(parts.max() + 1)])
    return int((counts[:, (labels > 0).sum(axis=0) >= len(counts)] == 0).sum())


def planted(seed, n_parts=4, n_rows=80, n_labels=20):
    """Labels of one row in each of some hidden parts, and other parts."""
    rng = np.random.default_rng(seed)
    hidden = rng.permutation(np.arange(n_rows) % n_parts)
    labels = np.zeros((n_rows, n_labels), dtype=int)
    for part in range(n_parts):
        labels[rng.choice(np.flatnonzero(hidden == part), n_labels), np.arange(n_labels)] = 1
    return labels, rng.permutation(hidden)


def test_one_exchange_mends_a_missing_label():
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0], [0, 0]])
    parts = np.array([0, 0, 0, 1, 1, 1])
    found = mended(labels, parts)
    assert n_lacking(labels, parts) == 1
    assert n_lacking(labels, found) == 0
    np.testing.assert_array_equal(np.bincount(found), [3, 3])


@pytest.mark.parametrize("seed", range(6))
def test_labels_of_one_row_per_part_come_to_every_part(seed):
    labels, parts = planted(seed)
    assert n_lacking(labels, parts) > 5
    assert n_lacking(labels, mended(labels, parts)) == 0


def test_search_mends_what_no_single_exchange_does():
    in_one_step = []
    for seed in range(6):
        labels, parts = planted(seed)
        by_gains = exchanges(labels, parts)
        by_gains._balance()
        in_one_step.append(n_lacking(labels, by_gains.parts))
    assert max(in_one_step) > 0


@pytest.mark.parametrize("seed", range(10))
def test_parts_keep_their_sizes_and_lack_no_more_labels(seed):
    rng = np.random.default_rng(seed)
    labels = (rng.random((60, 30)) < 0.1).astype(int)
    parts = rng.permutation(np.repeat(range(3), (30, 19, 11)))
    found = mended(labels, parts)
    np.testing.assert_array_equal(np.bincount(found), [30, 19, 11])
    assert n_lacking(labels, found) <= n_lacking(labels, parts)
    np.testing.assert_array_equal(found, mended(labels, parts))


@pytest.mark.parametrize("masses", [False, True])
def test_counts_follow_the_exchanges(masses):
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 30)) < 0.1) * (rng.random((60, 30)) if masses else 1.0)
    row_sizes = rng.integers(1, 4, 60)
    after = exchanges(labels, rng.integers(0, 3, 60), row_sizes)
    after.mend()
    sizes = np.bincount(after.parts, row_sizes) + after.room
    anew = exchanges(labels, after.parts, row_sizes, sizes.astype(int))
    for name in ("counts", "excess", "most", "room"):
        np.testing.assert_allclose(getattr(after, name), getattr(anew, name), atol=1e-12)


@pytest.mark.parametrize("masses", [False, True])
def test_gain_of_an_exchange_is_what_it_saves(masses):
    rng = np.random.default_rng(0)
    labels = (rng.random((40, 12)) < 0.5) * (rng.random((40, 12)) if masses else 1.0)
    made = exchanges(labels, np.arange(40) % 2)  # both parts have many rows of each label

    def squares():
        return (made.excess**2).sum(axis=0) @ made.per_mass

    for label in range(12):
        before, pair = squares(), made._best(0, label, np.ones(40, dtype=bool))
        made._exchange(pair)
        np.testing.assert_allclose(2 * pair.gain, before - squares(), atol=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_groups_keep_parts_as_near_to_their_sizes(seed):
    rng = np.random.default_rng(seed)
    labels, row_sizes = (rng.random((60, 30)) < 0.1).astype(int), rng.integers(1, 9, 60)
    parts = rng.integers(0, 3, 60)
    sizes = np.full(3, row_sizes.sum() // 3)
    sizes[0] += row_sizes.sum() - sizes.sum()
    found = mended(labels, parts, row_sizes=row_sizes, sizes=sizes)
    before, after = (np.bincount(p, row_sizes) - sizes for p in (parts, found))
    assert before.min() <= after.min()
    assert after.max() <= before.max()
    assert n_lacking(labels, found) <= n_lacking(labels, parts)


def test_search_ends_where_a_label_must_be_missing():
    labels = np.zeros((12, 3), dtype=int)
    labels[[0, 1, 2], [0, 0, 1]] = labels[[1, 2, 0], [1, 2, 2]] = 1  # of two rows each, three pairs
    labels[0, 2] = labels[2, 1] = 1
    parts = np.repeat([0, 1], 6)
    found = mended(labels, parts)
    assert n_lacking(labels, found) == 1  # three rows that differ in pairs have two parts
    np.testing.assert_array_equal(np.bincount(found), [6, 6])


@pytest.mark.parametrize("seed", range(3))
def test_rare_labels_come_near_to_their_shares(seed):
    rng = np.random.default_rng(seed)
    parts = np.repeat(range(4), 20)
    labels = np.zeros((80, 5), dtype=int)
    for label in range(5):  # in every part, and in one of them too often
        rows = [20 * part + rng.integers(20) for part in range(4)]
        crowded = 20 * rng.integers(4) + rng.choice(20, 4, replace=False)
        labels[[*rows, *crowded], label] = 1
    found = mended(labels, parts)
    counts = np.array([labels[found == part].sum(axis=0) for part in range(4)])
    assert (np.abs(counts - labels.sum(axis=0) / 4) < 1.5).all()


def test_the_work_is_bounded():
    labels, parts = planted(0)
    few, many = exchanges(labels, parts), exchanges(np.ones_like(labels), parts)
    assert 1000 < many.n_steps_left < few.n_steps_left < 10**7
    few.n_steps_left = 0
    few.mend()
    assert few.n_steps_left == 0
    np.testing.assert_array_equal(few.parts, planted(0)[1])
