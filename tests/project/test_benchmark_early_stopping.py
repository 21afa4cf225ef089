"""The study of which score early stopping should watch."""

import csv

import numpy as np
import scipy.sparse as sp

from benchmarks import datasets, early_stopping
from tests.helpers.estimators import labelled_rows


def test_the_kept_epoch_is_that_of_early_stopping():
    scores = [0.1, 0.3, 0.2, 0.3, 0.2, 0.5]
    assert early_stopping.kept_epoch(scores, patience=3) == (1, 5)
    assert early_stopping.kept_epoch(scores, patience=4) == (5, 6)
    for patience in (1, 2, 3, 9):
        kept, made = early_stopping.kept_epoch(scores, patience)
        assert scores[kept] == max(scores[:made])
        assert made == min(kept + 1 + patience, len(scores)) or made == len(scores)


def test_the_study_writes_a_row_for_each_score(tmp_path, monkeypatch):
    X, Y = labelled_rows(n_rows=120)
    labels = sp.csr_matrix(Y.astype(np.int64))
    data = datasets.DataSet("made", X[:80], labels[:80], X[80:], labels[80:])
    monkeypatch.setattr(early_stopping, "load", lambda name: data)
    few = ["--seeds", "1", "--epochs", "3", "--patience", "2", "--sets", "made"]
    early_stopping.main([*few, "--out", str(tmp_path)])
    out = tmp_path / "early_stopping.csv"
    with open(out, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = out.with_suffix(".md").read_text(encoding="utf-8")
    assert table.count("| made | mlce | 2 |") == len(early_stopping.WATCHED) + 1
    watched = len(early_stopping.WATCHED) + 1
    assert len(rows) == watched * len(early_stopping.LOSSES)
    assert all(1 <= int(row["kept"]) <= int(row["made"]) <= 3 for row in rows)
    assert all(0 <= float(row["f1_micro"]) <= 1 for row in rows)
