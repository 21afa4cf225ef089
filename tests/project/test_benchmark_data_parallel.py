"""The benchmark of several processes says by how much of one's time they take, and agree."""

import csv
import json
from pathlib import Path

from benchmarks import data_parallel


def test_ratios_are_of_medians(tmp_path, monkeypatch):
    def run(command, **options):
        assert "--nproc-per-node=3" in command
        (path,) = (part for part in command if part.startswith("--measure="))
        samples = [[9.0, 9.0, 1.0, 1.0], [3.0, 1.0, 2.0, 2.0], [1.0, 0.5, 4.0, 4.0]]
        found = [["yeast", {}, samples, 2e-7], ["birds", {"alpha": 1}, samples, 0.0]]
        Path(path.partition("=")[2]).write_text(json.dumps(found), encoding="utf-8")

    monkeypatch.setattr(data_parallel.subprocess, "run", run)
    data_parallel.main(["--processes", "3", "--out", str(tmp_path)])
    with (tmp_path / "data_parallel.csv").open() as file:
        yeast, birds = csv.DictReader(file)
    assert (yeast["ratio"], yeast["CPU ratio"]) == ("1.50", "0.50")
    assert (yeast["weights differ by"], birds["parameters"]) == ("2e-07", "alpha=1")
    assert "3 processes" in (tmp_path / "data_parallel.md").read_text()
