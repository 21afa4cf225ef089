"""The threshold tuner around every kind of estimator and y."""

import functools
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    coverage_error,
    f1_score,
    fbeta_score,
    make_scorer,
)
from sklearn.model_selection import (
    KFold,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce.model_selection import MultilabelStratifiedKFold
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, single_labels

X, Y = labelled_rows(n_rows=150)
SINGLE = single_labels(Y)
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
ESTIMATORS = {
    "mlce": MLCEClassifier(),
    "mlce mlp": MLCEMLP((8,), max_epochs=3, random_state=0),
    "svms": SVMS,
    "logistic regressions": OneVsRestClassifier(LogisticRegression()),
    "perceptron": MLPClassifier((8,), solver="lbfgs", alpha=1.0, tol=0.01, random_state=0),
    "forest": RandomForestClassifier(15, random_state=0),
    "neighbours": KNeighborsClassifier(7),
    "pipeline": make_pipeline(StandardScaler(), SVMS),
    "by output": MultiOutputClassifier(LogisticRegression()),
    "chain": ClassifierChain(LogisticRegression()),
}
PER_LABEL = {"thresholds": "per_label", "scoring": "f1_macro"}


def scores_by_hand(estimator, rows):
    """Scores of each label of a fitted estimator, whatever form it gives them in."""
    if hasattr(estimator, "decision_function"):
        return estimator.decision_function(rows)
    probabilities = estimator.predict_proba(rows)
    if isinstance(probabilities, list):
        return np.column_stack([part[:, 1] for part in probabilities])
    return probabilities


def out_of_fold_by_hand(estimator, y, folds):
    scores = np.zeros(Y.shape)
    for train, test in folds.split(X, y):
        scores[test] = scores_by_hand(clone(estimator).fit(X[train], y[train]), X[test])
    return scores


@functools.cache
def out_of_fold_scores(name):
    """Return out-of-fold scores of one of the estimators; do not change them."""
    folds = MultilabelStratifiedKFold(3, shuffle=True, random_state=0)
    return out_of_fold_by_hand(ESTIMATORS[name], Y, folds)


@pytest.mark.parametrize("scoring", ["f1_micro", "f1_macro", "f1_samples"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_threshold_does_better_out_of_fold(name, scoring):
    tuned = Tuned(ESTIMATORS[name], scoring=scoring, random_state=0).fit(X, Y)
    scores = out_of_fold_scores(name)
    average = scoring.removeprefix("f1_")

    best = f1_score(Y, scores > tuned.best_thresholds_, average=average, zero_division=0.0)
    assert tuned.best_score_ == pytest.approx(best)
    axis = {"micro": None, "macro": 0, "samples": 1}[average]

    def quality(threshold):
        predicted = scores > threshold
        hits, both = (Y * predicted).sum(axis), Y.sum(axis) + predicted.sum(axis)
        return np.mean(2 * hits / np.maximum(both, 1))

    assert quality(tuned.best_thresholds_) == pytest.approx(best)
    assert tuned.best_score_ >= max(map(quality, np.unique(scores))) - 1e-9
    expected = scores_by_hand(clone(ESTIMATORS[name]).fit(X, Y), X) - tuned.best_thresholds_
    np.testing.assert_allclose(tuned.decision_function(X), expected, atol=1e-9)


@pytest.mark.parametrize("options", [{}, PER_LABEL], ids=["global", "per_label"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_predict_is_the_sign_of_the_decision_function(name, options):
    tuned = Tuned(ESTIMATORS[name], **options, random_state=0).fit(X, Y)
    scores = tuned.decision_function(X)
    assert scores.shape == Y.shape
    assert scores.dtype == np.float64
    predicted = tuned.predict(X)
    assert predicted.dtype == Y.dtype
    np.testing.assert_array_equal(predicted, scores > 0)
    shape = Y.shape[1:] if options else ()
    assert np.shape(tuned.best_thresholds_) == shape
    assert tuned.classes_.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["mlce", "svms", "forest"])
def test_one_threshold_keeps_the_ranking(name):
    plain = clone(ESTIMATORS[name]).fit(X, Y)
    tuned = Tuned(ESTIMATORS[name], random_state=0).fit(X, Y)
    expected = average_precision_score(Y, scores_by_hand(plain, X))
    assert average_precision_score(Y, tuned.decision_function(X)) == pytest.approx(expected)


def test_thresholds_per_label_reach_more_of_the_mean_over_labels():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 4))
    shares = np.array([0.5, 0.2, 0.05, 0.02])
    noise = rng.normal(size=rows.shape)
    labels = (rows + noise > np.quantile(rows + noise, 1 - shares, axis=0).diagonal()).astype(int)
    scores = {
        thresholds: Tuned(MLCEClassifier(C=0.01), scoring="f1_macro", thresholds=thresholds)
        .set_params(random_state=0)
        .fit(rows, labels)
        .best_score_
        for thresholds in ("global", "per_label")
    }
    assert scores["per_label"] > scores["global"] + 0.02


@pytest.mark.parametrize("options", [{}, PER_LABEL], ids=["global", "per_label"])
@pytest.mark.parametrize("estimator", [MLCEClassifier(), SVMS], ids=["mlce", "svms"])
@pytest.mark.filterwarnings("ignore:Label not 2 is present:UserWarning")
def test_a_label_that_is_never_positive_is_never_predicted(estimator, options):
    labels = Y.copy()
    labels[:, 2] = 0
    tuned = Tuned(estimator, **options, random_state=0).fit(X, labels)
    scores = tuned.decision_function(X)
    assert (scores[:, 2] == -CONSTANT_LABEL_SCORE).all()
    assert (scores.argmin(axis=1) == 2).all()
    assert not tuned.predict(X)[:, 2].any()
    assert coverage_error(labels[labels.any(axis=1)], scores[labels.any(axis=1)]) <= 3
    if options:
        assert np.isinf(tuned.best_thresholds_).tolist() == [False, False, True, False]
    else:
        assert np.isfinite(tuned.best_thresholds_)
    kept = [0, 1, 3]
    without = Tuned(estimator, **options, random_state=0).fit(X, labels[:, kept])
    if estimator is SVMS:
        np.testing.assert_allclose(scores[:, kept], without.decision_function(X))


@pytest.mark.parametrize("n_positives", [1, 2])
@pytest.mark.parametrize("options", [{}, PER_LABEL], ids=["global", "per_label"])
def test_a_fold_that_cannot_learn_a_label_does_not_predict_it(options, n_positives):
    labels = Y.copy()
    labels[:, 1] = 0
    labels[:n_positives, 1] = 1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tuned = Tuned(SVMS, cv=KFold(3), **options).fit(X, labels)
    assert [str(w.message) for w in caught if "training examples" in str(w.message)] == []
    scores = out_of_fold_by_hand(SVMS.set_params(n_jobs=None), labels, _Quiet(KFold(3)))
    scores[:50, 1] = -np.inf
    predicted = scores > tuned.best_thresholds_
    average = "macro" if options else "micro"
    expected = f1_score(labels, predicted, average=average, zero_division=0.0)
    assert tuned.best_score_ == pytest.approx(expected)
    assert np.isfinite(tuned.best_thresholds_).all()


class _Quiet:
    """Folds of whose constant labels nothing is said."""

    def __init__(self, folds):
        self.folds = folds

    def split(self, rows, y):
        for train, test in self.folds.split(rows, y):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield train, test


class Warner(ClassifierMixin, BaseEstimator):
    """Warns as it fits."""

    def fit(self, X, y):
        warnings.warn("something to know", RuntimeWarning, stacklevel=2)
        self.classes_ = np.arange(y.shape[1])
        return self

    def decision_function(self, X):
        return np.asarray(X)[:, : len(self.classes_)]


def test_other_warnings_of_the_estimator_are_heard():
    with pytest.warns(RuntimeWarning, match="something to know") as heard:
        Tuned(Warner()).fit(X, Y)
    assert len(heard) == 4


@pytest.mark.slow
def test_narrow_integers_are_not_permuted():
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 150)) < 0.3).astype(np.int8)
    labels[:, 7] = 1  # only if the columns keep their places is this one always predicted
    labels[0] = 0
    rows = rng.normal(size=(60, 3))
    estimator = OneVsRestClassifier(LogisticRegression())
    for form in (labels, sp.csr_matrix(labels)):
        tuned = Tuned(estimator, cv=2, random_state=0).fit(rows, form)
        predicted = tuned.predict(rows)
        assert predicted.dtype == np.int8
        assert sp.issparse(predicted) == sp.issparse(form)
        expected = clone(estimator).fit(rows, labels.astype(np.int64)).decision_function(rows)
        shifted = tuned.decision_function(rows) + tuned.best_thresholds_
        np.testing.assert_allclose(shifted, expected)


