"""The report of labels: values against scikit-learn's measures, and how it shows itself."""

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, precision_recall_fscore_support
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import label_report
from sklearn_mlce.metrics import f1_by_label_frequency
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=150)
RNG = np.random.default_rng(0)
SCORES = np.round(Y + RNG.normal(size=Y.shape), 1)  # with ties
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
MEASURES = ("precision", "recall", "f1", "average_precision")
ESTIMATORS = {
    "mlce": MLCEClassifier(),
    "mlce mlp": MLCEMLP((8,), max_epochs=3, random_state=0),
    "svms": SVMS,
    "forest": RandomForestClassifier(15, random_state=0),
    "perceptron": MLPClassifier((2,), solver="lbfgs", alpha=10.0, max_iter=500, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), SVMS),
    "search": GridSearchCV(MLCEClassifier(), {"C": [0.01, 1.0]}, cv=2, scoring="f1_micro"),
    "tuner": Tuned(SVMS, thresholds="per_label", random_state=0),
    "calibrator": MultilabelCalibratedClassifierCV(SVMS, cv=2, random_state=0),
}


def expected_measures(labels, scores, thresholds, weight=None):
    """Four measures of each label, of all cells, and the means, by scikit-learn."""
    predicted = scores > thresholds
    rows = {}
    for average in (None, "micro", "macro", "samples"):
        quality = precision_recall_fscore_support(
            labels, predicted, average=average, sample_weight=weight, zero_division=0.0
        )[:3]
        rows[average] = list(quality)
    columns = zip(labels.T, scores.T, strict=True)
    by_label = [average_precision_score(*pair, sample_weight=weight) for pair in columns]
    by_row = [
        average_precision_score(*pair) if pair[0].any() else np.nan
        for pair in zip(labels, scores, strict=True)
    ]
    kept = ~np.isnan(by_row)
    weights = None if weight is None else weight[kept]
    rows[None].append(by_label)
    rows["macro"].append(np.mean(by_label))
    rows["micro"].append(
        average_precision_score(labels, scores, average="micro", sample_weight=weight)
    )
    rows["samples"].append(np.average(np.array(by_row)[kept], weights=weights))
    return rows


def assert_measures(report, expected):
    for measure, values in zip(MEASURES, expected[None], strict=True):
        np.testing.assert_allclose(getattr(report, measure), values)
    for average in ("micro", "macro", "samples"):
        seen = [report.averages[average][measure] for measure in MEASURES]
        np.testing.assert_allclose(seen, expected[average])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("thresholds", [0, 0.3, [0.1, 0.4, -0.2, np.inf]])
def test_measures_of_scores_are_those_of_scikit_learn(thresholds, weighted):
    weight = RNG.integers(0, 4, len(Y)).astype(float) if weighted else None
    report = label_report(Y, SCORES, thresholds=thresholds, sample_weight=weight)
    assert_measures(report, expected_measures(Y, SCORES, thresholds, weight))
    weight = np.ones(len(Y)) if weight is None else weight
    np.testing.assert_allclose(report.support, weight @ Y)
    np.testing.assert_array_equal(report.threshold, np.broadcast_to(thresholds, 4))
    assert report.averages["micro"]["support"] == pytest.approx((weight @ Y).sum())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_any_estimator_is_read(name):
    model = ESTIMATORS[name].fit(X[:100], Y[:100])
    report = label_report(Y[100:], model, X[100:])
    if hasattr(model, "decision_function"):
        scores, threshold = model.decision_function(X[100:]), 0.0
    else:
        scores, threshold = model.predict_proba(X[100:]), 0.5
        if isinstance(scores, list):
            scores = np.column_stack([part[:, 1] for part in scores])
    assert_measures(report, expected_measures(Y[100:], scores, threshold))
    shown = model.best_thresholds_ if name == "tuner" else threshold
    np.testing.assert_array_equal(report.threshold, np.broadcast_to(shown, 4))


def test_thresholds_of_a_tuner_are_found_inside():
    tuned = Tuned(MLCEClassifier(), random_state=0)
    pipeline = make_pipeline(StandardScaler(), tuned).fit(X, Y)
    assert (label_report(Y, pipeline, X).threshold == pipeline[-1].best_thresholds_).all()
    search = GridSearchCV(pipeline, {"multilabeltunedthresholdclassifiercv__cv": [2]}, cv=2)
    report = label_report(Y, search.fit(X, Y), X)
    assert (report.threshold == search.best_estimator_[-1].best_thresholds_).all()
    assert (label_report(Y, search, X, thresholds=0.25).threshold == 0.25).all()
    chosen = MLCEClassifierCV([0.1, 1.0], random_state=0).fit(X, Y)
    assert (label_report(Y, chosen, X).threshold == chosen.thresholds_).all()


