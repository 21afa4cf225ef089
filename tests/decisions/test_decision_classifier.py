"""The wrapper: the rules on the probabilities of any estimator, for every y."""

import functools

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
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.decisions import (
    MultilabelDecisionClassifier,
    best_and_above,
    best_within_budget,
    f1_thresholds,
    maximize_f1,
)
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, single_labels
from tests.helpers.pairwise import parametrize_pairwise
from tests.helpers.stored_models import Y_FORMS, assert_same_answers, public_names_stored

X, Y = labelled_rows(n_rows=150)
SINGLE = single_labels(Y)
LOGISTIC = OneVsRestClassifier(LogisticRegression())
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
FOLDS = KFold(3, shuffle=True, random_state=0)
ESTIMATORS = {
    "mlce": MLCEClassifier(),
    "mlce mlp": MLCEMLP((8,), max_epochs=3, random_state=0),
    "logistic": LOGISTIC,
    "forest": RandomForestClassifier(10, random_state=0),
    "perceptron": MLPClassifier((8,), solver="lbfgs", alpha=1.0, tol=0.01, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LOGISTIC),
    "calibrated svms": Calibrated(SVMS, cv=FOLDS),
    "tuned": Tuned(MLCEClassifier(), cv=FOLDS),
    "search": GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, cv=FOLDS, scoring="f1_micro"),
}
DECISIONS = {
    "f1_samples": ({}, maximize_f1),
    "f1_samples, empty rows": ({"zero_division": 1}, lambda p: maximize_f1(p, zero_division=1)),
    "f1_micro": ({}, None),
    "f1_macro": ({}, None),
    "top_k": ({"k": 2}, lambda p: best_within_budget(p, per_row=2)),
    "best_and_above": ({"threshold": 0.3}, lambda p: best_and_above(p, 0.3)),
}
ONE_LABEL = {"top_k": {"k": 1}, "best_and_above": {"threshold": 0.5}}
LEARNED = ["f1_micro", "f1_macro"]


def decided(estimator, decision="f1_samples", y=Y, rows=X, **options):
    options = {"cv": FOLDS, "decision": decision.partition(",")[0]} | options
    own, _ = DECISIONS.get(decision, ({}, None))
    return MultilabelDecisionClassifier(estimator, **(own | options)).fit(rows, y)


def matrix_of(probabilities):
    if isinstance(probabilities, list):
        return np.column_stack([part[:, 1] for part in probabilities])
    return probabilities


@functools.cache
def probabilities(name):
    """Return probabilities of the rows by a fit of all of them, and out of fold; change neither."""
    held_out = [
        matrix_of(clone(ESTIMATORS[name]).fit(X[a], Y[a]).predict_proba(X[b]))
        for a, b in FOLDS.split(X)
    ]
    return matrix_of(clone(ESTIMATORS[name]).fit(X, Y).predict_proba(X)), np.concatenate(held_out)


@parametrize_pairwise(name=ESTIMATORS, decision=DECISIONS)
@pytest.mark.slow
def test_labels_are_those_of_the_rule(name, decision):
    model = decided(ESTIMATORS[name], decision)
    p, held_out = probabilities(name)
    np.testing.assert_array_equal(matrix_of(model.predict_proba(X)), p)
    if decision in LEARNED:
        average = decision.removeprefix("f1_")
        np.testing.assert_allclose(model.thresholds_, f1_thresholds(held_out, average))
        expected = p > model.thresholds_
    else:
        assert not hasattr(model, "thresholds_")
        expected = DECISIONS[decision][1](p)
    predicted, scores = model.predict(X), model.decision_function(X)
    np.testing.assert_array_equal(predicted, expected)
    np.testing.assert_array_equal(predicted, scores > 0)
    assert predicted.dtype == Y.dtype
    assert scores.dtype == np.float64
    assert np.isfinite(scores).all()
    assert model.classes_.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("decision", DECISIONS)
def test_scores_keep_the_order_of_a_rows_probabilities(decision):
    """All but thresholds per label shift a row as a whole, up to ties at the cut."""
    model = decided(LOGISTIC, decision)
    p, scores = model.predict_proba(X), model.decision_function(X)
    if decision != "f1_macro":
        order = p.argsort(axis=1)
        assert (np.diff(np.take_along_axis(scores, order, axis=1), axis=1) >= 0).all()
    else:
        np.testing.assert_allclose(p - scores, np.tile(model.thresholds_, (len(X), 1)))


