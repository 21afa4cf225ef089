"""Losses are tested in the forms for few and for many scores, however few these are in a test."""

import pytest


@pytest.fixture(params=["few", "many"])
def _of_each_size(request, monkeypatch):
    if request.param == "many":
        monkeypatch.setattr("sklearn_mlce._kernels.loss_function._SMALL", 0)
