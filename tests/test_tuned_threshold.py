"""The threshold tuner around every kind of estimator, y and cross-validation."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import DataConversionWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    coverage_error,
    f1_score,
    fbeta_score,
    make_scorer,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce._targets import FIXED_SCORE
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests._expected_failures import expected_failures
from tests.estimators import labelled_rows, single_labels

X, Y = labelled_rows(n_rows=150)
SINGLE = single_labels(Y)
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
ESTIMATORS = {
    "mlce": MLCEClassifier(),
    "mlce mlp": MLCEMLP((8,), max_epochs=3, random_state=0),
    "svms": SVMS,
    "logistic regressions": OneVsRestClassifier(LogisticRegression()),
    "perceptron": MLPClassifier((8,), solver="lbfgs", alpha=1.0, max_iter=3000, random_state=0),
    "forest": RandomForestClassifier(15, random_state=0),
    "neighbours": KNeighborsClassifier(7),
    "pipeline": make_pipeline(StandardScaler(), SVMS),
    "by output": MultiOutputClassifier(LogisticRegression()),
    "chain": ClassifierChain(LogisticRegression()),
}
PER_LABEL = {"thresholds": "per_label", "scoring": "f1_macro"}


@parametrize_with_checks(
    [
        Tuned(MLCEClassifier(), random_state=0),
        Tuned(MLCEClassifier(), **PER_LABEL, random_state=0),
        Tuned(LogisticRegression(), random_state=0),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


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
    for train, test in folds.split(X):
        scores[test] = scores_by_hand(clone(estimator).fit(X[train], y[train]), X[test])
    return scores


@pytest.mark.parametrize("scoring", ["f1_micro", "f1_macro", "f1_samples"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_no_threshold_does_better_out_of_fold(name, scoring):
    estimator, folds = ESTIMATORS[name], KFold(3, shuffle=True, random_state=0)
    tuned = Tuned(estimator, scoring=scoring, random_state=0).fit(X, Y)
    scores = out_of_fold_by_hand(estimator, Y, folds)
    average = scoring.removeprefix("f1_")

    def quality(threshold):
        return f1_score(Y, scores > threshold, average=average, zero_division=0.0)

    assert tuned.best_score_ == pytest.approx(quality(tuned.best_thresholds_))
    tried = np.quantile(scores, np.linspace(0, 1, 200))
    assert tuned.best_score_ >= max(map(quality, tried)) - 1e-9
    expected = scores_by_hand(clone(estimator).fit(X, Y), X) - tuned.best_thresholds_
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
    assert (scores[:, 2] == -FIXED_SCORE).all()
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

    def split(self, rows):
        for train, test in self.folds.split(rows):
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
    monkeypatch.setattr("sklearn_mlce._thresholds.predictions.SCORES_PER_BLOCK", 30)
    assert (tuned.predict(X) != expected).nnz == 0
    assert (tuned.predict(sp.csr_array(X)) != expected).nnz == 0


def test_unknown_targets_are_ignored():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(Y.shape) < 0.3, np.nan, Y)
    folds = KFold(3, shuffle=True, random_state=0)
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
    folds = KFold(3, shuffle=True, random_state=0)
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


def test_cross_validation_in_every_form():
    folds = KFold(3, shuffle=True, random_state=0)
    expected = Tuned(MLCEClassifier(), cv=folds).fit(X, Y).best_thresholds_
    masks = [(np.isin(np.arange(150), train), test) for train, test in folds.split(X)]
    for cv in (list(folds.split(X)), iter(list(folds.split(X))), masks, 3):
        tuned = Tuned(MLCEClassifier(), cv=cv, random_state=0).fit(X, Y)
        assert tuned.best_thresholds_ == pytest.approx(expected)
    ordered = Tuned(MLCEClassifier(), cv=KFold(5)).fit(X, Y).best_thresholds_
    assert Tuned(MLCEClassifier(), cv=None).fit(X, Y).best_thresholds_ == ordered
    parallel = Tuned(MLCEClassifier(), cv=folds, n_jobs=2).fit(X, Y)
    assert parallel.best_thresholds_ == pytest.approx(expected)


def test_rows_held_out_more_than_once_count_each_time():
    rows = np.arange(len(X))
    once = Tuned(MLCEClassifier(), cv=[(rows[50:], rows[:50])]).fit(X, Y)
    twice = Tuned(MLCEClassifier(), cv=[(rows[50:], rows[:50])] * 2).fit(X, Y)
    assert once.best_thresholds_ == twice.best_thresholds_
    assert once.best_score_ == pytest.approx(twice.best_score_)


def test_a_single_split_may_keep_its_fit():
    tuned = Tuned(MLCEClassifier(), cv=0.3, refit=False, random_state=0).fit(X, Y)
    train, test = next(ShuffleSplit(1, test_size=0.3, random_state=0).split(X))
    np.testing.assert_allclose(
        tuned.estimator_.coef_, MLCEClassifier().fit(X[train], Y[train]).coef_
    )
    assert tuned.best_score_ == f1_score(Y[test], tuned.predict(X[test]), average="micro")
    refitted = clone(tuned).set_params(refit=True).fit(X, Y)
    assert refitted.best_thresholds_ == tuned.best_thresholds_
    np.testing.assert_allclose(refitted.estimator_.coef_, MLCEClassifier().fit(X, Y).coef_)
    labels = Y.copy()
    labels[train, 0] = 0  # positive in held-out rows alone, which nothing was fitted on
    kept = clone(tuned).fit(X, labels)
    assert (kept.decision_function(X)[:, 0] == -FIXED_SCORE).all()


def test_a_fitted_estimator_is_left_alone():
    fitted = MLCEClassifier().fit(X[:100], Y[:100])
    tuned = Tuned(fitted, cv="prefit", refit=False).fit(X[100:], Y[100:])
    assert tuned.estimator_ is fitted
    assert tuned.best_score_ == f1_score(Y[100:], tuned.predict(X[100:]), average="micro")
    expected = fitted.decision_function(X) - tuned.best_thresholds_
    np.testing.assert_array_equal(tuned.decision_function(X), expected)


@pytest.mark.parametrize("options", [{}, PER_LABEL], ids=["global", "per_label"])
def test_a_label_that_a_fitted_estimator_could_not_learn_is_not_predicted(options):
    labels = Y.copy()
    labels[:100, 1] = 0
    fitted = MLCEClassifier().fit(X[:100], labels[:100])
    tuned = Tuned(fitted, cv="prefit", refit=False, **options).fit(X[100:], labels[100:])
    assert np.isfinite(tuned.best_thresholds_).all()
    assert np.abs(tuned.best_thresholds_).max() < 10
    assert not tuned.predict(X)[:, 1].any()


def test_rows_of_which_nothing_is_known_do_not_count():
    labels = Y.astype(float)
    labels[::10] = np.nan
    fitted = MLCEClassifier().fit(X, Y)
    options = {"cv": "prefit", "refit": False, "scoring": "f1_samples"}
    tuned = Tuned(fitted, **options).fit(X, labels)
    known = ~np.isnan(labels[:, 0])
    expected = Tuned(fitted, **options).fit(X[known], Y[known])
    assert tuned.best_score_ == expected.best_score_
    assert tuned.best_thresholds_ == expected.best_thresholds_


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cv": "prefit"}, ValueError, "refit must be False with cv='prefit'"),
        ({"cv": "prefit", "refit": False}, NotFittedError, "not fitted yet"),
        ({"cv": 3, "refit": False}, ValueError, "single split, but cv=3 makes 3"),
        ({"cv": 1.5}, ValueError, "'cv' parameter"),
        ({"thresholds": "each"}, ValueError, "'thresholds' parameter"),
        ({"scoring": "accuracy"}, ValueError, "cannot be swept exactly"),
    ],
)
def test_unusable_parameters_say_what_was_expected(options, error, message):
    with pytest.raises(error, match=message):
        Tuned(MLCEClassifier(), **options).fit(X, Y)


def test_the_curve_is_kept_on_demand():
    tuned = Tuned(MLCEClassifier(), store_cv_results=True, random_state=0).fit(X, Y)
    curve = tuned.cv_results_
    best = curve["scores"].argmax()
    assert curve["scores"][best] == pytest.approx(tuned.best_score_)
    assert curve["thresholds"][best] == tuned.best_thresholds_
    assert not hasattr(tuned.set_params(store_cv_results=False).fit(X, Y), "cv_results_")


@pytest.mark.parametrize("options", [{}, PER_LABEL], ids=["global", "per_label"])
def test_weight_two_is_a_row_twice(options):
    rng = np.random.default_rng(0)
    times = rng.integers(0, 4, len(X))
    rows = np.arange(len(X)).repeat(times)
    groups = rng.integers(0, 3, len(X))
    cv = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(3)]
    weighted = Tuned(MLCEClassifier(tol=1e-9), cv=cv, **options).fit(X, Y, sample_weight=times)
    repeated_cv = [
        (np.flatnonzero(groups[rows] != g), np.flatnonzero(groups[rows] == g)) for g in range(3)
    ]
    repeated = Tuned(MLCEClassifier(tol=1e-9), cv=repeated_cv, **options).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.best_thresholds_, repeated.best_thresholds_, atol=1e-5)
    assert weighted.best_score_ == pytest.approx(repeated.best_score_, abs=1e-9)


def test_weights_the_estimator_does_not_take_weigh_the_objective():
    weight = np.where(Y[:, 0] > 0, 5.0, 1.0)
    with pytest.warns(UserWarning, match="fit of KNeighborsClassifier does not take sample_weight"):
        tuned = Tuned(KNeighborsClassifier(7), random_state=0).fit(X, Y, sample_weight=weight)
    folds = KFold(3, shuffle=True, random_state=0)
    scores = out_of_fold_by_hand(KNeighborsClassifier(7), Y, folds)
    predicted = scores > tuned.best_thresholds_
    expected = f1_score(Y, predicted, average="micro", sample_weight=weight)
    assert tuned.best_score_ == pytest.approx(expected)


def test_parameters_of_a_step_are_split_with_the_rows():
    weight = np.random.default_rng(0).uniform(0.5, 3, len(X))
    pipeline = make_pipeline(StandardScaler(), MLCEClassifier())
    tuned = Tuned(pipeline, random_state=0).fit(X, Y, mlceclassifier__sample_weight=weight)
    expected = clone(pipeline).fit(X, Y, mlceclassifier__sample_weight=weight)
    np.testing.assert_allclose(
        tuned.decision_function(X) + tuned.best_thresholds_, expected.decision_function(X)
    )


@pytest.mark.parametrize("requested", [True, False])
def test_metadata_routing(requested):
    weight = np.random.default_rng(0).uniform(0.5, 3, len(X))
    groups = np.arange(len(X)) % 7
    with sklearn.config_context(enable_metadata_routing=True):
        inner = MLCEClassifier().set_fit_request(sample_weight=requested)
        tuned = Tuned(inner, cv=GroupKFold(3)).set_fit_request(sample_weight=True)
        tuned.fit(X, Y, sample_weight=weight, groups=groups)
        unweighted = StandardScaler().set_fit_request(sample_weight=False)
        nested = make_pipeline(unweighted, clone(tuned))
        nested.fit(X, Y, sample_weight=weight, groups=groups)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            Tuned(MLCEClassifier()).fit(X, Y, sample_weight=weight)
    passed = weight if requested else None
    expected = MLCEClassifier().fit(X, Y, sample_weight=passed)
    np.testing.assert_allclose(tuned.estimator_.coef_, expected.coef_)
    scores = np.zeros(Y.shape)
    for train, test in GroupKFold(3).split(X, groups=groups):
        fold_weight = weight[train] if requested else None
        fitted = MLCEClassifier().fit(X[train], Y[train], sample_weight=fold_weight)
        scores[test] = fitted.decision_function(X[test])
    predicted = scores > tuned.best_thresholds_
    score = f1_score(Y, predicted, average="micro", sample_weight=weight)
    assert tuned.best_score_ == pytest.approx(score)


def test_in_pipelines_and_searches():
    labels = sp.csr_array(Y)
    pipeline = make_pipeline(
        StandardScaler(with_mean=False), Tuned(MLCEClassifier(), random_state=0)
    )
    grid = {
        "multilabeltunedthresholdclassifiercv__estimator__C": [0.1, 10.0],
        "multilabeltunedthresholdclassifiercv__thresholds": ["global", "per_label"],
    }
    search = GridSearchCV(pipeline, grid, scoring="f1_micro", cv=KFold(3), n_jobs=2)
    search.fit(sp.csr_array(X), labels)
    assert search.best_score_ > 0.6
    results = cross_validate(pipeline, X, Y, scoring=["f1_micro", "average_precision"], cv=3)
    assert (results["test_f1_micro"] > 0.5).all()
    around = Tuned(
        GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, scoring="f1_micro", cv=KFold(2))
    )
    around.set_params(random_state=0).fit(X, Y)
    assert around.n_features_in_ == X.shape[1]


def test_tuning_helps_held_out_rows_of_a_regularised_model():
    estimator = MLCEClassifier(C=0.01, order=1)
    options = {"cv": KFold(3), "scoring": "f1_micro"}
    plain = cross_val_score(estimator, X, Y, **options).mean()
    tuned = cross_val_score(Tuned(estimator, random_state=0), X, Y, **options).mean()
    assert tuned > plain + 0.03


def test_names_of_features_come_from_the_estimator():
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    tuned = Tuned(MLCEClassifier(), random_state=0).fit(frame, Y)
    assert tuned.feature_names_in_.tolist() == list("uvwxyz")
    assert tuned.n_features_in_ == 6
    with pytest.raises(ValueError, match="feature names should match"):
        tuned.predict(frame[list("zyxwvu")])
    assert not hasattr(tuned.fit(X, Y), "feature_names_in_")


def test_text_goes_to_the_estimator_as_it_is():
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [" ".join(f"word{j}" for j in np.flatnonzero(row > 0)) or "none" for row in X]
    tuned = Tuned(make_pipeline(TfidfVectorizer(), MLCEClassifier()), random_state=0)
    predicted = tuned.fit(texts, sp.csr_array(Y)).predict(texts)
    assert predicted.shape == Y.shape


def test_an_earlier_fit_survives_a_failed_one():
    tuned = Tuned(MLCEClassifier(), random_state=0).fit(X, Y)
    before, threshold = tuned.decision_function(X), tuned.best_thresholds_
    with pytest.raises(ValueError, match="infinity"):
        tuned.fit(np.where(X > 2, np.inf, X), Y[:, :2])
    np.testing.assert_array_equal(tuned.decision_function(X), before)
    assert tuned.best_thresholds_ == threshold


def test_copies_and_representations():
    tuned = Tuned(SVMS, **PER_LABEL, random_state=0).fit(X, Y)
    restored = pickle.loads(pickle.dumps(tuned))
    np.testing.assert_array_equal(restored.decision_function(X), tuned.decision_function(X))
    assert not hasattr(clone(tuned), "estimator_")
    assert "LinearSVC" in tuned._repr_html_()
    assert not hasattr(tuned, "predict_proba")
    forest = Tuned(ESTIMATORS["forest"], random_state=0).fit(X, Y)
    np.testing.assert_array_equal(forest.predict_proba(X), forest.estimator_.predict_proba(X))
