"""Who multiplies sparse rows, and that it makes no difference."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._solvers.design import _torch_multiplies_csr
from tests.helpers.linear_problems import make_labels


def test_scipy_multiplies_where_torch_has_no_mkl(monkeypatch):
    X, Y = make_labels(np.random.default_rng(0))
    X = sp.csr_array(np.where(np.abs(X) < 0.5, 0, X))
    expected = MLCEClassifier(tol=1e-10).fit(X, Y)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not _torch_multiplies_csr(torch.device("cpu"))
    assert _torch_multiplies_csr(torch.device("cuda"))
    monkeypatch.setattr(torch, "mm", None)  # which it would be
    model = MLCEClassifier(tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(model.coef_, expected.coef_, atol=1e-8)


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_torch_multiplies_where_it_can(name, monkeypatch):
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert _torch_multiplies_csr(torch.device(name))
