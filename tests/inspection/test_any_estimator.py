"""Names, reports, pictures, thresholds and decisions around estimators of many kinds."""

import functools
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.figure import Figure
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._utils.estimator_scores import default_threshold, scores_of
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV, fit_calibration_map
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.inspection import (
    F1ByFrequencyDisplay,
    LabelCooccurrenceDisplay,
    MultilabelCalibrationDisplay,
    ThresholdCurveDisplay,
    label_report,
)
from sklearn_mlce.labels import (
    predicted_labels,
    tags_to_y,
    top_features,
    top_labels,
    y_to_tags,
)
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV, tune_thresholds
from tests.helpers.estimators import any_estimators, labelled_rows

X, Y = labelled_rows(n_rows=150)
Y[:, 2] = 0  # a label that no row carries
TRAIN, TEST = slice(0, 100), slice(100, None)
NAMES = np.array(["sea", "sky", "sand", "snow"])
FORMS = {
    "dense": np.asarray,
    "sparse": sp.csr_array,
    "frame": lambda y: pd.DataFrame(y, columns=NAMES),
}
pytestmark = pytest.mark.filterwarnings("ignore:Label not:UserWarning")
on_each = pytest.mark.parametrize("name", any_estimators())
on_forms = pytest.mark.parametrize("form", FORMS)


@functools.cache
def fitted(name):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Label not")
        return clone(any_estimators()[name]).fit(X[TRAIN], Y[TRAIN])


@on_each
def test_labels_by_name(name):
    predicted = np.asarray(fitted(name).predict(X[TEST]))
    rows = predicted_labels(fitted(name), X[TEST], labels=NAMES)
    assert [sorted(row) for row in rows] == [sorted(NAMES[row > 0]) for row in predicted]
    table = top_labels(fitted(name), X[TEST], 2, labels=NAMES)
    column = {label: number for number, label in enumerate(NAMES)}
    of_row = [column[label] for label in table["label"]]
    expected = predicted[np.repeat(np.arange(50), 2), of_row] > 0
    np.testing.assert_array_equal(table["predicted"], expected)


@on_each
@on_forms
def test_report_and_pictures(name, form):
    model, y = fitted(name), FORMS[form](Y[TEST])
    predicted = model.predict(X[TEST])
    expected = f1_score(Y[TEST], predicted, average=None, zero_division=0)
    named = {} if form == "frame" else {"label_names": NAMES}
    report = label_report(y, model, X=X[TEST], **named).to_frame()
    np.testing.assert_allclose(report.loc[NAMES, "support"], Y[TEST].sum(axis=0))
    np.testing.assert_allclose(report.loc[NAMES, "f1"].fillna(0), expected)
    ax = {"ax": Figure().subplots()}
    drawn = F1ByFrequencyDisplay.from_estimator(model, X[TEST], y, **named, **ax)
    np.testing.assert_allclose(np.nan_to_num(drawn.f1), expected)
    assert list(drawn.label_names) == list(NAMES)
    curve = ThresholdCurveDisplay.from_estimator(
        model, X[TEST], y, labels=["sea", "sand"], **named, **ax
    )
    if name != "calibrator":  # its predictions need not be those of its probabilities at one half
        micro = f1_score(Y[TEST], predicted, average="micro")
        assert curve.chosen_score == pytest.approx(micro)
    LabelCooccurrenceDisplay.from_labels(y, **named, **ax)
    if hasattr(model, "predict_proba"):
        MultilabelCalibrationDisplay.from_estimator(model, X[TEST], y, **named, **ax)


