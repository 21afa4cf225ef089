"""What the tuner says it bought: scores by kind of threshold, and a table of the labels."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score, fbeta_score, make_scorer, precision_recall_fscore_support
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, single_labels

X, Y = labelled_rows(n_rows=150)
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
FOLDS = KFold(3, shuffle=True, random_state=0)
ESTIMATORS = {
    "mlce": MLCEClassifier(),
    "mlce mlp": MLCEMLP((8,), max_epochs=3, random_state=0),
    "svms": SVMS,
    "forest": RandomForestClassifier(15, random_state=0),
    "perceptron": MLPClassifier((2,), solver="lbfgs", alpha=10.0, max_iter=500, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), SVMS),
    "search": GridSearchCV(MLCEClassifier(), {"C": [0.01, 1.0]}, cv=2, scoring="f1_micro"),
}


def scores_by_hand(estimator, y):
    """Out-of-fold scores of one output each, and the threshold of the estimator itself."""
    scores, default = np.zeros(y.shape), 0.0
    for train, test in FOLDS.split(X):
        fitted = clone(estimator).fit(X[train], y[train])
        if hasattr(fitted, "decision_function"):
            scores[test] = fitted.decision_function(X[test])
            continue
        default, answer = 0.5, fitted.predict_proba(X[test])
        scores[test] = (
            np.column_stack([part[:, 1] for part in answer]) if isinstance(answer, list) else answer
        )
    return scores, default


@pytest.mark.parametrize("thresholds", ["global", "per_label"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_scores_and_table_are_those_of_the_out_of_fold_scores(name, thresholds):
    scores, default = scores_by_hand(ESTIMATORS[name], Y)
    tuned = Tuned(ESTIMATORS[name], thresholds=thresholds, cv=FOLDS).fit(X, Y)
    table = tuned.label_table()
    bought = tuned.scores_by_thresholds_
    before, after = scores > default, scores > tuned.best_thresholds_
    assert bought["default"] == pytest.approx(f1_score(Y, before, average="micro"))
    assert bought[thresholds] == tuned.best_score_
    assert tuned.best_score_ == pytest.approx(f1_score(Y, after, average="micro"))
    assert bought["global"] >= bought["default"]
    assert table.index.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(table["positives"], Y.sum(axis=0))
    np.testing.assert_array_equal(table["threshold"], np.broadcast_to(tuned.best_thresholds_, 4))
    for predicted, when in ((before, "before"), (after, "after")):
        expected = precision_recall_fscore_support(Y, predicted, zero_division=0.0)
        for measure, values in zip(("precision", "recall", "f1"), expected, strict=False):
            np.testing.assert_allclose(table[f"{measure}_{when}"], values)


def test_scores_of_other_thresholds_are_those_of_a_tuner_of_them():
    for scoring in ("f1_micro", "f1_macro"):
        one, each = (
            Tuned(MLCEClassifier(), thresholds=thresholds, scoring=scoring, cv=FOLDS).fit(X, Y)
            for thresholds in ("global", "per_label")
        )
        assert one.scores_by_thresholds_ == each.scores_by_thresholds_
        assert list(one.scores_by_thresholds_) == ["default", "global", "per_label"]
        assert one.best_score_ == one.scores_by_thresholds_["global"]
    rows = Tuned(MLCEClassifier(), scoring="f1_samples", cv=FOLDS).fit(X, Y)
    assert list(rows.scores_by_thresholds_) == ["default", "global"]


FORMS = {
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "frame": lambda y: pd.DataFrame(y, columns=list("wxyz")),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_y_has_the_same_table(form):
    expected = Tuned(SVMS, cv=FOLDS).fit(X, Y).label_table()
    table = Tuned(SVMS, cv=FOLDS).fit(X, FORMS[form](Y)).label_table()
    assert table.index.name == "label"
    if form == "frame":
        assert table.index.tolist() == list("wxyz")
    pd.testing.assert_frame_equal(table.reset_index(drop=True), expected.reset_index(drop=True))


def test_unknown_and_weighted_cells():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
    weight = rng.integers(1, 4, len(X)).astype(float)
    tuned = Tuned(MLCEClassifier(), thresholds="per_label", cv=FOLDS)
    table = tuned.fit(X, labels, sample_weight=weight).label_table()
    scores = np.zeros(Y.shape)
    for train, test in FOLDS.split(X):
        model = MLCEClassifier().fit(X[train], labels[train], sample_weight=weight[train])
        scores[test] = model.decision_function(X[test])
    for label in range(4):
        known = ~np.isnan(labels[:, label])
        truth, weights = labels[known, label], weight[known]
        assert table["positives"][label] == pytest.approx(weights @ truth)
        for threshold, when in ((0.0, "before"), (tuned.best_thresholds_[label], "after")):
            expected = f1_score(truth, scores[known, label] > threshold, sample_weight=weights)
            assert table[f"f1_{when}"][label] == pytest.approx(expected)


def test_a_label_without_positives_has_zeros():
    labels = Y.copy()
    labels[:, 1] = 0
    tuned = Tuned(MLCEClassifier(), thresholds="per_label", cv=FOLDS, store_cv_results=True)
    table = tuned.fit(X, labels).label_table()
    assert table.loc[1, "threshold"] == np.inf
    assert not table.drop(columns="threshold").loc[1].any()
    assert len(tuned.cv_results_["label_thresholds"][1]) == 0


def test_the_table_of_a_binary_y_is_of_its_second_class():
    y = single_labels(Y)["binary"]
    tuned = Tuned(MLCEClassifier(), random_state=0).fit(X, y)
    table = tuned.label_table()
    assert table.index.tolist() == ["yes"]
    assert table.loc["yes", "f1_after"] == pytest.approx(tuned.best_score_)


def test_the_columns_are_named_after_the_measure():
    scorer = make_scorer(fbeta_score, beta=2, average="micro")
    tuned = Tuned(MLCEClassifier(), scoring=scorer, cv=FOLDS).fit(X, Y)
    scores, _ = scores_by_hand(MLCEClassifier(), Y)
    expected = fbeta_score(Y, scores > tuned.best_thresholds_, beta=2, average=None)
    np.testing.assert_allclose(tuned.label_table()["f2_after"], expected)


def test_curves_of_labels_are_kept_on_demand():
    options = {"thresholds": "per_label", "threshold_shrinkage": 0, "scoring": "f1_macro"}
    tuned = Tuned(MLCEClassifier(), **options, cv=FOLDS, store_cv_results=True).fit(X, Y)
    scores, _ = scores_by_hand(MLCEClassifier(), Y)
    curves = tuned.cv_results_
    assert len(curves["label_thresholds"]) == len(curves["label_scores"]) == 4
    for label in range(4):
        thresholds, values = curves["label_thresholds"][label], curves["label_scores"][label]
        assert (np.diff(thresholds) > 0).all()
        expected = [f1_score(Y[:, label], scores[:, label] > one) for one in thresholds]
        np.testing.assert_allclose(values, expected)
        assert thresholds[values.argmax()] == pytest.approx(tuned.best_thresholds_[label])
    tuned.set_params(thresholds="global", threshold_shrinkage="auto").fit(X, Y)
    assert set(tuned.cv_results_) == {"thresholds", "scores"}


def test_without_pandas_the_table_says_what_to_type(monkeypatch):
    tuned = Tuned(MLCEClassifier(), cv=FOLDS).fit(X, Y)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"label_table returns .* pip install pandas"):
        tuned.label_table()
    assert len(tuned.label_results_["f1_after"]) == 4
