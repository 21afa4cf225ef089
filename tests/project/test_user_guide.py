"""What the pages show at a Python prompt is what Python answers, and figures are those measured."""

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "user_guide"
RESULTS = DOCS.parent / "benchmarks" / "results"
TEXTS = {
    path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
    for path in [*DOCS.glob("*.md"), *GUIDE.glob("*.md")]
}
PAGES = [name for name, text in TEXTS.items() if ">>> " in text]
# A comment names the results, the heading and the rows that the table below it quotes:
# % table: family.md, The linear model, set=yeast
QUOTED = r"^% table: (\S+\.md), (.*)\n((?:\|.*\n?)+)"
TABLES = [
    (name, *match.groups())
    for name, text in {**TEXTS, "README.md": (DOCS.parent / "README.md").read_text("utf-8")}.items()
    for match in re.finditer(QUOTED.replace("^%", "^(?:%|<!--)"), text, flags=re.MULTILINE)
]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_sessions_of_a_page_run_as_shown(name):
    if name == "getting_started.md":
        for package in ("bokeh_sampledata", "pandas", "skops"):
            pytest.importorskip(package, reason=f"the page needs {package}")
    page = TEXTS[name]
    sessions = "\n".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.DOTALL))
    assert sessions.count(">>> ") == page.count(">>> ")
    test = doctest.DocTestParser().get_doctest(sessions, {}, name, name, 0)
    report = []
    outcome = doctest.DocTestRunner().run(test, out=report.append)
    assert outcome.failed == 0, "".join(report)


def cells(line):
    """Return the cells of a row of a table, without the quotes of code and leading zeros."""
    texts = [
        cell.strip().replace("`", "").strip("*") for cell in line.strip().strip("|").split("|")
    ]
    return [re.sub(r"^0(?=\.\d)", "", text) for text in texts]


def rows_of(lines):
    """Return the rows of a table as dicts by column."""
    head, _, *body = [cells(line) for line in lines]
    return [dict(zip(head, row, strict=True)) for row in body]


def measured_rows(source, heading):
    """Return the rows of the table under a heading of the results."""
    text = (RESULTS / source).read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n", 1)[1].split("\n## ")[0]
    return rows_of([line for line in section.splitlines() if line.startswith("|")])


@pytest.mark.parametrize(("page", "source", "where", "table"), TABLES)
def test_a_quoted_table_is_the_measured_one(page, source, where, table):
    parts = where.removesuffix(" -->").split(", ")
    heading = ", ".join(part for part in parts if "=" not in part)
    fixed = dict(part.split("=", 1) for part in parts if "=" in part)
    measured = measured_rows(source, heading)
    shown = rows_of(table.splitlines())
    assert shown
    for row in shown:
        wanted = {**fixed, **row}
        assert any(
            all(found.get(column) == value for column, value in wanted.items())
            for found in measured
        ), (page, wanted)


def test_tables_are_quoted():
    assert {name for name, *_ in TABLES} >= {
        "index.md",
        "user_guide/compare_losses.md",
        "user_guide/probabilities.md",
        "user_guide/rare_labels.md",
    }


def test_the_table_of_the_serving_page_is_that_of_the_benchmark():
    measured = (RESULTS / "serving.md").read_text(encoding="utf-8").splitlines()
    shown = [
        line for line in TEXTS["user_guide/serving.md"].splitlines() if line.startswith("| MLCE")
    ]
    assert len(shown) == 12
    assert all(line in measured for line in shown)
