"""What all tests share."""

import pytest
import torch

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
