"""Thresholds of scores that somebody already has."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import f1_score, fbeta_score, make_scorer
from sklearn.model_selection import KFold, cross_val_predict

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import fit_calibration_map
from sklearn_mlce.labels import y_to_tags
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV, tune_thresholds
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=150)
FOLDS = KFold(3, shuffle=True, random_state=0)
SCORES = cross_val_predict(MLCEClassifier(), X, Y, cv=FOLDS, method="decision_function")
WEIGHT = np.random.default_rng(0).integers(0, 3, len(X))
KINDS = {
    "global": {},
    "macro": {"scoring": "f1_macro", "thresholds": "per_label"},
    "own": {"thresholds": "per_label", "threshold_shrinkage": 0},
    "samples": {"scoring": "f1_samples"},
    "beta": {"scoring": make_scorer(fbeta_score, beta=2, average="micro")},
}


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_the_tuner_on_the_same_scores(kind):
    tuned = MultilabelTunedThresholdClassifierCV(MLCEClassifier(), cv=FOLDS, **KINDS[kind])
    np.testing.assert_array_equal(
        tune_thresholds(Y, SCORES, **KINDS[kind]), tuned.fit(X, Y).best_thresholds_
    )
    fitted = MLCEClassifier().fit(X[:75], Y[:75])
    tuned.set_params(estimator=fitted, cv="prefit", refit=False)
    tuned.fit(X[75:], Y[75:], sample_weight=WEIGHT[75:])
    scores = fitted.decision_function(X[75:])
    found = tune_thresholds(Y[75:], scores, sample_weight=WEIGHT[75:], **KINDS[kind])
    np.testing.assert_array_equal(found, tuned.best_thresholds_)


FORMS = {
    "csr_array": (sp.csr_array(Y), SCORES),
    "csc_matrix": (sp.csc_matrix(Y), SCORES),
    "frames": (pd.DataFrame(Y, columns=list("abcd")), pd.DataFrame(SCORES)),
    "lists": (Y.tolist(), SCORES.tolist()),
    "tensor": (Y, torch.tensor(SCORES)),
    "single precision": (Y, SCORES.astype(np.float32)),
    "sparse scores": (Y, sp.csr_array(SCORES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_labels_and_scores(form):
    expected = tune_thresholds(Y, SCORES, **KINDS["macro"])
    found = tune_thresholds(*FORMS[form], **KINDS["macro"])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_no_threshold_does_better():
    probabilities = 1 / (1 + np.exp(-SCORES))
    threshold = tune_thresholds(Y, probabilities)
    best = f1_score(Y, probabilities > threshold, average="micro")
    others = np.linspace(0, 1, 200)
    assert best >= max(f1_score(Y, probabilities > one, average="micro") for one in others)
    assert isinstance(threshold, float)


def test_unknown_labels_are_left_out():
    labels = np.where(np.random.default_rng(0).random(Y.shape) < 0.3, np.nan, Y)
    scores = np.where(np.isnan(labels), 9.0, SCORES)
    assert tune_thresholds(labels, scores) == tune_thresholds(labels, SCORES)


def test_a_label_without_positives_has_the_global_threshold():
    labels = Y.copy()
    labels[:, 2] = 0
    each = tune_thresholds(labels, SCORES, thresholds="per_label")
    assert each[2] == tune_thresholds(labels, SCORES)


def test_two_classes():
    y = np.array(["no", "yes"])[Y[:, 0]]
    threshold = tune_thresholds(y, SCORES[:, 0])
    assert threshold == tune_thresholds(Y[:, [0]].ravel(), SCORES[:, [0]])
    assert f1_score(Y[:, 0], SCORES[:, 0] > threshold) >= f1_score(Y[:, 0], SCORES[:, 0] > 0)


@pytest.mark.parametrize(
    ("y", "scores", "options", "message"),
    [
        (None, SCORES, {}, "y_true is None; expected the labels"),
        (Y, SCORES[:, :3], {}, r"a number for each of 150 rows and 4 labels, got shape \(150, 3\)"),
        (Y, [SCORES[:, [0, 0]]] * 4, {}, r"shape \(4, 150, 2\) .*np.column_stack"),
        (Y, np.where(SCORES > 1, np.nan, SCORES), {}, "y_score holds NaN"),
        (np.zeros_like(Y), SCORES, {}, "no row of y_true carries a label"),
        (Y, SCORES, {"sample_weight": np.zeros(150)}, "one non-zero number|zero for every row"),
        (Y.sum(axis=1), SCORES, {}, "Only binary classification"),
        (Y[:, 0], SCORES[:, 0], {"scoring": "f1_samples"}, "means nothing for a binary y"),
        (Y, SCORES, {"scoring": "accuracy"}, "has no exact best thresholds"),
        (Y, SCORES, {"threshold_shrinkage": 3}, "finds one for all labels"),
        (Y, SCORES, {"thresholds": "row"}, "must be a str among"),
    ],
)
def test_what_is_refused(y, scores, options, message):
    with pytest.raises(ValueError, match=message):
        tune_thresholds(y, scores, **options)


def test_scores_written_as_text_are_refused():
    with pytest.raises(TypeError, match="y_score holds text in column 0"):
        tune_thresholds(Y, SCORES.astype(str))


NAMES = ["sea", "sand", "sky", "sun"]  # in another order than that of tags
TAGS = y_to_tags(pd.DataFrame(Y, columns=NAMES))


def columns_of_map(y, scores, **options):
    """Return the slopes of a calibration map, one for each column of the scores."""
    return fit_calibration_map(y, scores, **options).slopes


def each_threshold(y, scores, **options):
    return tune_thresholds(y, scores, thresholds="per_label", scoring="f1_macro", **options)


@pytest.mark.parametrize("function", [each_threshold, columns_of_map])
def test_tags_go_by_the_names_of_the_columns_of_scores(function):
    expected = function(Y, SCORES)
    np.testing.assert_allclose(function(TAGS, SCORES, label_names=NAMES), expected)
    framed = pd.DataFrame(SCORES, columns=NAMES)
    np.testing.assert_allclose(function(TAGS, framed), expected)
    np.testing.assert_allclose(function(pd.DataFrame(Y, columns=NAMES), framed), expected)
    np.testing.assert_allclose(function(Y, SCORES, label_names=NAMES), expected)


@pytest.mark.parametrize("function", [each_threshold, columns_of_map])
def test_columns_of_scores_that_may_be_of_other_tags_are_refused(function):
    with pytest.raises(ValueError, match=r"which tag each column.*label_names=model.label_names_"):
        function(TAGS, SCORES)
    with pytest.raises(ValueError, match="y holds tags such as 'sun' that are none of the 4"):
        function(TAGS, SCORES, label_names=["sea", "sand", "sky", "moon"])
    with pytest.raises(ValueError, match=r"columns of y_true are not the labels.*another order"):
        function(pd.DataFrame(Y, columns=sorted(NAMES)), SCORES, label_names=NAMES)
    with pytest.raises(ValueError, match="columns of y_score are not the labels"):
        function(Y, pd.DataFrame(SCORES, columns=sorted(NAMES)), label_names=NAMES)
    with pytest.raises(ValueError, match="label_names has 2 names; expected 4"):
        function(Y, SCORES, label_names=NAMES[:2])
