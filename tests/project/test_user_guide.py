"""What the pages show at a Python prompt is what Python answers, and figures are those measured."""

import doctest
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from sklearn.datasets import make_multilabel_classification

from sklearn_mlce import MLCEMLP, MLCEClassifier

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = DOCS / "user_guide"
RESULTS = DOCS.parent / "benchmarks" / "results"
TEXTS = {
    path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
    for path in [*DOCS.glob("*.md"), *GUIDE.glob("*.md")]
}
BLOCK = re.compile(r"^```(pycon|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [name for name, text in TEXTS.items() if BLOCK.search(text)]
# Programs that other tests run, each where its tool is installed, or in processes of their own.
RUN_ELSEWHERE = (
    "# needs ",
    "# train.py",
    "import mlflow",
    "import numpy as np\nimport onnxruntime",
)
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
def test_code_of_a_page_runs_as_shown(name, tmp_path, monkeypatch):
    """Sessions answer as shown, and programs between them end, with the names before them."""
    if name == "getting_started.md":
        for package in ("bokeh_sampledata", "pandas", "skops"):
            pytest.importorskip(package, reason=f"the page needs {package}")
    monkeypatch.chdir(tmp_path)
    names, report = readers_names(), []
    for number, (language, code) in enumerate(BLOCK.findall(TEXTS[name])):
        if language == "pycon":
            test = doctest.DocTestParser().get_doctest(code, names, f"{name} {number}", name, 0)
            runner = doctest.DocTestRunner()
            runner.run(test, out=report.append, clear_globs=False)
            assert runner.summarize(verbose=False).failed == 0, "".join(report)
            names.update(test.globs)  # the parser has made a copy
        elif not code.startswith(RUN_ELSEWHERE) and all(map(find_spec, imported_in(code))):
            exec(compile(code, f"{name} {number}", "exec"), names)


def test_every_session_stands_in_a_block():
    for name in PAGES:
        sessions = "".join(code for kind, code in BLOCK.findall(TEXTS[name]) if kind == "pycon")
        assert sessions.count(">>> ") == TEXTS[name].count(">>> "), name


def imported_in(code):
    """Return the packages that a program imports."""
    return re.findall(r"^(?:from|import) (\w+)", code, flags=re.MULTILINE)


def readers_names():
    """Return what a reader has before the first block of a page: rows, labels and imports."""
    X, Y = make_multilabel_classification(n_samples=300, n_classes=5, random_state=0)
    X_train, X_test, Y_train, Y_test = X[:200], X[200:], Y[:200], Y[200:]
    return {
        "__name__": "__main__",
        **{"MLCEClassifier": MLCEClassifier, "MLCEMLP": MLCEMLP},
        **{"X": X, "Y": Y, "X_train": X_train, "X_test": X_test},
        **{"Y_train": Y_train, "Y_test": Y_test},
        "chunks": lambda: [(X_train[:100], Y_train[:100]), (X_train[100:], Y_train[100:])],
    }


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
