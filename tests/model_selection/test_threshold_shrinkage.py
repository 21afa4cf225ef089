"""How far thresholds per label are drawn towards the global one, as a parameter."""

import numpy as np
import pytest
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from sklearn_mlce.model_selection._f_measure import FMeasure
from sklearn_mlce.model_selection._out_of_fold import held_out_of_folds
from sklearn_mlce.model_selection._sweep import SHRINKAGE, label_thresholds
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=200)
FOLDS = KFold(4)
MODEL = {"C": 0.1, "loss": "mlce"}
SEARCHES = {
    "tuner": lambda **options: Tuned(MLCEClassifier(**MODEL), cv=FOLDS, **options),
    "linear CV": lambda **options: MLCEClassifierCV([0.1], loss="mlce", cv=FOLDS, **options),
}
searches = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


def thresholds_of(search, **options):
    model = search(thresholds="per_label", **options).fit(X, Y)
    return getattr(model, "best_thresholds_", getattr(model, "thresholds_", None))


def out_of_fold():
    """Return the held-out scores that both searches find."""
    splits = list(FOLDS.split(X))
    scores = [
        MLCEClassifier(**MODEL).fit(X[train], Y[train]).decision_function(X[test])
        for train, test in splits
    ]
    return held_out_of_folds(encode_targets(Y), splits, scores, None)


@searches
@pytest.mark.parametrize("scoring", ["f1_micro", "f1_macro"])
def test_at_zero_each_label_keeps_its_own(search, scoring):
    found = thresholds_of(search, threshold_shrinkage=0, scoring=scoring)
    own, _ = label_thresholds(out_of_fold(), FMeasure(scoring.removeprefix("f1_")))
    np.testing.assert_allclose(found, own, rtol=1e-6)


@searches
def test_the_macro_f1_of_plain_thresholds_is_each_labels_best(search):
    found = thresholds_of(search, threshold_shrinkage=0, scoring="f1_macro")
    scores = out_of_fold().scores
    for label, threshold in enumerate(found):
        column = scores[:, label]
        tried = [f1_score(Y[:, label], column > t) for t in np.append(column, -99)]
        assert f1_score(Y[:, label], column > threshold) == max(tried)


@searches
@pytest.mark.parametrize("scoring", ["f1_micro", "f1_macro"])
def test_without_bound_all_have_one(search, scoring):
    found = thresholds_of(search, threshold_shrinkage=np.inf, scoring=scoring)
    shared = thresholds_of(search, threshold_shrinkage=1e12, scoring=scoring)
    assert np.ptp(found) == 0
    np.testing.assert_allclose(found, shared)
    if scoring == "f1_micro":
        model = search(thresholds="global").fit(X, Y)
        expected = getattr(model, "best_thresholds_", getattr(model, "thresholds_", None))
        np.testing.assert_allclose(found, expected)


@searches
def test_in_between_it_is_the_mean_by_positives(search):
    own, n_positives = label_thresholds(out_of_fold(), FMeasure("micro"))
    shared = thresholds_of(search, threshold_shrinkage=np.inf)
    for k in (7.5, SHRINKAGE):
        found = thresholds_of(search, threshold_shrinkage=k)
        expected = (n_positives * own + k * shared) / (n_positives + k)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(found, thresholds_of(search))  # the default
    np.testing.assert_array_equal(found, thresholds_of(search, threshold_shrinkage="auto"))


@searches
def test_what_makes_no_sense_is_refused(search):
    for value in (-1.0, np.nan, "none", None):
        with pytest.raises(ValueError, match="'threshold_shrinkage' parameter"):
            thresholds_of(search, threshold_shrinkage=value)
    model = search(thresholds="global").fit(X, Y)
    before = model.decision_function(X)
    with pytest.raises(ValueError, match=r"threshold_shrinkage=0 shrinks .* Set thresholds='per_l"):
        model.set_params(threshold_shrinkage=0).fit(X, Y)
    np.testing.assert_array_equal(model.decision_function(X), before)
