"""The exact solver of outputs that are one problem: blocks of rows are as good as all of them."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._solvers import coupled_newton
from sklearn_mlce._solvers.coupled_newton import coupled_objective, halve_until_lower
from sklearn_mlce._solvers.problem import PreparedFeatures
from tests.helpers.linear_problems import make_labels

N_ROWS = 60


def labels(rng):
    return make_labels(rng, N_ROWS)[1]


def soft(rng):
    return np.where(rng.random((N_ROWS, 5)) < 0.1, np.nan, rng.random((N_ROWS, 5)))


def classes(rng):
    return rng.integers(5, size=N_ROWS)


def outputs(rng):
    return rng.integers([3, 4], size=(N_ROWS, 2))


KINDS = {
    "mlce": (labels, {"loss": "mlce"}),
    "scale, margin and weights": (
        labels,
        {"loss": "mlce", "scale": 4, "margin": 1, "label_weight": np.linspace(0.5, 2, 5)},
    ),
    "soft and unknown": (soft, {"loss": "mlce"}),
    "pairwise": (labels, {"loss": "pairwise", "n_labels_per_row": 2}),
    "classes": (classes, {"loss": "mlce"}),
    "outputs": (outputs, {}),
}
of_each_kind = pytest.mark.parametrize(("make_y", "options"), KINDS.values(), ids=KINDS.keys())


def blocks_of(n_rows, keeps, monkeypatch):
    """Let blocks of rows have a length, and derivatives be kept or made anew."""
    monkeypatch.setattr(coupled_newton, "rows_of_block", lambda *sizes: n_rows)
    monkeypatch.setattr(coupled_newton, "KEPT_SCORES", np.inf if keeps else 0)


@of_each_kind
def test_derivatives_of_as_many_scores_are_kept_and_no_more(make_y, options, monkeypatch):
    X, y, weight = made(make_y)
    objective, (_, n_outputs) = objective_of(X, y, weight, options)
    assert objective._keeps
    for beyond in (0, 1):
        monkeypatch.setattr(coupled_newton, "KEPT_SCORES", N_ROWS * n_outputs - beyond)
        assert objective_of(X, y, weight, options)[0]._keeps == (not beyond)


def made(make_y, container=np.asarray):
    rng = np.random.default_rng(0)
    y = make_y(rng)
    X = np.where(rng.random((N_ROWS, 6)) < 0.5, rng.normal(size=(N_ROWS, 6)), 0)
    return container(X), y, rng.uniform(0.5, 2, N_ROWS)


def objective_of(X, y, weight, options, fit_intercept=True):
    """Objective of a fit, as its solver sees it, and the shape of its parameters."""
    model = MLCEClassifier(C=2.0, fit_intercept=fit_intercept, **options)
    X, targets, weight = model._validate_fit(X, y, weight)
    model._remember(targets)
    problem = model._problem(X, targets, weight, model.C, None)
    row_weight = torch.from_numpy(problem.row_weight)
    objective = coupled_objective(problem, PreparedFeatures(problem), row_weight)
    return objective, (objective.design.n_parameters, targets.n_outputs)


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("fit_intercept", [True, False])
@of_each_kind
def test_sums_over_blocks_are_those_of_all_rows(
    make_y, options, fit_intercept, container, keeps, monkeypatch
):
    arguments = (*made(make_y, container), options, fit_intercept)
    found = []
    for n_rows, kept in ((N_ROWS, True), (7, keeps)):
        blocks_of(n_rows, kept, monkeypatch)
        objective, shape = objective_of(*arguments)
        generator = torch.Generator().manual_seed(0)
        parameters, direction = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
        point = objective.at(parameters)
        assert (point.trial.kept is None) == (not kept)
        found.append(
            (
                torch.tensor(point.value),
                point.gradient,
                objective.row_gradient_sizes(point),
                objective.inverse_diagonal(point),
                objective.hessian(point)(direction).clone(),
                objective.design.largest_entries,
            )
        )
    for whole, blocks in zip(*found, strict=True):
        torch.testing.assert_close(blocks, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("keeps", [True, False])
@of_each_kind
def test_fits_by_blocks_equal_the_whole(make_y, options, keeps, monkeypatch):
    X, y, weight = made(make_y, sp.csr_array)
    model = MLCEClassifier(tol=1e-8, **options)
    whole = model.fit(X, y, weight)
    expected, curve = whole.coef_, whole.loss_curve_
    blocks_of(7, keeps, monkeypatch)
    model.fit(X, y, weight)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model.coef_, expected, rtol=0, atol=1e-7 * scale)
    assert model.loss_curve_[-1] == pytest.approx(curve[-1], rel=1e-12)


def test_scores_of_no_more_than_a_block_are_made(monkeypatch):
    X, Y, _ = made(labels)
    blocks_of(7, False, monkeypatch)
    lengths = set()
    make = coupled_newton.second_order_loss

    def recorded(*arguments):
        loss = make(*arguments)
        evaluate = loss.evaluate
        loss.evaluate = lambda scores: lengths.add(len(scores)) or evaluate(scores)
        return loss

    monkeypatch.setattr(coupled_newton, "second_order_loss", recorded)
    MLCEClassifier(loss="mlce").fit(X, Y)
    assert lengths == {7, N_ROWS % 7}


@pytest.mark.parametrize("keeps", [True, False])
def test_a_shortened_step_ends_where_it_says(keeps, monkeypatch):
    blocks_of(7, keeps, monkeypatch)
    objective, shape = objective_of(*made(labels), {"loss": "mlce"})
    point = objective.at(torch.zeros(shape, dtype=torch.float64))
    direction = -1000 * objective.inverse_diagonal(point) * point.gradient
    end, step = halve_until_lower(objective, point.without_derivatives(), direction)
    assert step < 1
    again = objective.at(step * direction)
    assert end.value == pytest.approx(again.value, rel=1e-12)
    torch.testing.assert_close(end.gradient, again.gradient)


def test_blocks_are_not_small_beside_the_parameters(monkeypatch):
    monkeypatch.setattr(coupled_newton, "_BLOCK_BYTES", 2**20)
    rows_of_block = coupled_newton.rows_of_block
    assert rows_of_block(10, 2**10, np.dtype(np.float32)) == 2**8
    assert rows_of_block(10, 2**10, np.dtype(np.float64)) == 2**7
    assert rows_of_block(10, 2**30, np.dtype(np.float64)) == 2  # a quarter of the features
    assert rows_of_block(4 * 10**5, 2**10, np.dtype(np.float32)) == 10**5