@pytest.mark.parametrize("options", [{}, PER_LABEL], ids=["global", "per_label"])
@pytest.mark.parametrize("estimator", [MLCEClassifier(tol=1e-10), SVMS], ids=["mlce", "svms"])
def test_permuted_labels_permute_the_result(estimator, options):
    order = np.array([2, 0, 3, 1])
    plain, permuted = (
        Tuned(estimator, **options, random_state=0).fit(X, y) for y in (Y, Y[:, order])
    )
    np.testing.assert_allclose(
        permuted.decision_function(X), plain.decision_function(X)[:, order], atol=1e-6
    )


@pytest.mark.parametrize("options", [{}, PER_LABEL, {"scoring": "f1_samples"}])
def test_every_form_of_y_gives_the_same_thresholds(options):
    def tuned(y):
        return Tuned(MLCEClassifier(), **options, random_state=0).fit(X, y)

    expected = tuned(Y)
    forms = [Y.astype(bool), Y.astype(float), sp.csr_matrix(Y), sp.csr_array(Y), sp.coo_array(Y)]
    for form in forms:
        model = tuned(form)
        np.testing.assert_allclose(model.best_thresholds_, expected.best_thresholds_)
        predicted = model.predict(X)
        assert predicted.dtype == form.dtype
        assert sp.issparse(predicted) == sp.issparse(form)
        assert isinstance(predicted, sp.sparray) == isinstance(form, sp.sparray)
        if sp.issparse(predicted):
            predicted = predicted.toarray()
        np.testing.assert_array_equal(predicted, expected.predict(X))
    model = tuned(pd.DataFrame(Y, columns=list("abcd")))
    assert model.label_names_.tolist() == list("abcd")
    np.testing.assert_allclose(model.best_thresholds_, expected.best_thresholds_)
    assert not hasattr(model.fit(X, Y), "label_names_")


