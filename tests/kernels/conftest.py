"""Kernels are tested in the form for many scores, however few these are in a test."""

import pytest


@pytest.fixture(autouse=True)
def _many_scores(monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.loss_function._SMALL", 0)
