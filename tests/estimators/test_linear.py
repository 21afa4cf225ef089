"""The linear estimator finds the optimum, of every loss and in both dtypes."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sklearn_mlce import MLCEClassifier
from tests.helpers import oracles
from tests.helpers.linear_problems import (
    OF_EACH_SOLVER,
    constant_parameters,
    gradient_left,
    loss_options,
    make_labels,
    parameters_of,
    scaled_features,
)
from tests.helpers.pairwise import parametrize_pairwise, slow_except

EVERY_LOSS = [
    *OF_EACH_SOLVER.values(),
    {"loss": "mlce", "scale": 4.0, "margin": 0.5},
    {"loss": "mlce", "scale": 6.0, "margin": (1.0, 0.5)},
    {"loss": "bce"},
    {"loss": "bce", "scale": 6.0, "margin": (1.0, -0.5)},
]
on_each_loss = pytest.mark.parametrize("options", EVERY_LOSS, ids=str)
on_each_solver = pytest.mark.parametrize(
    "options", OF_EACH_SOLVER.values(), ids=OF_EACH_SOLVER.keys()
)


@parametrize_pairwise(
    options=EVERY_LOSS,
    features=["standard", "unscaled", "sparse"],
    n_labels=[2, 5, 50],
    fit_intercept=[True, False],
    tol=[1e-2, 1e-8],
)
def test_tol_bounds_the_share_of_the_gradient(options, features, n_labels, fit_intercept, tol):
    rng = np.random.default_rng(n_labels)
    X, Y = make_labels(rng, n_rows=150, n_labels=n_labels)
    if features == "unscaled":
        X = scaled_features(X, rng)
    if features == "sparse":
        X[rng.random(X.shape) < 0.7] = 0
        X = sp.csr_array(X)
    model = MLCEClassifier(tol=tol, fit_intercept=fit_intercept, max_iter=500, **options)
    # The solver's own constant scores, the base of the share, are optimal to about a per cent.
    assert gradient_left(model.fit(X, Y), X, Y) <= tol * 1.02


@parametrize_pairwise(
    options=EVERY_LOSS,
    container=[np.asarray, sp.csr_array],
    dtype=[np.float32, np.float64],
    C=[0.1, 100.0],
)
def test_tol_holds_in_both_dtypes(options, container, dtype, C):
    X, Y = make_labels(np.random.default_rng(35), n_rows=150, n_labels=20)
    X, tol = X.astype(dtype), 1e-8 if dtype == np.float64 else 1e-3
    model = MLCEClassifier(C=C, tol=tol, max_iter=500, **options).fit(container(X), Y)
    assert model.coef_.dtype == dtype
    assert gradient_left(model, X, Y) <= tol + 100 * np.finfo(dtype).eps


@on_each_loss
def test_tol_is_measured_at_constant_scores_wherever_a_fit_starts(options):
    X, Y = make_labels(np.random.default_rng(39))
    model = MLCEClassifier(tol=1e-3, warm_start=True, **options).fit(X, Y)
    model.fit(-X, Y)
    assert gradient_left(model, -X, Y) <= 1e-3
    model.fit(-X, Y)
    assert model.n_iter_ == 0


@pytest.mark.parametrize("kind", slow_except("hard", of=["hard", "soft", "unknown"]))
@on_each_loss
@pytest.mark.slow
def test_an_independent_minimiser_finds_the_same_objective(kind, options):
    rng = np.random.default_rng(5)
    X, Y = make_labels(rng, n_rows=30, n_features=2, n_labels=3)
    Y = Y.astype(float)
    if kind == "soft":
        Y = 0.8 * Y + 0.1
    if kind == "unknown":
        Y[2:][rng.random(Y[2:].shape) < 0.2] = np.nan
    weight, label_weight = rng.uniform(0.5, 2, len(X)), rng.uniform(0.5, 2, Y.shape[1])
    model = MLCEClassifier(C=3.0, tol=1e-9, label_weight=label_weight, **options)
    model.fit(X, Y, sample_weight=weight)
    assert model.loss_ == options.get("loss", "mlce" if kind == "soft" else "bce")

    def objective(flat):
        return oracles.linear_objective(
            flat.reshape(3, 3), X, Y, C=3.0, sample_weight=weight,
            label_weight=label_weight, **loss_options(model),
        )  # fmt: skip

    start = constant_parameters(model, X, Y, weight, label_weight).ravel()
    reference = minimize(objective, start, method="BFGS", options={"gtol": 1e-7})
    at_fit = objective(parameters_of(model).ravel())
    assert at_fit == pytest.approx(reference.fun, rel=1e-6)
    assert model.loss_curve_[-1] == pytest.approx(at_fit, rel=1e-12)
    assert gradient_left(model, X, Y, weight, label_weight) <= 1e-9 + 1e-12


SHAPES = [{}, {"scale": 4.0}, {"margin": 0.5}, {"scale": 4.0, "margin": (0.2, 1.8)}]


def test_loss_scale_and_margin_are_honoured():
    X, Y = make_labels(np.random.default_rng(36))
    given = [{"loss": loss, **shape} for loss in ("mlce", "bce") for shape in SHAPES]
    fits = [MLCEClassifier(C=1.0, tol=1e-8, **options).fit(X, Y) for options in given]
    for first, second in itertools.combinations(fits, 2):
        assert np.abs(first.coef_ - second.coef_).max() > 1e-3


@pytest.mark.parametrize("loss", ["mlce", "bce", "pairwise"])
def test_what_is_not_given_is_scale_1_and_margin_0(loss):
    X, Y = make_labels(np.random.default_rng(38))
    options = {"loss": loss, "n_labels_per_row": 2 if loss == "pairwise" else None}
    model = MLCEClassifier(**options).fit(X, Y)
    for given in ({"scale": 1}, {"margin": 0}, {"scale": 1.0, "margin": [0.0, 0.0]}):
        spelled_out = MLCEClassifier(**options, **given).fit(X, Y)
        np.testing.assert_array_equal(model.coef_, spelled_out.coef_)
        np.testing.assert_array_equal(model.intercept_, spelled_out.intercept_)
        assert model.C_ == spelled_out.C_


@pytest.mark.parametrize("y_kind", ["binary", "multiclass"])
def test_tol_bounds_the_share_of_the_gradient_with_1d_y(y_kind):
    rng = np.random.default_rng(3)
    X, Y = make_labels(rng)
    X = scaled_features(X, rng)
    y = Y[:, 0] if y_kind == "binary" else np.minimum(Y[:, 0] + Y[:, 1], 2)
    model = MLCEClassifier(1.0, tol=1e-6, max_iter=500).fit(X, y)
    one_hot = np.eye(3)[y] if y_kind == "multiclass" else y[:, None]
    probabilities = model.predict_proba(X)
    probabilities = probabilities if y_kind == "multiclass" else probabilities[:, 1:]
    # Where all scores are equal: softmax has no start of its own, the sigmoid the frequency.
    constant = 1 / 3 if y_kind == "multiclass" else y.mean()

    def largest(probabilities, coefficients):
        errors = (probabilities - one_hot) / len(X)
        gradient = np.vstack([X.T @ errors + coefficients.T / len(X), errors.sum(0)])
        return np.abs(gradient).max(axis=0)

    at_constant = largest(np.full_like(probabilities, constant), np.zeros_like(model.coef_))
    assert (largest(probabilities, model.coef_) / at_constant).max() <= 1e-6 + 1e-12


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_1d_y_is_logistic_regression(C, fit_intercept, n_classes):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(200, 5))
    y = np.digitize(X[:, 0] + rng.normal(size=200), np.linspace(-1, 1, n_classes - 1))
    weight = rng.uniform(0.1, 3, 200)
    options = {"C": C, "fit_intercept": fit_intercept}
    ours = MLCEClassifier(tol=1e-8, **options).fit(X, y, weight)
    theirs = LogisticRegression(tol=1e-8, max_iter=5000, **options).fit(X, y, weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.decision_function(X).shape == theirs.decision_function(X).shape


def test_multiclass_honours_scale_and_margin():
    """The exponent of class i beside the true class j is scale * (s_i - s_j + margin)."""
    rng = np.random.default_rng(16)
    X, y = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    scale, margin = 2.0, 0.7
    options = {"loss": "mlce", "C": 5.0, "scale": scale, "tol": 1e-10}
    fit = MLCEClassifier(margin=margin, **options).fit(X, y)
    scores = fit.decision_function(X)
    gaps = scale * (scores - scores[np.arange(80), y][:, None] + margin)
    gaps[np.arange(80), y] = 0
    value = np.log(np.exp(gaps).sum(1)).mean() / scale + (fit.coef_**2).sum() / (2 * 5 * 80)
    assert value == pytest.approx(fit.loss_curve_[-1])
    larger = MLCEClassifier(margin=2.0, **options).fit(X, y)
    assert np.abs(larger.coef_ - fit.coef_).max() > 1e-3


@on_each_solver
def test_warm_start_continues_from_the_last_fit(options):
    X, Y = make_labels(np.random.default_rng(23), n_rows=200)
    model = MLCEClassifier(tol=1e-8, warm_start=True, **options).fit(X, Y)
    first, coef = model.n_iter_, model.coef_
    model.fit(X, Y)
    assert model.n_iter_ < first
    np.testing.assert_allclose(model.coef_, coef, atol=1e-7)
    with pytest.raises(ValueError, match=r"warm_start=True continues a fit of 6 features"):
        model.fit(X, Y[:, :3])
    assert model.decision_function(X).shape == Y.shape


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@on_each_solver
def test_warm_start_with_a_label_that_could_not_be_placed_before(options, value, dtype):
    X, Y = make_labels(np.random.default_rng(34))
    X = X.astype(dtype)
    constant = Y.copy()
    constant[:, 2] = value
    warm = MLCEClassifier(tol=1e-5, warm_start=True, **options).fit(X, constant).fit(X, Y)
    cold = MLCEClassifier(tol=1e-5, **options).fit(X, Y)
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-3)
    np.testing.assert_allclose(warm.intercept_, cold.intercept_, atol=1e-3)


@on_each_solver
def test_not_converging_warns_with_what_to_do(options):
    X, Y = make_labels(np.random.default_rng(25))
    with pytest.warns(ConvergenceWarning, match=r"after 1 iterations.*Raise max_iter or tol"):
        model = MLCEClassifier(tol=1e-9, max_iter=1, **options).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 1
    with pytest.warns(ConvergenceWarning, match=r"float32: raise tol, scale the features"):
        MLCEClassifier(tol=1e-14, **options).fit(X.astype(np.float32), Y)


@on_each_solver
def test_loss_curve_falls(options):
    X, Y = make_labels(np.random.default_rng(26))
    model = MLCEClassifier(tol=1e-9, **options).fit(X, Y)
    assert len(model.loss_curve_) == model.n_iter_
    assert (np.diff(model.loss_curve_) <= 1e-15).all()


@pytest.mark.gpu
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
@on_each_solver
def test_gpu_decides_as_the_cpu(options, container):
    X, Y = make_labels(np.random.default_rng(32))
    on_cpu = MLCEClassifier(tol=1e-8, **options).fit(container(X), Y)
    on_gpu = MLCEClassifier(tol=1e-8, device="cuda", **options).fit(container(X), Y)
    np.testing.assert_allclose(on_gpu.coef_, on_cpu.coef_, atol=1e-6)
    np.testing.assert_array_equal(on_gpu.predict(X), on_cpu.predict(X))


def test_the_likeliest_class_is_the_predicted_one_far_from_zero():
    X = np.repeat(np.eye(3), 4, axis=0)
    model = MLCEClassifier(loss="bce", C=1e3).fit(X, np.repeat(list("abc"), 4))
    rows = 1e3 * np.random.default_rng(0).random((50, 3))
    assert (model.decision_function(rows) > 40).sum(axis=1).max() > 1
    found = model.classes_[model.predict_proba(rows).argmax(axis=1)]
    np.testing.assert_array_equal(found, model.predict(rows))
