"""Odd arguments of metrics, label functions, splitters and what is done with given scores."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV, fit_calibration_map
from sklearn_mlce.decisions import MultilabelDecisionClassifier, maximize_f1
from sklearn_mlce.inspection import describe_labels, label_report
from sklearn_mlce.labels import predicted_labels, tags_to_y, top_features, top_labels, y_to_tags
from sklearn_mlce.metrics import (
    f1_by_label_frequency,
    label_frequency_groups,
    label_propensities,
    masked_f1_score,
    masked_label_ranking_average_precision_score,
    precision_at_k,
    propensity_scored_precision_at_k,
)
from sklearn_mlce.model_selection import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
    MultilabelTunedThresholdClassifierCV,
    multilabel_train_test_split,
    tune_thresholds,
)
from tests.helpers.bad_input import FAULTS, TARGETS, N, X, Y, damaged, put
from tests.helpers.global_state import nothing_changed

SCORES = X @ np.random.default_rng(0).normal(size=(6, 4))
LABELS = (SCORES > 0).astype(int)
MODEL = MLCEClassifier().fit(X, Y)
ERRORS = (ValueError, TypeError)

#: What takes labels.
OF_LABELS = {
    "precision_at_k": lambda y: precision_at_k(y, SCORES, k=2),
    "masked_f1_score": lambda y: masked_f1_score(y, LABELS),
    "masked_f1_score, y_pred": lambda y: masked_f1_score(Y, y),
    "f1_by_label_frequency": lambda y: f1_by_label_frequency(y, LABELS),
    "label_propensities": label_propensities,
    "tune_thresholds": lambda y: tune_thresholds(y, SCORES),
    "fit_calibration_map": lambda y: fit_calibration_map(y, SCORES),
    "y_to_tags": y_to_tags,
    "describe_labels": describe_labels,
    "label_report": lambda y: label_report(y, SCORES),
    "folds": lambda y: list(MultilabelStratifiedKFold(2).split(X, y)),
    "splits": lambda y: list(MultilabelStratifiedShuffleSplit(2).split(X, y)),
    "groups": lambda y: list(MultilabelStratifiedGroupKFold(2).split(X, y, np.arange(N) % 9)),
    "multilabel_train_test_split": lambda y: multilabel_train_test_split(X, y),
    "score": lambda y: MODEL.score(X, y),
}
#: What takes scores.
OF_SCORES = {
    "precision_at_k": lambda s: precision_at_k(Y, s, k=2),
    "masked ranking": lambda s: masked_label_ranking_average_precision_score(Y, s),
    "propensity scored": lambda s: propensity_scored_precision_at_k(
        Y, s, k=2, propensities=np.full(4, 0.5)
    ),
    "tune_thresholds": lambda s: tune_thresholds(Y, s),
    "fit_calibration_map": lambda s: fit_calibration_map(Y, s),
    "label_report": lambda s: label_report(Y, s),
    "maximize_f1": maximize_f1,
}
BAD_LABELS = ["a text", "number", "dict", "generator", "masked", "grad", "infinity"]
BAD_LABELS += ["complex", "three dimensions", "minus one"]
BAD_SCORES = {
    "text": (SCORES.astype(str), "holds text in column 0"),
    "text in objects": (np.full(SCORES.shape, "a", object), "holds text in column 0"),
    "dates": (SCORES.astype("M8[s]"), "holds dates in column 0"),
    "complex": (SCORES + 0j, "holds complex numbers"),
    "ragged": ([[1] * (1 + i % 3) for i in range(N)], "holds rows of 1 to 3 entries"),
    "structured": (np.zeros(N, dtype=[("a", float)]), "is a structured array"),
    "dict": ({}, "is a dict"),
    "a text": ("abc", "is the text 'abc'"),
    "generator": ((row for row in SCORES), "is an iterator"),
    "grad": (torch.tensor(SCORES, requires_grad=True), r"\.detach\(\)"),
    "nan": (put(SCORES, np.nan), "NaN"),
    "damaged": (damaged("column", SCORES), "damaged CSR|must be dense|Sparse data was passed"),
    "fewer": (SCORES[:-1], "must have the shape|for each of 90 rows|reach from"),
}


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_labels_are_refused(name, fault):
    with pytest.raises(ValueError, match=r"(y|array 1) is a damaged CSR matrix of .*Make it anew"):
        OF_LABELS[name](damaged(fault, Y))


@pytest.mark.parametrize("name", OF_LABELS)
@pytest.mark.parametrize("case", BAD_LABELS)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_odd_labels_are_refused_in_a_sentence(name, case):
    value = TARGETS[case].make()
    with nothing_changed(value), pytest.raises(ERRORS) as caught:
        OF_LABELS[name](value)
    words = ("expected", "must", "Pass", "y_true", "array")
    assert any(word in str(caught.value) for word in words)


@pytest.mark.parametrize("name", OF_SCORES)
@pytest.mark.parametrize("case", BAD_SCORES)
def test_odd_scores_are_refused(name, case):
    value, match = BAD_SCORES[case]
    with nothing_changed(value), pytest.raises(ERRORS, match=match):
        OF_SCORES[name](value)


@pytest.mark.parametrize("name", ["precision_at_k", "tune_thresholds", "label_report"])
def test_scores_of_any_container_are_scores(name):
    for form in (pd.DataFrame, torch.tensor, np.ndarray.tolist, np.asfortranarray):
        given = form(SCORES)
        np.testing.assert_equal(str(OF_SCORES[name](given)), str(OF_SCORES[name](SCORES)))


WRAPPED = {
    "tuner": MultilabelTunedThresholdClassifierCV,
    "calibrator": MultilabelCalibratedClassifierCV,
    "decisions": MultilabelDecisionClassifier,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("wrapper", WRAPPED)
def test_damaged_rows_are_refused_around_estimators_of_others(wrapper, fault):
    inner = OneVsRestClassifier(LogisticRegression())
    model = WRAPPED[wrapper](inner, cv=2, random_state=0).fit(X, Y)
    rows = damaged(fault, X)
    calls = [lambda: model.fit(rows, Y), lambda: predicted_labels(model, rows)]
    methods = ("predict", "predict_proba", "decision_function")
    calls += [lambda name=name: getattr(model, name)(rows) for name in methods]
    calls += [lambda: top_labels(model, rows, 2), lambda: label_report(Y, model, rows)]
    calls += [lambda: multilabel_train_test_split(rows, Y)]
    for call in calls:
        with pytest.raises(ValueError, match=r"(X|array 0) is a damaged CSR matrix"):
            call()


NUMBERS = ["a", None, 0, -1, 1.5, float("nan"), [1], {}]
K = [
    lambda k: precision_at_k(Y, SCORES, k=k),
    lambda k: MODEL.predict_topk(X, k),
    lambda k: top_labels(MODEL, X, k),
    lambda k: top_features(MODEL, k),
]


@pytest.mark.parametrize("call", K)
@pytest.mark.parametrize("k", NUMBERS, ids=repr)
def test_numbers_of_labels_that_are_none_are_refused(call, k):
    with pytest.raises(ValueError, match="k must be a whole number from 1"):
        call(k)


OPTIONS = [
    (lambda v: label_propensities(Y, A=v), ["a", None, -1, 1e300, [1]], "A must be a finite"),
    (lambda v: label_propensities(Y, B=v), ["a", None, -1, 1e300, {}], "B must be a finite"),
    (lambda v: f1_by_label_frequency(Y, LABELS, cuts=v), ["a", 3, ("a", 2), (1,)], "cuts must be"),
    (label_frequency_groups, ["a", None, {}, object()], "label_counts (is|holds)"),
    (
        lambda v: propensity_scored_precision_at_k(Y, SCORES, k=2, propensities=v),
        ["a", None, {}, object(), ["a"] * 4, [0.5]],
        "propensities (is|holds|must)",
    ),
    (lambda v: y_to_tags(Y, v), [3, {}, object()], "labels (is|has)"),
    (lambda v: tags_to_y(["a,b"], delimiter=v), [3, "", [","], {}], "delimiter must be None or"),
    (
        lambda v: list(MultilabelStratifiedGroupKFold(2).split(X, Y, v)),
        [3, {}, "a", object()],
        "groups is",
    ),
    (lambda v: label_report(Y, SCORES, thresholds=v), ["a", {}, [1, 2], [None]], "thresholds"),
    (MultilabelStratifiedKFold, ["a", None, 1, 1.5, {}], "n_splits=.* whole number of folds"),
]


@pytest.mark.parametrize(
    ("call", "value", "match"),
    [(call, value, match) for call, values, match in OPTIONS for value in values],
)
def test_options_that_are_none_are_refused(call, value, match):
    with pytest.raises(ERRORS, match=match):
        call(value)


def test_no_rows_have_no_tags():
    assert y_to_tags(Y[:0]) == []
    assert y_to_tags(sp.csr_matrix(Y[:0])) == []
