"""Labels by name, for any multi-label estimator, as its own predictions and scores have them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets import targets
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.inspection import (
    F1ByFrequencyDisplay,
    LabelCooccurrenceDisplay,
    MultilabelCalibrationDisplay,
)
from sklearn_mlce.labels import predicted_labels, top_features, top_labels, y_to_tags
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, mlp

NAMES = ["sea", "sky", "sun", "never"]
X, Y = labelled_rows()
Y = Y.copy()
Y[:, 3] = 0
FRAME = pd.DataFrame(Y, columns=NAMES)
SPARSE_FRAME = pd.DataFrame.sparse.from_spmatrix(sp.csr_matrix(Y), columns=NAMES)
TAGS = y_to_tags(FRAME)
ROWS = pd.DataFrame(X, index=[f"row {number}" for number in range(len(X))])
ROWS.columns = [f"feature {number}" for number in range(X.shape[1])]

OURS = {
    "MLCEClassifier": MLCEClassifier(),
    "MLCEMLP": mlp(),
    "pipeline": make_pipeline(StandardScaler(), MLCEClassifier()),
    "search": GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, cv=2, scoring="f1_micro"),
    "CV": MLCEClassifierCV([0.1, 1.0], cv=2, random_state=0),
    "search of pipeline": GridSearchCV(
        make_pipeline(StandardScaler(), MLCEClassifier()),
        {"mlceclassifier__C": [0.1, 1.0]},
        cv=2,
        scoring="f1_micro",
    ),
    "tuner": MultilabelTunedThresholdClassifierCV(MLCEClassifier(), cv=2, random_state=0),
    "tuner of pipeline": MultilabelTunedThresholdClassifierCV(
        make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
        cv=2,
        random_state=0,
    ),
    "tuner of our pipeline": MultilabelTunedThresholdClassifierCV(
        make_pipeline(StandardScaler(), MLCEClassifier()),
        thresholds="per_label",
        cv=2,
        random_state=0,
    ),
    "no probabilities": MultilabelTunedThresholdClassifierCV(
        MLCEClassifier(loss="squared_hinge"), cv=2, random_state=0
    ),
    "k known": MLCEClassifier(loss="pairwise", n_labels_per_row=2),
    "calibrator": MultilabelCalibratedClassifierCV(MLCEClassifier(), cv=2, random_state=0),
    "ensemble": MultilabelCalibratedClassifierCV(
        MLCEClassifier(), cv=2, ensemble=True, random_state=0
    ),
    "decision": MultilabelDecisionClassifier(MLCEClassifier(), decision="top_k", k=2),
    "thresholds of a decision": MultilabelDecisionClassifier(
        MultilabelCalibratedClassifierCV(MLCEClassifier(), cv=2, random_state=0),
        decision="f1_macro",
        cv=2,
        random_state=0,
    ),
}
THEIRS = {
    "OneVsRest": OneVsRestClassifier(LinearSVC(random_state=0)),
    "RandomForest": RandomForestClassifier(5, random_state=0),
    "MLPClassifier": MLPClassifier((8,), max_iter=300, tol=1e-2, random_state=0),
    "MultiOutput": MultiOutputClassifier(RandomForestClassifier(5, random_state=0)),
    "their pipeline": make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
}
# Of the label that no row carries.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Label not 3 is present in all training examples:UserWarning"
)


@pytest.fixture(scope="module", params=[*OURS, *THEIRS])
def fitted(request):
    """An estimator fitted on a DataFrame, and what has to be passed as names."""
    ours = request.param in OURS
    estimator = OURS[request.param] if ours else THEIRS[request.param]
    return estimator.fit(ROWS, FRAME), None if ours else FRAME.columns


def scores_and_probabilities(estimator):
    scores = probabilities = None
    if hasattr(estimator, "predict_proba"):
        probabilities = estimator.predict_proba(ROWS)
        if isinstance(probabilities, list):
            probabilities = np.column_stack(
                [part[:, 1] if part.shape[1] == 2 else 0 * part[:, 0] for part in probabilities]
            )
    if hasattr(estimator, "decision_function"):
        scores = estimator.decision_function(ROWS)
    return (probabilities if scores is None else scores), probabilities


def test_labels_are_those_of_predict(fitted):
    estimator, labels = fitted
    expected = y_to_tags(estimator.predict(ROWS), NAMES)
    assert predicted_labels(estimator, ROWS, labels=labels) == expected
    assert any(expected)


@pytest.mark.parametrize("n_entries", [2**22, 50])
def test_tables_hold_the_best_of_each_row(fitted, n_entries, monkeypatch):
    monkeypatch.setattr(targets, "ENTRIES_PER_BLOCK", n_entries)
    estimator, labels = fitted
    table = top_labels(estimator, ROWS, k=3, labels=labels)
    assert list(table.columns) == ["row", "rank", "label", "score", "probability", "predicted"]
    assert table["row"].tolist() == np.repeat(ROWS.index, 3).tolist()
    assert table["rank"].tolist() == [1, 2, 3] * len(X)
    scores, probabilities = scores_and_probabilities(estimator)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
    assert table["label"].tolist() == np.array(NAMES)[best].ravel().tolist()
    np.testing.assert_allclose(table["score"], np.take_along_axis(scores, best, 1).ravel())
    predicted = np.take_along_axis(estimator.predict(ROWS), best, axis=1)
    assert table["predicted"].tolist() == (predicted == 1).ravel().tolist()
    if probabilities is None:
        assert table["probability"].isna().all()
    else:
        expected = np.take_along_axis(probabilities, best, axis=1)
        np.testing.assert_allclose(table["probability"], expected.ravel())


@pytest.mark.parametrize("name", ["MLCEClassifier", "tuner", "tuner of our pipeline", "calibrator"])
def test_our_estimators_score_the_rows_once(name, monkeypatch):
    model, scored = clone(OURS[name]).fit(ROWS, FRAME), []
    plain = MLCEClassifier._scores
    monkeypatch.setattr(MLCEClassifier, "_scores", lambda *a: scored.append(len(a[1])) or plain(*a))
    top_labels(model, ROWS, k=2)
    assert scored == [1, len(X)]  # the first row says how many labels there are


@pytest.mark.parametrize("y", [Y, FRAME, SPARSE_FRAME, sp.csr_matrix(Y), TAGS], ids=range(5))
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array, np.ndarray.tolist])
def test_forms_of_X_and_y_give_the_same(y, make):
    model = MLCEClassifier().fit(X, Y)
    expected = y_to_tags(model.predict(X), NAMES)
    labels = None if isinstance(y, pd.DataFrame | list) else NAMES
    if y is TAGS:  # a tag that no row carries is unknown to them
        assert not any("never" in row for row in expected)
    model = MLCEClassifier().fit(X, y)
    rows = make(X)
    assert predicted_labels(model, rows, labels=labels) == expected
    table = top_labels(model, rows, 2, labels=labels)
    assert table["row"].tolist() == np.repeat(np.arange(len(X)), 2).tolist()


def test_texts_in_and_names_out():
    texts = ["sun, sea", "grey sky", "blue sea", "sun, sky"]
    tags = [["sun", "sea"], ["sky"], ["sea"], ["sun", "sky"]]
    model = make_pipeline(CountVectorizer(), MLCEClassifier(C=10)).fit(texts, tags)
    for container in (list, np.array, pd.Series):
        assert predicted_labels(model, container(texts)) == [tuple(sorted(row)) for row in tags]
    index = pd.MultiIndex.from_product([["a", "b"], [1, 2]])
    table = top_labels(model, pd.Series(texts, index=index), k=1)
    assert table["row"].tolist() == index.tolist()


def test_names_given_come_first():
    model = MLCEClassifier().fit(X, FRAME)
    given = ["a", "b", "c", "d"]
    assert set(top_labels(model, X, 4, labels=given)["label"]) == set(given)
    unnamed = MLCEClassifier().fit(X, Y)
    assert set(top_labels(unnamed, X, 4)["label"]) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="labels has 3 names; expected 4"):
        predicted_labels(model, X, labels=given[:3])


@pytest.mark.parametrize("k", [0, 5, 1.5])
def test_k_is_a_number_of_labels(k):
    with pytest.raises(ValueError, match=f"k must be a whole number from 1 to 4, got {k}"):
        top_labels(MLCEClassifier().fit(X, Y), X, k)


@pytest.mark.parametrize("y", [Y[:, 0], Y[:, :3].sum(axis=1), np.array(["no", "yes"])[Y[:, :2]]])
def test_one_class_per_row_is_refused(y):
    model = MLCEClassifier().fit(X, y)
    for function in (predicted_labels, top_labels):
        with pytest.raises(ValueError, match=r"MLCEClassifier predicts \[.*\] for the first row"):
            function(model, X)


@pytest.mark.parametrize("estimator", [None, "a model", MLCEClassifier], ids=repr)
def test_what_is_no_estimator_is_refused(estimator):
    X, _ = labelled_rows()
    for call in (
        lambda: predicted_labels(estimator, X),
        lambda: top_labels(estimator, X, 2),
        lambda: top_features(estimator, 2),
        lambda: F1ByFrequencyDisplay.from_estimator(estimator, X, X > 0),
        lambda: LabelCooccurrenceDisplay.from_estimator(estimator, X),
    ):
        with pytest.raises(TypeError, match=r"expected a fitted estimator\. Pass one"):
            call()


@pytest.mark.parametrize("make", [MLCEClassifier, RandomForestClassifier])
def test_classes_of_several_outputs_are_no_labels(make):
    X, Y = labelled_rows()
    outputs = Y + Y[::-1]
    model = make(random_state=0).fit(X, outputs)
    zeros_and_ones = X[(np.asarray(model.predict(X)) < 2).all(axis=1)]
    for call in (
        lambda: predicted_labels(model, zeros_and_ones),
        lambda: top_labels(model, zeros_and_ones, 1),
        lambda: MultilabelCalibrationDisplay.from_estimator(model, X, Y),
    ):
        with pytest.raises(ValueError, match=r"classes of several outputs, such as \[0, 1, 2\]"):
            call()
