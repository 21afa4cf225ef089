"""The study of splits: what it counts, and its tables."""

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import datasets, splits


def test_quality_counts_what_folds_lack():
    Y = sp.csr_array(np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]]))
    found = splits.quality(Y, [np.array([0, 1]), np.array([2, 3])])
    assert found == {"lacking": 1, "untrained": 1, "spread": pytest.approx(0.5), "sizes": 0}
    even = splits.quality(Y, [np.array([0, 2]), np.array([1, 3])])
    assert even == {"lacking": 0, "untrained": 0, "spread": 0, "sizes": 0}


def test_quality_of_groups_counts_groups():
    Y = sp.csr_array(np.array([[1, 1], [1, 0], [0, 1], [0, 0]]))
    folds, groups = [np.array([0, 1]), np.array([2, 3])], np.array([0, 0, 1, 2])
    assert splits.quality(Y, folds)["lacking"] == 1
    assert splits.quality(Y, folds, groups)["lacking"] == 0


@pytest.mark.parametrize("kind", splits.GROUP_KINDS)
def test_groups_stay_whole(kind):
    Y = sp.csr_array((np.random.default_rng(0).random((50, 6)) < 0.3).astype(int))
    groups = splits.groups_of(50)
    assert np.bincount(groups).max() <= splits.MOST_OF_GROUP
    folds = splits.group_fold_rows(kind, Y, groups, 3, 0)
    held = np.concatenate([np.unique(groups[rows]) for rows in folds])
    np.testing.assert_array_equal(np.sort(held), np.unique(groups))


@pytest.mark.parametrize("kind", ["KFold", "ours"])
def test_each_row_is_in_one_fold(kind):
    Y = sp.csr_array((np.random.default_rng(0).random((50, 6)) < 0.3).astype(int))
    folds = splits.fold_rows(kind, Y, 3, 0)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(50))


def test_study_writes_its_tables(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 4)), sp.csr_matrix((rng.random((60, 3)) < 0.4).astype(int))
    made = datasets.DataSet("made", X, Y, X, Y)
    monkeypatch.setattr(datasets, "load", lambda name: made)
    monkeypatch.setattr(splits, "ROWS", 300)
    monkeypatch.setattr(splits, "LABELS", 20)
    sets = ["--sets", "made", "--fitted", "flags", "--grouped", "made"]
    splits.main([*sets, "--out", str(tmp_path)])
    table = (tmp_path / "splits.md").read_text()
    assert table.count("| made") == len(splits.kinds()) + 6
    assert table.count("| mean") == len(splits.kinds())
    assert (tmp_path / "splits.csv").is_file()
