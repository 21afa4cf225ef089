"""What the page on serving shows of other tools runs where these are installed."""

import doctest
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "user_guide" / "serving.md"
BLOCK = re.compile(r"```(pycon|python)\n(.*?)```", flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tool", ["mlflow", "skl2onnx"])
def test_blocks_of_other_tools_run(tool):
    pytest.importorskip(f"{tool}.sklearn" if tool == "mlflow" else tool)
    names = {}
    shown = 0
    for language, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "pycon":
            block = doctest.script_from_examples(block)
        elif tool not in block:
            continue
        else:
            shown += 1
        exec(compile(block, PAGE.name, "exec"), names)
    assert shown == 1
