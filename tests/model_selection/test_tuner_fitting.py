"""The threshold tuner's folds, weights, metadata, names and copies."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import (
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
)
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows
from tests.helpers.stored_models import Y_FORMS, assert_same_answers, public_names_stored

X, Y = labelled_rows(n_rows=150)
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
LOGISTIC = OneVsRestClassifier(LogisticRegression())
PER_LABEL = {"thresholds": "per_label", "scoring": "f1_macro"}


def test_cross_validation_in_every_form():
    folds = MultilabelStratifiedKFold(3, shuffle=True, random_state=0)
    expected = Tuned(MLCEClassifier(), cv=folds).fit(X, Y).best_thresholds_
    masks = [(np.isin(np.arange(150), train), test) for train, test in folds.split(X, Y)]
    for cv in (list(folds.split(X, Y)), iter(list(folds.split(X, Y))), masks, 3):
        tuned = Tuned(MLCEClassifier(), cv=cv, random_state=0).fit(X, Y)
        assert tuned.best_thresholds_ == pytest.approx(expected)
    ordered = Tuned(MLCEClassifier(), cv=KFold(5)).fit(X, Y).best_thresholds_
    assert Tuned(MLCEClassifier(), cv=None).fit(X, Y).best_thresholds_ == ordered
    parallel = Tuned(MLCEClassifier(), cv=folds, n_jobs=2).fit(X, Y)
    assert parallel.best_thresholds_ == pytest.approx(expected)


@pytest.mark.parametrize(
    "make", [Tuned, Calibrated, lambda _, **parameters: MLCEClassifierCV(**parameters)]
)
def test_a_cv_without_splits_is_named(make):
    used_up = KFold(3).split(X)
    make(MLCEClassifier(), cv=used_up).fit(X, Y)
    for cv in ([], used_up):
        with pytest.raises(ValueError, match=r"cv=[\[<].* makes no splits; .*Pass .* cv=3, a spl"):
            make(MLCEClassifier(), cv=cv).fit(X, Y)


def test_rows_held_out_more_than_once_count_each_time():
    rows = np.arange(len(X))
    once = Tuned(MLCEClassifier(), cv=[(rows[50:], rows[:50])]).fit(X, Y)
    twice = Tuned(MLCEClassifier(), cv=[(rows[50:], rows[:50])] * 2).fit(X, Y)
    assert once.best_thresholds_ == twice.best_thresholds_
    assert once.best_score_ == pytest.approx(twice.best_score_)


@pytest.mark.filterwarnings("ignore:the positives of 1 of 4 labels")
def test_a_single_split_may_keep_its_fit():
    tuned = Tuned(MLCEClassifier(), cv=0.3, refit=False, random_state=0).fit(X, Y)
    splitter = MultilabelStratifiedShuffleSplit(1, test_size=0.3, random_state=0)
    train, test = next(splitter.split(X, Y))
    np.testing.assert_allclose(
        tuned.estimator_.coef_, MLCEClassifier().fit(X[train], Y[train]).coef_
    )
    assert tuned.best_score_ == f1_score(Y[test], tuned.predict(X[test]), average="micro")
    refitted = clone(tuned).set_params(refit=True).fit(X, Y)
    assert refitted.best_thresholds_ == tuned.best_thresholds_
    np.testing.assert_allclose(refitted.estimator_.coef_, MLCEClassifier().fit(X, Y).coef_)
    labels = Y.copy()
    labels[train, 0] = 0  # positive in held-out rows alone, which nothing was fitted on
    kept = clone(tuned).set_params(cv=[(train, test)]).fit(X, labels)
    assert (kept.decision_function(X)[:, 0] == -CONSTANT_LABEL_SCORE).all()


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


@pytest.mark.parametrize(
    "make",
    [
        lambda fitted: Tuned(fitted, cv="prefit", refit=False),
        lambda fitted: Tuned(FrozenEstimator(fitted)),
        lambda fitted: Calibrated(FrozenEstimator(fitted)),
    ],
)
def test_arguments_that_no_fit_takes_are_refused(make):
    """As the fit of the estimator would refuse them, had there been one."""
    with pytest.raises(TypeError, match=r"got the arguments \['nonsense'\].*Leave them out"):
        make(MLCEClassifier().fit(X, Y)).fit(X, Y, nonsense=3)


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
        ({"scoring": "accuracy"}, ValueError, "has no exact best thresholds"),
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
    folds = MultilabelStratifiedKFold(3, shuffle=True, random_state=0)
    scores = np.zeros(Y.shape)
    for train, test in folds.split(X, Y):
        neighbours = KNeighborsClassifier(7).fit(X[train], Y[train])
        scores[test] = np.column_stack([part[:, 1] for part in neighbours.predict_proba(X[test])])
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
    estimator = MLCEClassifier(C=0.01, loss="mlce")
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


@pytest.mark.parametrize("form", Y_FORMS)
@pytest.mark.parametrize("options", [{}, PER_LABEL | {"store_cv_results": True}], ids=str)
def test_what_is_stored_names_public_classes_alone(options, form):
    if form == "classes" and options:
        options = {"thresholds": "per_label"}
    estimator = LogisticRegression() if form == "classes" else LOGISTIC
    tuned = Tuned(estimator, **options, random_state=0).fit(X, Y_FORMS[form](Y))
    name = "sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV"
    assert public_names_stored(tuned) == {name}
    assert_same_answers(tuned, X)


@pytest.mark.parametrize("form", Y_FORMS)
def test_copies_answer_alike_around_our_own_estimator(form):
    assert_same_answers(Tuned(MLCEClassifier(), random_state=0).fit(X, Y_FORMS[form](Y)), X)


def test_copies_and_representations():
    tuned = Tuned(SVMS, **PER_LABEL, random_state=0).fit(X, Y)
    restored = pickle.loads(pickle.dumps(tuned))
    np.testing.assert_array_equal(restored.decision_function(X), tuned.decision_function(X))
    assert not hasattr(clone(tuned), "estimator_")
    assert "LinearSVC" in tuned._repr_html_()
    assert not hasattr(tuned, "predict_proba")
    forest = Tuned(RandomForestClassifier(15, random_state=0), random_state=0).fit(X, Y)
    np.testing.assert_array_equal(forest.predict_proba(X), forest.estimator_.predict_proba(X))


@pytest.mark.parametrize("make", [Tuned, Calibrated])
@pytest.mark.parametrize(
    ("part", "match"),
    [
        ([10**6], "does not fit 90 rows: index 1000000 is out of bounds"),
        (5, "has the part 5; expected a list of row numbers"),
        (np.ones(7, bool), "does not fit 90 rows: boolean index did not match"),
    ],
)
def test_folds_that_do_not_fit_the_rows_are_refused(make, part, match):
    X, Y = labelled_rows()
    for pair in ((np.arange(45), part), (part, np.arange(45))):
        with pytest.raises(ValueError, match=match):
            make(MLCEClassifier(), cv=[pair]).fit(X, Y)
