"""The search behind the network's defaults, and what it tries that no parameter offers."""

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import network_search
from benchmarks.network_search_space import CANDIDATES, DENSE, KEPT, KEPT_LOSS, OF_SPARSE, PIECEWISE
from benchmarks.network_variants import (
    MeanOfNetworks,
    SmoothedLabels,
    WithConstants,
    piecewise_linear,
)
from benchmarks.store import Store
from sklearn_mlce import MLCEMLP
from sklearn_mlce._network import input_scaling, train
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows()
ROWS, LABELS = sp.csr_array(np.maximum(X, 0)), sp.csr_array(Y)


def small(**parameters):
    return MLCEMLP((8,), max_epochs=2, random_state=0, **parameters)


@pytest.mark.parametrize("names", [["films"], ["yeast"], ["yeast", "films"]])
def test_means_are_over_the_sets_that_a_candidate_is_for(names, tmp_path, monkeypatch):
    def judge(name, candidate, seed):
        gain = 0.0 if candidate == KEPT else 0.1 if name in DENSE else 0.3
        return {"micro": 0.5 + gain, "macro": 0.5, "tuned": 0.5, "fit_s": 2.0}

    monkeypatch.setattr(network_search, "judge", judge)
    store = Store(tmp_path / "state.json")
    network_search.run(store, names, 1, say=lambda line: None)
    micro, *_ = network_search.tables(store)
    rows = {cells[0]: cells[1:] for cells in micro.rows}
    both = len(names) == 2
    of_the_other = {PIECEWISE} if "films" in names else set(OF_SPARSE)
    assert set(rows) == set(CANDIDATES) - (set() if both else of_the_other)
    assert rows["relu"][-2] == ("+0.2000" if both else "+0.3000" if "films" in names else "+0.1000")
    if both:
        assert list(rows[PIECEWISE]) == ["+0.100", "", "+0.1000", "1.00"]
        assert list(rows[OF_SPARSE[0]]) == ["", "+0.300", "+0.3000", "1.00"]


def test_the_kept_loss_is_the_estimators():
    model = small().fit(X, Y)
    assert {"loss": model.loss_, "scale": model.scale_, "margin": model.margin_} == KEPT_LOSS


def test_variants_are_what_they_say():
    mean = MeanOfNetworks(2, 0)
    seeds = np.random.SeedSequence(0).generate_state(2)
    members = [MLCEMLP(random_state=int(seed)).fit(X, Y).decision_function(X) for seed in seeds]
    np.testing.assert_array_equal(mean.fit(X, Y).decision_function(X), np.mean(members, axis=0))
    smoothed = SmoothedLabels(small(loss="mlce"), 0.1).fit(X, LABELS)
    targets = np.where(Y == 1, 0.9, 0.1).astype(np.float32)
    expected = small(loss="mlce").fit(X, targets).decision_function(X)
    np.testing.assert_allclose(smoothed.decision_function(X), expected, atol=1e-5)
    assert piecewise_linear(3, 0).fit(X, Y).decision_function(X).shape == Y.shape


def test_constants_hold_during_a_fit_alone():
    before = train._EPS, input_scaling._OVERALL_SUM
    plain = small().fit(ROWS, Y).decision_function(ROWS)
    np.testing.assert_array_equal(
        WithConstants(small()).fit(ROWS, Y).decision_function(ROWS), plain
    )
    for changed in ({"row_sum": 8.0}, {"eps": 1.0}):
        scores = WithConstants(small(), **changed).fit(ROWS, Y).decision_function(ROWS)
        assert (scores != plain).any()
        assert before == (train._EPS, input_scaling._OVERALL_SUM)
