"""The programs of the page on other tools run, each where its tools are installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "user_guide" / "other_tools.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"```python\n# needs ([\w., ]+)\n(.*?)```", PAGE, flags=re.DOTALL))


def test_each_program_says_what_it_needs():
    assert PAGE.count("```python") == len(PROGRAMS) == PAGE.count("\n## ")


@pytest.mark.slow
@pytest.mark.parametrize("tools", PROGRAMS)
def test_a_program_of_the_page_runs(tools, tmp_path):
    for tool in tools.split(", "):
        pytest.importorskip(tool, reason=f"{tool} is not installed")
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[tools], encoding="utf-8")
    threads = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1")
    ran = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, **threads, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
