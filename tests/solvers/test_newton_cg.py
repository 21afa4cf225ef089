"""Parts of the exact solver beside dense linear algebra."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._solvers.conjugate_gradients import LabelSteps, TrustRegion, conjugate_gradients
from sklearn_mlce._solvers.coupled_newton import CoupledObjective, halve_until_lower
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.newton_cg import LinearObjective, _shorten_until_flat
from sklearn_mlce._solvers.newton_parts import StoppingCriterion
from sklearn_mlce._solvers.standardisation import Standardisation
from sklearn_mlce._targets.encoding import encode_targets
from tests.helpers.linear_problems import OF_EACH_SOLVER, make_labels

L2 = 0.1
on_each_solver = pytest.mark.parametrize(
    "options", OF_EACH_SOLVER.values(), ids=OF_EACH_SOLVER.keys()
)


def objective_and_point(options, fit_intercept=True):
    rng = np.random.default_rng(0)
    X, Y = make_labels(rng)
    targets, weight = encode_targets(Y), np.full(len(X), 1 / len(X))
    design = Design(X, Standardisation.of_rows(X, weight, fit_intercept), torch.device("cpu"))
    objective = MLCEClassifier(**options)._objective_for(targets.format)
    encoded = encode(targets, X.dtype, torch.device("cpu"))
    loss = objective.second_order(encoded, Y.shape[1], torch.from_numpy(weight))
    if objective.separable:
        objective = LinearObjective(design, loss, L2)
    else:
        objective = CoupledObjective([design], [loss], L2)
    parameters = torch.from_numpy(0.3 * rng.normal(size=(design.n_parameters, Y.shape[1])))
    return objective, objective.at(parameters)


def curvature(objective, point):
    """Product with the Hessian, and the inverse of its diagonal."""
    if isinstance(objective, CoupledObjective):
        return objective.hessian(point), objective.inverse_diagonal(point)
    diagonal = point.derivatives.curvature_diagonal()
    return objective.hessian(point, diagonal), objective.inverse_diagonal(diagonal)


def dense_hessian(times, shape):
    directions = torch.eye(shape[0] * shape[1], dtype=torch.float64).reshape(-1, *shape)
    return torch.stack([times(direction).reshape(-1).clone() for direction in directions], dim=1)


@on_each_solver
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_gradient_and_hessian_are_differences(options, fit_intercept):
    objective, point = objective_and_point(options, fit_intercept)
    times, _ = curvature(objective, point)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        move = torch.randn(point.parameters.shape, generator=generator, dtype=torch.float64)
        ends = [objective.at(point.parameters + step * move) for step in (1e-6, -1e-6)]
        slope = (ends[0].value - ends[1].value) / 2e-6
        assert slope == pytest.approx(float((point.gradient * move).sum()), rel=1e-6)
        change = (ends[0].gradient - ends[1].gradient) / 2e-6
        torch.testing.assert_close(times(move), change, rtol=1e-5, atol=1e-7)


def test_labels_apart_have_a_diagonal_in_the_scores():
    objective, point = objective_and_point(OF_EACH_SOLVER["separable"])
    times, inverse = curvature(objective, point)
    coupled = CoupledObjective([objective.design], [objective.loss], L2)
    hessians = [
        dense_hessian(each, point.parameters.shape)
        for each in (times, coupled.hessian(coupled.at(point.parameters)))
    ]
    torch.testing.assert_close(*hessians)
    torch.testing.assert_close(1 / inverse.reshape(-1), hessians[0].diagonal())


@on_each_solver
def test_conjugate_gradients_solve_the_system(options):
    objective, point = objective_and_point(options)
    steps = TrustRegion(1e-8, np.inf) if options.get("loss") == "mlce" else LabelSteps(1e-8)
    times, inverse = curvature(objective, point)
    found = conjugate_gradients(times, inverse, point.gradient, steps)
    hessian = dense_hessian(times, point.parameters.shape)
    expected = torch.linalg.solve(hessian, -point.gradient.reshape(-1))
    torch.testing.assert_close(found.reshape(-1), expected, rtol=1e-6, atol=1e-8)
    if options.get("loss") == "mlce":
        assert steps.norm == pytest.approx(float((found**2 / inverse).sum()) ** 0.5, rel=1e-6)


def test_each_label_stops_by_its_own_residual():
    objective, point = objective_and_point(OF_EACH_SOLVER["separable"])
    hessian, inverse = curvature(objective, point)
    forcing = torch.tensor([1e-8, 0.3, 0.3, 1.0, 1e-8], dtype=torch.float64)
    found = conjugate_gradients(hessian, inverse, point.gradient, LabelSteps(forcing))
    residual = hessian(found).clone() + point.gradient

    def norms(vectors):
        return (inverse * vectors**2).sum(dim=0).sqrt()

    assert (norms(residual) <= forcing * norms(point.gradient) + 1e-12).all()
    assert (found[:, 3] == 0).all()  # was done before its first step
    exact = conjugate_gradients(hessian, inverse, point.gradient, LabelSteps(1e-12))
    assert (found - exact)[:, [1, 2]].abs().max() > 1e-3


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_a_direction_ends_at_the_ball(fraction):
    objective, point = objective_and_point(OF_EACH_SOLVER["coupled"])
    times, inverse = curvature(objective, point)
    whole = TrustRegion(1e-8, np.inf)
    arguments = (times, inverse, point.gradient)
    conjugate_gradients(*arguments, whole)
    region = TrustRegion(1e-8, fraction * whole.norm)
    found = conjugate_gradients(*arguments, region)
    assert region.ended
    assert region.norm == pytest.approx(fraction * whole.norm)
    assert float((found**2 / inverse).sum()) ** 0.5 == pytest.approx(region.norm)


@on_each_solver
@pytest.mark.parametrize("length", [1.0, 30.0, 1000.0])
def test_a_line_search_goes_down_by_steps_that_it_tells(options, length):
    objective, point = objective_and_point(options)
    direction = -length * curvature(objective, point)[1] * point.gradient
    coupled = isinstance(objective, CoupledObjective)
    search = halve_until_lower if coupled else _shorten_until_flat
    end, step, *_ = search(objective, point, direction)
    assert end.value < point.value
    again = objective.at(point.parameters + step * direction)
    assert end.value == pytest.approx(again.value, rel=1e-12)
    torch.testing.assert_close(end.gradient, again.gradient)
    if not coupled:
        torch.testing.assert_close(end.scores, again.scores)


def test_a_direction_that_leads_up_is_not_taken():
    objective, point = objective_and_point(OF_EACH_SOLVER["coupled"])
    assert halve_until_lower(objective, point, point.gradient) == (None, 0.0)


@on_each_solver
def test_an_inner_solve_that_runs_out_of_iterations_still_goes_down(options, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._solvers.conjugate_gradients._MAX_ITERATIONS", 2)
    objective, point = objective_and_point(options)
    steps = TrustRegion(1e-12, np.inf) if options.get("loss") == "mlce" else LabelSteps(1e-12)
    times, inverse = curvature(objective, point)
    direction = conjugate_gradients(times, inverse, point.gradient, steps)
    assert ((direction * point.gradient).sum(dim=0) < 0).all()


def test_an_output_is_done_where_its_gradient_is_rounding():
    design = SimpleNamespace(gradient_of_given=lambda gradient: gradient)
    rounding, terms = torch.tensor([[1e-3], [1e-6]]), torch.tensor([10.0, 10.0, 0.1])
    criterion = StoppingCriterion(design, rounding, terms, torch.tensor([1e-4, 1e-4, 1e-2]))
    gradient = torch.tensor([[5e-3, 5e-3, 1e-3], [1e-7, 1e-3, -1e-2]])
    norms, left = criterion.relative_gradient_norm(gradient)
    torch.testing.assert_close(norms, torch.tensor([50.0, 50.0, 1.0]))
    assert left.tolist() == [False, True, False]
    of_two = criterion.of_outputs(torch.tensor([1, 0]))
    assert of_two.relative_gradient_norm(gradient[:, [1, 0]])[1].tolist() == [True, False]