def test_sparse_predictions_are_made_by_blocks(monkeypatch):
    tuned = Tuned(MLCEClassifier(), random_state=0).fit(X, sp.csr_array(Y))
    expected = tuned.predict(X)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 30)
    assert (tuned.predict(X) != expected).nnz == 0
    assert (tuned.predict(sp.csr_array(X)) != expected).nnz == 0


def test_unknown_targets_are_ignored():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(Y.shape) < 0.3, np.nan, Y)
    folds = MultilabelStratifiedKFold(3, shuffle=True, random_state=0)
    tuned = Tuned(MLCEClassifier(), random_state=0).fit(X, labels)
    scores, known = out_of_fold_by_hand(MLCEClassifier(), labels, folds), ~np.isnan(labels)

    def quality(threshold):
        return f1_score(labels[known] > 0, scores[known] > threshold)

    assert tuned.best_score_ == pytest.approx(quality(tuned.best_thresholds_))
    assert tuned.best_score_ >= max(map(quality, np.quantile(scores, np.linspace(0, 1, 100))))
    assert tuned.predict(X).dtype == np.int64


def test_soft_targets_count_with_their_mass():
    rng = np.random.default_rng(0)
    labels = np.clip(Y + rng.uniform(-0.6, 0.6, Y.shape), 0, 1)
    folds = MultilabelStratifiedKFold(3, shuffle=True, random_state=0)
    tuned = Tuned(MLCEClassifier(), random_state=0).fit(X, labels)
    scores = out_of_fold_by_hand(MLCEClassifier(), labels, folds)

    def quality(threshold):
        predicted = scores > threshold
        return 2 * labels[predicted].sum() / (predicted.sum() + labels.sum())

    assert tuned.best_score_ == pytest.approx(quality(tuned.best_thresholds_))
    assert tuned.best_score_ >= max(map(quality, np.quantile(scores, np.linspace(0, 1, 100))))


@pytest.mark.parametrize("thresholds", ["global", "per_label"])
@pytest.mark.parametrize(
    "estimator",
    [MLCEClassifier(), LogisticRegression(), RandomForestClassifier(15, random_state=0)],
)
def test_binary_y_has_a_threshold_on_its_second_class(estimator, thresholds):
    y = SINGLE["binary"]
    scorer = make_scorer(fbeta_score, beta=3, average="micro")
    options = {"thresholds": thresholds, "scoring": scorer, "random_state": 0}
    tuned = Tuned(estimator, **options).fit(X, y)
    assert tuned.classes_.tolist() == ["no", "yes"]
    scores = tuned.decision_function(X)
    assert scores.shape == y.shape
    np.testing.assert_array_equal(tuned.predict(X), np.where(scores > 0, "yes", "no"))
    plain = clone(estimator).fit(X, y)
    assert (tuned.predict(X) == "yes").sum() >= (plain.predict(X) == "yes").sum()
    with pytest.warns(DataConversionWarning, match="column-vector"):
        same = Tuned(estimator, **options).fit(X, y[:, None])
    np.testing.assert_array_equal(same.predict(X), tuned.predict(X))


def test_what_has_no_thresholds_is_refused():
    with pytest.raises(ValueError, match=r"Only binary classification is supported. y has the 3"):
        Tuned(MLCEClassifier()).fit(X, SINGLE["multiclass"])
    with pytest.raises(ValueError, match="means nothing for a binary y"):
        Tuned(MLCEClassifier(), scoring="f1_samples").fit(X, SINGLE["binary"])
    with pytest.raises(TypeError, match="neither decision_function nor predict_proba"):
        Tuned(MultiOutputClassifier(SVC())).fit(X, Y)
    with (
        pytest.warns(RuntimeWarning, match="something to know"),
        pytest.raises(ValueError, match=r"gave an array of shape \(50, 3\); expected one column"),
    ):
        Tuned(Warner(), cv=3).fit(X[:, :3], Y)


def test_scores_that_are_not_numbers_are_refused():
    rows = X.copy()
    rows[0, 0] = np.nan
    with (
        pytest.warns(RuntimeWarning, match="something to know"),
        pytest.raises(ValueError, match="decision_function of Warner gave NaN"),
    ):
        Tuned(Warner()).fit(rows, Y)
