"""The page for those who come from scikit-learn lists what they may type, and names what exists."""

import inspect
import re
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "coming_from_scikit_learn.md"
LINEAR = "LogisticRegression and LinearSVC"
CLASSES = {
    LogisticRegression: (LINEAR, MLCEClassifier),
    LinearSVC: (LINEAR, MLCEClassifier),
    OneVsRestClassifier: ("OneVsRestClassifier", MLCEClassifier),
    MLPClassifier: ("MLPClassifier", MLCEMLP),
}


def rows_of(section):
    """Return the cells of each row of a section's table but its heading."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def names_in(cell):
    return re.findall(r"`(\w+)`", cell)


def parameters_of(cls):
    return set(inspect.signature(cls).parameters)


@pytest.mark.parametrize("theirs", CLASSES)
def test_every_parameter_is_listed(theirs):
    section, _ = CLASSES[theirs]
    listed = {name for row in rows_of(section) for name in names_in(row[0])}
    assert parameters_of(theirs) <= listed


@pytest.mark.parametrize("theirs", CLASSES)
def test_a_name_that_is_to_stay_exists_and_one_with_nothing_in_its_place_does_not(theirs):
    section, ours = CLASSES[theirs]
    for cells in rows_of(section):
        for name in names_in(cells[0]):
            if cells[1].startswith("nothing"):
                assert name not in parameters_of(ours), name
            elif name in names_in(cells[1].split(" of ")[0]):
                assert name in parameters_of(ours), name


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (MLCEClassifier, "class_weight"),
        (MLCEClassifier, "penalty"),
        (MLCEClassifier, "verbose"),
        (MLCEMLP, "max_iter"),
        (MLCEMLP, "verbose"),
    ],
)
def test_there_are_no_aliases(cls, name):
    with pytest.raises(TypeError, match=name):
        cls(**{name: 1})
