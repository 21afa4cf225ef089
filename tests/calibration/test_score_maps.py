"""Maps of scores that somebody already has, against the calibrator of a fitted estimator."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV, fit_calibration_map
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=240)
FIT, CALIBRATE, TEST = slice(80), slice(80, 160), slice(160, None)
WEIGHT = np.random.default_rng(0).integers(1, 4, 80).astype(float)
METHODS = ["sigmoid", "isotonic", "scale"]


def forest_probabilities(forest, rows):
    return np.column_stack([part[:, 1] for part in forest.predict_proba(rows)])


SOURCES = {
    "mlce": (MLCEClassifier(), lambda model, rows: model.decision_function(rows), None),
    "svms": (
        OneVsRestClassifier(LinearSVC(dual=True, random_state=0)),
        lambda model, rows: model.decision_function(rows),
        False,
    ),
    "forest": (RandomForestClassifier(15, random_state=0), forest_probabilities, True),
}


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weighted"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("source", SOURCES)
def test_they_are_those_of_the_calibrator(source, method, weight):
    estimator, score, probabilities = SOURCES[source]
    fitted = estimator.fit(X[FIT], Y[FIT])
    calibrator = MultilabelCalibratedClassifierCV(FrozenEstimator(fitted), method=method)
    calibrator.fit(X[CALIBRATE], Y[CALIBRATE], sample_weight=weight)
    found = fit_calibration_map(
        Y[CALIBRATE],
        score(fitted, X[CALIBRATE]),
        method=method,
        probabilities=probabilities,
        sample_weight=weight,
    )
    np.testing.assert_allclose(
        found.predict_proba(score(fitted, X[TEST])), calibrator.predict_proba(X[TEST])
    )
    copied = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(
        copied.predict_proba(score(fitted, X[TEST])), found.predict_proba(score(fitted, X[TEST]))
    )


SCORES = 4 * MLCEClassifier().fit(X[FIT], Y[FIT]).decision_function(X[CALIBRATE])
LABELS = Y[CALIBRATE]
FORMS = {
    "csr_array": (sp.csr_array(LABELS), SCORES),
    "frames": (pd.DataFrame(LABELS, columns=list("abcd")), pd.DataFrame(SCORES)),
    "lists": (LABELS.tolist(), SCORES.tolist()),
    "tensor": (LABELS, torch.tensor(SCORES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_and_scores(form):
    found, expected = fit_calibration_map(*FORMS[form]), fit_calibration_map(LABELS, SCORES)
    np.testing.assert_allclose(found.slopes, expected.slopes)
    np.testing.assert_allclose(found.predict_proba(FORMS[form][1]), expected.predict_proba(SCORES))


def test_overconfident_scores_are_mended():
    found = fit_calibration_map(LABELS, SCORES)
    before = log_loss(LABELS.ravel(), 1 / (1 + np.exp(-SCORES.ravel())))
    assert log_loss(LABELS.ravel(), found.predict_proba(SCORES).ravel()) < before
    assert (found.slopes < 1).all()


def test_unknown_labels_are_left_out():
    unknown = np.random.default_rng(0).random(LABELS.shape) < 0.3
    labels = np.where(unknown, np.nan, LABELS)
    found = fit_calibration_map(labels, np.where(unknown, 50.0, SCORES))
    np.testing.assert_array_equal(found.slopes, fit_calibration_map(labels, SCORES).slopes)


def test_labels_without_positives_or_scores():
    labels, scores = LABELS.copy(), SCORES.copy()
    labels[:, 0] = 0
    scores[:, 1] = -1e9
    found = fit_calibration_map(labels, scores)
    assert found.learned.tolist() == [True, False, True, True]
    probabilities = found.predict_proba(scores)
    assert probabilities[:, 0].max() < 0.5
    assert np.unique(probabilities[:, 1]) == pytest.approx((labels[:, 1].sum() + 0.5) / 81)


def test_two_classes_come_and_go_as_columns():
    y = np.array(["no", "yes"])[LABELS[:, 0]]
    found = fit_calibration_map(y, SCORES[:, 0])
    probabilities = found.predict_proba(SCORES[:, 0])
    assert probabilities.shape == y.shape
    np.testing.assert_array_equal(found.predict_proba(SCORES[:, [0]])[:, 0], probabilities)


PROBABILITIES = 1 / (1 + np.exp(-SCORES))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((LABELS, SCORES[:, :3]), {}, "a number for each of 80 rows and 4 labels"),
        ((LABELS, PROBABILITIES), {}, "pass probabilities=True if they are probabilities"),
        ((LABELS, SCORES), {"probabilities": True}, r"must hold probabilities in \[0, 1\], got -"),
        ((LABELS, SCORES), {"method": "beta"}, "must be a str among"),
        ((LABELS.sum(axis=1), SCORES), {}, "Only binary classification"),
        ((LABELS * np.nan, SCORES), {}, "nothing to calibrate on"),
    ],
)
def test_what_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        fit_calibration_map(*arguments, **options)


def test_scores_that_do_not_go_with_a_map_are_refused():
    found = fit_calibration_map(LABELS, SCORES)
    with pytest.raises(ValueError, match="a column of numbers for each of 4 labels, got shape"):
        found.predict_proba(SCORES[:, :3])
    with pytest.raises(ValueError, match="y_score holds NaN"):
        found.predict_proba(SCORES * np.nan)
    of_probabilities = fit_calibration_map(LABELS, PROBABILITIES, probabilities=True)
    with pytest.raises(ValueError, match="Fit with probabilities=False"):
        of_probabilities.predict_proba(SCORES)
