"""What must not matter to a fit of the linear estimator: containers, order, units, repetition."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.losses import mlce_loss
from tests.helpers.linear_problems import OF_EACH_SOLVER, make_labels, typical_squared_distance
from tests.helpers.pairwise import parametrize_pairwise

on_each_solver = pytest.mark.parametrize(
    "options", OF_EACH_SOLVER.values(), ids=OF_EACH_SOLVER.keys()
)
LOSSES = OF_EACH_SOLVER | {"squared hinge": {"loss": "squared_hinge"}, "bce": {"loss": "bce"}}
on_each_loss = pytest.mark.parametrize("options", LOSSES.values(), ids=LOSSES.keys())


def test_two_columns_of_opposite_labels_are_not_two_problems():
    """The labels of a row share a log-sum-exp, so fits of single columns differ."""
    X, Y = make_labels(np.random.default_rng(7))
    jointly = MLCEClassifier(loss="mlce", tol=1e-8).fit(X, Y)
    alone = MLCEClassifier(tol=1e-8).fit(X, Y[:, 0])
    assert np.abs(jointly.coef_[0] - alone.coef_[0]).max() > 1e-2


CONTAINERS = [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_array]


@parametrize_pairwise(
    options=LOSSES.values(),
    container=CONTAINERS,
    fit_intercept=[True, False],
    input_scaling=["columns", None],
)
def test_sparse_x_and_y_equal_dense(options, container, fit_intercept, input_scaling):
    rng = np.random.default_rng(8)
    X, Y = make_labels(rng)
    X[rng.random(X.shape) < 0.6] = 0
    same = {"tol": 1e-10, "fit_intercept": fit_intercept, "input_scaling": input_scaling}
    dense = MLCEClassifier(**same, **options).fit(X, Y)
    sparse = MLCEClassifier(**same, **options).fit(container(X), container(Y))
    assert pytest.approx(dense.C_) == sparse.C_
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-7)
    np.testing.assert_allclose(sparse.intercept_, dense.intercept_, atol=1e-7)
    scores = sparse.decision_function(container(X))
    np.testing.assert_allclose(scores, dense.decision_function(X), atol=1e-7)
    predicted = sparse.predict(container(X))
    assert sp.issparse(predicted)
    np.testing.assert_array_equal(predicted.toarray(), dense.predict(X))


@on_each_loss
def test_products_without_mkl_give_the_same_fit(options, monkeypatch):
    rng = np.random.default_rng(9)
    X, Y = make_labels(rng)
    with_mkl = MLCEClassifier(**options).fit(sp.csr_array(X), Y)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    without = MLCEClassifier(**options).fit(sp.csr_array(X), Y)
    np.testing.assert_allclose(without.coef_, with_mkl.coef_, rtol=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
@on_each_loss
def test_weights_equal_repetition(options, sparse):
    rng = np.random.default_rng(10)
    X, Y = make_labels(rng)
    weight = rng.integers(0, 4, len(X))
    weight[:2] = 1
    repeated = np.repeat(np.arange(len(X)), weight)
    container = sp.csr_array if sparse else np.asarray
    weighted = MLCEClassifier(tol=1e-10, **options).fit(container(X), Y, sample_weight=weight)
    repetition = MLCEClassifier(tol=1e-10, **options).fit(container(X[repeated]), Y[repeated])
    np.testing.assert_allclose(weighted.coef_, repetition.coef_, atol=1e-8)
    np.testing.assert_allclose(weighted.intercept_, repetition.intercept_, atol=1e-8)


@on_each_solver
def test_a_weight_that_underflows_beside_the_others_is_as_good_as_zero(options):
    X, Y = make_labels(np.random.default_rng(33))
    weight = np.ones(len(X))
    weight[5] = 1e-60
    X = X.astype(np.float32)
    almost = MLCEClassifier(**options).fit(X, Y, sample_weight=weight)
    weight[5] = 0
    np.testing.assert_allclose(
        almost.coef_, MLCEClassifier(**options).fit(X, Y, sample_weight=weight).coef_, atol=1e-4
    )


@pytest.mark.parametrize("loss", ["auto", "bce", "squared_hinge"])
def test_a_label_weight_is_a_factor_of_the_labels_loss(loss):
    """In a sum over labels a label of weight 2 is one fitted with twice the C."""
    X, Y = make_labels(np.random.default_rng(11))
    options = {"loss": loss, "tol": 1e-10}
    weighted = MLCEClassifier(C=1.0, label_weight=[2.0, 1, 1, 1, 1], **options).fit(X, Y)
    once, twice = (MLCEClassifier(C=C, **options).fit(X, Y) for C in (1.0, 2.0))
    for part in ("coef_", "intercept_"):
        found = getattr(weighted, part)
        np.testing.assert_allclose(found[0], getattr(twice, part)[0], atol=1e-8)
        np.testing.assert_allclose(found[1:], getattr(once, part)[1:], atol=1e-8)


def test_label_weight_equals_repeated_labels():
    """In MLCE a label of weight 2 counts in each logarithm like two labels of the same scores."""
    X, Y = make_labels(np.random.default_rng(11))
    fit = MLCEClassifier(C=1.0, loss="mlce", tol=1e-9, label_weight=[2.0, 1, 1, 1, 1]).fit(X, Y)
    scores = torch.from_numpy(fit.decision_function(X))
    doubled = torch.cat([scores[:, :1], scores], dim=1)
    targets = torch.from_numpy(np.hstack([Y[:, :1], Y]))
    penalty = (fit.coef_**2).sum() / (2 * len(X))
    assert mlce_loss(doubled, targets).item() + penalty == pytest.approx(fit.loss_curve_[-1])


@on_each_loss
def test_permuted_labels_and_features_permute_the_fit(options):
    rng = np.random.default_rng(12)
    X, Y = make_labels(rng)
    fit = MLCEClassifier(tol=1e-10, **options).fit(X, Y)
    labels, features = rng.permutation(Y.shape[1]), rng.permutation(X.shape[1])
    permuted = MLCEClassifier(tol=1e-10, **options).fit(X[:, features], Y[:, labels])
    np.testing.assert_allclose(permuted.coef_, fit.coef_[np.ix_(labels, features)], atol=1e-8)


@pytest.mark.parametrize(
    "options", [{"loss": "mlce"}, {"loss": "bce", "scale": 8.0, "margin": 1.0}]
)
def test_swapped_labels_negate_the_scores(options):
    """With equal margins the loss treats positives and negatives alike."""
    X, Y = make_labels(np.random.default_rng(13))
    fit = MLCEClassifier(tol=1e-10, **options).fit(X, Y)
    swapped = MLCEClassifier(tol=1e-10, **options).fit(X, 1 - Y)
    np.testing.assert_allclose(swapped.coef_, -fit.coef_, atol=1e-8)


@on_each_loss
def test_shifted_features_change_the_intercept_alone(options):
    X, Y = make_labels(np.random.default_rng(14))
    fit = MLCEClassifier(tol=1e-10, **options).fit(X, Y)
    shifted = MLCEClassifier(tol=1e-9, max_iter=500, **options).fit(X + 1000.0, Y)
    np.testing.assert_allclose(shifted.coef_, fit.coef_, atol=1e-6)
    np.testing.assert_allclose(
        shifted.decision_function(X + 1000.0), fit.decision_function(X), atol=1e-5
    )


@pytest.mark.parametrize("loss", ["mlce", "bce"])
def test_scale_is_a_change_of_c(loss):
    """Scores and margin times scale, penalty over scale squared: the same objective."""
    X, Y = make_labels(np.random.default_rng(15))
    scaled = MLCEClassifier(C=1.0, loss=loss, scale=4.0, margin=0.5, tol=1e-10).fit(X, Y)
    plain = MLCEClassifier(C=4.0, loss=loss, margin=2.0, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(4 * scaled.coef_, plain.coef_, atol=1e-7)


@on_each_solver
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("factor", [1e-3, 50.0])
def test_the_default_c_takes_features_in_any_unit(options, factor, fit_intercept):
    X, Y = make_labels(np.random.default_rng(15))
    X += 1.0
    same = {"tol": 1e-10, "fit_intercept": fit_intercept, "input_scaling": None}
    model = MLCEClassifier(**same, **options)
    scores = model.fit(X, Y).decision_function(X)
    C = model.C_
    squares = X.var(axis=0).sum() if fit_intercept else (X**2).sum(axis=1).mean()
    assert pytest.approx((100 if options else 1) / squares) == C
    rescaled = model.fit(factor * X, Y).decision_function(factor * X)
    np.testing.assert_allclose(rescaled, scores, atol=1e-7)
    assert pytest.approx(C / factor**2) == model.C_


def test_the_default_c_is_that_of_the_weighted_rows():
    X, Y = make_labels(np.random.default_rng(16))
    weight = np.arange(len(X)) % 3
    repeated = np.repeat(np.arange(len(X)), weight)
    weighted = MLCEClassifier().fit(X, Y, sample_weight=weight)
    assert pytest.approx(1 / typical_squared_distance(X[repeated])) == weighted.C_
    unscaled = MLCEClassifier(input_scaling=None).fit(X, Y, sample_weight=weight)
    assert pytest.approx(1 / X[repeated].var(axis=0).sum()) == unscaled.C_
    assert MLCEClassifier(C=3).fit(X, Y).C_ == 3.0


@on_each_solver
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_small_unit_is_no_constant_feature(options, container, dtype):
    X, Y = make_labels(np.random.default_rng(40))
    unit = np.finfo(dtype).eps  # where the rounding of an intercept outweighs the features
    expected = MLCEClassifier(C=1.0, tol=1e-8, **options).fit(X, Y).decision_function(X)
    model = MLCEClassifier(C=1 / unit**2, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # which says to scale the features
        model.fit(container((X * unit).astype(dtype)), Y)
    found = model.decision_function(container((X * unit).astype(dtype)))
    np.testing.assert_allclose(found, expected, atol=2e-2 * np.abs(expected).max())


@on_each_solver
def test_a_large_constant_feature_hides_no_other(options):
    X, Y = make_labels(np.random.default_rng(41))
    X = X.astype(np.float32)
    with_constant = np.column_stack([X, np.full(len(X), 1e7, np.float32)])
    expected = MLCEClassifier(C=1.0, tol=1e-5, **options).fit(X, Y).decision_function(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLCEClassifier(C=1.0, tol=1e-5, **options).fit(with_constant, Y)
    found = model.decision_function(with_constant)
    np.testing.assert_allclose(found, expected, atol=2e-2 * np.abs(expected).max())
