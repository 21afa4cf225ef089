"""Soft labels come back as probabilities where they depend on nothing; 0/1 labels keep theirs."""

import numpy as np
import pytest

from sklearn_mlce import MLCEClassifier
from tests.helpers.estimators import labelled_rows, mlp, on_both

SOFT_ROW = np.array([0.9, 0.5, 0.3, 0.02, 0.7])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 6))
SAME = np.tile(SOFT_ROW, (150, 1))
LOSSES = [
    {},
    {"loss": "mlce"},
    {"loss": "mlce", "scale": 3.0},
    {"loss": "mlce", "scale": 3.0, "margin": 0.4},
    {"loss": "mlce", "scale": 2.0, "margin": (0.2, 1.8)},
    {"loss": "mlce", "scale": 2.0, "margin": (1.5, -0.5)},
    {"loss": "bce"},
    {"loss": "bce", "scale": 3.0},
    {"loss": "bce", "scale": 3.0, "margin": 0.4},
    {"loss": "bce", "scale": 8.0, "margin": (0.2, 1.8)},
    {"loss": "bce", "margin": (1.5, -0.5)},
]
on_each_loss = pytest.mark.parametrize("options", LOSSES, ids=str)


@on_each_loss
@pytest.mark.parametrize("solver", ["newton-cg", "sgd"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_linear_model_returns_soft_labels_that_depend_on_nothing(options, solver, dtype):
    """Without a warning, though the gradient is nothing but rounding from the start."""
    epochs = {"max_iter": 30, "random_state": 0} if solver == "sgd" else {}
    model = MLCEClassifier(solver=solver, **epochs, **options).fit(X.astype(dtype), SAME)
    atol = 1e-6 if solver == "newton-cg" else 0.01
    np.testing.assert_allclose(model.predict_proba(X.astype(dtype)), SAME, atol=atol)


@on_each_loss
def test_the_linear_model_returns_soft_labels_of_patterns(options):
    """One binary feature for each pattern of labels, and a penalty of next to nothing."""
    T = np.array([[0.9, 0.2], [0.5, 0.6], [0.1, 0.3]])
    model = MLCEClassifier(C=1e8, tol=1e-10, **options).fit(np.eye(3), T)
    np.testing.assert_allclose(model.predict_proba(np.eye(3)), T, atol=1e-4)


@pytest.mark.parametrize("weight", [None, np.linspace(0.1, 3, 150)])
def test_neither_weights_nor_unknown_labels_change_it(weight):
    unknown = np.where(RNG.random(SAME.shape) < 0.2, np.nan, SAME)
    for loss in ("auto", "bce"):
        for y in (SAME, unknown):
            model = MLCEClassifier(loss=loss, label_weight=[1, 2, 0.5, 3, 1])
            model.fit(X, y, sample_weight=weight)
            np.testing.assert_allclose(model.predict_proba(X), SAME, atol=1e-6)


@on_each_loss
@pytest.mark.slow
def test_the_perceptron_nearly_returns_them(options):
    model = mlp(max_epochs=100, dropout=0.0, **options).fit(X, SAME)
    assert np.abs(model.predict_proba(X) - SAME).mean() < 0.03


@on_both
def test_some_soft_labels_make_the_automatic_loss_the_published_one(make):
    """As one value does, wherever it is; a sum of 0/1 labels is a hinge, which predicts none."""
    _, Y = labelled_rows()
    features, _ = labelled_rows()
    y = Y.astype(float)
    assert make().fit(features, y).loss_ == "bce"
    y[-1, -1] = 0.5
    assert make().fit(features, y).loss_ == "mlce"


@on_both
def test_soft_labels_are_predicted_where_they_are_above_one_half(make):
    model = make(**({} if make is not mlp else {"max_epochs": 20})).fit(X, SAME)
    sure = SOFT_ROW != 0.5
    np.testing.assert_array_equal(model.predict(X)[:, sure], (SAME > 0.5)[:, sure])


HINGE = {"loss": "bce", "scale": 8.0, "margin": (0.2, 1.8)}


@on_both
def test_labels_of_0_and_1_keep_the_map_of_the_hinge(make):
    features, Y = labelled_rows()
    auto, written = make().fit(features, Y), make(**HINGE).fit(features, Y)
    np.testing.assert_array_equal(auto.predict_proba(features), written.predict_proba(features))
    scores, probabilities = auto.decision_function(features), auto.predict_proba(features)
    at_zero = np.interp(0.0, np.sort(scores.ravel()), np.sort(probabilities.ravel()))
    assert at_zero == pytest.approx(0.19, abs=0.01)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-(8 / 2.6) * (scores - 0.48))))
    unknown = Y.astype(float)
    unknown[0, 0] = np.nan
    of_unknown = make().fit(features, unknown)
    scores = of_unknown.decision_function(features)
    expected = 1 / (1 + np.exp(-(8 / 2.6) * (scores - 0.48)))
    np.testing.assert_allclose(of_unknown.predict_proba(features), expected)


@pytest.mark.parametrize("loss", ["mlce", "bce"])
@on_both
def test_the_map_is_that_of_the_fit_whatever_becomes_of_the_parameters(make, loss):
    model = make(loss=loss, scale=2.0, margin=(0.2, 1.8)).fit(X, SAME)
    probabilities = model.predict_proba(X)
    model.set_params(loss="auto", scale=None, margin=None)
    np.testing.assert_array_equal(model.predict_proba(X), probabilities)