@on_each
@pytest.mark.parametrize("form", ["sparse", "frame"])
def test_estimators_that_learned_from_other_forms(name, form):
    if form == "sparse" and name in ("trees", "perceptron"):
        pytest.skip("takes no sparse y")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Label not")
        model = clone(any_estimators()[name]).fit(X[TRAIN], FORMS[form](Y[TRAIN]))
    named = {} if form == "frame" and hasattr(model, "label_names_") else {"labels": NAMES}
    rows = predicted_labels(fitted(name), X[TEST], labels=NAMES)
    assert predicted_labels(model, X[TEST], **named) == rows
    expected = top_labels(fitted(name), X[TEST], 2, labels=NAMES)
    found = top_labels(model, X[TEST], 2, **named)
    pd.testing.assert_frame_equal(found, expected, check_exact=False, atol=1e-6)


def test_tags_are_read_by_the_names_that_an_estimator_has_learned():
    frame = pd.DataFrame(Y, columns=NAMES)
    tags = y_to_tags(frame)
    model = make_pipeline(StandardScaler(), MLCEClassifier()).fit(X[TRAIN], tags[TRAIN])
    y = tags_to_y(tags[TEST], labels=model[-1].label_names_)
    report = label_report(tags[TEST], model, X[TEST])
    pd.testing.assert_frame_equal(report.to_frame(), label_report(y, model, X[TEST]).to_frame())
    for display in (F1ByFrequencyDisplay, ThresholdCurveDisplay, MultilabelCalibrationDisplay):
        draw = functools.partial(display.from_estimator, model, X[TEST], ax=Figure().subplots())
        assert vars(draw(tags[TEST])).keys() == vars(draw(y)).keys()
    drawn = LabelCooccurrenceDisplay.from_labels(tags, ax=Figure().subplots())
    assert sorted(drawn.label_names) == sorted(NAMES[[0, 1, 3]])
    with pytest.raises(ValueError, match=r"y_true holds tags; .* Pass tags_to_y\(y_true"):
        label_report(tags[TEST], model.decision_function(X[TEST]))


@on_each
def test_features_of_each_label(name):
    table = top_features(fitted(name), 2, X=X[TEST], labels=NAMES)
    assert set(table["label"]) <= set(NAMES)
    assert (table.loc[table["side"] == "for", "weight"] >= 0).all()
    assert (table.loc[table["side"] == "against", "weight"] <= 0).all()


@on_each
@on_forms
def test_scores_that_are_already_there(name, form):
    model, y = fitted(name), FORMS[form](Y[TEST])
    scores = scores_of(model, X[TEST], len(NAMES))
    tuned = MultilabelTunedThresholdClassifierCV(model, cv="prefit", refit=False)
    at_default = default_threshold(model)
    calibrated = MultilabelCalibratedClassifierCV(FrozenEstimator(model)).fit(X[TEST], y)
    by_map = fit_calibration_map(y, scores, probabilities=at_default > 0)
    expected = calibrated.predict_proba(X[TEST])
    np.testing.assert_allclose(by_map.predict_proba(scores), expected, atol=1e-6)
    if at_default == 0:
        scores[:, 2] = scores.min()  # one number for all labels knows none that is never predicted
        assert tune_thresholds(y, scores) == tuned.fit(X[TEST], y).best_thresholds_


@on_each
@on_forms
def test_tuned_calibrated_and_decided(name, form):
    frozen, y = FrozenEstimator(fitted(name)), FORMS[form](Y[TEST])
    wrappers = [
        MultilabelTunedThresholdClassifierCV(fitted(name), cv="prefit", refit=False),
        MultilabelCalibratedClassifierCV(frozen),
    ]
    if hasattr(frozen, "predict_proba"):
        wrappers.append(MultilabelDecisionClassifier(frozen))
    for wrapper in wrappers:
        wrapper.fit(X[TEST], y)
        labels = wrapper.predict(X[TEST])
        assert sp.issparse(labels) == (form == "sparse")
        labels = labels.toarray() if sp.issparse(labels) else labels
        np.testing.assert_array_equal(labels, wrapper.decision_function(X[TEST]) > 0)
        assert wrapper.score(X[TEST], y) == (labels == Y[TEST]).all(axis=1).mean()
        assert hasattr(wrapper, "label_names_") == (form == "frame")
