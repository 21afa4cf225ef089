"""scikit-learn's callbacks on the tuner, the calibrator and the search for C."""

import threading
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import assert_same_scores, labelled_rows

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

X, Y = labelled_rows()
FOLDS = KFold(3)
WRAPPERS = {
    "tuner": lambda estimator, **options: Tuned(estimator, cv=FOLDS, **options),
    "calibrator": lambda estimator, **options: Calibrated(estimator, cv=FOLDS, **options),
}
SVMS = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))


class Recorder:
    """A callback that writes down which hook was called for which task of which estimator."""

    def __init__(self):
        self.hooks, self.rows, self.fitted = [], [], None

    def setup(self, estimator, context):
        self.hooks.append("setup")

    def teardown(self, estimator, context):
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X):
        self.hooks.append(f"begin {context.task_name}")
        self.rows.append(len(X))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.hooks.append(f"end {context.task_name}")
        self.fitted = fitted_estimator


class Propagated(Recorder):
    """One that is told of the tasks of wrapped estimators too."""

    max_propagation_depth = None


@pytest.mark.parametrize("estimator", [MLCEClassifier(), SVMS], ids=["mlce", "svms"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_hooks_of_folds_and_of_the_last_fit(name, estimator):
    recorder = Recorder()
    model = WRAPPERS[name](estimator).set_callbacks(recorder).fit(X, Y)
    fold, last = ["begin fold", "end fold"], ["begin refit", "end refit"]
    expected = ["setup", "begin fit", *fold * 3, *last, "end fit", "teardown"]
    assert recorder.hooks == expected
    assert recorder.rows == [90, 60, 60, 60, 90]
    assert_same_scores(recorder.fitted, model, X)
    assert_same_scores(model, WRAPPERS[name](estimator).fit(X, Y), X)


def test_tasks_are_as_many_as_fits():
    recorder = Recorder()
    Tuned(MLCEClassifier(), cv=0.3, refit=False).set_callbacks(recorder).fit(X, Y)
    assert recorder.hooks.count("begin fold") == 1
    assert "begin refit" not in recorder.hooks
    Calibrated(MLCEClassifier(), cv=FOLDS, ensemble=True).set_callbacks(recorder).fit(X, Y)
    assert recorder.hooks.count("begin fold") == 4
    assert "begin refit" not in recorder.hooks
    fitted = MLCEClassifier().fit(X, Y)
    Tuned(fitted, cv="prefit", refit=False).set_callbacks(recorder).fit(X, Y)
    Calibrated(FrozenEstimator(fitted)).set_callbacks(recorder).fit(X, Y)
    assert recorder.hooks.count("begin fold") == 4
    assert recorder.hooks.count("end fit") == 4
    assert recorder.hooks[-4:] == ["setup", "begin fit", "end fit", "teardown"]


@pytest.mark.parametrize("name", WRAPPERS)
def test_iterations_of_wrapped_estimators_are_told_of(name):
    recorder = Propagated()
    WRAPPERS[name](MLCEClassifier()).set_callbacks(recorder).fit(X, Y)
    assert recorder.hooks.count("setup") == recorder.hooks.count("teardown") == 1
    assert recorder.hooks.count("begin newton-iter") >= 4
    # A fit that is told of by its own estimator is one task, not two.
    assert recorder.hooks.count("begin fit") == recorder.hooks.count("end fit") == 5


@pytest.mark.parametrize("n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_progress_bar_is_shown_until_the_fit_ends(name, n_jobs, capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    model = WRAPPERS[name](MLCEClassifier(), n_jobs=n_jobs)
    expected = clone(model).fit(X, Y)
    model.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    assert_same_scores(model, expected, X)
    shown = capsys.readouterr().out
    assert f"{type(model).__name__} - fit" in shown
    assert "MLCEClassifier - fit" in shown
    assert "100%" in shown
    assert not any(type(one).__name__ == "RichProgressMonitor" for one in threading.enumerate())


def test_progress_around_estimators_without_callbacks_says_so():
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    model = Tuned(SVMS, cv=FOLDS).set_callbacks(callback.ProgressBar())
    with pytest.warns(UserWarning, match="does not support callbacks"):
        model.fit(X, Y)
    assert "_parent_callback_ctx" not in vars(model.estimator_)


@pytest.mark.parametrize("name", WRAPPERS)
def test_scores_of_a_wrapper_in_a_pipeline_and_a_search(name):
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    model = WRAPPERS[name](MLCEClassifier()).set_callbacks(monitor)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, Y)
    logged = monitor.get_logs().data[-1]
    assert logged["f1_micro"] == f1_score(Y, pipeline.predict(X), average="micro")
    grid = {"estimator__C": [0.1, 1.0]}
    search = GridSearchCV(model, grid, cv=KFold(2)).fit(X, Y)
    assert_same_scores(search.best_estimator_, clone(search.best_estimator_).fit(X, Y), X)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_fit_that_fails_tears_callbacks_down_and_keeps_the_last(name):
    recorder = Recorder()
    model = WRAPPERS[name](MLCEClassifier()).fit(X, Y)
    before = model.decision_function(X)
    model.set_callbacks(recorder)
    for features, y in ((X, np.where(Y, 1, -1)), (np.where(X > 2, np.nan, X), Y)):
        with pytest.raises(ValueError, match=r"coded as|contains NaN"):
            model.fit(features, y)
    assert recorder.hooks.count("setup") == recorder.hooks.count("teardown") == 2
    assert recorder.hooks.count("begin fold") == recorder.hooks.count("end fold") == 1
    np.testing.assert_array_equal(model.decision_function(X), before)
    assert "_callback_fit_ctx" not in vars(model)


def test_workers_are_not_sent_what_no_callback_needs():
    model = Tuned(MLCEClassifier(), cv=((train, test) for train, test in FOLDS.split(X)), n_jobs=2)
    assert model.fit(X, Y).best_score_ > 0.5


def test_the_search_for_C_tells_of_each():
    recorder = Recorder()
    MLCEClassifierCV([0.01, 0.1], cv=FOLDS).set_callbacks(recorder).fit(X, Y)
    assert recorder.hooks.count("begin C") == recorder.hooks.count("end C") == 2


def test_warnings_of_a_fit_name_the_line_that_called_it():
    weight = np.ones(len(X))
    unweighted = make_pipeline(StandardScaler(), MLCEClassifier())
    sorted_labels = Y.copy()
    sorted_labels[:, 0] = np.arange(len(Y)) < 20
    for model in (wrap(unweighted) for wrap in WRAPPERS.values()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, sorted_labels, sample_weight=weight)
        found = [one.filename for one in caught if issubclass(one.category, UserWarning)]
        assert found == [__file__, __file__]
