"""The benchmarks of many labels count hits by hand, and draw no line but the straight one."""

import numpy as np
import pytest
import scipy.sparse as sp

from benchmarks import many_labels, scale
from benchmarks.loss_memory import RESET
from benchmarks.store import Store


def test_hits_are_counted_by_hand_and_a_missing_label_is_none():
    Y = sp.csr_matrix([[1, 0, 0, 1], [0, 1, 0, 0]])
    best = np.array([[3, 0], [2, -1]])
    assert many_labels.precision(Y, best, 1) == 0.5
    assert many_labels.precision(Y, best, 2) == 0.5
    assert many_labels.precision(sp.csr_matrix(np.ones((2, 4))), best, 2) == 0.75


def test_the_line_goes_through_both_cases():
    rows = [scale.CASES[case][0][0] for case in scale.LINE]
    measured = {case: {"seconds": 2 + 3e-6 * n} for case, n in zip(scale.LINE, rows, strict=True)}
    assert scale.beyond(measured, "seconds") == pytest.approx(2 + 3e-6 * scale.BEYOND)


@pytest.mark.slow
@pytest.mark.skipif(not RESET.exists(), reason="memory is measured on Linux alone")
def test_a_fit_is_judged_and_shown(monkeypatch, tmp_path):
    X, Y = scale.made_rows(240, 400, 30)
    rows = X[:200], Y[:200].astype(np.int64), X[200:], Y[200:].astype(np.int64)
    monkeypatch.setattr(many_labels, "rows_of", lambda name: rows)
    method = "MLCEClassifier(coef_threshold=1e-4)"
    figures = many_labels.judge("made", method, threads=1)
    assert 0 < figures["p5"] < 1
    assert 0 < figures["p1"] <= 1
    store = Store(tmp_path / "state.json")
    store.add("made", method, figures, "mark")
    (table,) = many_labels.tables(store, many_labels.SETS)
    assert [row[:2] for row in table.rows] == [(method, f"{figures['p1']:.3f}")]
