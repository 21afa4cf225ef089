"""The study of odd input begins a process anew that has died, and counts verdicts."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import bad_input
from tests.helpers.bad_input import FEATURES, TARGETS, WEIGHTS


def test_a_process_that_dies_is_begun_anew_after_the_case(monkeypatch):
    n_cases, calls = len(bad_input.cases()), []

    def run(command, **options):
        first = int(command[-1])
        calls.append(first)
        last = 3 if first == 0 else n_cases
        lines = [json.dumps([number, "clear", False]) for number in range(first, last)]
        return SimpleNamespace(stdout="\n".join(lines), stderr="", returncode=-11 * (first == 0))

    monkeypatch.setattr(bad_input.subprocess, "run", run)
    found = bad_input.judged("ridge")
    assert calls == [0, 4]
    assert len(found) == n_cases
    assert found[3] == ["crash", True]


def test_an_error_of_the_study_itself_is_told(monkeypatch):
    failed = SimpleNamespace(stdout="", stderr="no such module", returncode=1)
    monkeypatch.setattr(bad_input.subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(RuntimeError, match="no such module"):
        bad_input.judged("ridge")


@pytest.mark.parametrize(
    ("name", "part", "case", "verdict"),
    [
        ("linear", "X", FEATURES["csc"], ("right", False)),
        ("linear", "X", FEATURES["dicts"], ("clear", False)),
        ("ridge", "sample_weight", WEIGHTS["dates"], ("silent", False)),
        ("logistic", "sample_weight", WEIGHTS["dates"], ("", False)),
        ("linear", "y", TARGETS["none"], ("clear", False)),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_verdicts(name, part, case, verdict):
    found, lost = bad_input.judge(name, part, case)
    assert found == verdict[0]
    assert lost == verdict[1] or name == "ridge"


def test_errors_of_numpy_are_not_those_of_a_package():
    with pytest.raises(TypeError) as caught:
        np.asarray({}, dtype=float)
    assert not bad_input.is_own(caught.value)


def test_the_table_counts_verdicts(tmp_path, monkeypatch):
    some = {0: ["right", False], 1: ["clear", True], 2: ["unclear", False], 3: ["", False]}
    monkeypatch.setattr(bad_input, "judged", lambda name: some)
    bad_input.main(["--out", str(tmp_path)])
    with (tmp_path / "bad_input.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["estimator"] for row in rows] == list(bad_input.TITLES.values())
    assert {row["cases"] for row in rows} == {"3"}
    assert {row["unclear, share"] for row in rows} == {"33.3%"}
    assert np.unique([row["earlier fit lost"] for row in rows]).tolist() == ["1"]
