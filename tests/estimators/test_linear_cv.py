"""The linear estimator that chooses C and thresholds for itself."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, fbeta_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._estimators.linear_cv import C_FACTORS
from sklearn_mlce._objectives.pointwise import BinaryCrossEntropy
from sklearn_mlce._solvers import fit
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, single_labels

X, Y = labelled_rows(n_rows=150)
SINGLE = single_labels(Y)
CS = [0.01, 1.0, 100.0]
EXACT = {"tol": 1e-9}
CHOICES = ["global", "per_label", None]
# These rows like a large C. The tests of the ends expect the warning all the same.
pytestmark = pytest.mark.filterwarnings("ignore:the best C:UserWarning")


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("thresholds", ["global", "per_label"])
@pytest.mark.parametrize("average", ["micro", "macro"])
def test_it_is_the_tuner_around_the_best_c(average, thresholds, fit_intercept):
    options = {"scoring": f"f1_{average}", "thresholds": thresholds, "random_state": 0}
    plain = {"fit_intercept": fit_intercept, **EXACT}
    chosen = MLCEClassifierCV(CS[::-1], **options, **plain).fit(X, Y)
    assert chosen.Cs_.tolist() == CS
    tuned = [
        MultilabelTunedThresholdClassifierCV(MLCEClassifier(C=C, **plain), **options).fit(X, Y)
        for C in CS
    ]
    np.testing.assert_allclose(chosen.scores_, [other.best_score_ for other in tuned], rtol=1e-9)
    best = tuned[chosen.scores_.argmax()]
    assert chosen.C_ == best.estimator_.C
    np.testing.assert_allclose(chosen.thresholds_, best.best_thresholds_, atol=1e-6)
    np.testing.assert_allclose(chosen.decision_function(X), best.decision_function(X), atol=1e-6)
    np.testing.assert_array_equal(chosen.predict(X), chosen.decision_function(X) > 0)
    fitted = best.estimator_
    np.testing.assert_allclose(chosen.intercept_ + chosen.thresholds_, fitted.intercept_, atol=1e-6)
    assert fit_intercept or not fitted.intercept_.any()


def test_epochs_do_not_add_up_from_c_to_c():
    """What is far from its optimum after its epochs has another threshold after twice as many."""
    model = MLCEClassifier(solver="sgd", max_iter=2, loss="mlce", random_state=0)
    own = {name: getattr(model, name) for name in ("solver", "max_iter", "loss", "random_state")}
    chosen = MLCEClassifierCV(CS, **own).fit(X, Y)
    for C, score in zip(CS, chosen.scores_, strict=True):
        tuner = MultilabelTunedThresholdClassifierCV(
            clone(model).set_params(C=C), scoring="f1_micro", random_state=0
        ).fit(X, Y)
        assert score == pytest.approx(tuner.best_score_)
        if chosen.C_ == C:
            np.testing.assert_allclose(
                chosen.decision_function(X), tuner.decision_function(X), atol=1e-6
            )


def test_without_thresholds_c_is_chosen_for_zero():
    chosen = MLCEClassifierCV(CS, cv=KFold(3), thresholds=None, **EXACT).fit(X, Y)
    for C, score in zip(CS, chosen.scores_, strict=True):
        predicted = np.zeros_like(Y)
        for train, test in KFold(3).split(X):
            predicted[test] = MLCEClassifier(C=C, **EXACT).fit(X[train], Y[train]).predict(X[test])
        assert score == pytest.approx(f1_score(Y, predicted, average="micro"))
    assert chosen.thresholds_ == 0
    expected = MLCEClassifier(C=chosen.C_, **EXACT).fit(X, Y)
    np.testing.assert_array_equal(chosen.coef_, expected.coef_)
    np.testing.assert_array_equal(chosen.intercept_, expected.intercept_)
    assert chosen.n_iter_ == expected.n_iter_
    assert chosen.loss_curve_ == expected.loss_curve_


def test_groups_are_kept_together_by_splits_as_a_list():
    groups = np.arange(len(X)) % 5
    splits = list(GroupKFold(3).split(X, Y, groups))
    chosen = MLCEClassifierCV([0.1], cv=splits, thresholds=None, **EXACT).fit(X, Y)
    predicted = np.zeros_like(Y)
    for train, test in splits:
        predicted[test] = MLCEClassifier(C=0.1, **EXACT).fit(X[train], Y[train]).predict(X[test])
    assert chosen.scores_[0] == pytest.approx(f1_score(Y, predicted, average="micro"))


def test_every_parameter_of_the_model_is_passed_on():
    own = MLCEClassifierCV().get_params()
    plain = MLCEClassifier().get_params()
    assert set(plain) - set(own) == {"C", "warm_start", "n_labels_per_row"}
    shared = set(plain) & set(own) - {"n_jobs"}  # the folds have them
    assert {name: own[name] for name in shared} == {name: plain[name] for name in shared}
    for name in shared:
        own = MLCEClassifierCV(**{name: "given"})
        assert own._model(C=1.0).get_params()[name] == "given"


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "mlce", "scale": 2.0, "margin": 0.5},
        {"loss": "bce"},
        {"loss": "bce", "scale": 2.0, "margin": 0.5},
        {"loss": "squared_hinge"},
        {"loss": "mlce"},
    ],
)
def test_losses_are_those_of_the_model(options):
    chosen = MLCEClassifierCV([1.0], random_state=0, **options, **EXACT).fit(X, Y)
    plain = MLCEClassifier(C=1.0, **options, **EXACT).fit(X, Y)
    np.testing.assert_array_equal(chosen.coef_, plain.coef_)
    shifted = plain.decision_function(X) - chosen.thresholds_
    np.testing.assert_allclose(chosen.decision_function(X), shifted)
    if options.get("loss") != "squared_hinge":
        np.testing.assert_array_equal(chosen.predict_proba(X) > 0.5, chosen.predict(X) > 0)


def test_fits_of_a_fold_start_from_the_last_c(monkeypatch):
    starts = []
    start = MLCEClassifier._start

    def recorded(self, *arguments):
        first = start(self, *arguments)
        starts.append((self.C, first is not None))
        return first

    monkeypatch.setattr(MLCEClassifier, "_start", recorded)
    MLCEClassifierCV(CS, cv=2, random_state=0).fit(X, Y)
    assert starts[:-1] == [(0.01, False)] * 2 + [(1.0, True)] * 2 + [(100.0, True)] * 2
    assert not starts[-1][1]


@pytest.mark.parametrize(("spare", "solver"), [(-1, "sgd"), (0, "newton-cg")])
def test_all_fits_have_the_solver_of_all_rows(spare, solver, monkeypatch):
    rows = sp.csr_array(X)
    work = (rows.nnz + X.shape[1]) * Y.shape[1]  # of all rows; that of a fold is less
    monkeypatch.setattr(BinaryCrossEntropy, "large_work", work + spare)
    solvers, fit_linear = [], fit.fit_linear

    def recorded(problem, fixed, start, options, monitor):
        solvers.append(options.solver)
        return fit_linear(problem, fixed, start, options, monitor)

    monkeypatch.setattr(fit, "fit_linear", recorded)
    max_iter = 30 if solver == "newton-cg" else 3  # of epochs
    model = MLCEClassifierCV(CS, max_iter=max_iter, random_state=0).fit(rows, Y)
    assert solvers == [solver] * (3 * len(CS) + 1)
    assert model.solver == "auto"


def test_there_is_no_partial_fit():
    assert not hasattr(MLCEClassifierCV(), "partial_fit")


def fitted_with_scores(monkeypatch, score_of, Cs):
    """A fit whose out-of-fold scores are those of a function of the place in the order of trial."""
    values = map(score_of, range(100))
    monkeypatch.setattr(MLCEClassifierCV, "_judge", lambda self, *arguments: (next(values), 0.0))
    return MLCEClassifierCV(Cs, cv=2, random_state=0).fit(X, Y)


def test_a_number_of_cs_spans_the_range(monkeypatch):
    chosen = fitted_with_scores(monkeypatch, lambda i: 0.5, 5)
    factors = chosen.Cs_ / MLCEClassifier().fit(X, Y).C_
    assert (factors[0], factors[-1]) == pytest.approx(C_FACTORS)
    assert MLCEClassifierCV(1, random_state=0).fit(X, Y).C_ == MLCEClassifier().fit(X, Y).C_
    np.testing.assert_allclose(np.diff(np.log(chosen.Cs_), n=2), 0, atol=1e-12)
    assert len(chosen.scores_) == 5


def assert_even(Cs):
    np.testing.assert_allclose(np.diff(np.log(Cs), n=2), 0, atol=1e-9)


@pytest.mark.parametrize(("n_more", "expected"), [(1, 5), (2, 6), (3, 7)])
def test_a_grid_goes_on_past_its_largest_c_until_the_score_falls(monkeypatch, n_more, expected):
    best = 3 + n_more - 1  # the last one that rises, the next one falls
    chosen = fitted_with_scores(monkeypatch, lambda i: -abs(i - best), 4)
    assert len(chosen.Cs_) == len(chosen.scores_) == expected
    assert_even(chosen.Cs_)
    assert chosen.C_ == chosen.Cs_[best] == chosen.Cs_[chosen.scores_.argmax()]


def test_a_grid_goes_on_past_its_smallest_c_until_the_score_falls(monkeypatch):
    order = [0.3, 0.2, 0.1, 0.0, 0.5, 0.4]  # the last two are below the grid of four
    chosen = fitted_with_scores(monkeypatch, lambda i: order[i], 4)
    assert chosen.scores_.tolist() == [0.4, 0.5, 0.3, 0.2, 0.1, 0.0]
    assert_even(chosen.Cs_)
    assert chosen.Cs_[1] == chosen.C_


@pytest.mark.parametrize(("sign", "end"), [(1, "largest"), (-1, "smallest")])
def test_a_grid_ends_after_two_decades_and_says_so(monkeypatch, sign, end):
    def score_of(place):
        """Rise to the largest C, or fall from the smallest and rise again below it."""
        return place if sign == 1 or place >= 5 else -place

    with pytest.warns(UserWarning, match=rf"is the {end} of the 9 .*Set Cs=np.geomspace\("):
        chosen = fitted_with_scores(monkeypatch, score_of, 5)
    assert_even(chosen.Cs_)
    factors = chosen.Cs_ / MLCEClassifier().fit(X, Y).C_
    expected = (0.1, 1000) if sign == 1 else (0.001, 10)
    assert (factors[0], factors[-1]) == pytest.approx(expected)
    assert chosen.Cs_[-1 if sign == 1 else 0] == chosen.C_


@pytest.mark.parametrize(("sign", "end"), [(1, "largest"), (-1, "smallest")])
def test_values_that_are_given_are_all_but_an_end_is_warned_of(monkeypatch, sign, end):
    with pytest.warns(UserWarning, match=f"best C, .*, is the {end} of the 3") as caught:
        chosen = fitted_with_scores(monkeypatch, lambda i: sign * i, CS)
    assert chosen.Cs_.tolist() == CS
    assert "geomspace(100, 1e+04, 10)" in str(caught[0].message) or sign < 0


@pytest.mark.filterwarnings("error:the best C:UserWarning")
def test_of_two_values_one_is_always_an_end(monkeypatch):
    assert fitted_with_scores(monkeypatch, lambda i: i, [0.1, 1.0]).C_ == 1.0


@pytest.mark.filterwarnings("error:the best C:UserWarning")
@pytest.mark.parametrize("Cs", [1, 5, CS, [1.0]])
@pytest.mark.parametrize(
    "scores", [[0.5] * 9, [0.5, 0.5, 0.1, 0.1, 0.1], [0.1, 0.5, 0.5, 0.5, 0.5]]
)
def test_a_score_that_others_share_is_at_no_end(monkeypatch, scores, Cs):
    chosen = fitted_with_scores(monkeypatch, lambda i: scores[i], Cs)
    assert len(chosen.Cs_) == (Cs if isinstance(Cs, int) else len(Cs))
    assert chosen.Cs_[chosen.scores_.argmax()] == chosen.C_


@pytest.mark.parametrize("solver", ["newton-cg", "sgd"])
@pytest.mark.slow
def test_what_lies_past_an_end_is_fitted_as_if_it_had_been_given(solver):
    """Values below the grid start anew, those above it from the last ones."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 40))
    noise, clear = (rng.random((60, 3)) < 0.5).astype(int), (rows[:, :3] > 0).astype(int)
    for labels in (noise, clear):
        max_iter = 200 if solver == "newton-cg" else 10  # of epochs too, each start decides
        options = {"cv": KFold(3), "solver": solver, "max_iter": max_iter, "random_state": 0}
        options |= EXACT
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            beyond = MLCEClassifierCV(3, **options).fit(rows, labels)
            given = MLCEClassifierCV(beyond.Cs_, input_scaling="columns", **options)
            given.fit(rows, labels)
        np.testing.assert_allclose(beyond.scores_, given.scores_, atol=1e-9)
        assert pytest.approx(given.C_) == beyond.C_
        np.testing.assert_allclose(beyond.coef_, given.coef_, atol=1e-6)


