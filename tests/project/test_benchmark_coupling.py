"""The benchmark of losses that couple the labels of a row."""

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import coupling, datasets
from benchmarks.store import Store, measure
from sklearn_mlce import MLCEClassifier


def test_made_sets_are_what_their_names_say():
    X, exclusive = coupling.made_rows("exclusive", n_rows=300)
    assert X.shape == (300, 40)
    assert (exclusive.toarray().reshape(300, 5, 20).sum(axis=2) == 1).all()
    _, many = coupling.made_rows("many labels", n_rows=100)
    assert (many.sum(axis=1) == 3).all()
    _, missing = coupling.made_rows("missing positives", n_rows=4000)
    assert missing.mean() == pytest.approx(0.05, abs=0.005)
    _, repeated = coupling.made_rows("repeated", n_rows=2000)
    first, second = repeated.toarray().reshape(2000, 8, 5)[:, 0, :2].T
    assert np.corrcoef(first, second)[0, 1] > 0.8


def test_a_shift_stands_for_margins():
    X, Y = coupling.made_rows("missing positives", n_rows=200)
    scores = [
        MLCEClassifier(loss="mlce", scale=2, margin=margin, C=1.0, tol=1e-8)
        .fit(X, Y)
        .decision_function(X)
        for margin in ((0.2, 1.8), (1.0, 1.0))
    ]
    np.testing.assert_allclose(scores[0] - coupling.FITTED_SHIFT, scores[1], atol=1e-4)


def test_the_best_options_of_each_loss_stand_side_by_side(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 6))
    Y = sp.csr_matrix((X @ rng.normal(size=(6, 4)) > 1).astype(np.int64))
    made = datasets.DataSet("yeast", X, Y, X, Y)
    monkeypatch.setattr(datasets, "load", lambda name: made)
    monkeypatch.setattr(coupling, "CHANGES", {"defaults": {"max_epochs": 2}})
    monkeypatch.setattr(coupling, "SCALES", (1.0, 4.0, 8.0))
    monkeypatch.setattr(coupling, "FACTORS", {"bce": (1.0, 3.0), "mlce": (10.0,)})
    coupling.rows_of.cache_clear()
    coupling._unit_C.cache_clear()
    store = Store(tmp_path / "state.json")
    assert coupling.tables(store, coupling.SETS) == []
    measure(store, "yeast", coupling.jobs("yeast", threads=1), say=lambda line: None)
    linear, _network, of_linear, of_network = coupling.tables(store, coupling.SETS)
    coupling.rows_of.cache_clear()
    coupling._unit_C.cache_clear()
    assert [row[0] for row in linear.rows] == ["yeast", "public, mean"]
    assert len(of_linear.rows) == 2 * 2 + 2
    assert len(of_network.rows) == 2 * 3
    best = {
        loss: max(float(row[3]) for row in of_linear.rows if row[0] == loss)
        for loss in coupling.LOSSES
    }
    for place, loss in enumerate(coupling.LOSSES, 1):
        assert float(linear.rows[-1][place]) == pytest.approx(best[loss])
        assert float(linear.rows[-1][place + 2]) >= best[loss]
