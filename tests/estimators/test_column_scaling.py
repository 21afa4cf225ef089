"""Division of dense columns by their sizes inside the linear model's solvers."""

import functools
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from tests.helpers.linear_problems import make_labels, sizes_of
from tests.helpers.pairwise import parametrize_pairwise

FITTED = {
    "newton-cg": MLCEClassifier(),
    "newton-cg, all labels": MLCEClassifier(loss="mlce"),
    "sgd": MLCEClassifier(solver="sgd", random_state=0),
    "search": MLCEClassifierCV(random_state=0),
}
on_each_fit = pytest.mark.parametrize("model", FITTED.values(), ids=FITTED.keys())


def made_data():
    X, Y = make_multilabel_classification(
        n_samples=500, n_features=12, n_classes=5, n_labels=2, random_state=0
    )
    return X, Y


def streamed(model, X, Y, n_chunks=3, **parameters):
    model = clone(model)
    for rows in np.array_split(np.arange(len(X)), n_chunks):
        of_chunk = {name: value[rows] for name, value in parameters.items()}
        model.partial_fit(X[rows], Y[rows], **of_chunk)
    return model


def micro_f1(model, X, Y):
    return f1_score(Y, model.predict(X), average="micro")


@functools.cache
def score_without_a_wide_column(name):
    X, Y = made_data()
    return micro_f1(FITS[name](X[:300], Y[:300]), X[300:], Y[300:])


FITS = {
    **{name: lambda X, Y, model=model: clone(model).fit(X, Y) for name, model in FITTED.items()},
    "stream": lambda X, Y: streamed(MLCEClassifier(random_state=0), X, Y),
}


@parametrize_pairwise(name=FITS, column=[1e2, 1e6, "dates"], dtype=[np.float32, np.float64])
@pytest.mark.slow
def test_a_wide_column_costs_nothing(name, column, dtype):
    """In the mean over three draws of the noise, which is a feature of no use in any unit."""
    X, Y = made_data()
    train, test = slice(300), slice(300, None)
    without = score_without_a_wide_column(name)
    assert without > 0.5
    found = []
    for draw in range(3):
        rng = np.random.RandomState(draw)
        noise = 1.6e9 + 1e8 * rng.rand(len(X)) if column == "dates" else column * rng.randn(len(X))
        wide = np.column_stack([X, noise]).astype(dtype)
        found.append(micro_f1(FITS[name](wide[train], Y[train]), wide[test], Y[test]))
    assert np.mean(found) >= without - 0.01


