"""The study of what rules of deciding buy."""

import numpy as np
import scipy.sparse as sp

from benchmarks import datasets, decisions
from benchmarks.store import Store, measure
from tests.helpers.estimators import labelled_rows


def test_the_study_has_a_table_for_each_measure(tmp_path, monkeypatch):
    X, Y = labelled_rows(n_rows=160)
    Y[:, 3] = 0
    labels = sp.csr_matrix(Y.astype(np.int64))
    data = datasets.DataSet("made", X[:100], labels[:100], X[100:], labels[100:])
    monkeypatch.setattr(datasets, "load", lambda name: data)
    store = Store(tmp_path / "state.json")
    measure(store, "made", decisions.jobs("made", threads=1), say=lambda line: None)
    tables = decisions.tables(store, ["made", "other"])
    assert len(tables) == len(decisions.MEASURES)
    for table in tables:
        assert [row[0] for row in table.rows] == ["made", "made", "mean", "least gain over tuned"]
        assert all(0.2 < float(value) <= 1 for row in table.rows[:3] for value in row[2:])
        assert float(table.rows[-1][table.columns.index("tuned")]) == 0
    assert decisions.tables(Store(tmp_path / "none.json"), ["made"]) == []
