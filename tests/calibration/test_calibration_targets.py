"""The calibrator on every kind of y, and with weights."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from tests.helpers.estimators import labelled_rows, single_labels
from tests.helpers.pairwise import parametrize_pairwise

X, Y = labelled_rows(n_rows=150)
SINGLE = single_labels(Y)
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
FOREST = RandomForestClassifier(15, random_state=0)
METHODS = ["sigmoid", "isotonic", "scale"]
FOLDS = KFold(3, shuffle=True, random_state=0)


def calibrated(estimator, y=Y, rows=X, **options):
    return Calibrated(estimator, **({"cv": FOLDS} | options)).fit(rows, y)


@pytest.mark.parametrize("method", METHODS)
def test_every_form_of_y_gives_the_same_probabilities(method):
    expected = calibrated(MLCEClassifier(), method=method)
    forms = [Y.astype(bool), Y.astype(float), sp.csr_matrix(Y), sp.csr_array(Y), sp.coo_array(Y)]
    for form in forms:
        model = calibrated(MLCEClassifier(), form, method=method)
        np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X))
        predicted = model.predict(X)
        assert predicted.dtype == form.dtype
        assert isinstance(predicted, sp.sparray) == isinstance(form, sp.sparray)
        if sp.issparse(form):
            predicted = predicted.toarray()
        np.testing.assert_array_equal(predicted, expected.predict(X))
    model = calibrated(MLCEClassifier(), pd.DataFrame(Y, columns=list("abcd")), method=method)
    assert model.label_names_.tolist() == list("abcd")
    assert not hasattr(model.fit(X, Y), "label_names_")


@pytest.mark.parametrize("method", METHODS)
def test_permuted_labels_permute_the_result(method):
    order = np.array([2, 0, 3, 1])
    plain, permuted = (calibrated(SVMS, y, method=method) for y in (Y, Y[:, order]))
    np.testing.assert_allclose(permuted.predict_proba(X), plain.predict_proba(X)[:, order])


@pytest.mark.slow
def test_narrow_integers_are_not_permuted():
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 130)) < 0.3).astype(np.int8)
    labels[:, 7] = rng.random(60) < 0.9
    rows = rng.normal(size=(60, 3))
    for form in (labels, sp.csr_matrix(labels)):
        model = calibrated(OneVsRestClassifier(GaussianNB()), form, rows, cv=FOLDS)
        assert model.predict_proba(rows).mean(axis=0).argmax() == 7
        assert model.predict(rows).dtype == np.int8


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ensemble", [False, True])
def test_weight_two_is_a_row_twice(method, ensemble):
    rng = np.random.default_rng(0)
    times = rng.integers(0, 4, len(X))
    rows = np.arange(len(X)).repeat(times)
    groups = rng.integers(0, 3, len(X))
    options = {"method": method, "ensemble": ensemble}
    estimator = MLCEClassifier(tol=1e-10)
    cv = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(3)]
    weighted = Calibrated(estimator, cv=cv, **options).fit(X, Y, sample_weight=times)
    cv = [(np.flatnonzero(groups[rows] != g), np.flatnonzero(groups[rows] == g)) for g in range(3)]
    repeated = Calibrated(estimator, cv=cv, **options).fit(X[rows], Y[rows])
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-3, atol=1e-3
    )


def test_weights_the_estimator_does_not_take_weigh_the_maps():
    weight = np.where(Y[:, 0] > 0, 5.0, 1.0)
    with pytest.warns(UserWarning, match="weighs the rows of the maps alone"):
        model = Calibrated(KNeighborsClassifier(7), cv=FOLDS).fit(X, Y, sample_weight=weight)
    unweighted = calibrated(KNeighborsClassifier(7))
    assert (model.predict_proba(X)[:, 0] > unweighted.predict_proba(X)[:, 0]).all()


@pytest.mark.parametrize("ensemble", [False, True])
def test_a_binary_y_has_scikit_learns_sigmoid(ensemble):
    y = SINGLE["binary"]
    expected = CalibratedClassifierCV(LogisticRegression(), cv=FOLDS, ensemble=ensemble).fit(X, y)
    model = calibrated(LogisticRegression(), y, ensemble=ensemble)
    assert model.classes_.tolist() == ["no", "yes"]
    np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), atol=1e-4)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    assert model.decision_function(X).shape == y.shape
    with pytest.warns(DataConversionWarning, match="column-vector"):
        same = calibrated(LogisticRegression(), y[:, None], ensemble=ensemble)
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(("weightless", "sign"), [("yes", -1), ("no", 1)])
def test_a_class_without_weight_has_the_least_probability(weightless, sign):
    y = SINGLE["binary"]
    weight = (y != weightless).astype(float)
    model = Calibrated(MLCEClassifier(), cv=FOLDS).fit(X, y, sample_weight=weight)
    least = 0.5 / (weight.sum() + 1)
    expected = [1 - least, least] if weightless == "yes" else [least, 1 - least]
    np.testing.assert_allclose(model.predict_proba(X), np.tile(expected, (len(X), 1)))
    assert (model.decision_function(X) == sign * CONSTANT_LABEL_SCORE).all()


def test_sparse_predictions_are_made_by_blocks(monkeypatch):
    model = calibrated(MLCEClassifier(), sp.csr_array(Y))
    expected = model.predict(X)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 30)
    assert (model.predict(X) != expected).nnz == 0


@parametrize_pairwise(
    estimator=[MLCEClassifier(), SVMS, FOREST], method=METHODS, ensemble=[False, True]
)
def test_labels_that_are_never_or_always_there(estimator, method, ensemble):
    labels = Y.copy()
    labels[:, 1], labels[:, 2] = 0, 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Label (not )?. is present", UserWarning)
        model = calibrated(estimator, labels, method=method, ensemble=ensemble)
        rest = calibrated(estimator, labels[:, [0, 3]], method=method, ensemble=ensemble)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], 0.5 / 151)
    np.testing.assert_allclose(probabilities[:, 2], 150.5 / 151)
    assert (
        model.decision_function(X)[:, 1:3] == [-CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE]
    ).all()
    if estimator is SVMS:
        np.testing.assert_allclose(probabilities[:, [0, 3]], rest.predict_proba(X))
