import numpy as np
import pytest
import torch

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.newton_cg import LinearObjective
from sklearn_mlce._solvers.newton_parts import Preconditioner
from sklearn_mlce._targets.encoding import encode_targets
from tests.helpers.linear_problems import make_labels

LOSSES = {
    "bce": {"loss": "bce"},
    "mlce": {"loss": "mlce"},
    "mlce, scaled": {"loss": "mlce", "scale": 6.0, "margin": 1.0},
    "smooth hinge": {},
}


def objective_at_constant_scores(X, Y, *, learned_threshold=True, **parameters):
    targets = encode_targets(Y)
    model = MLCEClassifier(**parameters)
    own, cpu = model._objective_for(targets.format), torch.device("cpu")
    weight = np.full(len(X), 1 / len(X))
    design = Design(X, weight, fit_intercept=True, device=cpu)
    encoded = encode(targets, np.dtype(float), cpu)
    rows = own.second_order(encoded, Y.shape[1], torch.from_numpy(weight))
    objective = LinearObjective(design, rows, l2=1.0, learned_threshold=learned_threshold)
    return objective, objective.at(torch.zeros(X.shape[1] + 1, Y.shape[1], dtype=torch.float64))


def dense_hessian(objective, point):
    shape = point.parameters.shape
    directions = torch.eye(point.parameters.numel(), dtype=torch.float64).reshape(-1, *shape)
    columns = [objective.curvature_product(point, d).clone().reshape(-1) for d in directions]
    return torch.stack(columns, dim=1)


def test_it_is_the_inverse_of_a_matrix_with_this_diagonal_and_common_curvature():
    generator = torch.Generator().manual_seed(0)
    diagonal = torch.rand(3, 5, generator=generator, dtype=torch.float64) + 0.5
    common = torch.tensor([[0.1], [1.0], [2.0]], dtype=torch.float64)
    residual = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    product = Preconditioner(diagonal.clone(), common.clone()).times(residual)
    for d, c, r, found in zip(diagonal, common, residual, product, strict=True):
        matrix = torch.diag(d) - (d.sum() - c) / d.sum() ** 2 * torch.outer(d, d)
        torch.testing.assert_close(matrix.sum(), c[0])
        torch.testing.assert_close(found, torch.linalg.solve(matrix, r))


def test_outputs_whose_terms_add_up_are_left_to_the_diagonal():
    diagonal = torch.tensor([[1.0, 2.0]])
    out = torch.empty(1, 2)
    found = Preconditioner(diagonal.clone(), torch.tensor([[9.0]])).times(torch.ones(1, 2), out=out)
    assert found is out
    torch.testing.assert_close(found, 1 / diagonal)


@pytest.mark.parametrize("name", LOSSES)
def test_it_brings_the_eigenvalues_of_a_learned_threshold_together(name):
    """And its common curvature is the Hessian's along the shift of all outputs."""
    X, Y = make_labels(np.random.default_rng(0), n_rows=80, n_features=4, n_labels=20)
    objective, point = objective_at_constant_scores(X, Y, **LOSSES[name])
    hessian = dense_hessian(objective, point)
    n_parameters, n_outputs = point.parameters.shape
    for parameter in range(n_parameters):
        shift = torch.zeros(n_parameters, n_outputs, dtype=torch.float64)
        shift[parameter] = 1
        along = shift.reshape(-1) @ hessian @ shift.reshape(-1)
        torch.testing.assert_close(objective._common_curvature(point)[parameter, 0], along)
    spreads = {}
    plain, _ = objective_at_constant_scores(X, Y, learned_threshold=False, **LOSSES[name])
    for kind, preconditioner in {
        "diagonal": plain.preconditioner(point),
        "common": objective.preconditioner(point),
    }.items():
        columns = [
            preconditioner.times(column.reshape(n_parameters, n_outputs)).reshape(-1)
            for column in hessian.T
        ]
        eigenvalues = torch.linalg.eigvals(torch.stack(columns, dim=1)).real
        spreads[kind] = float(eigenvalues.max() / eigenvalues.min())
    assert spreads["common"] < 0.6 * spreads["diagonal"]