FORMS = {
    "csr_array": (sp.csr_array(Y), SCORES),
    "csc_matrix": (sp.csc_matrix(Y), SCORES),
    "frames": (pd.DataFrame(Y, columns=list("wxyz")), pd.DataFrame(SCORES)),
    "lists": (Y.tolist(), SCORES.tolist()),
    "tensor": (Y, torch.tensor(SCORES)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_y_has_the_same_report(form):
    report, expected = label_report(*FORMS[form]), label_report(Y, SCORES)
    for measure in (*MEASURES, "support"):
        np.testing.assert_allclose(getattr(report, measure), getattr(expected, measure))
    pd.testing.assert_frame_equal(report.averages_to_frame(), expected.averages_to_frame())
    names = list("wxyz") if form == "frames" else [0, 1, 2, 3]
    assert report.to_frame().index.tolist() == names


def test_names_come_from_y_the_estimator_or_the_caller():
    model = MLCEClassifier().fit(X, pd.DataFrame(Y, columns=list("wxyz")))
    assert label_report(Y, model, X).label_names.tolist() == list("wxyz")
    report = label_report(Y, model, X, label_names=["one", "two", "three", "four"])
    assert report.label_names.tolist() == ["one", "two", "three", "four"]
    with pytest.raises(ValueError, match="has them in another order"):
        label_report(pd.DataFrame(Y, columns=list("zyxw")), model, X)


def test_unknown_labels_are_left_out():
    labels = np.where(RNG.random(Y.shape) < 0.3, np.nan, Y)
    labels[:5] = np.nan
    report = label_report(labels, SCORES)
    known = ~np.isnan(labels)

    def measures(truth, scores):
        quality = precision_recall_fscore_support(truth, scores > 0, average="binary")[:3]
        return [*quality, average_precision_score(truth, scores)]

    for label in range(4):
        rows = known[:, label]
        seen = [getattr(report, measure)[label] for measure in MEASURES]
        np.testing.assert_allclose(seen, measures(labels[rows, label], SCORES[rows, label]))
    seen = [report.averages["micro"][measure] for measure in MEASURES]
    np.testing.assert_allclose(seen, measures(labels[known], SCORES[known]))
    kept = label_report(labels[5:], SCORES[5:])
    assert report.averages["samples"] == pytest.approx(kept.averages["samples"])


def test_soft_labels_count_with_their_mass():
    soft = np.clip(Y + RNG.uniform(-0.4, 0.4, Y.shape), 0, 1)
    report = label_report(soft, SCORES)
    predicted = SCORES > 0
    np.testing.assert_allclose(
        report.f1, 2 * (soft * predicted).sum(axis=0) / (soft + predicted).sum(axis=0)
    )
    np.testing.assert_allclose(report.support, soft.sum(axis=0))


def test_a_label_without_positives():
    labels, scores = Y.copy(), SCORES.copy()
    labels[:, 1], scores[:, 1] = 0, -1.0
    report = label_report(labels, scores)
    assert report.f1[1] == report.precision[1] == report.recall[1] == report.support[1] == 0
    assert np.isnan(report.average_precision[1])
    others = np.delete(report.average_precision, 1)
    assert report.averages["macro"]["average_precision"] == pytest.approx(others.mean())
    left_out = label_report(labels, scores, zero_division=np.nan)
    assert np.isnan(left_out.f1[1])
    assert left_out.averages["macro"]["f1"] == pytest.approx(np.delete(report.f1, 1).mean())
    assert "-\n" in repr(report)
    nothing = label_report(np.zeros_like(Y), SCORES)
    assert np.isnan(nothing.averages["micro"]["average_precision"])


def test_a_label_that_the_model_never_saw_ranks_as_scikit_learn_has_it():
    labels = Y.copy()
    labels[:100, 1] = 0
    model = MLCEClassifier().fit(X[:100], labels[:100])
    report = label_report(labels[100:], model, X[100:])
    assert_measures(report, expected_measures(labels[100:], model.decision_function(X[100:]), 0.0))


def test_groups_go_by_the_training_rows():
    counts = [500, 40, 50, 3]
    report = label_report(Y, SCORES, label_counts=counts)
    assert report.group.tolist() == ["head", "medium", "medium", "tail"]
    expected = f1_by_label_frequency(Y, (SCORES > 0).astype(int), label_counts=counts)
    assert {name: report.averages[name]["f1"] for name in expected} == pytest.approx(expected)
    assert report.averages["medium"]["n_labels"] == 2
    assert label_report(Y, SCORES, cuts=(200, 300)).group.tolist() == ["tail"] * 4


def test_tables():
    report = label_report(Y, SCORES)
    table, averages = report.to_frame(), report.averages_to_frame()
    assert table.columns.tolist() == ["group", "support", "threshold", *MEASURES]
    assert averages.index.tolist() == ["head", "medium", "tail", "micro", "macro", "samples"]
    assert averages.columns.tolist() == ["n_labels", "support", *MEASURES]
    assert averages.loc["macro", "f1"] == pytest.approx(table["f1"].mean())


@pytest.mark.parametrize("method", ["to_frame", "averages_to_frame"])
def test_without_pandas_a_table_says_what_to_type(method, monkeypatch):
    report = label_report(Y, SCORES)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=rf"{method} returns .* pip install pandas"):
        getattr(report, method)()
    assert "micro" in repr(report)


def test_text_and_html_of_few_labels_show_all():
    names = ["Drama", "Comedy <b>", "Sci-Fi & more", "a"]
    report = label_report(Y, SCORES, label_names=names)
    lines = repr(report).splitlines()
    assert lines[0] == "Label report: 150 rows, 4 labels"
    assert all(any(line.strip().startswith(name) for line in lines) for name in names)
    assert len({len(line) for line in lines[1:] if line}) == 1
    assert f"{report.averages['micro']['f1']:.3f}" in lines[-3]
    html = report._repr_html_()
    assert "Comedy &lt;b&gt;" in html
    assert html.count("<tr>") == 1 + 4 + 6
    assert not re.search(r"#[0-9a-f]{3,6}|background:(?!transparent)|color:(?!inherit)", html)
    assert_tags_close(html)


def assert_tags_close(html):
    """Fail unless every tag is closed in its order."""

    class Reader(HTMLParser):
        tags: list = []  # noqa: RUF012

        def handle_starttag(self, tag, attributes):
            self.tags.append(tag)

        def handle_endtag(self, tag):
            assert self.tags.pop() == tag

    reader = Reader()
    reader.feed(html)
    assert reader.tags == []


def test_of_many_labels_the_most_frequent_are_shown():
    labels = (RNG.random((300, 500)) < np.linspace(0.01, 0.3, 500)).astype(int)
    report = label_report(sp.csr_array(labels), labels + RNG.normal(size=labels.shape))
    lines = repr(report).splitlines()
    assert len(lines) == 1 + 1 + 30 + 1 + 1 + 6
    assert "and 470 labels of no more rows each; to_frame() has all" in repr(report)
    assert report._repr_html_().count("<tr>") == 1 + 30 + 6
    shown = [int(line.split()[0]) for line in lines[2:32]]
    assert set(np.argsort(-report.support, kind="stable")[:30]) == set(shown)
    assert len(report.to_frame()) == 500


class Answering:
    """Labels without scores."""

    classes_ = np.arange(4)

    def fit(self, X, y):
        return self

    def predict(self, X):
        return Y


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((Y[:, 0], SCORES), {}, ValueError, "a column for each of two labels or more"),
        ((Y, SCORES[:, :3]), {}, ValueError, "a number for each of 150 rows and 4 labels"),
        ((Y, SCORES > 0), {}, ValueError, r"as probabilities do.*Pass thresholds=0.5"),
        ((Y, SCORES), {"thresholds": [1, 2]}, ValueError, "or one for each of 4 labels"),
        ((Y, SCORES), {"label_names": ["a"]}, ValueError, "label_names has 1 names; expected 4"),
        ((Y, SCORES), {"label_counts": [1, 2]}, ValueError, "one entry for each of the 4"),
        ((Y, SCORES), {"zero_division": 2}, ValueError, "zero_division must be"),
        ((Y, MLCEClassifier().fit(X, Y)), {}, ValueError, "needs rows to score, but X is None"),
        ((Y, MLCEClassifier(), X), {}, ValueError, "not fitted"),
        ((Y, Answering(), X), {}, TypeError, "neither decision_function nor predict_proba"),
        ((Y[:9], MLCEClassifier().fit(X, Y), X), {}, ValueError, "each of 9 rows"),
    ],
)
def test_what_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        label_report(*arguments, **options)
