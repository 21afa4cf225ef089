"""Products with rows that are centred and divided, beside those of the matrix itself."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._solvers.design import Design, _torch_multiplies_csr
from sklearn_mlce._solvers.standardisation import Standardisation
from tests.helpers.linear_problems import make_labels

CPU = torch.device("cpu")


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("divided", [False, True])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_products_are_those_of_the_centred_matrix(add, centred, divided, container):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(13, 5)) * (rng.random((13, 5)) < 0.6)
    offset = rng.normal(size=5) if centred else None
    factor = rng.uniform(0.5, 2, 5) if divided else None
    matrix = (X - (offset if centred else 0)) * (factor if divided else 1)
    matrix = np.column_stack([matrix, np.ones(13)]) if centred else matrix
    design = Design(container(X), Standardisation(offset, factor), CPU)
    parameters = torch.from_numpy(rng.normal(size=(design.n_parameters, 3)))
    values = torch.from_numpy(rng.uniform(size=(13, 3)))
    first = torch.from_numpy(rng.normal(size=parameters.shape)) if add else None
    before = first.numpy().copy() if add else 0
    np.testing.assert_allclose(design.scores(parameters), matrix @ parameters.numpy())
    found = design.transposed(values, None if first is None else first.clone(), add=add)
    np.testing.assert_allclose(found, matrix.T @ values.numpy() + before)
    found = design.transposed_squared(values, None if first is None else first.clone(), add=add)
    np.testing.assert_allclose(found, (matrix**2).T @ values.numpy() + before)


@pytest.mark.parametrize("centred", [False, True])
def test_parameters_of_centred_features_and_back(centred):
    rng = np.random.default_rng(0)
    X, offset = rng.normal(size=(13, 5)), rng.normal(size=5) if centred else None
    design = Design(X, Standardisation(offset, None), CPU)
    parameters = torch.from_numpy(rng.normal(size=(design.n_parameters, 3)))
    given = np.column_stack([X, np.ones(13)]) if centred else X
    moved = design.to_centred(parameters)
    np.testing.assert_allclose(design.scores(moved), given @ parameters.numpy())
    np.testing.assert_allclose(design.from_centred(moved), parameters)
    values = torch.from_numpy(rng.normal(size=(13, 3)))
    gradient = design.gradient_of_given(design.transposed(values))
    np.testing.assert_allclose(gradient, given.T @ values.numpy(), atol=1e-12)


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
