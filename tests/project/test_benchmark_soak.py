"""The benchmark of very many small calls."""

import pytest

from benchmarks import soak


@pytest.mark.parametrize("case", soak.CASES)
def test_a_case_has_memory_and_time_of_each_part(case, monkeypatch):
    monkeypatch.setattr(soak, "N_POINTS", 10)
    found = soak.measure(case, n_calls=20)
    assert len(found["memory"]) == len(found["seconds"]) == 10
    assert min(found["memory"]) > 0
    (row,) = soak.table_of({case: found}, n_calls=20).rows
    assert row[0] == f"`{case}`"
    assert float(row[2]) == pytest.approx(found["memory"][-1] / 1e6, abs=0.06)


def test_memory_is_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(soak, "N_POINTS", 4)
    found = {"MLCEMLP.predict": {"memory": [1e6, 2e6, 2e6, 2e6], "seconds": [1.0] * 4}}
    soak.draw(found, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 1000
