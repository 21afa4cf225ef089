"""Memory that is free is read from the system, and unknown where it does not say."""

import pytest

from sklearn_mlce._utils import memory


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", [None, "", "MemTotal: many", "Buffers: 5 kB"])
def test_it_is_unknown_where_the_system_says_nothing(files, text):
    if text is not None:
        (files / "meminfo").write_text(text)
    assert memory.free_memory() is None


@pytest.mark.parametrize(
    ("limit", "used", "expected"),
    [("max", "5", 3 * 1024), ("2000", "500", 1500), ("10", "20", 0), ("9000", "20", 3 * 1024)],
)
def test_it_is_the_less_of_the_machine_and_the_limit_of_a_group(files, limit, used, expected):
    (files / "meminfo").write_text("MemAvailable: 2 kB\nSwapFree: 1 kB\n")
    (files / "memory.max").write_text(limit)
    (files / "memory.current").write_text(used)
    assert memory.free_memory() == expected
