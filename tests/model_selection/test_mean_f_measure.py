"""Thresholds for a weighted mean of F-measures."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.inspection import ThresholdCurveDisplay
from sklearn_mlce.model_selection import (
    MultilabelTunedThresholdClassifierCV,
    tune_thresholds,
)
from sklearn_mlce.model_selection._f_measure import FMeasure, HeldOut, f_measure_of
from sklearn_mlce.model_selection._sweep import label_thresholds
from tests.model_selection.test_thresholds import KINDS, NEVER, all_thresholds, case, slow

BOTH = {"f1_micro": 1, "f1_macro": 4}
ALL = {"f1_micro": 3, "f1_macro": 1, "f1_samples": 2}


def rows(n_rows=120, n_labels=6, seed=0):
    """Features, and labels of which some are rare."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, 8))
    utility = X @ rng.normal(size=(8, n_labels)) + rng.normal(size=(n_rows, n_labels))
    return X, (utility > np.linspace(0, 4, n_labels)).astype(int)


def labels_and_scores():
    """Labels, and scores that tell something of them."""
    Y = rows()[1]
    return Y, Y + np.random.default_rng(1).normal(size=Y.shape)


def mean_f1(truth, predicted, weights, **options):
    """The mean by scikit-learn's F1."""
    scores = [
        f1_score(truth, predicted, average=name[3:], zero_division=0, **options) for name in weights
    ]
    return np.average(scores, weights=list(weights.values()))


def slow_mean(held_out, thresholds, weights):
    """The mean by the definition, cell by cell."""
    scores = [slow(held_out, thresholds, name[3:]) for name in weights]
    return np.average(scores, weights=list(weights.values()))


