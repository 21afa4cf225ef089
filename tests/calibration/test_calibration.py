"""The calibrator around every kind of estimator, y and cross-validation."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelStratifiedKFold
from tests.helpers.estimators import labelled_rows, single_labels
from tests.helpers.pairwise import parametrize_pairwise
from tests.helpers.stored_models import (
    Y_FORMS,
    assert_same_answers,
    loaded_copies,
    public_names_stored,
)

X, Y = labelled_rows(n_rows=150)
SINGLE = single_labels(Y)
LOGISTIC = OneVsRestClassifier(LogisticRegression())
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
ESTIMATORS = {
    "mlce": MLCEClassifier(),
    "mlce mlp": MLCEMLP((8,), max_epochs=3, random_state=0),
    "svms": SVMS,
    "perceptron": MLPClassifier((8,), solver="lbfgs", alpha=1.0, tol=0.01, random_state=0),
    "forest": RandomForestClassifier(15, random_state=0),
    "neighbours": KNeighborsClassifier(7),
    "pipeline": make_pipeline(StandardScaler(), SVMS),
    "by output": MultiOutputClassifier(LogisticRegression()),
}
METHODS = ["sigmoid", "isotonic", "scale"]
FOLDS = MultilabelStratifiedKFold(3, shuffle=True, random_state=0)


def calibrated(estimator, y=Y, rows=X, **options):
    return Calibrated(estimator, **({"cv": FOLDS} | options)).fit(rows, y)


@parametrize_pairwise(name=ESTIMATORS, method=METHODS, ensemble=[False, True])
@pytest.mark.slow
def test_probabilities_scores_and_labels_agree(name, method, ensemble):
    model = calibrated(ESTIMATORS[name], method=method, ensemble=ensemble)
    probabilities, scores = model.predict_proba(X), model.decision_function(X)
    assert probabilities.shape == scores.shape == Y.shape
    assert probabilities.dtype == scores.dtype == np.float64
    assert ((probabilities > 0) & (probabilities < 1)).all()
    np.testing.assert_allclose(np.log(probabilities / (1 - probabilities)), scores, atol=1e-6)
    predicted = model.predict(X)
    assert predicted.dtype == Y.dtype
    np.testing.assert_array_equal(predicted, scores > 0)
    assert model.classes_.tolist() == [0, 1, 2, 3]
    assert len(model.calibrated_classifiers_) == (3 if ensemble else 1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mlce", "svms", "forest"])
def test_the_order_of_a_labels_scores_stays(name, method):
    model = calibrated(ESTIMATORS[name], method=method)
    plain = clone(ESTIMATORS[name]).fit(X, Y)
    if name == "forest":
        scores = np.column_stack([part[:, 1] for part in plain.predict_proba(X)])
    else:
        scores = plain.decision_function(X)
    order = scores.argsort(axis=0, kind="stable")
    sorted_scores = np.take_along_axis(scores, order, axis=0)
    rising = np.diff(np.take_along_axis(model.decision_function(X), order, axis=0), axis=0)
    assert (rising[np.diff(sorted_scores, axis=0) > 1e-9] > 0).all()
    assert (rising >= -1e-12).all()


@pytest.mark.parametrize("method", METHODS)
def test_calibration_helps_on_new_rows(method):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4000, 6))
    chances = 1 / (1 + np.exp(2 - rows[:, :4] * [1, 2, 0.5, 1.5]))
    labels = (rng.random(chances.shape) < chances).astype(int)
    plain = MLCEClassifier().fit(rows[:2000], labels[:2000])
    model = calibrated(MLCEClassifier(), labels[:2000], rows[:2000], method=method)
    errors = [
        np.square(one.predict_proba(rows[2000:]) - chances[2000:]).mean() for one in (plain, model)
    ]
    assert errors[1] < errors[0] / 3


def test_an_ensemble_is_the_mean_of_its_folds():
    model = calibrated(SVMS, ensemble=True)
    expected = np.zeros(Y.shape)
    for train, test in FOLDS.split(X, Y):
        fitted = FrozenEstimator(clone(SVMS).fit(X[train], Y[train]))
        expected += Calibrated(fitted).fit(X[test], Y[test]).predict_proba(X) / 3
    np.testing.assert_allclose(model.predict_proba(X), expected)
    auto = calibrated(SVMS, ensemble="auto")
    np.testing.assert_array_equal(auto.predict_proba(X), model.predict_proba(X))


def test_without_an_ensemble_the_estimator_is_fitted_on_all_rows():
    (member,) = calibrated(MLCEClassifier()).calibrated_classifiers_
    expected = MLCEClassifier().fit(X, Y)
    np.testing.assert_array_equal(member.estimator.coef_, expected.coef_)
    slopes, intercepts = member.calibrator.slopes, member.calibrator.intercepts
    model = calibrated(MLCEClassifier())
    np.testing.assert_allclose(
        model.decision_function(X), slopes * expected.decision_function(X) + intercepts
    )


@pytest.mark.parametrize("ensemble", [False, "auto"])
def test_a_frozen_estimator_is_left_alone(ensemble):
    fitted = MLCEClassifier().fit(X[:100], Y[:100])
    frozen = FrozenEstimator(fitted)
    model = Calibrated(frozen, ensemble=ensemble).fit(X[100:], Y[100:])
    (member,) = model.calibrated_classifiers_
    assert member.estimator is frozen
    whole = [(np.arange(100), np.arange(100, 150))]
    single = calibrated(MLCEClassifier(), cv=whole, ensemble=True)
    np.testing.assert_allclose(model.predict_proba(X), single.predict_proba(X))
    weighted = Calibrated(frozen).fit(X[100:], Y[100:], sample_weight=np.full(50, 1.0))
    np.testing.assert_allclose(weighted.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("requested", [True, False])
def test_metadata_routing(requested):
    weight = np.random.default_rng(0).uniform(0.5, 3, len(X))
    groups = np.arange(len(X)) % 7
    with sklearn.config_context(enable_metadata_routing=True):
        inner = MLCEClassifier().set_fit_request(sample_weight=requested)
        model = Calibrated(inner, cv=GroupKFold(3)).set_fit_request(sample_weight=True)
        model.fit(X, Y, sample_weight=weight, groups=groups)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            Calibrated(MLCEClassifier()).fit(X, Y, sample_weight=weight)
    (member,) = model.calibrated_classifiers_
    expected = MLCEClassifier().fit(X, Y, sample_weight=weight if requested else None)
    np.testing.assert_allclose(member.estimator.coef_, expected.coef_)


class Warner(ClassifierMixin, BaseEstimator):
    """Has one score too many."""

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def decision_function(self, X):
        return np.asarray(X)[:, :5]


@pytest.mark.parametrize(
    ("estimator", "options", "y", "error", "message"),
    [
        (SVMS, {}, SINGLE["multiclass"], ValueError, "use sklearn.calibration.CalibratedClas"),
        (SVMS, {}, Y + Y[::-1], ValueError, "multiclass-multioutput: the best class of each"),
        (SVMS, {}, 2 * Y, ValueError, "coded as"),
        (SVMS, {}, Y[1:], ValueError, "inconsistent numbers of samples"),
        (SVMS, {"method": "platt"}, Y, ValueError, "'method' parameter"),
        (SVMS, {"cv": 1.5}, Y, ValueError, "'cv' parameter"),
        (SVMS, {"ensemble": "yes"}, Y, ValueError, "'ensemble' parameter"),
        (MultiOutputClassifier(SVC()), {}, Y, TypeError, "neither decision_function nor predict"),
        (FrozenEstimator(SVMS), {}, Y, NotFittedError, "not fitted yet"),
        (FrozenEstimator(SVMS), {"ensemble": True}, Y, ValueError, "Pass ensemble=False"),
        (Warner(), {}, Y, ValueError, r"array of shape \(50, 5\); expected one column"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(estimator, options, y, error, message):
    with pytest.raises(error, match=message):
        calibrated(estimator, y, **options)


def test_an_earlier_fit_survives_a_failed_one():
    model = calibrated(MLCEClassifier())
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="Only binary"):
        model.fit(X, SINGLE["multiclass"])
    np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.slow
def test_cross_validation_in_every_form():
    expected = calibrated(MLCEClassifier(), cv=FOLDS).predict_proba(X)
    splits = list(FOLDS.split(X, Y))
    for cv in (splits, iter(splits), 3):
        model = calibrated(MLCEClassifier(), cv=cv, random_state=0)
        np.testing.assert_allclose(model.predict_proba(X), expected)
    parallel = calibrated(MLCEClassifier(), cv=FOLDS, n_jobs=2)
    np.testing.assert_allclose(parallel.predict_proba(X), expected)
    assert len(calibrated(SVMS, cv=0.3, ensemble=True).calibrated_classifiers_) == 1
    assert len(calibrated(SVMS, cv=None, ensemble=True).calibrated_classifiers_) == 5


def test_in_pipelines_searches_and_pickles():
    pipeline = make_pipeline(StandardScaler(with_mean=False), Calibrated(SVMS, random_state=0))
    grid = {"multilabelcalibratedclassifiercv__method": METHODS}

    def scorer(model, rows, labels):
        return -log_loss(labels.toarray().ravel(), model.predict_proba(rows).ravel())

    search = GridSearchCV(pipeline, grid, scoring=scorer, cv=KFold(3))
    search.fit(sp.csr_array(X), sp.csr_array(Y))
    assert search.best_score_ > -0.5
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict_proba(X), search.predict_proba(X))


@pytest.mark.parametrize("form", Y_FORMS)
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_stored_names_public_classes_alone(method, ensemble, form):
    estimator = LogisticRegression() if form == "classes" else LOGISTIC
    options = {"method": method, "ensemble": ensemble, "cv": 3, "random_state": 0}
    model = calibrated(estimator, Y_FORMS[form](Y), **options)
    name = "sklearn_mlce.calibration.MultilabelCalibratedClassifierCV"
    assert public_names_stored(model) == {name}
    assert_same_answers(model, X)
    for one, other in zip(
        loaded_copies(model)[0].calibrated_classifiers_, model.calibrated_classifiers_, strict=True
    ):
        np.testing.assert_array_equal(one.calibrator.slopes, other.calibrator.slopes)
        assert type(one.estimator) is type(other.estimator)


@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_copies_answer_alike_around_our_own_estimator(method, ensemble):
    assert_same_answers(calibrated(MLCEClassifier(), method=method, ensemble=ensemble), X)
    frozen = FrozenEstimator(MLCEClassifier().fit(X, Y))
    assert_same_answers(Calibrated(frozen, method=method).fit(X, Y), X)


def test_names_of_features_come_from_the_estimator():
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    model = calibrated(MLCEClassifier(), rows=frame)
    assert model.feature_names_in_.tolist() == list("uvwxyz")
    assert model.n_features_in_ == 6
    assert not hasattr(model.fit(X, Y), "feature_names_in_")
