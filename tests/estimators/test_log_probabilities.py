"""Logarithms of probabilities are there where probabilities are, and are theirs."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, linear, mlp, single_labels

X, Y = labelled_rows()
SINGLE = single_labels(Y)
LABELS = {"dense": Y, "sparse": sp.csr_array(Y), "soft": Y * 0.8 + 0.1, "binary": SINGLE["binary"]}
CLASSES = {
    "multiclass": SINGLE["multiclass"],
    "outputs": np.column_stack([Y[:, :3].sum(axis=1), Y[:, 1:].sum(axis=1)]),
}
OURS = {
    "linear": linear(),
    "linear CV": MLCEClassifierCV(Cs=1, cv=2, random_state=0),
    "network": mlp(),
}
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))


def assert_logarithms(model):
    probabilities, found = model.predict_proba(X), model.predict_log_proba(X)
    assert isinstance(found, list) == isinstance(probabilities, list)
    parts = (found, probabilities) if isinstance(found, list) else ([found], [probabilities])
    for of_one, expected in zip(*parts, strict=True):
        assert of_one.dtype == np.float64
        np.testing.assert_allclose(np.exp(of_one), expected, rtol=1e-12)


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("estimator", OURS.values(), ids=OURS)
def test_of_each_estimator_and_each_wrapper(estimator, y):
    assert_logarithms(estimator.fit(X, y))
    if isinstance(estimator, MLCEClassifier):
        assert_logarithms(Tuned(MLCEClassifier(), cv=2, random_state=0).fit(X, y))
        assert_logarithms(Calibrated(MLCEClassifier(), cv=2, random_state=0).fit(X, y))


@pytest.mark.parametrize("y", CLASSES.values(), ids=CLASSES)
@pytest.mark.parametrize("make", [linear, mlp])
def test_of_classes(make, y):
    assert_logarithms(make().fit(X, y))


def test_where_there_are_no_probabilities_there_are_no_logarithms():
    for loss in ("squared_hinge", "focal"):
        assert hasattr(linear(loss=loss), "predict_log_proba") == (loss == "focal")
    with pytest.raises(AttributeError, match=r"predict_log_proba"):
        linear(loss="squared_hinge").predict_log_proba  # noqa: B018
    assert not hasattr(Tuned(SVMS, random_state=0).fit(X, Y), "predict_log_proba")
    assert_logarithms(Calibrated(SVMS, random_state=0).fit(X, Y))


def test_the_tuner_passes_on_what_its_estimator_gives():
    assert_logarithms(Tuned(OneVsRestClassifier(LogisticRegression()), random_state=0).fit(X, Y))
    forest = Tuned(RandomForestClassifier(5, random_state=0), random_state=0).fit(X, Y)
    assert_logarithms(forest)
    assert min(part.min() for part in forest.predict_log_proba(X)) == -np.inf
