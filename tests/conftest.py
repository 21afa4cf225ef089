"""What all tests share."""

import os

import pytest
import torch

# MLflow would report its use over the network.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

# `make lint` checks its types; it is not to be run.
collect_ignore = ["project/typed_user.py"]


def pytest_collection_modifyitems(items):
    """Skip the tests marked ``gpu``, saying so, where torch finds no CUDA device."""
    if torch.cuda.is_available():
        return
    absent = pytest.mark.skip(reason="torch finds no CUDA device here")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(absent)
