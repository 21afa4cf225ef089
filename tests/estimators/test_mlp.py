"""MLCEMLP as its users see it."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from sklearn_mlce._estimators.linear import MLCEClassifier
from sklearn_mlce._estimators.mlp import MLCEMLP

FULL_BATCH = 10**9


@pytest.fixture(scope="module")
def data():
    X, Y = make_multilabel_classification(n_samples=240, n_features=12, n_classes=5, random_state=0)
    return StandardScaler().fit_transform(X), Y


def small(**parameters):
    """Return an estimator that trains in a moment, in more than one batch per epoch.

    It computes in the precision of X, so that what is equal but for rounding is equal.
    """
    defaults = {"hidden_layer_sizes": (8,), "batch_size": 50, "max_epochs": 4, "random_state": 0}
    return MLCEMLP(**(defaults | {"precision": "full"} | parameters))


def full_batch(**parameters):
    """Return an estimator without randomness beside its first weights."""
    return small(batch_size=FULL_BATCH, dropout=0.0, **parameters)


def assert_same_weights(left, right):
    assert left.state_dict_.keys() == right.state_dict_.keys()
    for name, array in left.state_dict_.items():
        np.testing.assert_array_equal(array, right.state_dict_[name])


def test_same_seed_same_weights(data):
    first, second, other = (small(random_state=seed).fit(*data) for seed in (0, 0, 1))
    assert_same_weights(first, second)
    assert (first.decision_function(data[0]) != other.decision_function(data[0])).any()


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_global_generators_are_left_alone(data, random_state, early_stopping):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    model = small(random_state=random_state, early_stopping=early_stopping).fit(*data)
    model.predict(data[0])
    assert torch.equal(torch.get_rng_state(), torch_state)
    for before, after in zip(numpy_state, np.random.get_state(), strict=True):  # noqa: NPY002
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, sp.coo_array])
@pytest.mark.parametrize("sizes", [(), (8,), (8, 6)])
def test_sparse_equals_dense(data, container, sizes):
    X, Y = np.maximum(data[0], 0), data[1]
    model = small(hidden_layer_sizes=sizes, input_scaling="overall")
    dense = clone(model).fit(X, Y)
    sparse = model.fit(container(X), sp.csr_array(Y))
    np.testing.assert_allclose(
        dense.decision_function(X), sparse.decision_function(container(X)), atol=1e-10
    )
    np.testing.assert_allclose(dense.loss_curve_, sparse.loss_curve_)
    assert isinstance(sparse.predict(X), sp.csr_array)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_precision_follows_X(data, container):
    for dtype, expected in ((np.float32, np.float32), (np.int64, np.float64)):
        X = container(data[0].astype(dtype))
        model = small().fit(X, data[1])
        assert {array.dtype.type for array in model.state_dict_.values()} == {expected}
        assert model.decision_function(X).dtype == expected
        # Scores come in the network's own precision, whatever the rows' is.
        assert model.decision_function(container(data[0])).dtype == expected


def test_weight_two_is_the_row_twice(data):
    X, Y = data
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = full_batch(max_epochs=30).fit(X, Y, sample_weight=weight)
    repeated = full_batch(max_epochs=30).fit(X.repeat(weight, axis=0), Y.repeat(weight, axis=0))
    np.testing.assert_allclose(weighted.decision_function(X), repeated.decision_function(X))
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_)


def test_labels_may_be_permuted(data):
    X, Y = data
    model = small(warm_start=True).fit(X, Y)
    order = np.random.default_rng(0).permutation(Y.shape[1])
    permuted = copy.deepcopy(model)
    for name in ("layers.1.weight", "layers.1.bias"):
        moments = permuted.optimizer_state_[name]
        for arrays, key in (
            (permuted.state_dict_, name),
            (moments, "exp_avg"),
            (moments, "exp_avg_sq"),
        ):
            arrays[key] = arrays[key][..., order]
    model.fit(X, Y)
    permuted.fit(X, Y[:, order])
    np.testing.assert_allclose(
        permuted.decision_function(X), model.decision_function(X)[:, order], atol=1e-10
    )


def test_it_learns(data):
    X, Y = data
    model = small(max_epochs=60, learning_rate_init=0.01).fit(X[:160], Y[:160])
    trivial = np.tile(Y[:160].mean(axis=0) > 0.5, (80, 1))
    score = f1_score(Y[160:], model.predict(X[160:]), average="micro")
    assert score > f1_score(Y[160:], trivial, average="micro") + 0.1
    assert model.loss_curve_[-1] < 0.8 * model.loss_curve_[0]


@pytest.mark.slow
def test_without_hidden_layers_it_approaches_the_linear_model(data):
    X, Y = data
    linear = MLCEClassifier(C=1e6, loss="mlce", tol=1e-8).fit(X, Y)
    model = MLCEMLP(
        (),
        input_scaling=None,
        batch_size=FULL_BATCH,
        alpha=0.0,
        learning_rate_init=0.02,
        max_epochs=1500,
        loss="mlce",
        random_state=0,
    ).fit(X, Y)
    assert model.loss_curve_[-1] == pytest.approx(linear.loss_curve_[-1], rel=1e-4)
    np.testing.assert_allclose(model.decision_function(X), linear.decision_function(X), atol=0.05)


@pytest.mark.parametrize("kind", ["binary", "column", "multiclass", "multilabel", "soft", "nan"])
def test_every_kind_of_y(data, kind):
    X, Y = data
    y = {
        "binary": np.where(Y[:, 0], "yes", "no"),
        "column": Y[:, 0],
        "multiclass": np.array(["a", "b", "c"])[Y[:, 0] + Y[:, 0] * Y[:, 1]],
        "multilabel": Y.astype(bool),
        "soft": 0.1 + 0.8 * Y,
        "nan": np.where(np.random.default_rng(0).random(Y.shape) < 0.2, np.nan, Y),
    }[kind]
    model = small(max_epochs=60, learning_rate_init=0.01).fit(X, y)
    predicted, scores = model.predict(X), model.decision_function(X)
    assert predicted.shape == y.shape
    truth = y if y.ndim == 1 else Y.astype(predicted.dtype)
    assert (predicted == truth).mean() > 0.75
    expected_shape = {1: (len(X),) if kind != "multiclass" else (len(X), 3), 2: Y.shape}[y.ndim]
    assert scores.shape == expected_shape
    if kind == "multiclass":
        np.testing.assert_array_equal(model.classes_[scores.argmax(axis=1)], predicted)
    else:
        positive = predicted == model.classes_[1] if y.ndim == 1 else predicted.astype(bool)
        np.testing.assert_array_equal(scores > 0, positive)


@pytest.mark.parametrize(
    "loss",
    [
        {"loss": "mlce"},
        {"loss": "mlce", "scale": 4.0, "margin": 0.5},
        {"loss": "bce"},
        {"loss": "bce", "scale": 4.0, "margin": (0.5, 1.0)},
        {"label_weight": [1, 2, 3, 4, 5]},
    ],
)
def test_loss_parameters_are_honoured(data, loss):
    plain, changed = full_batch().fit(*data), full_batch(**loss).fit(*data)
    assert not np.allclose(plain.loss_curve_, changed.loss_curve_)


def test_a_label_without_positives_is_never_predicted(data):
    X, Y = data[0], data[1].copy()
    Y[:, 1], Y[:, 3] = 0, 1
    model = small().fit(X, Y)
    scores = model.decision_function(X)
    others = np.delete(scores, 1, axis=1)
    assert (scores[:, 1] < others.min()).all()
    assert (scores[:, 3] > np.delete(scores, 3, axis=1).max()).all()
    np.testing.assert_array_equal(model.predict(X)[:, [1, 3]], np.tile([0, 1], (len(X), 1)))


def test_weights_are_plain_arrays_and_survive_a_pickle(data):
    model = small(warm_start=True).fit(*data)
    moments = [array for arrays in model.optimizer_state_.values() for array in arrays.values()]
    for array in [*model.state_dict_.values(), *moments]:
        assert type(array) is np.ndarray
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert_same_weights(twin, model)
        assert_same_weights(twin.fit(*data), copy.deepcopy(model).fit(*data))
    with pytest.raises(NotFittedError):
        clone(model).predict(data[0])


def test_moments_are_kept_only_where_training_goes_on(data):
    assert small().fit(*data).optimizer_state_ == {}
    assert small().partial_fit(*data).optimizer_state_.keys() == {
        "layers.0.weight",
        "layers.0.bias",
        "layers.1.weight",
        "layers.1.bias",
    }


def test_threads_predict_in_parallel(data):
    X = sp.csr_array(np.maximum(data[0], 0))
    model = small().fit(X, data[1])
    expected = model.decision_function(X)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(model.decision_function, [X] * 16):
            np.testing.assert_array_equal(scores, expected)


def test_large_inputs_are_scored_in_parts(data, monkeypatch):
    model = small().fit(*data)
    expected = model.decision_function(data[0])
    monkeypatch.setattr("sklearn_mlce._network.perceptron._ENTRIES_PER_PASS", 100)
    np.testing.assert_allclose(model.decision_function(data[0]), expected, rtol=1e-12)


def test_read_only_data(data):
    X, Y = data[0].copy(), data[1].copy()
    sparse_X, sparse_Y = sp.csr_array(np.maximum(X, 0)), sp.csr_array(Y)
    for array in (X, Y):
        array.setflags(write=False)
    for matrix in (sparse_X, sparse_Y):
        for part in (matrix.data, matrix.indices, matrix.indptr):
            part.setflags(write=False)
    for features, labels in ((X, Y), (sparse_X, sparse_Y)):
        for batch_size in (50, FULL_BATCH):
            model = small(batch_size=batch_size).fit(features, labels)
            assert model.predict(features).shape == Y.shape


@pytest.mark.gpu
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_gpu_decides_as_the_cpu(data, container):
    X, Y = container(np.maximum(data[0], 0).astype(np.float32)), data[1]
    models = [full_batch(max_epochs=40, device=device).fit(X, Y) for device in ("cpu", "cuda")]
    scores = [model.decision_function(X) for model in models]
    np.testing.assert_allclose(*scores, atol=1e-3)
    on_cpu = pickle.loads(pickle.dumps(models[1])).set_params(device="cpu")
    np.testing.assert_allclose(on_cpu.decision_function(X), scores[1], atol=1e-5)
    assert np.isfinite(small(device="cuda").fit(X, Y).loss_curve_).all()
