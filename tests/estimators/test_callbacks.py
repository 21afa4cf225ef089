"""scikit-learn's callbacks on both estimators: alone, in a pipeline, under a search."""

import pickle
import threading
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import average_precision_score, f1_score
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers.estimators import assert_same_scores, labelled_rows, linear, mlp, on_both

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

X, Y = labelled_rows()
ITERATION = {linear: "newton-iter", mlp: "epoch"}


class Recorder:
    """A callback that writes down which hook was called for which task, and what it was given."""

    def __init__(self):
        self.hooks, self.fits = [], []

    def setup(self, estimator, context):
        self.hooks.append("setup")

    def teardown(self, estimator, context):
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.hooks.append(f"end {context.task_name}")
        self.fits.append(fitted_estimator)


class Ending(Recorder):
    """A callback that ends the training with its second iteration: by a request or an error."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error

    def on_fit_task_end(self, estimator, context):
        self.hooks.append(f"end {context.task_name}")
        second = context.task_name in ITERATION.values() and context.task_id == 1
        if second and self.error is not None:
            raise self.error
        return second


def progress_is_shown():
    return any(type(thread).__name__ == "RichProgressMonitor" for thread in threading.enumerate())


def scores_of(monitor, make):
    """Logged rows of the iterations, for each fit."""
    rows = [row for row in monitor.get_logs().data if row["task_name"] == ITERATION[make]]
    return [list(fit) for _, fit in groupby(rows, lambda row: row["parent_task_id_path"])]


FORMS = {
    "dense": np.asarray,
    "sparse": sp.csr_array,
    "frame": lambda X: pd.DataFrame(X, columns=list("abcdef")),
}


@on_both
@pytest.mark.parametrize("form", FORMS)
def test_scores_of_each_iteration(make, form):
    features = FORMS[form](X)
    monitor = callback.ScoringMonitor(scoring=["f1_micro", "average_precision"])
    model = make(learning_rate_init=0.01) if make is mlp else make()
    model.set_callbacks(monitor).fit(features, Y)
    (rows,) = scores_of(monitor, make)
    assert len(rows) == model.n_iter_ == len(model.loss_curve_)
    assert [row["task_id"] for row in rows] == list(range(model.n_iter_))
    assert rows[-1]["f1_micro"] == f1_score(Y, model.predict(features), average="micro")
    scores = model.decision_function(features)
    assert rows[-1]["average_precision"] == average_precision_score(Y, scores)
    assert rows[-1]["average_precision"] > rows[0]["average_precision"]


def fitted_for(make, n_iterations, features, y):
    if make is mlp:
        return mlp(max_epochs=n_iterations).fit(features, y)
    model = linear(max_iter=n_iterations, tol=1e-9)
    with pytest.warns(ConvergenceWarning):
        return model.fit(features, y)


@on_both
def test_callbacks_are_given_the_fit_as_it_was_then(make):
    recorder = Recorder()
    model = make() if make is mlp else make(tol=1e-9)
    model.set_callbacks(recorder).fit(X, Y)
    *snapshots, final = recorder.fits
    assert len(snapshots) == model.n_iter_ >= 3
    assert_same_scores(snapshots[-1], model, X)
    assert_same_scores(final, model, X)
    for n_iterations, snapshot in enumerate(snapshots[:-1], start=1):
        assert_same_scores(snapshot, fitted_for(make, n_iterations, X, Y), X)


@on_both
def test_the_hooks_come_in_pairs(make):
    recorder = Recorder()
    model = make().set_callbacks(recorder).fit(X, Y)
    iteration = [f"begin {ITERATION[make]}", f"end {ITERATION[make]}"] * model.n_iter_
    assert recorder.hooks == ["setup", "begin fit", *iteration, "end fit", "teardown"]


@on_both
def test_weights_reach_the_monitors_metric(make):
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    model = make().set_callbacks(monitor).fit(X, Y, sample_weight=weight)
    (rows,) = scores_of(monitor, make)
    labels = model.predict(X)
    expected = f1_score(Y, labels, average="micro", sample_weight=weight)
    assert rows[-1]["f1_micro"] == expected != f1_score(Y, labels, average="micro")


@on_both
def test_runs_are_logged_apart(make):
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    model = make().set_callbacks(monitor)
    for labels in (Y, Y[:, :2]):
        model.fit(X, labels)
    assert len(monitor.get_logs("all")) == 2
    (rows,) = scores_of(monitor, make)
    assert rows[-1]["f1_micro"] == f1_score(Y[:, :2], model.predict(X), average="micro")


@on_both
def test_scores_in_a_pipeline(make):
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    model = make().set_callbacks(monitor)
    pipeline = make_pipeline(StandardScaler(), model).fit(X, Y)
    (rows,) = scores_of(monitor, make)
    assert len(rows) == model.n_iter_
    assert rows[-1]["f1_micro"] == f1_score(Y, pipeline.predict(X), average="micro")
    assert_same_scores(pipeline, make_pipeline(StandardScaler(), make()).fit(X, Y), X)


@on_both
@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.slow
def test_scores_under_a_search(make, n_jobs):
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    search = GridSearchCV(
        make(loss="mlce").set_callbacks(monitor),
        {"scale": [1.0, 4.0]},
        scoring="f1_micro",
        cv=KFold(2),
        n_jobs=n_jobs,
        return_train_score=True,
    ).fit(X, Y)
    refit, *folds = scores_of(monitor, make)
    model = search.best_estimator_
    assert len(refit) == model.n_iter_
    assert refit[-1]["f1_micro"] == f1_score(Y, model.predict(X), average="micro")
    train_scores = [search.cv_results_[f"split{fold}_train_score"] for fold in (0, 1)]
    logged = [rows[-1]["f1_micro"] for rows in folds]  # by candidate, then by fold
    np.testing.assert_allclose(logged, np.transpose(train_scores).ravel())


OUTERMOST = {
    "alone": lambda model: model,
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "search": lambda model: GridSearchCV(model, {"scale": [1.0, 4.0]}, cv=KFold(2)),
}


@on_both
@pytest.mark.parametrize("outermost", OUTERMOST)
def test_progress_is_shown_until_the_fit_ends(make, outermost, capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    model = OUTERMOST[outermost](make(loss="mlce"))
    expected = clone(model).fit(X, Y)
    model.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, Y)
    assert_same_scores(model, expected, X)
    shown = capsys.readouterr().out
    assert f"{type(model).__name__} - fit" in shown
    assert f"{type(make()).__name__} - fit" in shown
    assert "100%" in shown
    assert not progress_is_shown()
    with pytest.raises(ValueError, match="coded as"):
        model.fit(X, np.where(Y, 1, -1))
    assert not progress_is_shown()


@on_both
def test_progress_and_scores_at_once(make, capsys):
    pytest.importorskip("rich", reason="scikit-learn's ProgressBar needs rich")
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    model = make().set_callbacks(callback.ProgressBar(), monitor).fit(X, Y)
    (rows,) = scores_of(monitor, make)
    assert len(rows) == model.n_iter_
    assert f"{type(model).__name__} - fit" in capsys.readouterr().out


@on_both
def test_a_callback_may_stop_the_fit(make):
    ending = Ending()
    parameters = {"max_epochs": 50} if make is mlp else {"tol": 1e-9}
    model = make(**parameters).set_callbacks(ending).fit(X, Y)  # a warning would be an error
    assert model.n_iter_ == len(model.loss_curve_) == 2
    assert ending.hooks[-2:] == ["end fit", "teardown"]
    assert_same_scores(model, fitted_for(make, 2, X, Y), X)
    pipeline = make_pipeline(StandardScaler(), clone(model)).fit(X, Y)
    assert pipeline[-1].n_iter_ == 2


def assert_untouched(model, before, callbacks):
    """Fail unless an estimator is as it was before a fit that failed, ready for the next one."""
    left = {name: value for name, value in vars(model).items() if name != "_skl_callbacks"}
    assert left.keys() == before.keys()
    assert all(left[name] is before[name] for name in before)
    for ended in callbacks:
        assert ended.hooks.count("setup") == ended.hooks.count("teardown") == 1


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (linear, RuntimeError("full disk")),
        (linear, KeyboardInterrupt("Ctrl-C")),
        (mlp, RuntimeError("full disk")),
    ],
)
def test_an_error_in_a_callback_tears_all_down_and_keeps_the_last_fit(make, error):
    model = make().fit(X, Y)
    before = dict(vars(model))
    callbacks = [Recorder(), Ending(error), Recorder()]
    with pytest.raises(type(error), match=str(error)):
        model.set_callbacks(*callbacks).fit(X[:, :3], Y[:, :2])
    assert_untouched(model, before, callbacks)


def test_an_interruption_in_a_callback_tears_all_down_and_keeps_its_epoch():
    model = mlp().fit(X, Y)
    callbacks = [Recorder(), Ending(KeyboardInterrupt("Ctrl-C")), Recorder()]
    model.set_callbacks(*callbacks)
    with (
        pytest.warns(ConvergenceWarning, match="interrupted after epoch 2"),
        pytest.raises(KeyboardInterrupt, match="Ctrl-C"),
    ):
        model.fit(X[:, :3], Y[:, :2])
    assert_same_scores(model, mlp(max_epochs=2).fit(X[:, :3], Y[:, :2]), X[:, :3])
    for ended in callbacks:
        assert ended.hooks.count("setup") == ended.hooks.count("teardown") == 1


@on_both
@pytest.mark.parametrize(
    ("features", "y", "message"),
    [
        (X[:, :3], np.where(Y, 1, -1), "coded as"),
        (np.where(X > 2, np.nan, X), Y, "contains NaN"),
        (X[1:], Y, "inconsistent numbers of samples"),
    ],
)
def test_a_failed_fit_tears_callbacks_down(make, features, y, message):
    model = make().fit(X, Y)
    before = dict(vars(model))
    recorder = Recorder()
    with pytest.raises(ValueError, match=message):
        model.set_callbacks(recorder).fit(features, y)
    assert_untouched(model, before, [recorder])
    assert_same_scores(model.fit(X, Y), make().fit(X, Y), X)
    assert recorder.hooks.count("teardown") == 2


@on_both
def test_clones_and_pickles_keep_their_callbacks(make):
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    model = make().set_callbacks(monitor).fit(X, Y)
    copied = pickle.loads(pickle.dumps(model))
    assert_same_scores(copied, model, X)
    copied.fit(X, Y)
    assert len(monitor.get_logs("all")) == 1  # the copy logs into a monitor of its own
    clone(model).fit(X, Y)
    assert len(monitor.get_logs("all")) == 2


@pytest.mark.parametrize("outermost", ["pipeline", "search"])
def test_scores_of_a_fit_that_stops_early(outermost):
    monitor = callback.ScoringMonitor(scoring="f1_micro")
    stopping = mlp(
        loss="mlce",
        early_stopping=True,
        scoring="f1_micro",
        n_iter_no_change=2,
        max_epochs=40,
        learning_rate_init=0.1,
    )
    fitted = OUTERMOST[outermost](stopping.set_callbacks(monitor)).fit(X, Y)
    model = fitted[-1] if outermost == "pipeline" else fitted.best_estimator_
    rows, *folds = scores_of(monitor, mlp)
    assert len(rows) == model.n_iter_ == len(model.validation_scores_) < 40
    assert len(folds) == (0 if outermost == "pipeline" else 4)
    best = rows[model.best_epoch_ - 1]["f1_micro"]
    features = fitted[:-1].transform(X) if outermost == "pipeline" else X
    assert best == f1_score(Y, model.predict(features), average="micro")


@pytest.mark.parametrize("solver", ["newton-cg", "sgd"])
def test_blocks_of_labels_are_tasks(solver):
    recorder = Recorder()
    model = linear(label_block_size=1, solver=solver, max_iter=30).set_callbacks(recorder).fit(X, Y)
    n_labels = Y.shape[1]
    assert recorder.hooks.count("end label-block") == n_labels
    assert_same_scores(recorder.fits[n_labels - 1], model, X)


class EndingBlocks(Recorder):
    """A callback that ends the training with its second block of labels."""

    def on_fit_task_end(self, estimator, context):
        self.hooks.append(f"end {context.task_name}")
        return context.task_name == "label-block" and context.task_id == 1


def test_labels_of_blocks_after_the_end_keep_their_constant_scores():
    model = linear(label_block_size=1, tol=1e-9).set_callbacks(EndingBlocks())
    with pytest.warns(ConvergenceWarning, match="after 2 of .* blocks of labels"):
        model.fit(X, Y)
    whole = linear(tol=1e-9).fit(X, Y)
    np.testing.assert_allclose(model.coef_[:2], whole.coef_[:2], rtol=1e-6)
    assert not model.coef_[2:].any()
    assert np.isfinite(model.intercept_).all()
