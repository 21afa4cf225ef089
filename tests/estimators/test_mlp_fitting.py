"""How MLCEMLP stops, goes on, reports and fails."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from sklearn_mlce._estimators.mlp import MLCEMLP


@pytest.fixture(scope="module")
def data():
    X, Y = make_multilabel_classification(n_samples=240, n_features=12, n_classes=5, random_state=0)
    return StandardScaler().fit_transform(X), Y


def small(**parameters):
    """Return an estimator that trains in a moment, in more than one batch per epoch.

    Its step size is constant: a shorter training is the beginning of a longer one.
    """
    defaults = {"hidden_layer_sizes": (8,), "batch_size": 50, "max_epochs": 4, "random_state": 0}
    return MLCEMLP(**(defaults | {"learning_rate": "constant", "precision": "full"} | parameters))


def assert_same_weights(left, right):
    for name, array in left.state_dict_.items():
        np.testing.assert_array_equal(array, right.state_dict_[name])


def test_early_stopping_restores_the_best_epoch(data):
    stopping = {"early_stopping": True, "learning_rate_init": 0.05, "n_iter_no_change": 5}
    model = small(max_epochs=200, **stopping).fit(*data)
    scores = model.validation_scores_
    best = int(np.argmax(scores)) + 1
    assert len(scores) == len(model.loss_curve_) == model.n_iter_ == best + 5 < 200
    assert model.best_epoch_ == best
    until_best = small(max_epochs=best, **stopping).fit(*data)
    assert until_best.validation_scores_ == scores[:best]
    assert_same_weights(until_best, model)


def test_early_stopping_needs_rows_on_both_sides(data):
    X, Y = data
    with pytest.raises(ValueError, match=r"holds out 0 of 4 rows .* Set another"):
        small(early_stopping=True, validation_fraction=0.1).fit(X[:4], Y[:4])
    with pytest.raises(ValueError, match=r"holds out 4 of 4 rows .* Set another"):
        small(early_stopping=True, validation_fraction=0.9).fit(X[:4], Y[:4])


def test_without_early_stopping_all_epochs_are_made(data):
    model = small(max_epochs=7).fit(*data)
    assert model.n_iter_ == len(model.loss_curve_) == model.best_epoch_ == 7
    assert model.validation_scores_ == []


@pytest.mark.parametrize("batch_size", [50, 10**9])
def test_going_on_is_as_if_training_had_not_stopped(data, batch_size):
    at_once = small(max_epochs=6, batch_size=batch_size).fit(*data)
    warm = small(max_epochs=2, batch_size=batch_size, warm_start=True)
    for _ in range(3):
        warm.fit(*data)
    stepwise = small(batch_size=batch_size)
    for _ in range(6):
        stepwise.partial_fit(*data)
    for model in (warm, stepwise):
        assert_same_weights(at_once, model)
        assert model.loss_curve_ == at_once.loss_curve_
        assert model.n_iter_ == 6


def test_warm_start_changes_precision_with_X(data):
    X, Y = data
    model = small(warm_start=True).fit(X.astype(np.float32), Y).fit(X, Y)
    assert {array.dtype for array in model.state_dict_.values()} == {np.dtype(np.float64)}


@pytest.mark.parametrize("other", ["features", "labels", "kind", "layers", "activation"])
def test_warm_start_refuses_what_does_not_fit(data, other):
    X, Y = data
    model = small(warm_start=True).fit(X, Y)
    before = copy.deepcopy(model)
    parameters = {"layers": {"hidden_layer_sizes": (9,)}, "activation": {"activation": "tanh"}}
    model.set_params(**parameters.get(other, {}))
    X = X[:, :-1] if other == "features" else X
    Y = {"labels": Y[:, :-1], "kind": np.arange(len(X)) % 5}.get(other, Y)
    with pytest.raises(ValueError, match=r"training cannot go on.* Set warm_start=False"):
        model.fit(X, Y)
    assert_same_weights(before, model)
    np.testing.assert_array_equal(model.predict(data[0]), before.predict(data[0]))


def test_partial_fit_over_chunks_with_missing_classes(data):
    X = data[0]
    for y, kind in ((data[1][:, 0], "binary"), (data[1][:, :3].argmax(axis=1), "multiclass")):
        order = np.argsort(y, kind="stable")  # each chunk holds one class
        chunks = np.split(order, np.flatnonzero(np.diff(y[order])) + 1)
        model = small()
        for chunk in chunks:
            model.partial_fit(X[chunk], y[chunk], classes=np.unique(y))
        assert model.predict(X).shape == y.shape
        assert model._target_format.kind == kind
        assert np.isfinite(model.decision_function(X)).all()
        assert np.abs(model.decision_function(X)).max() < 1e6  # every class was seen by now


def test_partial_fit_fixes_a_score_until_a_positive_is_seen(data):
    X, Y = data
    absent = Y.copy()
    absent[:, 2] = 0
    model = small().partial_fit(X, absent)
    assert (model.decision_function(X)[:, 2] == -1e9).all()
    model.partial_fit(X, Y)
    assert (np.abs(model.decision_function(X)[:, 2]) < 1e6).all()
    model.partial_fit(X, absent)
    assert (np.abs(model.decision_function(X)[:, 2]) < 1e6).all()


def test_partial_fit_of_sparse_weighted_chunks(data):
    X, Y = np.maximum(data[0], 0), data[1]
    weight = np.arange(len(X)) % 3
    sparse, dense = small(input_scaling="overall"), small(input_scaling="overall")
    for rows in (slice(0, 100), slice(100, 240)):
        sparse.partial_fit(sp.csr_array(X[rows]), sp.csr_array(Y[rows]), None, weight[rows])
        kept = weight[rows] > 0
        dense.partial_fit(X[rows][kept], Y[rows][kept], None, weight[rows][kept])
    np.testing.assert_allclose(sparse.decision_function(X), dense.decision_function(X))


def test_partial_fit_refuses_what_does_not_fit(data):
    X, Y = data
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        small(early_stopping=True).partial_fit(X, Y)
    model = small().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y has 4 labels; expected 5"):
        model.partial_fit(X, Y[:, :-1])
    with pytest.raises(ValueError, match=r"classes=\[0, 2\] is not the same .* Leave classes out"):
        model.partial_fit(X, Y, classes=[0, 2])
    single = small().partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match=r"y holds \[2\], which are not .* Pass every class"):
        single.partial_fit(X, Y[:, 0] * 2)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_diverging_fit_names_its_learning_rate_and_keeps_the_last_one(data, method):
    X, Y = data
    model = small().fit(X, Y)
    before = copy.deepcopy(model)
    model.set_params(learning_rate_init=1e200)
    with pytest.raises(ValueError, match=r"(epoch|after).*learning_rate_init=1e\+200.*smaller"):
        getattr(model, method)(X, Y)
    assert_same_weights(before, model)
    np.testing.assert_array_equal(model.predict(X), before.predict(X))
    assert model.n_iter_ == before.n_iter_


def test_refused_parameters_keep_the_last_fit(data, monkeypatch):
    X, Y = data
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = small().fit(X, Y)
    for parameters, message in (
        ({"hidden_layer_sizes": (0,)}, "expected positive integers"),
        ({"label_weight": [1.0, 2.0]}, "label_weight has shape"),
        ({"device": "cuda"}, "can use no CUDA device"),
        ({"dropout": 1.0}, "The 'dropout' parameter"),
    ):
        with pytest.raises(ValueError, match=message):
            model.set_params(**parameters).fit(X[:, :3], Y[:, :3])
        model.set_params(**small().get_params())
        assert model.predict(X).shape == Y.shape


def test_too_large_a_network_is_refused_before_it_is_made(data, monkeypatch):
    X, Y = data
    model = small(random_state=0).fit(X, Y)
    last = model.state_dict_
    shapes = [array.shape for array in last.values() if array.ndim == 2]
    needed = 6 * 8 * sum(n_in * n_out for n_in, n_out in shapes)
    monkeypatch.setattr("sklearn_mlce._network.plan.free_memory", lambda: needed - 1)
    expected = r"layers of \(.*\) need .* in float64, and .* are free.*hidden_layer_sizes smaller"
    with pytest.raises(MemoryError, match=expected):
        model.fit(X, Y)
    assert model.state_dict_ is last
    monkeypatch.setattr("sklearn_mlce._network.plan.free_memory", lambda: needed)
    model.fit(X, Y)


def test_metadata_routing_changes_nothing(data):
    plain = small(early_stopping=True).fit(*data)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = small(early_stopping=True).set_fit_request(sample_weight=True).fit(*data)
    assert_same_weights(plain, routed)


class TestCallbacks:
    """scikit-learn's callbacks, which came with 1.9."""

    @pytest.fixture(autouse=True)
    def needs_callbacks(self):
        pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

    def test_scores_of_each_epoch(self, data):
        from sklearn.callback import ScoringMonitor

        X, Y = data
        monitor = ScoringMonitor(scoring="f1_micro")
        model = small(max_epochs=5).set_callbacks(monitor).fit(X, Y)
        logged = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
        assert len(logged) == 5
        for epochs, row in enumerate(logged, start=1):
            shorter = small(max_epochs=epochs).fit(X, Y)
            assert row["f1_micro"] == f1_score(Y, shorter.predict(X), average="micro")
        assert model.n_iter_ == 5

    def test_a_callback_may_stop_the_training(self, data):
        model = small(max_epochs=50).set_callbacks(_Ending(3)).fit(*data)
        assert model.n_iter_ == 3
        assert_same_weights(model, small(max_epochs=3).fit(*data))


class _Ending:
    """A callback that asks for the end of the training at an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        return context.task_name == "epoch" and context.task_id + 1 >= self.epoch
