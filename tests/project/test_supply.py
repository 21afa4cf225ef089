"""Nothing is fetched, and nothing is written that was not asked for."""

import os
import subprocess
import sys

import pytest

from tests.project.test_packaging import PUBLIC_MODULES, ROOT

CODE = """
import os, socket, sys, tempfile

def refuse(*args, **kwargs):
    raise AssertionError(f"the network was asked for {args}")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse

import importlib
for name in sys.argv[1].split(","):
    importlib.import_module(name)
from tests.estimators.test_unusable_data import FIVE
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows()
for make in FIVE.values():
    make().fit(X, Y).predict(X)
print(sorted(os.listdir(tempfile.gettempdir())))
"""


@pytest.mark.slow
def test_imports_and_fits_use_no_network_and_leave_no_file(tmp_path):
    names = [name for name in PUBLIC_MODULES if name != "sklearn_mlce.onnx"]
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, ",".join(names)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # The folder is torch's, which makes it when its optimisers are first used.
    left = [name for name in eval(done.stdout) if not name.startswith("torchinductor_")]
    assert left == []
