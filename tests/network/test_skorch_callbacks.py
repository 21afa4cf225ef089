"""skorch callbacks given to MLCEMLP."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
)

from tests.helpers.estimators import assert_same_scores, labelled_rows, mlp

X, Y = labelled_rows()


class Recorder(Callback):
    """A callback that writes down what the epochs were."""

    def __init__(self, rows=None):
        self.rows = [] if rows is None else rows

    def initialize(self):
        self.n_ended_ = 0
        return self

    def on_epoch_end(self, net, dataset_train, dataset_valid, **kwargs):
        self.n_ended_ += 1
        self.rows.append(dict(net.history[-1], n_valid=dataset_valid and len(dataset_valid)))


def test_a_callback_sees_each_epoch():
    recorder = Recorder()
    model = mlp(callbacks=[recorder], early_stopping=True, scoring="f1_micro").fit(X, Y)
    assert [row["train_loss"] for row in recorder.rows] == model.loss_curve_
    assert [row["valid_score"] for row in recorder.rows] == model.validation_scores_
    assert [row["epoch"] for row in recorder.rows] == [1, 2, 3]
    assert [row["n_valid"] for row in recorder.rows] == [9, 9, 9]
    assert_same_scores(model, mlp(early_stopping=True, scoring="f1_micro").fit(X, Y), X)


def test_a_fit_leaves_the_attributes_of_its_parameter_alone():
    recorder = Recorder()
    before = copy.copy(vars(recorder))
    model = mlp(callbacks=[("watcher", recorder)]).fit(X, Y)
    assert vars(recorder) == before
    assert len(recorder.rows) == 3  # a list is shared, as a file or a logger would be
    assert_same_scores(pickle.loads(pickle.dumps(model)), model, X)
    assert clone(model).callbacks[0][1] is not recorder


def test_callbacks_under_a_search():
    recorder = Recorder()
    search = GridSearchCV(
        mlp(
            loss="mlce",
            callbacks=[recorder, EarlyStopping("train_loss", threshold=0.9, patience=1, sink=str)],
        ),
        {"scale": [1.0, 4.0]},
        cv=KFold(2),
    ).fit(X, Y)
    assert search.best_estimator_.n_iter_ == 2
    assert recorder.rows == []


def test_skorchs_early_stopping_ends_the_fit():
    stopper = EarlyStopping(monitor="train_loss", threshold=0.5, patience=3, sink=str)
    model = mlp(max_epochs=50, callbacks=[stopper], learning_rate_init=1e-6).fit(X, Y)
    assert model.n_iter_ == 4
    assert_same_scores(model, mlp(max_epochs=4, learning_rate_init=1e-6).fit(X, Y), X)


def test_the_order_of_a_callback_that_watches_the_held_out_rows():
    stopper = EarlyStopping(monitor="valid_score", lower_is_better=False, patience=2, sink=str)
    model = mlp(
        max_epochs=60,
        early_stopping=True,
        n_iter_no_change=50,
        callbacks=[stopper],
        scoring="f1_micro",
        learning_rate_init=0.3,
    ).fit(X, Y)
    assert model.n_iter_ < 60
    assert model.best_epoch_ == 1 + np.argmax(model.validation_scores_)


def test_what_a_callback_changes_at_the_end_of_the_training_counts():
    class Halve(Callback):
        def on_train_end(self, net, **kwargs):
            with torch.no_grad():
                for weight in net.module_.layers[-1].parameters():
                    weight /= 2

    scores = mlp(callbacks=[Halve()]).fit(X, Y).decision_function(X)
    np.testing.assert_allclose(scores, mlp().fit(X, Y).decision_function(X) / 2)


def test_epoch_scoring_fails_where_it_cannot_score():
    with pytest.raises(ValueError, match="Expected array-like"):
        mlp(callbacks=[EpochScoring("f1_micro", use_caching=False, on_train=True)]).fit(X, Y)


def test_callbacks_that_print_and_time():
    lines = []
    mlp(callbacks=[EpochTimer(), PrintLog(sink=lines.append)]).fit(X, Y)
    assert len(lines) == 2 + 3  # the head and the rule, then a line for each epoch
    assert "train_loss" in lines[0]
    assert "dur" in lines[0]


def test_callbacks_that_change_the_training():
    plain = mlp().fit(X, Y)
    for callback in (
        GradientNormClipping(1e-6),
        LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1),
    ):
        changed = mlp(callbacks=[callback]).fit(X, Y)
        assert (changed.decision_function(X) != plain.decision_function(X)).any()
        assert_same_scores(pickle.loads(pickle.dumps(changed)), changed, X)


def test_a_step_size_is_set_by_a_callback_or_by_the_schedule():
    still = LRScheduler(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: float(epoch < 1))
    model = mlp(callbacks=[still], alpha=0.0).fit(X, Y)
    assert_same_scores(model, mlp(max_epochs=1, alpha=0.0).fit(X, Y), X)
    for callback in (still, ("schedule", still)):
        with pytest.raises(ValueError, match=r"an LRScheduler, .*Set learning_rate='constant'"):
            mlp(callbacks=[callback], learning_rate="one_cycle").fit(X, Y)


def test_a_fit_to_be_resumed_has_no_scheduler(tmp_path):
    callback = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2)
    model = mlp(callbacks=[callback], checkpoint_dir=tmp_path).fit(X, Y)
    with pytest.raises(ValueError, match=r"resume=True, but callbacks holds an LRScheduler"):
        model.set_params(resume=True).fit(X, Y)


@pytest.mark.parametrize("wrong", [Recorder, print, ("a", print), "PrintLog"])
def test_what_is_no_callback_is_refused(wrong):
    with pytest.raises(TypeError, match=r"expected instances of skorch.*to set_callbacks"):
        mlp(callbacks=[wrong]).fit(X, Y)


@pytest.mark.parametrize("event", ["on_batch_begin", "on_batch_end", "on_grad_computed"])
def test_methods_that_are_set_on_an_instance_are_called(event):
    X, Y = labelled_rows()
    calls, callback = [], Callback()
    setattr(callback, event, lambda *args, **kwargs: calls.append(event))
    mlp(callbacks=[callback], max_epochs=1).fit(X, Y)
    assert calls