@pytest.mark.parametrize("thresholds", CHOICES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_that_cannot_be_placed_keep_their_scores(thresholds, dtype):
    labels = Y.copy()
    labels[:, 1], labels[:, 2] = 0, 1
    chosen = MLCEClassifierCV(CS, thresholds=thresholds, random_state=0)
    chosen.fit(X.astype(dtype), labels)
    assert chosen.intercept_.dtype == dtype
    assert chosen.intercept_[1:3].tolist() == [-CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE]
    predicted = chosen.predict(X)
    assert not predicted[:, 1].any()
    assert predicted[:, 2].all()
    if thresholds == "per_label":
        assert chosen.thresholds_[1:3].tolist() == [0, 0]
        assert chosen.thresholds_[[0, 3]].all()
    assert np.isfinite(chosen.thresholds_).all()


def test_a_label_with_one_positive():
    labels = Y.copy()
    labels[:, 1] = 0
    labels[5, 1] = 1
    chosen = MLCEClassifierCV(CS, thresholds="per_label", random_state=0, **EXACT).fit(X, labels)
    shared = MLCEClassifierCV([chosen.C_], random_state=0, **EXACT).fit(X, labels)
    assert chosen.thresholds_[1] == pytest.approx(shared.thresholds_, abs=1e-3)


@pytest.mark.parametrize("thresholds", CHOICES)
def test_every_form_of_y_gives_the_same_fit(thresholds):
    def fitted(X, y):
        return MLCEClassifierCV(CS, thresholds=thresholds, random_state=0).fit(X, y)

    expected = fitted(X, Y)
    for form in (Y.astype(bool), Y.astype(np.int8), sp.csr_matrix(Y), sp.csr_array(Y)):
        chosen = fitted(sp.csr_array(X), form)
        np.testing.assert_allclose(chosen.coef_, expected.coef_, atol=1e-3)
        predicted = chosen.predict(X)
        assert predicted.dtype == form.dtype
        assert type(predicted) is type(form)
    frame = pd.DataFrame(Y, columns=list("abcd"))
    assert fitted(pd.DataFrame(X, columns=list("uvwxyz")), frame).label_names_.tolist() == list(
        "abcd"
    )


@pytest.mark.parametrize("kind", ["soft", "unknown"])
def test_soft_and_unknown_targets(kind):
    rng = np.random.default_rng(0)
    unknown = np.where(rng.random(Y.shape) < 0.3, np.nan, Y)
    labels = {"soft": np.clip(Y + rng.uniform(-0.5, 0.5, Y.shape), 0, 1), "unknown": unknown}[kind]
    chosen = MLCEClassifierCV(CS, random_state=0, **EXACT).fit(X, labels)
    tuned = MultilabelTunedThresholdClassifierCV(
        MLCEClassifier(C=chosen.C_, **EXACT), random_state=0
    ).fit(X, labels)
    assert chosen.scores_.max() == pytest.approx(tuned.best_score_)
    np.testing.assert_array_equal(chosen.predict(X), tuned.predict(X))


@pytest.mark.parametrize("thresholds", CHOICES)
def test_binary_y_is_judged_by_its_second_class(thresholds):
    y, folds = SINGLE["binary"], StratifiedKFold(3, shuffle=True, random_state=0)
    scorer = make_scorer(fbeta_score, beta=2, average="micro")
    options = {"thresholds": thresholds, "scoring": scorer, "random_state": 0, **EXACT}
    chosen = MLCEClassifierCV(CS, **options).fit(X, y)
    scores = np.zeros(len(y))
    for train, test in folds.split(X, y):
        regression = LogisticRegression(C=chosen.C_, tol=1e-9, max_iter=1000)
        scores[test] = regression.fit(X[train], y[train]).decision_function(X[test])
    # Shrinking a binary y's own threshold towards the global one leaves it where it is.
    threshold = np.mean(chosen.thresholds_)
    expected = fbeta_score(y == "yes", scores > threshold, beta=2)
    assert chosen.scores_.max() == pytest.approx(expected, abs=1e-3)
    assert chosen.decision_function(X).shape == y.shape
    np.testing.assert_array_equal(
        chosen.predict(X), np.where(chosen.decision_function(X) > 0, "yes", "no")
    )
    with pytest.raises(ValueError, match="means nothing for a binary y"):
        chosen.set_params(scoring="f1_samples", thresholds="global").fit(X, y)


@pytest.mark.parametrize("thresholds", CHOICES)
def test_multiclass_y_is_judged_by_accuracy(thresholds):
    y, folds = SINGLE["multiclass"], StratifiedKFold(3, shuffle=True, random_state=0)
    chosen = MLCEClassifierCV(CS, thresholds=thresholds, random_state=0, **EXACT).fit(X, y)
    for C, score in zip(CS, chosen.scores_, strict=True):
        predicted = np.empty_like(y)
        for train, test in folds.split(X, y):
            predicted[test] = MLCEClassifier(C=C, **EXACT).fit(X[train], y[train]).predict(X[test])
        assert score == accuracy_score(y, predicted)
    assert chosen.thresholds_ == 0
    expected = MLCEClassifier(C=chosen.C_, **EXACT).fit(X, y)
    np.testing.assert_array_equal(chosen.predict(X), expected.predict(X))


def test_a_fold_may_lack_a_class():
    y = SINGLE["multiclass"].copy()
    y[y == "one"] = "none"
    y[0] = "one"
    chosen = MLCEClassifierCV(CS, cv=KFold(3)).fit(X, y)
    assert (chosen.scores_ > 0.5).all()
    assert chosen.classes_.tolist() == ["more", "none", "one"]


@pytest.mark.parametrize("thresholds", CHOICES)
def test_weight_two_is_a_row_twice(thresholds):
    rng = np.random.default_rng(0)
    times, groups = rng.integers(0, 4, len(X)), rng.integers(0, 3, len(X))
    rows = np.arange(len(X)).repeat(times)

    def folds(groups):
        return [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(3)]

    options = {"thresholds": thresholds, **EXACT}
    weighted = MLCEClassifierCV(CS, cv=folds(groups), **options).fit(X, Y, sample_weight=times)
    repeated = MLCEClassifierCV(CS, cv=folds(groups[rows]), **options).fit(X[rows], Y[rows])
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, atol=1e-9)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-5)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-5)


