"""The benchmark of imports measures in fresh processes, and judges ratios of medians."""

import csv

import pytest

from benchmarks import imports


@pytest.mark.slow
def test_an_import_is_timed_in_a_fresh_process():
    seconds, n_modules, has_torch = imports.measure("import sklearn_mlce")
    assert 0 < seconds < 10
    assert n_modules > 20
    assert not has_torch


def test_ratios_are_of_medians_and_judged(tmp_path, monkeypatch):
    calls = []

    def measure(statement):
        calls.append(statement)
        slow = statement != imports.REFERENCE and "MLCEClassifierCV" in statement
        first = len(calls) <= len(imports.BARS)  # whose times do not count
        return [100.0 if first else 3.0 if slow else 2.0, 10, "torch" in statement]

    monkeypatch.setattr(imports, "measure", measure)
    imports.main(["--runs", "3", "--out", str(tmp_path)])
    assert len(calls) == 4 * len(imports.BARS)
    with (tmp_path / "imports.csv").open() as file:
        rows = {row["statement"].strip("`"): row for row in csv.DictReader(file)}
    assert rows[imports.REFERENCE]["of LogisticRegression's"] == "1.00"
    assert rows["from sklearn_mlce import MLCEClassifier"]["bar"] == "1.3: holds"
    assert rows["from sklearn_mlce import MLCEClassifierCV"]["bar"] == "1.3: FAILS"
    assert rows["import torch"]["torch"] == "yes"
    assert (tmp_path / "imports.md").exists()
