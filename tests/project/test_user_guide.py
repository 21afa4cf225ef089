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
QUOTED = r"^(?:%|<!--) table: (\S+\.md), (.*)\n((?:\|.*\n?)+)"
ALL_TEXTS = {**TEXTS, "README.md": (DOCS.parent / "README.md").read_text("utf-8")}
TABLES = [
    (name, *match.groups())
    for name, text in ALL_TEXTS.items()
    for match in re.finditer(QUOTED, text, flags=re.MULTILINE)
]
# What is no figure of a benchmark: code, formulas, addresses, and tables that are compared above.
NOT_PROSE = (
    r"^```(?s:.*?)^```",
    QUOTED,
    r"\$\$(?s:.*?)\$\$",
    r"\$[^$]*\$",
    r"`[^`]*`",
    r"\]\([^)]*\)",
    r"\(0\.2, 1\.8\)",  # the default margins
)
# A decimal below one, or a number with a unit of time or of memory.
FIGURE = re.compile(
    r"(?<![\w.])(?:\d[\d.,]* (?:ms|s|\w*seconds|minutes|hours|MB|GB)\b|[+-]?0?\.\d+)"
)
# Figures that no benchmark measures.
DERIVED = {
    "user_guide/coming_from_scikit_learn.md": ["0.1"],  # a default
    # Products of the sizes in the same row, their sums, and figures of scale.md.
    "user_guide/large_data.md": [
        *["0.04 GB", "0.08 GB", "0.1 GB", "0.2 GB", "0.3 GB", "0.5 GB"],
        *["1 MB", "2 GB", "2.7 GB", "4 GB", "16 GB", "20 GB"],
    ],
    "user_guide/long_trainings.md": ["45 seconds"],  # a time-out
    "user_guide/network.md": ["0.1", "0.5"],  # defaults
    # What a probability means; that of the score zero is computed on the page on their maps.
    "user_guide/probabilities.md": ["0.3", "0.19"],
    # Constants of a formula, and halves of F1.
    "user_guide/probability_maps.md": ["0.3", "0.19", "0.4", "0.55", "0.2", "0.28"],
    "user_guide/questions.md": ["0.19"],
    "user_guide/unknown_and_soft_labels.md": ["0.02", "0.98"],  # an example
}


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


def results(source):
    """Return the text of a page of results."""
    return (RESULTS / source).read_text(encoding="utf-8")


def measured_rows(source, heading):
    """Return the rows of the table under a heading of the results."""
    _, section = re.split(rf"^##? {re.escape(heading)}\n", results(source), flags=re.MULTILINE)
    lines = section.split("\n## ")[0].splitlines()
    return rows_of([line for line in lines if line.startswith("|")])


@pytest.mark.parametrize(("page", "source", "where", "table"), TABLES)
def test_a_quoted_table_is_the_measured_one(page, source, where, table):
    heading, fixed = where.removesuffix(" -->"), {}
    while not re.search(rf"^##? {re.escape(heading)}$", results(source), flags=re.MULTILINE):
        heading, condition = heading.rsplit(", ", 1)
        column, value = condition.split("=", 1)
        fixed[column] = value
    measured = measured_rows(source, heading)
    shown = rows_of(table.splitlines())
    assert shown
    for row in shown:
        wanted = {**fixed, **row}
        assert any(
            all(found.get(column) == value for column, value in wanted.items())
            for found in measured
        ), (page, wanted)


@pytest.mark.parametrize("page", ALL_TEXTS)
def test_prose_has_no_figure_of_its_own(page):
    """A figure in a sentence is compared with no table, and grows old unseen."""
    text = ALL_TEXTS[page]
    measured = "".join(results(path.name) for path in RESULTS.glob("*.md"))
    for pattern in NOT_PROSE:
        text = re.sub(pattern, " ", text, flags=re.MULTILINE)
    lines = [line for line in text.splitlines() if not (line[:1] == "|" and line in measured)]
    figures = {figure for line in lines for figure in FIGURE.findall(line)}
    assert figures == set(DERIVED.get(page, [])), figures


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
