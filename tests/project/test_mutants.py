"""Which changes of the code count as mutants, and which tests meet them."""

import ast
import textwrap

import pytest

from tests.project import mutants
from tests.project.test_packaging import ROOT

CODE = textwrap.dedent("""
    from typing import TYPE_CHECKING
    if TYPE_CHECKING:
        A = 1 + 1
    _BLOCK_ENTRIES = 2 + 2
    _EPOCHS = 3 + 3

    def f(x: "4 + 4", *rest: "5 + 5") -> "6 + 6":
        y: "7 + 7" = 8 + 8
        if x:
            raise ValueError("text" + f"{9 + 9}")
        warnings.warn("text" + str(10 + 10))
        return f"{11 + 11}" + str(
            12 + 12
        )
    """)


def numbers(nodes):
    return {
        item.value
        for node in nodes
        for item in ast.walk(node)
        if isinstance(item, ast.Constant) and isinstance(item.value, int)
    }


def test_types_texts_and_sizes_of_blocks_are_left_out():
    tree = ast.parse(CODE)
    assert numbers([tree]) - numbers(mutants.unchanging(tree)) == {3, 8, 12}


def test_a_line_is_of_its_statement_and_function():
    lines, owners = mutants.spans(ast.parse(CODE))
    of_sum = CODE.splitlines().index("        12 + 12") + 1
    assert lines[of_sum] == (of_sum - 1, of_sum + 1)
    assert [owner.name for owner in owners[of_sum]] == ["f"]
    assert owners[2] == ()
    of_condition = CODE.splitlines().index("    if x:") + 1
    assert lines[of_condition] == (of_condition, of_condition)


def test_tests_of_the_lines_come_fastest_first():
    known = {
        "seconds": {"a.py::slow": 2.0, "a.py::fast": 0.1, "b.py::other": 0.2, "b.py::none": 0.0},
        "lines": {"f.py": {"3": ["a.py::slow", "b.py::other"], "4": ["a.py::fast"]}},
    }
    mutant = {"path": "f.py", "statement": (3, 4), "in_function": True}
    assert mutants.reaching(mutant, known) == (["a.py::fast", "a.py::slow"], ["b.py::other"])
    assert mutants.reaching(mutant | {"statement": (9, 9)}, known) == ([], [])
    at_import = mutant | {"statement": (1, 1), "in_function": False}
    few, others = mutants.reaching(at_import, known)
    assert few == ["a.py::fast", "a.py::slow"]
    assert others == ["b.py::none", "b.py::other"]  # of the room


@pytest.mark.parametrize("room", mutants.ROOMS)
def test_rooms_have_files_and_tests(room):
    patterns, tests = mutants.ROOMS[room]
    assert all(any((ROOT / "sklearn_mlce").glob(f"{pattern}.py")) for pattern in patterns)
    assert all((ROOT / folder).is_dir() for folder in tests)
