"""The linear estimator finds the optimum, on every kind of data and y."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._targets import FIXED_SCORE
from sklearn_mlce.losses import mlce_loss
from tests import oracles

MODES = [
    MLCEClassifier(),
    MLCEClassifier(fit_intercept=False),
    MLCEClassifier(scale=3.0, margin=0.5),
    MLCEClassifier(warm_start=True),
    MLCEClassifier(C=100.0, tol=1e-6),
    MLCEClassifier(loss="bce"),
    MLCEClassifier(loss="squared_hinge"),
]
# 1-D y, which the checks fit as well, has one order.
LABEL_MODES = [{"order": 2}, {"order": "all"}, {"order": (2, "all"), "scale": 6.0, "margin": 1.0}]


@parametrize_with_checks(MODES)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def make_labels(rng, n_rows=60, n_features=6, n_labels=5, noise=1.0):
    """Rows of correlated labels, some empty; every label has positives and negatives."""
    X = rng.normal(size=(n_rows, n_features))
    scores = X @ rng.normal(size=(n_features, n_labels)) + noise * rng.normal(
        size=(n_rows, n_labels)
    )
    Y = (scores > 1).astype(int)
    Y[0], Y[1] = 0, 1
    return X, Y


def parameters_of(model):
    return np.vstack([model.coef_.T, model.intercept_])


def mean_gradient(model, X, Y, sample_weight=None, label_weight=None):
    """Gradient of the mean objective at a fit, by autograd through the public loss."""
    X = X.toarray() if sp.issparse(X) else X
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    parameters = torch.from_numpy(parameters_of(model)).double().requires_grad_()
    scores = torch.from_numpy(X).double() @ parameters[:-1] + parameters[-1]
    scale = model.scale or 1.0
    loss = mlce_loss(
        scores,
        torch.from_numpy(np.asarray(Y, dtype=float)),
        sample_weight=torch.from_numpy(np.asarray(weight, dtype=float)),
        label_weight=None if label_weight is None else torch.from_numpy(label_weight),
        scale=scale,
        margin=model.margin or 0.0,
        order=model.order or 1,
    )
    penalty = parameters[:-1].square().sum() / (2 * model.C * weight.sum())
    (loss / scale + penalty).backward()
    gradient = parameters.grad
    return (gradient if model.fit_intercept else gradient[:-1]).numpy()


def scaled_features(X, rng):
    return X * 10.0 ** rng.uniform(-2, 3, X.shape[1]) + 100 * rng.normal(size=X.shape[1])


@pytest.mark.parametrize("features", ["standard", "unscaled", "sparse"])
@pytest.mark.parametrize("n_labels", [2, 5, 50])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("tol", [1e-3, 1e-8])
def test_tol_bounds_the_gradient_of_the_mean_objective(features, n_labels, fit_intercept, tol):
    rng = np.random.default_rng(n_labels)
    X, Y = make_labels(rng, n_rows=150, n_labels=n_labels)
    if features == "unscaled":
        X = scaled_features(X, rng)
    if features == "sparse":
        X[rng.random(X.shape) < 0.7] = 0
        X = sp.csr_array(X)
    model = MLCEClassifier(tol=tol, fit_intercept=fit_intercept, max_iter=500).fit(X, Y)
    # One float64 rounding of the largest term of a gradient entry is what a check can resolve.
    resolution = 1e-15 * abs(X).max() * len(Y)
    assert np.abs(mean_gradient(model, X, Y)).max() <= tol + resolution


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("options", LABEL_MODES)
@pytest.mark.parametrize("C", [0.1, 100.0])
def test_tol_bounds_the_gradient_of_every_order(options, container, dtype, C):
    X, Y = make_labels(np.random.default_rng(35), n_rows=150, n_labels=20)
    tol = 1e-8 if dtype == np.float64 else 1e-4
    model = MLCEClassifier(C=C, tol=tol, max_iter=500, **options)
    model.fit(container(X.astype(dtype)), Y)
    assert model.coef_.dtype == dtype
    assert np.abs(mean_gradient(model, X, Y)).max() <= tol + np.finfo(dtype).eps * 100


def test_order_is_honoured():
    X, Y = make_labels(np.random.default_rng(36))
    fits = [MLCEClassifier(order=order, tol=1e-8).fit(X, Y) for order in (1, 2, "all", (1, 2))]
    for first, second in itertools.combinations(fits, 2):
        assert np.abs(first.coef_ - second.coef_).max() > 1e-3
    default = MLCEClassifier(tol=1e-8).fit(X, Y)
    np.testing.assert_array_equal(default.coef_, fits[0].coef_)


def test_every_order_is_one_logistic_regression_per_label():
    X, Y = make_labels(np.random.default_rng(37), n_rows=200)
    ours = MLCEClassifier(C=2.0, order="all", tol=1e-9).fit(X, Y)
    for label in range(Y.shape[1]):
        theirs = LogisticRegression(C=2.0, tol=1e-9, max_iter=5000).fit(X, Y[:, label])
        np.testing.assert_allclose(ours.coef_[label], theirs.coef_[0], atol=1e-5)
        np.testing.assert_allclose(ours.intercept_[label], theirs.intercept_[0], atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("order", [2, "all", (1, 2)])
def test_an_order_of_a_1d_y_is_refused(order, n_classes):
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6) % n_classes
    with pytest.raises(ValueError, match=r"but y is (binary|multiclass).*Set order=None"):
        MLCEClassifier(order=order).fit(X, y)
    for published in (1, (1, 1)):
        MLCEClassifier(order=published).fit(X, y)


@pytest.mark.parametrize("y_kind", ["binary", "multiclass"])
def test_tol_bounds_the_gradient_with_1d_y(y_kind):
    rng = np.random.default_rng(3)
    X, Y = make_labels(rng)
    X = scaled_features(X, rng)
    y = Y[:, 0] if y_kind == "binary" else np.minimum(Y[:, 0] + Y[:, 1], 2)
    model = MLCEClassifier(tol=1e-6, max_iter=500).fit(X, y)
    one_hot = np.eye(3)[y] if y_kind == "multiclass" else y[:, None]
    probabilities = (
        model.predict_proba(X) if y_kind == "multiclass" else model.predict_proba(X)[:, 1:]
    )
    errors = (probabilities - one_hot) / len(X)
    gradient = np.vstack([X.T @ errors + model.coef_.T / len(X), errors.sum(0)])
    assert np.abs(gradient).max() <= 1e-6 + 1e-12


def test_tol_holds_in_float32():
    rng = np.random.default_rng(4)
    X, Y = make_labels(rng, n_rows=300)
    model = MLCEClassifier().fit(X.astype(np.float32), Y)
    assert model.coef_.dtype == np.float32
    assert np.abs(mean_gradient(model, X, Y)).max() <= model.tol + 1e-6


@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("options", [{}, {"scale": 4.0, "margin": 0.5}, *LABEL_MODES])
def test_an_independent_minimiser_finds_the_same_objective(kind, options):
    rng = np.random.default_rng(5)
    X, Y = make_labels(rng, n_rows=30, n_features=3, n_labels=4)
    Y = Y.astype(float)
    if kind == "soft":
        Y = 0.8 * Y + 0.1
    if kind == "unknown":
        Y[2:][rng.random(Y[2:].shape) < 0.2] = np.nan
    weight, label_weight = rng.uniform(0.5, 2, len(X)), rng.uniform(0.5, 2, Y.shape[1])
    model = MLCEClassifier(C=3.0, tol=1e-9, label_weight=label_weight, **options)
    model.fit(X, Y, sample_weight=weight)

    def objective(flat):
        return oracles.linear_objective(
            flat.reshape(4, 4), X, Y, C=3.0, sample_weight=weight,
            label_weight=label_weight, **options,
        )  # fmt: skip

    reference = minimize(objective, np.zeros(16), method="BFGS", options={"gtol": 1e-7})
    at_fit = objective(parameters_of(model).ravel())
    assert at_fit == pytest.approx(reference.fun, rel=1e-6)
    assert model.loss_curve_[-1] == pytest.approx(at_fit, rel=1e-12)
    gradient = mean_gradient(model, X, Y, weight, label_weight)
    assert np.abs(gradient).max() <= 1e-9 + 1e-12


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


def test_two_columns_of_opposite_labels_are_not_two_problems():
    """The labels of a row share a log-sum-exp, so fits of single columns differ."""
    X, Y = make_labels(np.random.default_rng(7))
    jointly = MLCEClassifier(tol=1e-8).fit(X, Y)
    alone = MLCEClassifier(tol=1e-8).fit(X, Y[:, 0])
    assert np.abs(jointly.coef_[0] - alone.coef_[0]).max() > 1e-2


CONTAINERS = [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_array]


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_sparse_x_and_y_equal_dense(container, fit_intercept):
    rng = np.random.default_rng(8)
    X, Y = make_labels(rng)
    X[rng.random(X.shape) < 0.6] = 0
    dense = MLCEClassifier(tol=1e-10, fit_intercept=fit_intercept).fit(X, Y)
    sparse = MLCEClassifier(tol=1e-10, fit_intercept=fit_intercept)
    sparse.fit(container(X), container(Y))
    np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-7)
    np.testing.assert_allclose(sparse.intercept_, dense.intercept_, atol=1e-7)
    scores = sparse.decision_function(container(X))
    np.testing.assert_allclose(scores, dense.decision_function(X), atol=1e-7)
    predicted = sparse.predict(container(X))
    assert sp.issparse(predicted)
    np.testing.assert_array_equal(predicted.toarray(), dense.predict(X))


def test_products_without_mkl_give_the_same_fit(monkeypatch):
    rng = np.random.default_rng(9)
    X, Y = make_labels(rng)
    with_mkl = MLCEClassifier().fit(sp.csr_array(X), Y)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    without = MLCEClassifier().fit(sp.csr_array(X), Y)
    np.testing.assert_allclose(without.coef_, with_mkl.coef_, rtol=1e-9)


@pytest.mark.parametrize("sparse", [False, True])
def test_weights_equal_repetition(sparse):
    rng = np.random.default_rng(10)
    X, Y = make_labels(rng)
    weight = rng.integers(0, 4, len(X))
    weight[:2] = 1
    repeated = np.repeat(np.arange(len(X)), weight)
    container = sp.csr_array if sparse else np.asarray
    weighted = MLCEClassifier(tol=1e-10).fit(container(X), Y, sample_weight=weight)
    repetition = MLCEClassifier(tol=1e-10).fit(container(X[repeated]), Y[repeated])
    np.testing.assert_allclose(weighted.coef_, repetition.coef_, atol=1e-8)
    np.testing.assert_allclose(weighted.intercept_, repetition.intercept_, atol=1e-8)


def test_a_weight_that_underflows_beside_the_others_is_as_good_as_zero():
    X, Y = make_labels(np.random.default_rng(33))
    weight = np.ones(len(X))
    weight[5] = 1e-60
    X = X.astype(np.float32)
    almost = MLCEClassifier().fit(X, Y, sample_weight=weight)
    weight[5] = 0
    np.testing.assert_allclose(
        almost.coef_, MLCEClassifier().fit(X, Y, sample_weight=weight).coef_, atol=1e-4
    )


def test_label_weight_equals_repeated_labels():
    """A label of weight 2 counts in each logarithm like two labels of the same scores."""
    X, Y = make_labels(np.random.default_rng(11))
    fit = MLCEClassifier(tol=1e-9, label_weight=[2.0, 1, 1, 1, 1]).fit(X, Y)
    scores = torch.from_numpy(fit.decision_function(X))
    doubled = torch.cat([scores[:, :1], scores], dim=1)
    targets = torch.from_numpy(np.hstack([Y[:, :1], Y]))
    penalty = (fit.coef_**2).sum() / (2 * len(X))
    assert mlce_loss(doubled, targets).item() + penalty == pytest.approx(fit.loss_curve_[-1])


def test_permuted_labels_and_features_permute_the_fit():
    rng = np.random.default_rng(12)
    X, Y = make_labels(rng)
    fit = MLCEClassifier(tol=1e-10).fit(X, Y)
    labels, features = rng.permutation(Y.shape[1]), rng.permutation(X.shape[1])
    permuted = MLCEClassifier(tol=1e-10).fit(X[:, features], Y[:, labels])
    np.testing.assert_allclose(permuted.coef_, fit.coef_[np.ix_(labels, features)], atol=1e-8)


def test_swapped_labels_negate_the_scores():
    """The loss treats positives and negatives alike."""
    X, Y = make_labels(np.random.default_rng(13))
    fit = MLCEClassifier(tol=1e-10).fit(X, Y)
    swapped = MLCEClassifier(tol=1e-10).fit(X, 1 - Y)
    np.testing.assert_allclose(swapped.coef_, -fit.coef_, atol=1e-8)


def test_shifted_features_change_the_intercept_alone():
    X, Y = make_labels(np.random.default_rng(14))
    fit = MLCEClassifier(tol=1e-10).fit(X, Y)
    shifted = MLCEClassifier(tol=1e-9, max_iter=500).fit(X + 1000.0, Y)
    np.testing.assert_allclose(shifted.coef_, fit.coef_, atol=1e-6)
    np.testing.assert_allclose(
        shifted.decision_function(X + 1000.0), fit.decision_function(X), atol=1e-5
    )


def test_scale_is_a_change_of_c():
    """Scores and margin times scale, penalty over scale squared: the same objective."""
    X, Y = make_labels(np.random.default_rng(15))
    scaled = MLCEClassifier(C=1.0, scale=4.0, tol=1e-10).fit(X, Y)
    plain = MLCEClassifier(C=4.0, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(4 * scaled.coef_, plain.coef_, atol=1e-7)


def test_multiclass_honours_scale_and_margin():
    """The exponent of class i beside the true class j is scale * (s_i - s_j + margin)."""
    rng = np.random.default_rng(16)
    X, y = rng.normal(size=(80, 3)), rng.integers(0, 3, 80)
    scale, margin = 2.0, 0.7
    fit = MLCEClassifier(C=5.0, scale=scale, margin=margin, tol=1e-10).fit(X, y)
    scores = fit.decision_function(X)
    gaps = scale * (scores - scores[np.arange(80), y][:, None] + margin)
    gaps[np.arange(80), y] = 0
    value = np.log(np.exp(gaps).sum(1)).mean() / scale + (fit.coef_**2).sum() / (2 * 5 * 80)
    assert value == pytest.approx(fit.loss_curve_[-1])
    larger = MLCEClassifier(C=5.0, scale=scale, margin=2.0, tol=1e-10).fit(X, y)
    assert np.abs(larger.coef_ - fit.coef_).max() > 1e-3


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_labels_without_a_positive_rank_last_and_are_never_predicted(container):
    rng = np.random.default_rng(17)
    X, Y = make_labels(rng)
    rest = MLCEClassifier(tol=1e-9).fit(X, Y[:, [0, 1, 3]])
    Y[:, 2], Y[:, 4] = 0, 1
    model = MLCEClassifier(tol=1e-9).fit(X, container(Y))
    scores = model.decision_function(1e3 * X)
    assert (scores.argmin(axis=1) == 2).all()
    assert (scores.argmax(axis=1) == 4).all()
    predicted = model.predict(X)
    predicted = predicted.toarray() if sp.issparse(predicted) else predicted
    assert not predicted[:, 2].any()
    assert predicted[:, 4].all()
    assert model.intercept_[[2, 4]].tolist() == [-FIXED_SCORE, FIXED_SCORE]
    np.testing.assert_allclose(model.coef_[[0, 1, 3]], rest.coef_, atol=1e-8)
    probabilities = model.predict_proba(X)
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_positives_of_zero_weight_do_not_count():
    X, Y = make_labels(np.random.default_rng(18))
    weight = np.where(Y[:, 0] == 1, 0.0, 1.0)
    model = MLCEClassifier().fit(X, Y, sample_weight=weight)
    assert model.intercept_[0] == -FIXED_SCORE


def test_all_labels_constant():
    X = np.arange(6.0).reshape(3, 2)
    model = MLCEClassifier().fit(X, [[0, 1], [0, 1], [0, 1]])
    assert model.predict(X).tolist() == [[0, 1]] * 3
    assert model.n_iter_ == 0


def test_unknown_labels_are_left_out():
    rng = np.random.default_rng(19)
    X, Y = make_labels(rng)
    Y = Y.astype(float)
    Y[2:30, 0] = np.nan
    weight = np.zeros(len(X))
    model = MLCEClassifier(tol=1e-9).fit(X, Y)
    assert model.predict(X).dtype == np.int64
    flipped = Y.copy()
    weight[30:] = weight[:2] = 1
    flipped[2:30, 0] = 1
    assert np.abs(MLCEClassifier(tol=1e-9).fit(X, flipped).coef_ - model.coef_).max() > 1e-3
    known = MLCEClassifier(tol=1e-9).fit(X, Y, sample_weight=weight)
    same = MLCEClassifier(tol=1e-9).fit(X, np.nan_to_num(Y).astype(int), sample_weight=weight)
    np.testing.assert_allclose(known.coef_, same.coef_, atol=1e-8)


def test_a_label_that_is_unknown_everywhere_warns():
    X, Y = make_labels(np.random.default_rng(20))
    Y = Y.astype(float)
    Y[:, 3] = np.nan
    with pytest.warns(UserWarning, match=r"labels \[3\] are unknown"):
        model = MLCEClassifier().fit(X, Y)
    assert not model.predict(X)[:, 3].any()


def test_soft_targets_are_met_where_the_model_can():
    """One binary feature per row pattern: the optimum is sigmoid(2 s) = t."""
    X = np.eye(3)
    T = np.array([[0.9, 0.2], [0.5, 0.6], [0.1, 0.3]])
    model = MLCEClassifier(C=1e8, tol=1e-10).fit(X, T)
    np.testing.assert_allclose(model.predict_proba(X), T, atol=1e-4)


def test_predict_is_the_sign_of_the_decision_function():
    X, Y = make_labels(np.random.default_rng(21))
    for y in (Y, Y[:, 0], 0.5 * Y, sp.csr_matrix(Y)):
        model = MLCEClassifier().fit(X, y)
        predicted = model.predict(X)
        predicted = predicted.toarray() if sp.issparse(predicted) else predicted
        np.testing.assert_array_equal(predicted, model.decision_function(X) > 0)
        probabilities = model.predict_proba(X)
        positive = probabilities[:, 1] if y is not Y and np.ndim(y) == 1 else probabilities
        np.testing.assert_array_equal(predicted, positive > 0.5)


def test_sparse_predictions_are_made_by_blocks(monkeypatch):
    X, Y = make_labels(np.random.default_rng(22))
    model = MLCEClassifier().fit(X, sp.csr_matrix(Y))
    whole = model.predict(X)
    monkeypatch.setattr("sklearn_mlce._base._SCORES_PER_BLOCK", 35)
    blocks = model.predict(X)
    assert type(blocks) is type(whole) is sp.csr_matrix
    assert blocks.dtype == whole.dtype
    assert (blocks != whole).nnz == 0


def test_warm_start_continues_from_the_last_fit():
    X, Y = make_labels(np.random.default_rng(23), n_rows=200)
    model = MLCEClassifier(tol=1e-8, warm_start=True).fit(X, Y)
    first, coef = model.n_iter_, model.coef_
    model.fit(X, Y)
    assert model.n_iter_ < first
    np.testing.assert_allclose(model.coef_, coef, atol=1e-7)
    with pytest.raises(ValueError, match=r"warm_start=True continues a fit of 6 features"):
        model.fit(X, Y[:, :3])
    assert model.decision_function(X).shape == Y.shape


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_warm_start_with_a_label_that_could_not_be_placed_before(value, dtype):
    X, Y = make_labels(np.random.default_rng(34))
    X = X.astype(dtype)
    constant = Y.copy()
    constant[:, 2] = value
    warm = MLCEClassifier(tol=1e-5, warm_start=True).fit(X, constant).fit(X, Y)
    cold = MLCEClassifier(tol=1e-5).fit(X, Y)
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-3)
    np.testing.assert_allclose(warm.intercept_, cold.intercept_, atol=1e-3)


def test_label_weight_is_checked_where_all_labels_are_constant():
    with pytest.raises(ValueError, match=r"label_weight has shape \(3,\)"):
        MLCEClassifier(label_weight=[1.0, 1, 1]).fit(np.eye(2), [[0, 1], [0, 1]])


def test_an_earlier_fit_survives_a_failed_one():
    X, Y = make_labels(np.random.default_rng(24))
    model = MLCEClassifier().fit(X, Y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}
    scores = model.decision_function(X)
    for bad_X, bad_y in (
        (X[:, :3], np.where(Y, 1, -1)),
        (X[:, :3], Y[:-1]),
        (np.where(X > 2, np.nan, X), Y),
        (X[:0], Y[:0]),
    ):
        with pytest.raises(ValueError, match=r".+"):
            model.fit(bad_X, bad_y)
        after = {name: value for name, value in vars(model).items() if name.endswith("_")}
        assert after.keys() == before.keys()
        assert all(after[name] is before[name] for name in before)
    np.testing.assert_array_equal(model.decision_function(X), scores)


def test_not_converging_warns_with_what_to_do():
    X, Y = make_labels(np.random.default_rng(25))
    with pytest.warns(ConvergenceWarning, match=r"after 1 iterations.*Raise max_iter or tol"):
        model = MLCEClassifier(tol=1e-9, max_iter=1).fit(X, Y)
    assert model.n_iter_ == len(model.loss_curve_) == 1
    with pytest.warns(ConvergenceWarning, match=r"float32: raise tol, scale the features"):
        MLCEClassifier(tol=1e-14).fit(X.astype(np.float32), Y)


def test_loss_curve_falls():
    X, Y = make_labels(np.random.default_rng(26))
    model = MLCEClassifier(tol=1e-9).fit(X, Y)
    assert len(model.loss_curve_) == model.n_iter_
    assert (np.diff(model.loss_curve_) <= 1e-15).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 0}, "'C' parameter"),
        ({"tol": -1.0}, "'tol' parameter"),
        ({"max_iter": 0}, "'max_iter' parameter"),
        ({"scale": 0.0}, "'scale' parameter"),
        ({"margin": -0.5}, "'margin' parameter"),
        ({"device": "tpu"}, "'device' parameter"),
        ({"order": 3}, "'order' parameter"),
        ({"order": "most"}, "'order' parameter"),
        ({"order": (1, 3)}, r'1, 2, "all" or a pair of these.*got \(1, 3\)'),
        ({"order": (1, 2, 2)}, r"got \(1, 2, 2\)"),
        ({"label_weight": [1.0, 2.0]}, r"label_weight has shape \(2,\); expected one number"),
        ({"label_weight": [1.0, 1, 1, 1, 0]}, "positive finite numbers"),
    ],
)
def test_unusable_parameters_say_what_was_expected(parameters, message):
    X, Y = make_labels(np.random.default_rng(27))
    with pytest.raises(ValueError, match=message):
        MLCEClassifier(**parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": np.full((60, 6), np.nan)}, "Input X contains NaN"),
        ({"X": np.zeros((60, 0))}, "0 feature"),
        ({"X": np.zeros((0, 6))}, "0 sample"),
        ({"X": np.zeros((59, 6))}, "inconsistent numbers of samples"),
        ({"sample_weight": -np.ones(60)}, "Negative values"),
        ({"sample_weight": np.zeros(60)}, "zero for every row|at least one non-zero"),
        ({"sample_weight": np.ones(59)}, "sample_weight.shape"),
    ],
)
def test_unusable_data_say_what_was_expected(arguments, message):
    X, Y = make_labels(np.random.default_rng(28))
    with pytest.raises(ValueError, match=message):
        MLCEClassifier().fit(**{"X": X, "y": Y, **arguments})


def test_label_weight_is_refused_for_1d_y():
    X, Y = make_labels(np.random.default_rng(29))
    with pytest.raises(ValueError, match="labels of a multi-label y, but y is binary"):
        MLCEClassifier(label_weight=[1.0]).fit(X, Y[:, 0])


def test_prediction_on_other_widths_is_refused():
    X, Y = make_labels(np.random.default_rng(30))
    with pytest.raises(ValueError, match="6 features"):
        MLCEClassifier().fit(X, Y).predict(X[:, :5])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_where_there_is_none_is_refused():
    X, Y = make_labels(np.random.default_rng(31))
    with pytest.raises(ValueError, match="device='cuda' was asked for"):
        MLCEClassifier(device="cuda").fit(X, Y)
    assert MLCEClassifier(device="auto").fit(X, Y).coef_.shape == (5, 6)


@pytest.mark.gpu
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
def test_gpu_decides_as_the_cpu(container):
    X, Y = make_labels(np.random.default_rng(32))
    on_cpu = MLCEClassifier(tol=1e-8).fit(container(X), Y)
    on_gpu = MLCEClassifier(tol=1e-8, device="cuda").fit(container(X), Y)
    np.testing.assert_allclose(on_gpu.coef_, on_cpu.coef_, atol=1e-6)
    np.testing.assert_array_equal(on_gpu.predict(X), on_cpu.predict(X))
