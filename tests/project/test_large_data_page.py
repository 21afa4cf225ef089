"""The programs of the page on large data run, each where its tool is installed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "large_data.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"```python\n# needs (\S+)\n(.*?)```", TEXT, flags=re.DOTALL))


def test_each_program_says_what_it_needs():
    assert TEXT.count("```python") == len(PROGRAMS)
    assert set(PROGRAMS) == {"distributed", "dask.array"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of a port that another client has taken
@pytest.mark.parametrize("tool", PROGRAMS)
def test_a_program_of_the_page_runs(tool):
    pytest.importorskip(tool, reason=f"{tool} is not installed")
    exec(compile(PROGRAMS[tool], PAGE.name, "exec"), {"__name__": "__main__"})


def test_the_tables_beside_label_trees_are_those_of_the_benchmark():
    results = PAGE.parents[2] / "benchmarks" / "results" / "many_labels.md"
    measured = results.read_text(encoding="utf-8")
    for name in ("cooking", "delicious", "asklibrarian_yso", "made"):
        shown = TEXT.split(f"\n{name} (")[1].split(":\n\n")[1].split("\n\n")[0]
        assert shown == measured.split(f"\n## {name}\n\n")[1].split("\n\n")[0]