@pytest.mark.parametrize("weights", [BOTH, ALL], ids=["two", "three"])
@pytest.mark.parametrize("kind", KINDS)
def test_global_threshold_is_the_best_of_all(kind, weights):
    for seed in range(8):
        held_out = case(kind, seed)
        measure = f_measure_of(weights, "global")
        expected = [slow_mean(held_out, other, weights) for other in all_thresholds(held_out)]
        assert measure.score(held_out, 1.5) == pytest.approx(slow_mean(held_out, 1.5, weights))
        scored, targets = held_out.scores, held_out.positives.toarray()
        if kind in ("hard", "weighted"):
            weight = held_out.weight
            found = tune_thresholds(targets, scored, scoring=weights, sample_weight=weight)
            reached = slow_mean(held_out, found, weights)
            assert reached == pytest.approx(max(expected), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_no_other_threshold_of_a_label_is_better(kind):
    for seed in range(15):
        held_out, measure = case(kind, seed), f_measure_of(BOTH, "per_label")
        own, n_positives = label_thresholds(held_out, measure)
        own = np.where(n_positives > 0, own, NEVER)
        reached = slow_mean(held_out, own, BOTH)
        for label in range(len(own)):
            for other in all_thresholds(held_out):
                changed = own.copy()
                changed[label] = other
                assert slow_mean(held_out, changed, BOTH) <= reached + 1e-12


def test_a_label_that_is_best_left_alone_is_not_predicted():
    rng = np.random.default_rng(0)
    truth = np.c_[rng.random((400, 3)) < 0.5, np.arange(400) == 0].astype(float)
    scores = truth + 0.1 * rng.random(truth.shape)
    scores[0, 3] = -9.0  # to predict the one positive is to predict all rows
    held_out = HeldOut(scores, sp.csr_array(truth))
    own, _ = label_thresholds(held_out, f_measure_of({"f1_micro": 1, "f1_macro": 1}, "per_label"))
    assert not (scores[:, 3] > own[3]).any()
    macro, _ = label_thresholds(held_out, FMeasure("macro"))
    assert (scores[:, 3] > macro[3]).all()


def test_its_ends_are_the_measures_of_one_average():
    Y, scores = labels_and_scores()
    options = {"thresholds": "per_label", "threshold_shrinkage": 0}
    for name, other in (("f1_micro", "f1_macro"), ("f1_macro", "f1_micro")):
        alone = tune_thresholds(Y, scores, scoring=name, **options)
        assert (tune_thresholds(Y, scores, scoring={name: 3}, **options) == alone).all()
        nearly = tune_thresholds(Y, scores, scoring={name: 1, other: 1e-9}, **options)
        average = {"average": name[3:], "zero_division": 0}
        reached = f1_score(Y, scores > nearly, **average)
        assert reached == pytest.approx(f1_score(Y, scores > alone, **average), abs=1e-6)
    times_ten = {name: 10.0 * weight for name, weight in BOTH.items()}
    first = tune_thresholds(Y, scores, scoring=BOTH, **options)
    np.testing.assert_array_equal(tune_thresholds(Y, scores, scoring=times_ten, **options), first)


def test_weight_two_is_a_row_twice():
    Y, scores = labels_and_scores()
    times = np.random.default_rng(2).integers(1, 4, len(Y))
    options = {"scoring": BOTH, "thresholds": "per_label"}
    weighted = tune_thresholds(Y, scores, sample_weight=times, **options)
    repeated = tune_thresholds(Y.repeat(times, axis=0), scores.repeat(times, axis=0), **options)
    np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_they_are_shrunk_less_than_those_of_one_measure():
    Y, scores = labels_and_scores()
    options = {"scoring": BOTH, "thresholds": "per_label"}
    found = tune_thresholds(Y, scores, **options)
    np.testing.assert_array_equal(
        found, tune_thresholds(Y, scores, threshold_shrinkage=3, **options)
    )
    # Of all labels the one threshold that is best for the mean, as it beats that for micro-F1.
    drawn = tune_thresholds(Y, scores, threshold_shrinkage=np.inf, **options)
    np.testing.assert_allclose(drawn, tune_thresholds(Y, scores, scoring=BOTH))


def test_tuner_reports_the_mean():
    X, Y = rows()
    tuner = MultilabelTunedThresholdClassifierCV(
        MLCEClassifier(), scoring=BOTH, thresholds="per_label", random_state=0
    )
    tuner.fit(X, Y)
    f1 = tuner.label_results_["f1_after"]
    reached = tuner.scores_by_thresholds_
    assert tuner.best_score_ == reached["per_label"] >= reached["global"] >= reached["default"]
    micro = (tuner.best_score_ - 0.8 * f1.mean()) / 0.2  # the rest of the mean
    assert 0 < micro < 1
    again = clone(tuner).fit(X, Y)
    np.testing.assert_array_equal(again.best_thresholds_, tuner.best_thresholds_)
    assert (tuner.predict(X) == (tuner.decision_function(X) > 0)).all()
    search = GridSearchCV(
        tuner, {"scoring": ["f1_micro", BOTH]}, scoring="f1_macro", cv=2, error_score="raise"
    )
    assert search.fit(X, Y).best_params_["scoring"] in ("f1_micro", BOTH)


def test_cv_chooses_c_by_the_mean():
    X, Y = rows()
    options = {"Cs": [0.1, 10.0], "random_state": 0, "tol": 1e-9, "max_iter": 1000}
    model = MLCEClassifierCV(scoring=BOTH, thresholds="per_label", **options).fit(X, Y)
    tuners = [
        MultilabelTunedThresholdClassifierCV(
            MLCEClassifier(C=C, tol=1e-9, max_iter=1000),
            scoring=BOTH,
            thresholds="per_label",
            random_state=0,
        ).fit(X, Y)
        for C in options["Cs"]
    ]
    np.testing.assert_allclose(model.scores_, [tuner.best_score_ for tuner in tuners], atol=1e-6)
    at_zero = MLCEClassifierCV(scoring=ALL, thresholds=None, **options).fit(X, Y)
    assert ((at_zero.scores_ > 0) & (at_zero.scores_ < 1)).all()


def test_display_names_its_parts():
    pytest.importorskip("matplotlib")
    Y, scores = labels_and_scores()
    display = ThresholdCurveDisplay.from_predictions(Y, scores, scoring=ALL, labels="all")
    assert display.measure == "0.5 micro-F1 + 0.17 macro-F1 + 0.33 samples-F1"
    assert display.chosen_score == pytest.approx(mean_f1(Y, scores > display.chosen, ALL))


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        ({}, "has no exact best thresholds"),
        ({"accuracy": 1}, "has no exact best thresholds"),
        ({"f1_micro": 1, "f1_weighted": 1}, "has no exact best thresholds"),
        ({"f1_micro": 0, "f1_macro": 1}, "positive finite numbers"),
        ({"f1_micro": -1, "f1_macro": 1}, "positive finite numbers"),
        ({"f1_micro": np.nan, "f1_macro": 1}, "positive finite numbers"),
        ({"f1_micro": np.inf, "f1_macro": 1}, "positive finite numbers"),
        ({"f1_micro": True, "f1_macro": 1}, "positive finite numbers"),
        ({"f1_micro": "1", "f1_macro": 1}, "positive finite numbers"),
        ({"f1_samples": 1, "f1_macro": 1}, "thresholds per label cannot be found"),
    ],
)
def test_other_weights_are_refused(scoring, message):
    X, Y = rows()
    options = {"scoring": scoring, "thresholds": "per_label"}
    for attempt in (
        lambda: tune_thresholds(Y, Y.astype(float), **options),
        lambda: MultilabelTunedThresholdClassifierCV(MLCEClassifier(), **options).fit(X, Y),
        lambda: MLCEClassifierCV(**options).fit(X, Y),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()


def test_weights_near_the_largest_number_are_taken():
    weights = {"f1_micro": 1e308, "f1_macro": 1e308}
    assert dict(f_measure_of(weights, "per_label").weights) == {"micro": 0.5, "macro": 0.5}