@on_each_fit
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_units_of_columns_do_not_matter(model, fit_intercept):
    rng = np.random.default_rng(1)
    X, Y = make_labels(rng, n_rows=120)
    units = 10.0 ** rng.uniform(-3, 6, X.shape[1])
    model = clone(model).set_params(fit_intercept=fit_intercept, tol=1e-8)
    plain, rescaled = clone(model).fit(X, Y), clone(model).fit(X * units, Y)
    assert pytest.approx(plain.C_) == rescaled.C_
    np.testing.assert_allclose(rescaled.coef_ * units, plain.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(rescaled.intercept_, plain.intercept_, atol=1e-6)


@pytest.mark.parametrize("solver", ["newton-cg", "sgd"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_it_is_a_fit_of_the_divided_columns(solver, fit_intercept, weighted):
    rng = np.random.default_rng(2)
    X, Y = make_labels(rng, n_rows=120)
    X = X * 10.0 ** rng.uniform(-2, 3, X.shape[1]) + 50
    weight = rng.integers(1, 5, len(X)) if weighted else None
    sizes = sizes_of(X, weight, centred=fit_intercept)
    same = {"fit_intercept": fit_intercept, "solver": solver, "tol": 1e-9, "random_state": 0}
    inside = MLCEClassifier(0.3, input_scaling="columns", **same).fit(X, Y, weight)
    outside = MLCEClassifier(0.3, **same).fit(X / sizes, Y, weight)
    np.testing.assert_allclose(inside.coef_ * sizes, outside.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(inside.intercept_, outside.intercept_, rtol=1e-5, atol=1e-6)


def test_a_stream_is_one_of_the_columns_divided_by_the_first_chunk():
    rng = np.random.default_rng(3)
    X, Y = make_labels(rng, n_rows=300)
    X = X * 10.0 ** rng.uniform(-2, 3, X.shape[1]) + 50
    sizes = sizes_of(X[:100])
    inside = streamed(MLCEClassifier(input_scaling="columns", random_state=0), X, Y)
    outside = streamed(MLCEClassifier(inside.C_, random_state=0), X / sizes, Y)
    np.testing.assert_allclose(inside.coef_ * sizes, outside.coef_, rtol=1e-6)
    np.testing.assert_allclose(inside.intercept_, outside.intercept_, rtol=1e-5)


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_a_column_that_varies_from_a_later_chunk_on_is_learned(first):
    rng = np.random.default_rng(4)
    X, Y = make_labels(rng, n_rows=900, noise=0.1)
    silent = X.copy()
    silent[:300, 2] = 0.0
    model = MLCEClassifier(random_state=0)
    getattr(model, first)(silent[:300], Y[:300])
    assert not model.coef_[:, 2].any()
    for rows in (slice(300, 600), slice(600, None)):
        model.partial_fit(silent[rows], Y[rows])
    assert np.abs(model.coef_[:, 2]).max() > 0.1 * np.abs(model.coef_).max()


@on_each_fit
def test_constant_columns_have_no_coefficients(model):
    X, Y = made_data()
    constants = np.column_stack([X, np.zeros(len(X)), np.full(len(X), 0.1), np.full(len(X), 1e9)])
    without, fit = clone(model).fit(X, Y), clone(model).fit(constants, Y)
    assert not fit.coef_[:, -3:].any()
    assert pytest.approx(without.C_) == fit.C_
    np.testing.assert_allclose(fit.coef_[:, :-3], without.coef_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.1, 7.0, 1e9])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("model", [MLCEClassifier(), MLCEClassifierCV(1)], ids=["plain", "search"])
@pytest.mark.parametrize("input_scaling", ["auto", "columns", None])
def test_rows_that_are_all_alike_have_the_default_c_of_one(model, value, container, input_scaling):
    _, Y = make_labels(np.random.default_rng(5), n_rows=999)
    model = clone(model).set_params(input_scaling=input_scaling)
    assert model.fit(container(np.full((999, 3), value)), Y).C_ == 1


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("input_scaling", ["auto", "association", "columns", None])
@pytest.mark.parametrize("Cs", [4, [0.01, 0.1, 1.0]])
def test_what_the_search_chose_is_the_model(Cs, input_scaling, container):
    X, Y = made_data()
    chosen = MLCEClassifierCV(Cs, input_scaling=input_scaling, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the best C, ", UserWarning)
        chosen.fit(container(X), Y)
    by_default = "columns" if container is np.asarray else "association"
    by_default = by_default if isinstance(Cs, int) else None
    assert chosen.input_scaling_ == (by_default if input_scaling == "auto" else input_scaling)
    model = MLCEClassifier(C=chosen.C_, input_scaling=chosen.input_scaling_).fit(container(X), Y)
    assert model.input_scaling_ == chosen.input_scaling_
    np.testing.assert_array_equal(chosen.coef_, model.coef_)
    folded = model.intercept_ - chosen.thresholds_
    np.testing.assert_allclose(chosen.intercept_, folded, rtol=1e-12)


def test_a_given_c_is_that_of_logistic_regression():
    X, Y = made_data()
    X = X * 10.0 ** np.random.default_rng(6).uniform(-1, 1, X.shape[1])
    ours = MLCEClassifier(C=1, loss="bce", tol=1e-8).fit(X, Y)
    assert ours.input_scaling_ is None
    logistic = LogisticRegression(C=1, tol=1e-10, max_iter=10_000, solver="newton-cg")
    theirs = OneVsRestClassifier(logistic).fit(X, Y)
    coefficients = np.vstack([one.coef_ for one in theirs.estimators_])
    np.testing.assert_allclose(ours.coef_, coefficients, atol=1e-6)


def test_a_warm_start_goes_on_in_the_units_of_the_columns():
    X, Y = made_data()
    model = MLCEClassifier(warm_start=True, tol=1e-6).fit(X * 1000, Y)
    first = model.coef_.copy()
    model.fit(X * 1000, Y)
    assert model.n_iter_ == 0
    np.testing.assert_allclose(model.coef_, first, rtol=1e-12)


def test_a_stream_keeps_its_scaling():
    X, Y = made_data()
    model = MLCEClassifier(random_state=0).partial_fit(X, Y)
    assert model.input_scaling_ == "columns"
    model.set_params(C=1.0).partial_fit(X, Y)  # "auto" goes on as the first chunk decided
    assert model.input_scaling_ == "columns"
    coefficients = model.coef_.copy()
    with pytest.raises(ValueError, match=r"input_scaling=None differs from .* used 'columns'"):
        model.set_params(input_scaling=None).partial_fit(X, Y)
    np.testing.assert_array_equal(model.coef_, coefficients)
