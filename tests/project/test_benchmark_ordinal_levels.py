"""The study of ordinal levels makes its targets and its tables as it says."""

import numpy as np
import pytest

from benchmarks import ordinal_levels
from benchmarks.store import Store, measure

LEVELS = np.array([[0, 3], [1, 2]])


@pytest.mark.parametrize("name", [name for name in ordinal_levels.TARGETS if name != "classes"])
def test_targets_are_probabilities_that_peak_at_the_level(name):
    targets = ordinal_levels.TARGETS[name](LEVELS)
    assert targets.shape == (2, 2, 4)
    np.testing.assert_allclose(targets.sum(axis=2), 1)
    np.testing.assert_array_equal(targets.argmax(axis=2), LEVELS)


def test_probabilities_spread_by_the_distance():
    targets = ordinal_levels.spread(0.7)(LEVELS)
    assert (np.diff(targets[0, 0]) < 0).all()
    assert targets[1, 0, 0] == pytest.approx(targets[1, 0, 2])
    wider = ordinal_levels.spread(1.0)(LEVELS)
    assert (wider.max(axis=2) < targets.max(axis=2)).all()


def test_quarters_are_of_the_rows_and_their_columns_no_features():
    table = np.random.default_rng(0).normal(size=(80, 9))
    X, levels = ordinal_levels.by_quarters(table, range(1, 7))
    assert X.shape == (80, 3)
    np.testing.assert_array_equal(X, table[:, [0, 7, 8]])
    for column, values in zip(levels.T, table[:, 1:7].T, strict=True):
        assert np.bincount(column).tolist() == [20] * 4
        assert (np.diff(column[values.argsort()]) >= 0).all()


def test_the_study_is_measured_and_laid_out(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 10)) + 0.2 * rng.normal(size=(120, 10))
    monkeypatch.setattr(
        ordinal_levels, "SETS", {"made": lambda: ordinal_levels.by_quarters(table, range(6))}
    )
    monkeypatch.setattr(ordinal_levels, "SEEDS", 2)
    monkeypatch.setattr(ordinal_levels, "MODELS", ("linear",))
    ordinal_levels.load.cache_clear()
    store = Store(tmp_path / "state.json")
    lines = []
    measure(store, "made", ordinal_levels.jobs("made", threads=1), lines.append)
    assert [len(line) for line in lines] == [80, 80]
    rmse, of_mean, macro = ordinal_levels.tables(store, ["made", "other"])
    assert rmse.columns == (
        "set",
        *ordinal_levels.TARGETS,
        ordinal_levels.REFERENCE,
        "spread of seeds",
    )
    for table in (rmse, of_mean, macro):
        assert [row[0] for row in table.rows] == ["made", "mean"]
        assert all(0.2 < float(value) < 1.2 for value in table.rows[0][1:-1])
