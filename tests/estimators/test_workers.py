"""Worker processes: those that die, those that are forked after torch, and what cannot be sent."""

import multiprocessing
import os

import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import Callback

from tests.helpers.estimators import assert_same_scores, labelled_rows, linear, mlp, on_both

X, Y = labelled_rows()


class Die(Callback):
    """The end of the process, as the system ends one that takes too much memory."""

    def on_batch_end(self, net, **kwargs):
        os._exit(9)


@pytest.mark.slow
def test_a_worker_that_dies_leaves_the_estimator_here():
    model = mlp().fit(X, Y)
    before = model.decision_function(X)
    dying = mlp(callbacks=[Die()])
    search = GridSearchCV(dying, {"alpha": [0.1, 0.2]}, cv=KFold(2), n_jobs=2, scoring="f1_micro")
    with pytest.raises(TerminatedWorkerError):
        search.fit(X, Y)
    np.testing.assert_array_equal(model.decision_function(X), before)
    assert_same_scores(dying.set_params(callbacks=None).fit(X, Y), model, X)


def fit_and_score():
    """Fit both estimators, in another process."""
    return [make().fit(X, Y).decision_function(X) for make in (linear, mlp)]


@pytest.mark.slow
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
# Python warns of any fork beside threads, of which torch has some.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_processes_started_after_torch_was_used_fit_the_same(method):
    expected = fit_and_score()
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply_async(fit_and_score).get(timeout=120)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_callback_that_cannot_be_pickled_is_no_matter_here():
    class Local(Callback):
        pass

    assert_same_scores(mlp(callbacks=[Local()]).fit(X, Y), mlp().fit(X, Y), X)


class FailingScorer:
    """A scorer that raises at a call."""

    def __init__(self, call):
        self.call, self.n_calls = call, 0

    def __call__(self, estimator, X, y):
        self.n_calls += 1
        if self.n_calls == self.call:
            raise ZeroDivisionError("a scorer of mine")
        return float(self.n_calls)


def test_a_scorer_that_fails_keeps_the_epochs_of_a_first_fit():
    stopping = {"early_stopping": True, "max_epochs": 6}
    model = mlp(scoring=FailingScorer(4), **stopping)
    kept = r"interrupted after epoch 3; .* weights of epoch 3.*a scorer of mine"
    with pytest.warns(ConvergenceWarning, match=kept), pytest.raises(ZeroDivisionError):
        model.fit(X, Y)
    expected = mlp(scoring=FailingScorer(0), early_stopping=True, max_epochs=3).fit(X, Y)
    assert_same_scores(model, expected, X)
    before = model.decision_function(X)
    model.set_params(scoring=FailingScorer(2))
    with pytest.raises(ZeroDivisionError):
        model.fit(X[:, :3], Y[:, :2])
    np.testing.assert_array_equal(model.decision_function(X), before)


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
def test_a_fit_that_fails_in_a_search_is_told_of_and_the_search_goes_on():
    search = GridSearchCV(linear(loss="mlce"), {"scale": [1e300, 1.0]}, cv=KFold(2))
    with pytest.warns(FitFailedWarning, match=r"scale must be a finite number"):
        search.fit(X, Y)
    assert search.best_params_ == {"scale": 1.0}


@on_both
def test_the_curve_of_a_stream_is_bounded_and_its_chunks_are_counted(make, monkeypatch):
    for module in ("linear", "mlp"):
        monkeypatch.setattr(f"sklearn_mlce._estimators.{module}.LONGEST_CURVE", 5)
    model = make(random_state=0)
    for _ in range(8):
        model.partial_fit(X, Y)
    assert model.n_iter_ == 8
    assert len(model.loss_curve_) == 5
    assert_same_scores(model, unbounded(make, monkeypatch), X)


def unbounded(make, monkeypatch):
    """Fit the same stream, with its whole curve."""
    monkeypatch.undo()
    model = make(random_state=0)
    for _ in range(8):
        model.partial_fit(X, Y)
    assert len(model.loss_curve_) == 8
    return model
