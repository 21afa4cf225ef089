"""What MLCEMLP keeps of a fit that is interrupted, or whose loss is not finite any more."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

from tests.helpers.estimators import assert_same_scores, labelled_rows, mlp

X, Y = labelled_rows()


class CtrlC(Callback):
    """An interruption in the midst of an epoch, after a step of its first batch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def interrupted(epoch, features=X, labels=Y, model=None, **parameters):
    """Return an estimator whose fit was interrupted in an epoch after the first."""
    model = mlp(max_epochs=9, **parameters) if model is None else model
    model.set_params(callbacks=[CtrlC(epoch)])
    with (
        pytest.warns(ConvergenceWarning, match=f"interrupted after epoch {epoch - 1};") as caught,
        pytest.raises(KeyboardInterrupt),
    ):
        model.fit(features, labels)
    assert caught[0].filename == __file__
    return model


def test_the_last_finished_epoch_is_kept():
    model = interrupted(4)
    assert model.n_iter_ == len(model.loss_curve_) == model.best_epoch_ == 3
    assert_same_scores(model, mlp(max_epochs=3).fit(X, Y), X)


def test_the_best_epoch_is_kept():
    stopping = {"early_stopping": True, "learning_rate_init": 0.2, "scoring": "f1_micro"}
    scores = mlp(max_epochs=9, **stopping).fit(X, Y).validation_scores_
    made = next(n for n in range(2, 9) if scores[n - 1] < max(scores[: n - 1]))
    model = interrupted(made + 1, **stopping)
    assert model.validation_scores_ == scores[:made]
    assert model.best_epoch_ == 1 + np.argmax(scores[:made]) < made
    assert_same_scores(model, mlp(max_epochs=model.best_epoch_, **stopping).fit(X, Y), X)


def test_it_replaces_an_earlier_fit():
    model = interrupted(3, X[:, :3], Y[:, :2], model=mlp(max_epochs=9).fit(X, Y))
    assert_same_scores(model, mlp(max_epochs=2).fit(X[:, :3], Y[:, :2]), X[:, :3])


def test_training_goes_on_after_it():
    model = interrupted(3, warm_start=True).set_params(callbacks=None, max_epochs=2)
    assert_same_scores(model.fit(X, Y), mlp(max_epochs=4).fit(X, Y), X)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}])
def test_before_the_end_of_the_first_epoch_an_earlier_fit_is_kept(parameters):
    model = mlp(callbacks=[CtrlC(1)], **parameters)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.set_params(callbacks=None).fit(X, Y)
    before = copy.deepcopy(model)
    with pytest.raises(KeyboardInterrupt):
        model.set_params(callbacks=[CtrlC(1)]).fit(X[:, :3], Y[:, :2])
    assert_same_scores(model, before, X)
    assert model.loss_curve_ == before.loss_curve_


@pytest.mark.filterwarnings("ignore:training was interrupted:sklearn.exceptions.ConvergenceWarning")
def test_it_stops_a_search_and_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), mlp(loss="mlce", callbacks=[CtrlC(2)]))
    with pytest.raises(KeyboardInterrupt):
        pipeline.fit(X, Y)
    assert pipeline.predict(X).shape == Y.shape  # its last step keeps the first epoch
    search = GridSearchCV(pipeline, {"mlcemlp__scale": [1.0, 4.0]}, cv=KFold(2), error_score=0.0)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)


@pytest.mark.filterwarnings("error")
def test_it_passes_on_where_warnings_are_errors():
    model = mlp(callbacks=[CtrlC(2)])
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert model.n_iter_ == 1


class Poison(Callback):
    """A weight that becomes NaN before a batch of an epoch."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch
        self.seen = 0

    def on_batch_begin(self, net, training, **kwargs):
        if training and len(net.history) == self.epoch:
            self.seen += 1
            if self.seen == self.batch:
                net.module_.layers[0].bias.data[0] = np.nan


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_first_bad_batch_is_named(container):
    model = mlp(batch_size=10, callbacks=[Poison(3, 5)], learning_rate_init=0.002)
    message = (
        r"training loss is nan in batch 5 of epoch 3 with learning_rate_init=0.002; .* smaller "
        r"learning_rate_init"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(container(X), Y)


def test_a_step_that_ends_the_last_batch_astray_is_named():
    class AfterTheStep(Callback):
        def on_batch_end(self, net, training, **kwargs):
            if training and len(net.history) == 2:
                net.module_.layers[0].bias.data[0] = np.inf

    with pytest.raises(ValueError, match=r"weights are not finite after the last batch of epoch 2"):
        mlp(batch_size=10**9, callbacks=[AfterTheStep()]).fit(X, Y)


@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}])
def test_the_last_good_weights_are_kept_where_there_is_no_earlier_fit(parameters):
    model = mlp(callbacks=[Poison(3, 1)], max_epochs=9, **parameters)
    with pytest.raises(ValueError, match="epoch 3"):
        model.fit(X, Y)
    assert model.n_iter_ == 2
    assert_same_scores(model, mlp(max_epochs=2, **parameters).fit(X, Y), X)


def test_an_earlier_fit_survives_a_failed_one():
    model = mlp().fit(X, Y)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match="epoch 3"):
        model.set_params(callbacks=[Poison(3, 1)]).fit(X[:, :3], Y[:, :2])
    assert_same_scores(model, before, X)
    assert model.loss_curve_ == before.loss_curve_


def test_a_loss_that_is_infinite_at_once_leaves_no_fit():
    model = mlp(learning_rate_init=1e200, batch_size=10)
    with pytest.raises(ValueError, match=r"batch [23] of epoch 1"):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
