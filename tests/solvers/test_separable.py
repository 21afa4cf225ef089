"""The solver of losses that are sums over labels: each label is a problem of its own."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from sklearn.base import clone

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._solvers import newton_cg
from tests.helpers.linear_problems import (
    constant_parameters,
    gradient_left,
    make_labels,
    mean_objective,
    parameters_of,
    scaled_features,
)

LOSSES = {
    "smooth hinge": {"loss": "bce", "scale": 8.0, "margin": (0.2, 1.8)},
    "bce": {"loss": "bce"},
    "bce, scaled": {"loss": "bce", "scale": 3.0, "margin": (0.5, -0.2)},
    "squared hinge": {"loss": "squared_hinge"},
}
on_each_loss = pytest.mark.parametrize("options", LOSSES.values(), ids=LOSSES.keys())


def targets_of(kind, rng, **sizes):
    X, Y = make_labels(rng, **sizes)
    if kind == "soft":
        Y = 0.8 * Y + 0.1
    if kind == "unknown":
        Y = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
        Y[0], Y[1] = 0, 1
    return X, Y


def assert_same_fit(model, other, atol=1e-9):
    np.testing.assert_allclose(model.coef_, other.coef_, rtol=0, atol=atol)
    np.testing.assert_allclose(model.intercept_, other.intercept_, rtol=0, atol=atol)


def test_blocks_hold_labels_of_like_frequency(monkeypatch):
    monkeypatch.setattr(newton_cg, "_BLOCK_ENTRIES", 20 * 34)
    design = SimpleNamespace(n_rows=30, n_parameters=4)
    constant = torch.zeros(4, 50)
    constant[-1] = torch.linspace(-3, 3, 50).roll(7)
    blocks = list(newton_cg._label_blocks(design, constant))
    assert [len(block) for block in blocks] == [20, 20, 10]
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(50))
    ends = [(constant[-1][block].min(), constant[-1][block].max()) for block in blocks]
    assert all(below[1] < above[0] for below, above in itertools.pairwise(ends))
    monkeypatch.setattr(newton_cg, "_BLOCK_ENTRIES", 1)  # narrower ones would read no less
    assert [len(block) for block in newton_cg._label_blocks(design, constant)] == [16, 16, 16, 2]


@on_each_loss
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
def test_labels_fitted_together_are_labels_fitted_alone(options, kind):
    X, Y = targets_of(kind, np.random.default_rng(0))
    weight = np.random.default_rng(1).uniform(0.5, 2, len(X))
    label_weight = np.linspace(0.5, 2, Y.shape[1])
    model = MLCEClassifier(C=2.0, tol=1e-11, label_weight=label_weight, **options)
    together = model.fit(X, Y, weight)
    coef, intercept = together.coef_, together.intercept_
    for label in range(Y.shape[1]):
        # The other column has no positive: it is not fitted, and keeps Y a matrix of labels.
        alone = MLCEClassifier(C=2.0, tol=1e-11, label_weight=[label_weight[label], 1], **options)
        alone.fit(X, np.column_stack([Y[:, label], np.zeros(len(Y))]), weight)
        np.testing.assert_allclose(alone.coef_[0], coef[label], rtol=0, atol=1e-9)
        assert alone.intercept_[0] == pytest.approx(intercept[label], abs=1e-9)


@on_each_loss
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("labels_at_once", [1, 3, 7])
def test_any_block_size_gives_the_same(options, container, labels_at_once, monkeypatch):
    X, Y = make_labels(np.random.default_rng(2), n_labels=13)
    model = MLCEClassifier(tol=1e-11, **options)
    whole = MLCEClassifier(tol=1e-11, **options).fit(container(X), Y)
    monkeypatch.setattr(newton_cg, "_BLOCK_ENTRIES", 0)
    monkeypatch.setattr(newton_cg, "_FEWEST_LABELS", labels_at_once)
    model.fit(container(X), container(Y))
    assert_same_fit(model, whole)
    assert model.loss_curve_[-1] == pytest.approx(whole.loss_curve_[-1], rel=1e-12)
    assert len(model.loss_curve_) == model.n_iter_
    assert (np.diff(model.loss_curve_) <= 1e-12).all()


@on_each_loss
def test_a_block_goes_on_without_the_labels_that_are_done(options, monkeypatch):
    rng = np.random.default_rng(3)
    X, Y = make_labels(rng, n_labels=12, n_rows=200)
    Y[:, 0] = X[:, 0] > 0  # separable, the slowest
    widths, drop_done = [], newton_cg._LabelBlock._drop_done

    def recorded(block, point, keep):
        point = drop_done(block, point, keep)
        widths.append(len(block.labels))
        return point

    monkeypatch.setattr(newton_cg._LabelBlock, "_drop_done", recorded)
    fits = []
    for fraction in (0.0, 0.75, 1.0):  # never, a quarter at a time, each at once
        monkeypatch.setattr(newton_cg, "_LARGEST_ACTIVE_FRACTION", fraction)
        fits.append(MLCEClassifier(C=10.0, tol=1e-11, **options).fit(X, Y))
        assert bool(widths) == (fraction > 0)
    assert min(widths) < 12
    for fit in fits[1:]:
        assert_same_fit(fit, fits[0])
        assert fit.loss_curve_[-1] == pytest.approx(fits[0].loss_curve_[-1], rel=1e-12)


class _StopAt:
    """A callback that stops a fit with its n-th iteration."""

    def __init__(self, last):
        self.last, self.seen = last, 0

    def setup(self, estimator, context):
        self.seen = 0

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.seen += context.task_name == "newton-iter"
        return context.task_name == "newton-iter" and self.seen == self.last


def test_a_callback_stops_in_the_middle_of_the_blocks(monkeypatch):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    X, Y = make_labels(np.random.default_rng(4), n_labels=9)
    monkeypatch.setattr(newton_cg, "_BLOCK_ENTRIES", 0)
    monkeypatch.setattr(newton_cg, "_FEWEST_LABELS", 3)
    whole = MLCEClassifier(tol=1e-9).fit(X, Y)
    stop = _StopAt(whole.n_iter_ + 2)  # in the second block, or the third
    model = MLCEClassifier(tol=1e-9).set_callbacks(stop).fit(X, Y)  # warns of nothing
    assert stop.seen == stop.last
    untouched = ~model.coef_.any(axis=1)
    finished = np.abs(model.coef_ - whole.coef_).max(axis=1) < 1e-8
    assert untouched.any()
    assert finished.any()
    start = constant_parameters(model, X, Y)[-1]
    np.testing.assert_allclose(model.intercept_[untouched], start[untouched], atol=1e-9)
    at_fit = mean_objective(torch.from_numpy(parameters_of(model)), model, X, Y)
    assert model.loss_curve_[-1] == pytest.approx(at_fit.item(), rel=1e-12)


@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("margin", [(0.2, 1.8), (-0.5, 0.0)])
def test_a_quasi_newton_method_finds_the_same_objective(kind, margin):
    rng = np.random.default_rng(5)
    X, Y = targets_of(kind, rng, n_rows=150, n_labels=8)
    Y = Y.astype(float)
    weight, label_weight = rng.uniform(0.5, 2, len(X)), rng.uniform(0.2, 3, Y.shape[1])
    options = {"scale": 8.0, "margin": margin, "loss": "bce"}
    model = MLCEClassifier(C=3.0, tol=1e-10, label_weight=label_weight, **options)
    model.fit(X, Y, weight)
    shape = parameters_of(model).shape

    def value_and_gradient(flat):
        parameters = torch.from_numpy(flat.reshape(shape)).requires_grad_()
        value = mean_objective(parameters, model, X, Y, weight, label_weight)
        value.backward()
        return value.item(), parameters.grad.numpy().ravel()

    limits = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-9}
    reference = minimize(
        value_and_gradient, np.zeros(np.prod(shape)), jac=True, method="L-BFGS-B", options=limits
    )
    at_fit = value_and_gradient(parameters_of(model).ravel())[0]
    assert at_fit == pytest.approx(reference.fun, rel=1e-9)
    assert model.loss_curve_[-1] == pytest.approx(at_fit, rel=1e-12)


def hard_problem(name, rng):
    """Features, labels and parameters of a problem that could keep a solver busy for ever."""
    X, Y = make_labels(rng, n_rows=100)
    separable = (X @ rng.normal(size=(6, 5)) > 1).astype(int)
    many = rng.normal(size=(80, 300))
    no_other_label = np.column_stack([Y[:, 0], np.zeros(len(Y))])
    return {
        "separable": (X, separable, {"C": 1e6}),
        "separable, more features than rows": (many, Y[:80], {"C": 1e6}),
        "some features constant": (np.c_[X, np.full(100, 7.0), np.zeros(100)], Y, {}),
        "all features constant": (np.full((100, 3), 5.0), Y, {}),
        "all features zero": (np.zeros((100, 3)), Y, {}),
        "units": (scaled_features(X, rng), Y, {}),
        "one row a label": (rng.normal(size=(40, 8)), np.eye(40, dtype=int), {}),
        "steep": (X, Y, {"scale": 50.0, "margin": (0.2, 1.8), "loss": "bce"}),
        "steep, weak penalty": (X, Y, {"C": 1e3, "scale": 50.0, "loss": "bce"}),
        "flat": (X, Y, {"scale": 1e-3, "margin": (0.2, 1.8), "loss": "bce"}),
        "one label": (X, no_other_label, {}),
        "one label, one positive": (X, np.eye(100, 2, dtype=int), {}),
    }[name]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        "separable",
        "separable, more features than rows",
        "some features constant",
        "all features constant",
        "all features zero",
        "units",
        "one row a label",
        "steep",
        "steep, weak penalty",
        "flat",
        "one label",
        "one label, one positive",
    ],
)
def test_hard_cases_end_by_themselves(name, fit_intercept, dtype):
    """Within the default number of iterations, and without a warning, which would be an error."""
    X, Y, parameters = hard_problem(name, np.random.default_rng(7))
    X = X.astype(dtype)
    model = MLCEClassifier(fit_intercept=fit_intercept, **parameters).fit(X, Y)
    assert np.isfinite(model.decision_function(X)).all()
    fitted = Y.any(axis=0)
    nothing_to_learn = name == "all features zero" or (fit_intercept and "all features" in name)
    if nothing_to_learn:
        assert model.n_iter_ == 0
        return
    of_fitted = MLCEClassifier(fit_intercept=fit_intercept, **parameters)
    of_fitted.__dict__ |= {
        name: getattr(model, name)
        for name in ("C_", "loss_", "scale_", "margin_", "input_scaling_")
    }
    of_fitted.coef_ = model.coef_[fitted]
    of_fitted.intercept_ = model.intercept_[fitted]
    left = gradient_left(of_fitted, X, Y[:, fitted])
    assert left <= model.tol + (1e-2 if dtype == np.float32 else 1e-9)


def test_a_step_may_not_raise_the_objective():
    """With far more features than rows a Newton step overshoots valleys that are nearly kinks."""
    rng = np.random.default_rng(8)
    X = sp.csr_array((rng.random((120, 2000)) < 0.02).astype(float))
    Y = (X @ rng.normal(size=(2000, 4)) > 0).astype(int)
    model = MLCEClassifier(C=100.0).fit(X, Y)
    assert (np.diff(model.loss_curve_) <= 1e-12).all()
    assert model.score(X, Y) == 1.0


def test_damped_steps_take_a_row_of_weight_two_for_two_rows():
    """Step by step, where steps are shortened; the ends are alike whatever the damping is."""
    rng = np.random.default_rng(12)
    X, Y = rng.random((15, 30)), np.eye(3, dtype=int)[rng.integers(0, 3, 15)]
    weight = rng.integers(1, 5, len(X))
    model = MLCEClassifier(loss="squared_hinge", C=10.0)
    weighted = clone(model).fit(X, Y, sample_weight=weight)
    repeated = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(Y, weight, axis=0))
    assert weighted.n_iter_ > 3
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
