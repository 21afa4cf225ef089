"""Sums over labels in the linear estimator: binary cross-entropy and squared hinge, and peers."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC
from torch.nn.functional import binary_cross_entropy_with_logits

from sklearn_mlce import MLCEClassifier
from tests.helpers.linear_problems import make_labels, parameters_of

LOSSES = ["bce", "squared_hinge"]


def losses_of_labels(loss, scores, targets):
    """Loss of each label of each row by its formula, for torch; 0 where unknown."""
    known, t = ~targets.isnan(), targets.nan_to_num()
    if loss == "bce":
        return known * binary_cross_entropy_with_logits(scores, t, reduction="none")
    positive, negative = (torch.relu(1 - sign * scores) ** 2 for sign in (1, -1))
    return known * (t * positive + (1 - t) * negative)


def mean_gradient(parameters, model, X, Y, label_weight):
    """Gradient of the mean objective at some parameters."""
    parameters = torch.from_numpy(parameters).double().requires_grad_()
    X = torch.from_numpy(X.toarray() if sp.issparse(X) else X).double()
    losses = losses_of_labels(
        model.loss, X @ parameters[:-1] + parameters[-1], torch.from_numpy(Y).double()
    )
    penalty = parameters[:-1].square().sum() / (2 * model.C_)
    (((torch.as_tensor(label_weight) * losses).sum() + penalty) / len(Y)).backward()
    return parameters.grad.numpy()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("tol", [1e-2, 1e-8])
def test_tol_bounds_the_share_of_the_gradient(loss, kind, sparse, C, tol):
    rng = np.random.default_rng(1)
    X, Y = make_labels(rng, n_rows=150, n_labels=20)
    X[rng.random(X.shape) < 0.5] = 0
    if kind != "hard":
        Y = 0.8 * Y + 0.1 if kind == "soft" else np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
        Y[0], Y[1] = 0, 1
    label_weight = rng.uniform(0.5, 2, 20)
    model = MLCEClassifier(C=C, loss=loss, label_weight=label_weight, tol=tol)
    model.fit(sp.csr_array(X) if sparse else X, Y)
    frequency = np.nanmean(Y, axis=0)
    constant = np.zeros_like(parameters_of(model))
    constant[-1] = logit(frequency) if loss == "bce" else 2 * frequency - 1
    left, first = (
        np.abs(mean_gradient(parameters, model, X, Y, label_weight)).max(axis=0)
        for parameters in (parameters_of(model), constant)
    )
    assert (left / first).max() <= tol + 1e-12


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_bce_is_one_logistic_regression_per_label(C):
    X, Y = make_labels(np.random.default_rng(2), n_rows=200)
    ours = MLCEClassifier(C=C, loss="bce", tol=1e-9).fit(X, Y)
    theirs = OneVsRestClassifier(LogisticRegression(C=C, tol=1e-9, max_iter=5000)).fit(X, Y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("kind", ["labels", "multiclass"])
def test_squared_hinge_is_linear_svc(C, kind):
    X, y = make_labels(np.random.default_rng(3), n_rows=200)
    y = y if kind == "labels" else y[:, 0] + y[:, 1]
    ours = MLCEClassifier(C=C, loss="squared_hinge", tol=1e-9, fit_intercept=False).fit(X, y)
    svc = LinearSVC(C=C, tol=1e-9, max_iter=100_000, fit_intercept=False, random_state=0)
    theirs = (OneVsRestClassifier(svc) if kind == "labels" else svc).fit(X, y)
    scores = theirs.decision_function(X)
    np.testing.assert_allclose(ours.decision_function(X), scores, atol=1e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_squared_hinge_does_not_penalise_the_intercept():
    """LinearSVC does; with a large intercept_scaling its penalty vanishes."""
    X, Y = make_labels(np.random.default_rng(4), n_rows=200)
    y = np.where(Y[:, 0] == 1, "a", "b")
    ours = MLCEClassifier(1.0, loss="squared_hinge", tol=1e-9).fit(X, y)
    theirs = LinearSVC(tol=1e-10, max_iter=10**6, intercept_scaling=1e3, dual=False).fit(X, y)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-3)


def test_one_label_a_row():
    X, Y = make_labels(np.random.default_rng(5), n_rows=200)
    binary = MLCEClassifier(loss="bce", tol=1e-9).fit(X, Y[:, 0])
    plain = MLCEClassifier(tol=1e-9).fit(X, Y[:, 0])
    np.testing.assert_allclose(binary.coef_, plain.coef_, atol=1e-6)
    np.testing.assert_allclose(binary.predict_proba(X), plain.predict_proba(X), atol=1e-6)
    y = np.array(["p", "q", "r"])[Y[:, 0] + Y[:, 1]]
    ours = MLCEClassifier(1.0, loss="bce", tol=1e-9).fit(X, y)
    theirs = OneVsRestClassifier(LogisticRegression(tol=1e-9, max_iter=5000)).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_squared_hinge_has_no_probabilities():
    X, Y = make_labels(np.random.default_rng(6))
    model = MLCEClassifier(loss="squared_hinge").fit(X, Y)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba") as caught:
        model.predict_proba(X)
    assert "gives no probabilities. Use decision_function" in str(caught.value.__cause__)


def test_an_unknown_loss_is_refused():
    X, Y = make_labels(np.random.default_rng(8))
    with pytest.raises(ValueError, match="'loss' parameter"):
        MLCEClassifier(loss="hinge").fit(X, Y)


@pytest.mark.gpu
@pytest.mark.parametrize("loss", LOSSES)
def test_gpu_decides_as_the_cpu(loss):
    X, Y = make_labels(np.random.default_rng(9))
    on_cpu = MLCEClassifier(loss=loss, tol=1e-8).fit(X, Y)
    on_gpu = MLCEClassifier(loss=loss, tol=1e-8, device="cuda").fit(X, Y)
    np.testing.assert_allclose(on_gpu.coef_, on_cpu.coef_, atol=1e-6)
