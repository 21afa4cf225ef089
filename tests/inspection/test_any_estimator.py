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

from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.inspection import (
    F1ByFrequencyDisplay,
    LabelCooccurrenceDisplay,
    MultilabelCalibrationDisplay,
    ThresholdCurveDisplay,
    label_report,
)
from sklearn_mlce.labels import predicted_labels, top_labels
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
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