@parametrize_pairwise(
    decision=DECISIONS,
    form=["csr_array", "csc_matrix", "frame", "soft", "unknown", "bool"],
)
def test_forms_of_y(decision, form):
    forms = {
        "csr_array": sp.csr_array,
        "csc_matrix": sp.csc_matrix,
        "frame": lambda Y: pd.DataFrame(Y, columns=list("abcd")),
        "soft": lambda Y: 0.2 + 0.6 * Y,
        "unknown": lambda Y: np.where(np.arange(Y.size).reshape(Y.shape) % 7, Y, np.nan),
        "bool": lambda Y: Y.astype(bool),
    }
    model = decided(MLCEClassifier(), decision, forms[form](Y))
    predicted = model.predict(X)
    assert sp.issparse(predicted) == form.startswith("cs")
    assert predicted.dtype == (bool if form == "bool" else np.int64)
    dense = predicted.toarray() if sp.issparse(predicted) else predicted
    np.testing.assert_array_equal(dense, model.decision_function(X) > 0)
    if form in ("csr_array", "csc_matrix", "frame", "bool"):
        np.testing.assert_array_equal(dense, decided(MLCEClassifier(), decision).predict(X))
        assert model.score(X, forms[form](Y)) > 0
    if form == "frame":
        assert model.label_names_.tolist() == list("abcd")
        with pytest.raises(ValueError, match="order"):
            model.score(X, pd.DataFrame(Y, columns=list("badc")))


@pytest.mark.parametrize("decision", DECISIONS)
def test_sparse_and_framed_features(decision):
    expected = decided(LOGISTIC, decision).predict(X)
    sparse = decided(LOGISTIC, decision, rows=sp.csr_array(X))
    np.testing.assert_array_equal(sparse.predict(sp.csr_array(X)), expected)
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    framed = decided(LOGISTIC, decision, rows=frame)
    np.testing.assert_array_equal(framed.predict(frame), expected)
    assert framed.n_features_in_ == 6


@pytest.mark.parametrize("name", ["mlce", "logistic", "forest"])
@pytest.mark.parametrize("decision", LEARNED)
def test_two_classes(name, decision):
    model = decided(ESTIMATORS[name], decision, SINGLE["binary"])
    p, scores = model.predict_proba(X), model.decision_function(X)
    assert scores.shape == (len(X),)
    threshold = np.ravel(model.thresholds_)
    np.testing.assert_array_equal(model.predict(X), np.where(p[:, 1] > threshold, "yes", "no"))
    np.testing.assert_allclose(scores, p[:, 1] - threshold)


@parametrize_pairwise(
    decision=[name for name in DECISIONS if name not in LEARNED],
    name=["mlce", "mlce mlp", "forest", "pipeline", "frozen"],
    kind=SINGLE,
)
def test_rows_of_one_label_get_the_most_probable_class(decision, name, kind):
    estimator = ESTIMATORS.get(name, LOGISTIC)
    y = SINGLE[kind]
    if name == "frozen":
        estimator = FrozenEstimator(clone(LOGISTIC).fit(X, y))
    model = decided(estimator, decision, y, **ONE_LABEL.get(decision, {}))
    p, scores = model.predict_proba(X), model.decision_function(X)
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    np.testing.assert_array_equal(model.predict(X), model.classes_[p.argmax(axis=1)])
    if kind == "binary":
        np.testing.assert_array_equal(model.predict(X) == "yes", scores > 0)
    else:
        np.testing.assert_allclose(scores, p)
    assert model.score(X, y) == np.mean(model.predict(X) == y)
    assert not hasattr(model, "thresholds_")


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.filterwarnings("ignore:Label not:UserWarning")
def test_labels_that_no_row_carries_are_never_predicted(decision):
    rare = Y.copy()
    rare[:, 1] = 0
    for estimator in (MLCEClassifier(), LOGISTIC, RandomForestClassifier(5, random_state=0)):
        model = decided(estimator, decision, rare)
        assert (model.decision_function(X)[:, 1] == -1e9).all()
        assert not model.predict(X)[:, 1].any()
        others = decided(estimator, decision, rare[:, [0, 2, 3]])
        if decision != "f1_micro":
            np.testing.assert_array_equal(model.predict(X)[:, [0, 2, 3]], others.predict(X))
    none = decided(MLCEClassifier(), decision, np.zeros_like(Y))
    assert not none.predict(X).any()


@pytest.mark.parametrize("decision", LEARNED)
def test_a_label_that_folds_cannot_learn(decision):
    """All positives in one fold: its estimator has no say, and a warning names the label."""
    rare = Y.copy()
    rare[:, 3] = np.arange(len(Y)) < 6
    with pytest.warns(
        UserWarning, match=r"labels, \[3\], could not be scored.*rest on rows without"
    ):
        model = decided(MLCEClassifier(), decision, rare, cv=KFold(3))
    assert np.isfinite(model.thresholds_).all()
    single = [(np.arange(50, 150), np.arange(50))]
    with pytest.warns(UserWarning, match="could not be scored"):
        model = decided(MLCEClassifier(), decision, rare, cv=single)
    if decision == "f1_macro":
        micro = f1_thresholds(
            MLCEClassifier().fit(X[50:], rare[50:]).predict_proba(X[:50])[:, :3], "micro"
        )
        assert model.thresholds_[3] == pytest.approx(micro)


