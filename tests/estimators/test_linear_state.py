"""State of a fitted linear estimator: the layout of its coefficients, and plain values."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV, losses
from tests.helpers.estimators import labelled_rows, single_labels

X, Y = labelled_rows()
CONSTANT = np.column_stack([Y, np.zeros(len(Y), int), np.ones(len(Y), int)])
MODELS = {
    "newton, labels apart": MLCEClassifier(solver="newton-cg"),
    "newton, labels coupled": MLCEClassifier(solver="newton-cg", loss="mlce"),
    "no intercept": MLCEClassifier(solver="newton-cg", fit_intercept=False),
    "sgd": MLCEClassifier(solver="sgd", max_iter=2, random_state=0),
    "sgd, no intercept": MLCEClassifier(
        solver="sgd", max_iter=2, fit_intercept=False, random_state=0
    ),
    "module": MLCEClassifier(loss=losses.FocalLoss(), max_iter=2, random_state=0),
    "cv": MLCEClassifierCV([0.1, 1.0], cv=2, random_state=0),
    "cv, thresholds of labels": MLCEClassifierCV([1.0], thresholds="per_label", random_state=0),
}
TARGETS = {
    "labels": Y,
    "labels without positives": CONSTANT,
    "no label to train": np.zeros_like(Y),
    "unknown": np.where(np.random.default_rng(0).random(Y.shape) < 0.1, np.nan, Y),
}
containers = pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
pytestmark = pytest.mark.filterwarnings("ignore:the best C:UserWarning")


def assert_lies_by_features(model):
    """Fail unless a sparse product takes the coefficients as they lie."""
    assert model.coef_.T.flags.c_contiguous
    assert pickle.loads(pickle.dumps(model)).coef_.T.flags.c_contiguous


@containers
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", TARGETS)
def test_coefficients_lie_by_features(name, kind, container):
    assert_lies_by_features(MODELS[name].fit(container(X), TARGETS[kind]))


@containers
@pytest.mark.parametrize("kind", single_labels(Y))
def test_coefficients_of_classes_lie_by_features(kind, container):
    y = single_labels(Y)[kind]
    for solver in ("newton-cg", "sgd"):
        assert_lies_by_features(MLCEClassifier(solver=solver, max_iter=50).fit(container(X), y))


@containers
@pytest.mark.parametrize("solver", ["newton-cg", "sgd"])
@pytest.mark.parametrize("loss", ["mlce", "bce"])
@pytest.mark.slow
def test_coefficients_of_a_warm_start_lie_by_features(loss, solver, container):
    model = MLCEClassifier(solver=solver, loss=loss, warm_start=True, random_state=0)
    if solver == "sgd":
        model.set_params(max_iter=2)  # it tells nobody that it ends early
    model.fit(container(X), CONSTANT)
    model.coef_ = np.ascontiguousarray(model.coef_)  # as a file may give them back
    model.fit(container(X), CONSTANT)
    assert_lies_by_features(model)
    model.fit(container(X), CONSTANT)
    assert_lies_by_features(model)


@containers
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_coefficients_of_a_stream_lie_by_features(fit_intercept, container):
    model = MLCEClassifier(fit_intercept=fit_intercept, random_state=0)
    for labels in (CONSTANT, CONSTANT):
        assert_lies_by_features(model.partial_fit(container(X), labels))
    fitted = MLCEClassifier(fit_intercept=fit_intercept, solver="newton-cg").fit(X, CONSTANT)
    fitted.coef_ = np.ascontiguousarray(fitted.coef_)
    fitted.solver = "auto"
    assert_lies_by_features(fitted.partial_fit(container(X), CONSTANT))


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_state_of_a_stream_is_plain_values(method):
    model = getattr(MLCEClassifier(random_state=0), method)(X, Y, sample_weight=np.ones(len(X)))
    assert type(model._stream) is dict
    for name, value in model._stream.items():
        assert type(value) in (int, float, np.ndarray, type(None)), name