def test_folds_in_processes_give_the_same():
    serial, parallel = (
        MLCEClassifierCV(CS, random_state=0, n_jobs=n_jobs).fit(X, Y) for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(serial.scores_, parallel.scores_)
    np.testing.assert_array_equal(serial.intercept_, parallel.intercept_)


def test_in_pipelines_and_searches():
    pipeline = make_pipeline(StandardScaler(), MLCEClassifierCV(CS, random_state=0))
    grid = {"mlceclassifiercv__thresholds": CHOICES}
    search = GridSearchCV(pipeline, grid, scoring="f1_micro", cv=KFold(2)).fit(X, Y)
    assert search.best_score_ > 0.6
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.decision_function(X), search.decision_function(X))
    assert not hasattr(clone(search.best_estimator_[-1]), "coef_")


def test_it_does_better_on_new_rows_than_a_poor_c():
    options = {"cv": KFold(3), "scoring": "f1_micro"}
    poor = cross_val_score(MLCEClassifier(C=0.01), X, Y, **options).mean()
    chosen = cross_val_score(MLCEClassifierCV(CS, random_state=0), X, Y, **options).mean()
    assert chosen > poor + 0.03


def test_callbacks_hear_of_each_c():
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    from tests.estimators.test_callbacks import Recorder

    class Stopping(Recorder):
        def on_fit_task_end(self, estimator, context):
            self.hooks.append(f"end {context.task_name}")
            return context.task_name == "C" and context.task_id == 1

    recorder = Recorder()
    chosen = MLCEClassifierCV(CS, random_state=0).set_callbacks(recorder).fit(X, Y)
    assert recorder.hooks.count("end C") == recorder.hooks.count("begin C") == 3
    stopped = MLCEClassifierCV(CS, random_state=0).set_callbacks(Stopping()).fit(X, Y)
    np.testing.assert_array_equal(stopped.scores_, chosen.scores_[:2])
    assert stopped.Cs_.tolist() == CS[:2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Cs": [1.0, -1.0]}, "must hold positive finite numbers"),
        ({"Cs": []}, "must hold positive finite numbers"),
        ({"Cs": 0}, "'Cs' parameter"),
        ({"cv": "prefit"}, "'cv' parameter"),
        ({"thresholds": "each"}, "'thresholds' parameter"),
        ({"scoring": "accuracy"}, "has no exact best thresholds"),
        ({"scoring": "f1_samples", "thresholds": "per_label"}, "depends on all labels of a row"),
        ({"tol": 0.0}, "'tol' parameter"),
    ],
)
def test_unusable_parameters_say_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        MLCEClassifierCV(**options).fit(X, Y)


