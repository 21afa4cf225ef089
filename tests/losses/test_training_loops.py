"""The programs of the guide's page on training loops run, each where its tool is installed."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "user_guide" / "training_loop.md").read_text(encoding="utf-8")
PROGRAMS = dict(re.findall(r"```python\n# needs (\S+)\n(.*?)```", PAGE, flags=re.DOTALL))
# In processes of their own, which leave nothing here; `tests/network/test_data_parallel.py` runs
# that of several processes.
ALONE = [tool for tool in PROGRAMS if tool not in ("torch", "torch.distributed")]


def test_each_program_says_what_it_needs():
    assert PAGE.count("```python") == len(PROGRAMS)
    tools = {"torch", "torch.distributed", "transformers", "lightning", "accelerate"}
    assert set(PROGRAMS) == tools


@pytest.mark.slow
def test_the_program_of_torch_runs(tmp_path):
    program = tmp_path / "train.py"
    program.write_text(PROGRAMS["torch"], encoding="utf-8")
    torch._dynamo.reset()
    runpy.run_path(str(program))


@pytest.mark.slow
@pytest.mark.parametrize("tool", ALONE)
def test_a_program_of_the_page_runs(tool, tmp_path):
    pytest.importorskip(tool)
    program = tmp_path / "train.py"
    program.write_text(PROGRAMS[tool], encoding="utf-8")
    threads = dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS"], "1")
    ran = subprocess.run(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={**os.environ, **threads, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