@pytest.mark.parametrize("decision", DECISIONS)
def test_a_frozen_estimator_is_left_alone(decision):
    fitted = MLCEClassifier().fit(X[:100], Y[:100])
    frozen = FrozenEstimator(fitted)
    model = decided(frozen, decision, Y[100:], X[100:])
    assert model.estimator_ is frozen
    p = fitted.predict_proba(X[100:])
    if decision in LEARNED:
        expected = f1_thresholds(p, decision.removeprefix("f1_"))
        np.testing.assert_allclose(model.thresholds_, expected)
    else:
        np.testing.assert_array_equal(model.predict(X[100:]), DECISIONS[decision][1](p))
    with pytest.raises(NotFittedError):
        decided(FrozenEstimator(MLCEClassifier()), decision)
    # A label may lack positives among the rows given, and yet be known to the estimator.
    absent = Y[100:] * [1, 0, 1, 1]
    np.testing.assert_array_equal(
        decided(frozen, decision, absent, X[100:]).decision_function(X), model.decision_function(X)
    )


@pytest.mark.parametrize("decision", DECISIONS)
def test_rows_are_decided_by_themselves(decision):
    """In any order and company, and in blocks where y was sparse."""
    model = decided(MLCEClassifier(), decision, sp.csr_array(Y))
    whole, order = model.predict(X).toarray(), np.random.default_rng(0).permutation(len(X))
    np.testing.assert_array_equal(model.predict(X[order]).toarray(), whole[order])
    for row in (0, 7):
        np.testing.assert_array_equal(model.predict(X[[row]]).toarray(), whole[[row]])


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("form", Y_FORMS)
def test_stored_models(decision, form):
    options = {"cv": 3, "random_state": 0}
    if form == "classes":
        options |= ONE_LABEL.get(decision, {})
    model = decided(MLCEClassifier(), decision, Y_FORMS[form](Y), **options)
    own = "sklearn_mlce.decisions.MultilabelDecisionClassifier"
    assert public_names_stored(model) == {own, "sklearn_mlce.MLCEClassifier"}
    assert_same_answers(model, X)


def test_weights_weigh_the_fits_and_the_thresholds():
    weight = np.arange(len(X)) % 3
    model = MultilabelDecisionClassifier(MLCEClassifier(), decision="f1_macro", cv=FOLDS)
    model.fit(X, Y, sample_weight=weight)
    p = np.empty(Y.shape)
    for a, b in FOLDS.split(X):
        fitted = MLCEClassifier().fit(X[a], Y[a], sample_weight=weight[a])
        p[b] = fitted.predict_proba(X[b])
    expected = f1_thresholds(p, "macro", sample_weight=weight)
    np.testing.assert_allclose(model.thresholds_, expected)
    plain = MLCEClassifier().fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(model.estimator_.coef_, plain.coef_)
    with pytest.raises(ValueError, match="none of a weight above zero"):
        MultilabelDecisionClassifier(
            MLCEClassifier(), decision="f1_micro", cv=[(np.arange(50), np.arange(50, 150, 3))]
        ).fit(X, Y, sample_weight=(np.arange(len(X)) % 3 != 2).astype(float))
    by_rows = MultilabelDecisionClassifier(LOGISTIC, decision="f1_micro", cv=FOLDS)
    with pytest.warns(UserWarning, match="does not take sample_weight: it weighs the rows of the"):
        by_rows.fit(X, Y, sample_weight=weight)
    with pytest.warns(UserWarning, match="it weighs the rows that say which labels there are"):
        by_rows.set_params(decision="f1_samples").fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize("requested", [True, False])
@pytest.mark.parametrize("decision", ["f1_samples", "f1_micro"])
def test_metadata_routing(requested, decision):
    weight = np.random.default_rng(0).uniform(0.5, 3, len(X))
    groups = np.arange(len(X)) % 7
    with sklearn.config_context(enable_metadata_routing=True):
        inner = MLCEClassifier().set_fit_request(sample_weight=requested)
        model = MultilabelDecisionClassifier(inner, decision=decision, cv=GroupKFold(3))
        model.set_fit_request(sample_weight=True).fit(X, Y, sample_weight=weight, groups=groups)
        silent = MultilabelDecisionClassifier(MLCEClassifier(), decision=decision)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            silent.fit(X, Y, sample_weight=weight)
    expected = MLCEClassifier().fit(X, Y, sample_weight=weight if requested else None)
    np.testing.assert_allclose(model.estimator_.coef_, expected.coef_)


