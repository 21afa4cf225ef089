"""What the user guide shows at a Python prompt is what Python answers."""

import doctest
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "user_guide"
PAGES = [path.name for path in sorted(GUIDE.glob("*.md")) if ">>> " in path.read_text("utf-8")]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_sessions_of_a_page_run_as_shown(name):
    page = (GUIDE / name).read_text(encoding="utf-8")
    sessions = "\n".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.DOTALL))
    assert sessions.count(">>> ") == page.count(">>> ")
    test = doctest.DocTestParser().get_doctest(sessions, {}, name, name, 0)
    report = []
    outcome = doctest.DocTestRunner().run(test, out=report.append)
    assert outcome.failed == 0, "".join(report)


def test_the_table_of_the_serving_page_is_that_of_the_benchmark():
    results = GUIDE.parents[1] / "benchmarks" / "results" / "serving.md"
    measured = results.read_text(encoding="utf-8").splitlines()
    page = (GUIDE / "serving.md").read_text(encoding="utf-8").splitlines()
    shown = [line for line in page if line.startswith("| MLCE")]
    assert len(shown) == 12
    assert all(line in measured for line in shown)
