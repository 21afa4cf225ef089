"""The comparison losses of the linear estimator: binary cross-entropy and squared hinge."""

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
from sklearn_mlce._kernels.hard_targets import cells_from_dense
from sklearn_mlce._kernels.pointwise import pointwise_loss_and_gradient
from sklearn_mlce._objectives.pointwise import PointwiseRows
from tests.helpers.linear_problems import make_labels, parameters_of
from tests.helpers.pairwise import parametrize_pairwise
from tests.losses.test_losses import N_LABELS, N_ROWS, random_targets

LOSSES = ["bce", "squared_hinge"]


def losses_of_cells(loss, scores, targets):
    """Loss of each cell by its formula, for torch to differentiate; 0 where unknown."""
    known, t = ~targets.isnan(), targets.nan_to_num()
    if loss == "bce":
        return known * binary_cross_entropy_with_logits(scores, t, reduction="none")
    positive, negative = (torch.relu(1 - sign * scores) ** 2 for sign in (1, -1))
    return known * (t * positive + (1 - t) * negative)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("loss", LOSSES)
def test_derivatives_are_those_of_the_formula(loss, kind, weighted, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.row_blocks._BLOCK_ELEMENTS", 3 * N_LABELS)
    rng = np.random.default_rng(0)
    dense = torch.from_numpy(random_targets(kind, rng))
    scores, direction = torch.from_numpy(rng.normal(scale=2, size=(2, N_ROWS, N_LABELS)))
    weight = torch.from_numpy(rng.uniform(0.1, 1, N_ROWS))
    label_weight = torch.from_numpy(rng.uniform(0.1, 3, N_LABELS)) if weighted else None
    factors = 1.0 if label_weight is None else label_weight
    targets = cells_from_dense(dense) if kind == "hard" else dense

    def total(scores):
        return weight @ (factors * losses_of_cells(loss, scores, dense)).sum(dim=1)

    derivatives = PointwiseRows(loss, targets, weight, label_weight).evaluate(scores)
    assert derivatives.value == pytest.approx(total(scores).item(), rel=1e-12)
    gradient = torch.autograd.functional.jacobian(total, scores)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * (scores.numel(),))
    diagonal = hessian.diagonal().reshape(scores.shape)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(derivatives.gradient(), gradient)
        torch.testing.assert_close(derivatives.curvature_diagonal(), diagonal)
        product = derivatives.curvature_product(direction.clone())
        torch.testing.assert_close(product, diagonal * direction)
    rows, of_rows = pointwise_loss_and_gradient(loss, scores, targets, label_weight, weight)
    assert rows.sum().item() == pytest.approx(total(scores).item(), rel=1e-12)
    torch.testing.assert_close(of_rows, gradient)
    rows, of_rows = pointwise_loss_and_gradient(loss, scores, targets, label_weight)
    torch.testing.assert_close(of_rows * weight[:, None], gradient)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_scores_are_finite(loss, sign):
    scores = torch.full((2, 3), sign * 1e4)
    cells = cells_from_dense(torch.tensor([[1.0, 0, 0], [1, 1, 1]]))
    values, gradient = pointwise_loss_and_gradient(loss, scores, cells)
    assert torch.isfinite(values).all()
    assert torch.isfinite(gradient).all()


def mean_gradient(parameters, model, X, Y, label_weight):
    """Gradient of the mean objective at some parameters."""
    parameters = torch.from_numpy(parameters).double().requires_grad_()
    X = torch.from_numpy(X.toarray() if sp.issparse(X) else X).double()
    cells = losses_of_cells(
        model.loss, X @ parameters[:-1] + parameters[-1], torch.from_numpy(Y).double()
    )
    penalty = parameters[:-1].square().sum() / (2 * model.C_)
    (((torch.as_tensor(label_weight) * cells).sum() + penalty) / len(Y)).backward()
    return parameters.grad.numpy()


@parametrize_pairwise(
    loss=LOSSES,
    kind=["hard", "soft", "unknown"],
    sparse=[False, True],
    C=[0.1, 10.0],
    tol=[1e-2, 1e-8],
)
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
    every = MLCEClassifier(C=C, order="all", tol=1e-9).fit(X, Y)
    np.testing.assert_allclose(every.coef_, ours.coef_, atol=1e-6)


@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("kind", ["labels", "multiclass"])
def test_squared_hinge_is_linear_svc(C, kind):
    X, y = make_labels(np.random.default_rng(3), n_rows=200)
    y = y if kind == "labels" else y[:, 0] + y[:, 1]
    ours = MLCEClassifier(C=C, loss="squared_hinge", tol=1e-9, fit_intercept=False).fit(X, y)
    svc = LinearSVC(C=C, tol=1e-9, max_iter=100_000, fit_intercept=False)
    theirs = (OneVsRestClassifier(svc) if kind == "labels" else svc).fit(X, y)
    scores = theirs.decision_function(X)
    np.testing.assert_allclose(ours.decision_function(X), scores, atol=1e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_squared_hinge_does_not_penalise_the_intercept():
    """LinearSVC does; with a large intercept_scaling its penalty vanishes."""
    X, Y = make_labels(np.random.default_rng(4), n_rows=200)
    y = np.where(Y[:, 0] == 1, "a", "b")
    ours = MLCEClassifier(loss="squared_hinge", tol=1e-9).fit(X, y)
    theirs = LinearSVC(tol=1e-10, max_iter=10**6, intercept_scaling=1e3, dual=False).fit(X, y)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-3)


def test_one_label_a_row():
    X, Y = make_labels(np.random.default_rng(5), n_rows=200)
    binary = MLCEClassifier(loss="bce", tol=1e-9).fit(X, Y[:, 0])
    plain = MLCEClassifier(tol=1e-9).fit(X, Y[:, 0])
    np.testing.assert_allclose(binary.coef_, plain.coef_, atol=1e-6)
    np.testing.assert_allclose(binary.predict_proba(X), plain.predict_proba(X), atol=1e-6)
    y = np.array(["p", "q", "r"])[Y[:, 0] + Y[:, 1]]
    ours = MLCEClassifier(loss="bce", tol=1e-9).fit(X, y)
    theirs = OneVsRestClassifier(LogisticRegression(tol=1e-9, max_iter=5000)).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_soft_targets_of_bce_are_met_where_the_model_can():
    """One binary feature per row pattern: the optimum is sigmoid(s) = t."""
    T = np.array([[0.9, 0.2], [0.5, 0.6], [0.1, 0.3]])
    model = MLCEClassifier(C=1e8, tol=1e-10, loss="bce").fit(np.eye(3), T)
    np.testing.assert_allclose(model.predict_proba(np.eye(3)), T, atol=1e-4)


def test_squared_hinge_has_no_probabilities():
    X, Y = make_labels(np.random.default_rng(6))
    model = MLCEClassifier(loss="squared_hinge").fit(X, Y)
    assert not hasattr(model, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba") as caught:
        model.predict_proba(X)
    assert "gives no probabilities. Use decision_function" in str(caught.value.__cause__)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("given", [{"scale": 1.0}, {"margin": 0.0}, {"order": 1}])
def test_options_of_mlce_are_refused(loss, given):
    X, Y = make_labels(np.random.default_rng(7))
    (name,) = given
    message = rf"shape loss='mlce'.*beside loss='{loss}'. Set {name}=None"
    with pytest.raises(ValueError, match=message):
        MLCEClassifier(loss=loss, **given).fit(X, Y)


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