def test_parts_of_scikit_learn_take_it():
    search = GridSearchCV(
        MultilabelDecisionClassifier(LOGISTIC),
        {"decision": ["f1_samples", "top_k"], "estimator__estimator__C": [0.1, 1.0]},
        scoring="f1_samples",
        cv=3,
        error_score="raise",
    )
    assert search.fit(X, Y).best_params_["decision"] == "f1_samples"
    predicted = cross_val_predict(MultilabelDecisionClassifier(LOGISTIC, random_state=0), X, Y)
    assert predicted.shape == Y.shape
    assert get_scorer("average_precision")(search.best_estimator_, X, Y) > 0.5
    log_p = search.best_estimator_.predict_log_proba(X)
    np.testing.assert_allclose(np.exp(log_p), search.predict_proba(X))


def test_parameters_that_are_set_later_wait_for_the_next_fit():
    model = decided(LOGISTIC, "top_k")
    before = model.predict(X)
    model.set_params(decision="f1_micro", k=None)
    np.testing.assert_array_equal(model.predict(X), before)
    assert hasattr(model.fit(X, Y), "thresholds_")
    assert not hasattr(model.set_params(decision="f1_samples").fit(X, Y), "thresholds_")


class Doubtful(ClassifierMixin, BaseEstimator):
    """Says what it is told to say."""

    def __init__(self, low=0.0, high=1.0):
        self.low = low
        self.high = high

    def fit(self, X, y):
        self.fitted_ = True
        return self

    def predict_proba(self, X):
        return np.tile([self.low, self.high, 0.5, 0.25], (len(X), 1)).astype(np.float32)


@pytest.mark.parametrize("decision", DECISIONS)
def test_rounding_is_undone_and_other_scores_are_refused(decision):
    rounded = decided(Doubtful(-1e-7, 1 + 1e-6), decision)
    exact = decided(Doubtful(), decision)
    np.testing.assert_array_equal(rounded.predict(X), exact.predict(X))
    for scores in ({"low": -1.0}, {"high": 2.0}):
        with pytest.raises(ValueError, match="expected probabilities, from 0 to 1"):
            decided(Doubtful(**scores), decision).predict(X)
    with pytest.raises(ValueError, match="gave NaN"):
        decided(Doubtful(low=np.nan), decision).predict(X)


@pytest.mark.parametrize(
    ("estimator", "options", "y", "error", "message"),
    [
        (
            LOGISTIC,
            {"decision": "f1_micro"},
            SINGLE["multiclass"],
            ValueError,
            "highest score is predicted.*use decision='f1_samples', which predicts the most prob",
        ),
        (
            LOGISTIC,
            {"decision": "top_k", "k": 2},
            SINGLE["multiclass"],
            ValueError,
            "k=2 may predict",
        ),
        (
            LOGISTIC,
            {"decision": "best_and_above", "threshold": 0.4},
            SINGLE["binary"],
            ValueError,
            "threshold=0.4 may predict several labels for a row, but y is 1-D",
        ),
        (LOGISTIC, {}, Y + Y[::-1], ValueError, "multiclass-multioutput: the best class of each"),
        (LOGISTIC, {}, Y[1:], ValueError, "inconsistent numbers of samples"),
        (LOGISTIC, {"decision": "f1"}, Y, ValueError, "'decision' parameter"),
        (LOGISTIC, {"k": 3}, Y, ValueError, "k=3 is not used by decision='f1_samples'. Leave it"),
        (LOGISTIC, {"threshold": 0.2}, Y, ValueError, "or pass decision='best_and_above'"),
        (LOGISTIC, {"decision": "top_k", "zero_division": 1.0}, Y, ValueError, "='f1_samples'$"),
        (LOGISTIC, {"decision": "top_k", "k": 0}, Y, ValueError, "'k' parameter"),
        (LOGISTIC, {"cv": 1.5}, Y, ValueError, "'cv' parameter"),
        (
            OneVsRestClassifier(LinearSVC(random_state=0)),
            {},
            Y,
            TypeError,
            "OneVsRestClassifier has no predict_p",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused(estimator, options, y, error, message):
    with pytest.raises(error, match=message):
        decided(estimator, y=y, **options)


def test_an_earlier_fit_survives_a_failed_one():
    model = decided(LOGISTIC, "f1_macro")
    before, state = model.predict(X), dict(vars(model))
    with pytest.raises(ValueError, match="Only binary"):
        model.fit(X, SINGLE["multiclass"])
    model.set_params(k=2)
    with pytest.raises(ValueError, match="k=2 is not used"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), before)
    assert vars(model).keys() == state.keys()


def test_predict_before_fit():
    for method in ("predict", "decision_function", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(MultilabelDecisionClassifier(LOGISTIC), method)(X)