@pytest.mark.parametrize("kind", ["multiclass", "binary", "labels", "unknown labels"])
def test_folds_that_hold_out_nothing_that_counts_are_refused(kind):
    """Scores of no row tell no C from another."""
    held_out, rest = np.arange(50), np.arange(50, 150)
    weight = np.where(np.arange(150) < 50, 0.0, 1.0)
    y = SINGLE.get(kind, Y)
    if kind == "unknown labels":
        y, weight = np.where(weight[:, None] > 0, Y, np.nan), None
    fits = [MLCEClassifierCV(CS, cv=[(rest, held_out)])]
    if kind != "multiclass":
        fits += [MultilabelTunedThresholdClassifierCV(MLCEClassifier(), cv=[(rest, held_out)])]
    for estimator in fits:
        with pytest.raises(ValueError, match=r"holds 50 rows out, of which none .*such as cv=3"):
            estimator.fit(X, y, sample_weight=weight)


def test_an_earlier_fit_survives_a_failed_one():
    chosen = MLCEClassifierCV(CS, random_state=0).fit(X, Y)
    before = {name: value for name, value in vars(chosen).items() if name.endswith("_")}
    with pytest.raises(ValueError, match="infinity"):
        chosen.fit(np.where(X > 2, np.inf, X), Y[:, :2])
    with pytest.raises(ValueError, match=r"Cannot have number of splits n_splits=200 .* rows: 150"):
        chosen.set_params(cv=200).fit(X, Y)
    assert before.keys() <= vars(chosen).keys()
    assert all(getattr(chosen, name) is value for name, value in before.items())


def test_not_converging_warns():
    with pytest.warns(ConvergenceWarning, match="Raise max_iter or tol"):
        MLCEClassifierCV([100.0], max_iter=1, tol=1e-8, cv=2, random_state=0).fit(X, Y)
