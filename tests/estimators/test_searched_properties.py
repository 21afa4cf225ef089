"""What holds of a fit whatever the data: searched over drawn rows, labels and weights."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from sklearn_mlce import MLCEMLP, MLCEClassifier
from tests.helpers.searched import budget, problems

LOSSES = st.sampled_from(["auto", "mlce", "bce", "squared_hinge"])
EXACT = {"solver": "newton-cg", "tol": 1e-8, "max_iter": 300}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}

pytestmark = [
    pytest.mark.slow,
    # Drawn labels may be constant, or unknown in every row.
    pytest.mark.filterwarnings("ignore:.*label:UserWarning"),
]


def fitted(model, X, y, sample_weight=None):
    """A fit; squared hinges, whose curvature jumps, may end at what rounding leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y, sample_weight=sample_weight)


def exact(loss, **options):
    return MLCEClassifier(loss=loss, **EXACT, **options)


def networks():
    return MLCEMLP(hidden_layer_sizes=(4,), max_epochs=3, random_state=0)


ESTIMATORS = st.sampled_from(["newton-cg", "sgd", "network"])


def estimator(kind, loss):
    if kind == "network":
        return networks().set_params(loss=loss)
    # A short training: what is asked of it hangs on no number of epochs.
    epochs = {"max_iter": 20} if kind == "sgd" else {}
    return MLCEClassifier(loss=loss, solver=kind, random_state=0, **epochs)


@given(problems(), LOSSES)
@budget
def test_sparse_rows_equal_dense_ones(problem, loss):
    dense = fitted(exact(loss, input_scaling=None, C=1.0), **problem.fitted_with)
    X = sp.csr_array(problem.X)
    sparse = fitted(exact(loss, input_scaling=None, C=1.0), X, problem.Y, problem.sample_weight)
    scores = dense.decision_function(problem.X)
    np.testing.assert_allclose(sparse.decision_function(X), scores, **CLOSE)


@given(problems(), LOSSES)
@budget
def test_a_weight_is_a_repetition(problem, loss):
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 4, len(problem.X))
    weight[:8] = 1
    weighted = fitted(exact(loss), problem.X, problem.Y, weight.astype(float))
    rows = np.repeat(np.arange(len(problem.X)), weight)
    repeated = fitted(exact(loss), problem.X[rows], problem.Y[rows])
    np.testing.assert_allclose(
        weighted.decision_function(problem.X), repeated.decision_function(problem.X), **CLOSE
    )


@given(problems(), LOSSES)
@budget
def test_orders_of_rows_and_of_labels_do_not_matter(problem, loss):
    scores = fitted(exact(loss), **problem.fitted_with).decision_function(problem.X)
    rng = np.random.default_rng(0)
    rows, labels = rng.permutation(len(problem.X)), rng.permutation(problem.Y.shape[1])
    weight = None if problem.sample_weight is None else problem.sample_weight[rows]
    other = fitted(exact(loss), problem.X[rows], problem.Y[rows][:, labels], weight)
    np.testing.assert_allclose(other.decision_function(problem.X), scores[:, labels], **CLOSE)


@given(problems(), LOSSES, st.integers(-3, 3))
@budget
def test_units_of_columns_do_not_matter(problem, loss, exponent):
    scores = fitted(exact(loss), **problem.fitted_with).decision_function(problem.X)
    units = 10.0 ** (exponent * np.arange(problem.X.shape[1]) / problem.X.shape[1])
    X = problem.X * units + np.arange(problem.X.shape[1])
    moved = fitted(exact(loss), X, problem.Y, problem.sample_weight).decision_function(X)
    np.testing.assert_allclose(moved, scores, rtol=1e-3, atol=1e-3)


@given(problems(), LOSSES)
@budget
def test_float32_is_near_float64(problem, loss):
    double = fitted(exact(loss), **problem.fitted_with).decision_function(problem.X)
    X = problem.X.astype(np.float32)
    single = MLCEClassifier(loss=loss, solver="newton-cg", tol=1e-5, max_iter=300)
    found = fitted(single, X, problem.Y, problem.sample_weight).decision_function(X)
    assert found.dtype == np.float32
    known = double > double.min() / 2  # labels without a positive have a score far below
    np.testing.assert_allclose(found[known], double[known], rtol=0.02, atol=0.02)


@given(problems(), LOSSES, ESTIMATORS, st.integers(1, 2))
@budget
def test_decisions_follow_from_scores(problem, loss, kind, k):
    model = fitted(estimator(kind, loss), **problem.fitted_with)
    scores = model.decision_function(problem.X)
    np.testing.assert_array_equal(model.predict(problem.X), scores > 0)
    labels, best = model.predict_topk(problem.X, k)
    np.testing.assert_array_equal(np.take_along_axis(scores, labels, axis=1), best)
    np.testing.assert_array_equal(best, -np.sort(-scores, axis=1)[:, :k])
    if loss != "squared_hinge":
        probabilities = model.predict_proba(problem.X)
        assert ((probabilities > 0) & (probabilities < 1)).all()
        order = np.argsort(scores, axis=1)
        assert (np.diff(np.take_along_axis(probabilities, order, axis=1)) >= 0).all()


@given(problems(), problems(), LOSSES, ESTIMATORS)
@budget
def test_a_fit_forgets_the_one_before_and_survives_a_copy(problem, other, loss, kind):
    model = fitted(estimator(kind, loss), **problem.fitted_with)
    scores = model.decision_function(problem.X)
    again = fitted(fitted(estimator(kind, loss), **other.fitted_with), **problem.fitted_with)
    np.testing.assert_array_equal(again.decision_function(problem.X), scores)
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.decision_function(problem.X), scores)
    cloned = fitted(clone(model), **problem.fitted_with)
    np.testing.assert_array_equal(cloned.decision_function(problem.X), scores)
