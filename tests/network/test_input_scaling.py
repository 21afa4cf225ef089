"""What the network learns from the rows before its first step: the scaling, and the last biases."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEMLP
from sklearn_mlce._network import input_scaling as scaling_module
from sklearn_mlce._network.batches import sparse_batch
from sklearn_mlce._network.input_scaling import make_scaling, scaling_of, weighted_quantiles
from sklearn_mlce._network.plan import resolve_batch_size, resolve_max_epochs
from sklearn_mlce._objectives.registry import resolve_objective
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import LabelCounts

CPU = torch.device("cpu")


def skewed_rows(n_rows=120):
    """Rows of very different features: heavy tails, mostly one value, one value alone."""
    X = np.random.default_rng(0).standard_normal((n_rows, 4))
    X[:, 0] = 1e6 * np.exp(3 * X[:, 0])
    X[:, 1] = X[:, 1] > 1.5
    X[:, 2] = 7.0
    return X


def labels_of(X):
    return np.column_stack([X[:, 0] > np.median(X[:, 0]), X[:, 3] > 0, X[:, 1] > 0]).astype(int)


def small(**parameters):
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
    return MLCEMLP(**(defaults | parameters))


def learned(kind, X, weight=None):
    scaling = make_scaling(kind, X.shape[1], torch.float64, CPU)
    scaling.learn(X, weight)
    return scaling


def test_robust_scaling_by_its_formula():
    X = skewed_rows()
    scaled = learned("robust", X)(torch.from_numpy(X), torch.float64).numpy()
    low, centre, high = np.quantile(X, [0.25, 0.5, 0.75], axis=0, method="averaged_inverted_cdf")
    for column, width in ((0, high[0] - low[0]), (1, 0.5), (3, high[3] - low[3])):
        z = (X[:, column] - centre[column]) / width
        np.testing.assert_allclose(scaled[:, column], z / np.sqrt(1 + (z / 3) ** 2))
    assert not scaled[:, 2].any()
    assert np.abs(scaled).max() <= 3
    assert (np.argsort(scaled[:, 0]) == np.argsort(X[:, 0])).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_outlier_is_too_far_to_be_clipped(dtype):
    X = np.array([[-1.0], [0.0], [1.0], [1e30], [-1e200]])
    scaled = learned("robust", X[[0, 0, 1, 2, 2]])(torch.from_numpy(X), dtype)
    assert scaled.dtype == dtype
    expected = [[-0.4932], [0.0], [0.4932], [3.0], [-3.0]]
    torch.testing.assert_close(scaled, torch.tensor(expected, dtype=dtype), atol=1e-4, rtol=0)


def test_quantiles_weigh_rows_as_often_as_they_count():
    rng = np.random.default_rng(1)
    X, weight = rng.standard_normal((40, 3)), rng.integers(1, 4, 40)
    levels = (0.25, 0.5, 0.75)
    expected = np.quantile(X.repeat(weight, axis=0), levels, axis=0, method="averaged_inverted_cdf")
    for factor in (1, 0.1):
        np.testing.assert_array_equal(weighted_quantiles(X, factor * weight, levels), expected)
    unweighted = np.quantile(X, levels, axis=0, method="averaged_inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(X, None, levels), unweighted)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_overall_scaling_keeps_zeros_and_makes_rows_of_one_sum(container):
    X = np.maximum(skewed_rows(), 0)
    X[3] = 0
    weight = np.arange(1.0, len(X) + 1)
    scaling = learned("overall", container(X), weight)
    rows = container(X)
    batch = sparse_batch(rows, CPU, training=True) if sp.issparse(rows) else torch.from_numpy(X)
    scaled = scaling(batch, torch.float64)
    dense = X * scaling.factor.item()
    if sp.issparse(rows):
        np.testing.assert_allclose(scaled.matmul(torch.eye(4, dtype=torch.float64)), dense)
        np.testing.assert_allclose(scaled.transposed.matmul(torch.eye(120).double()), dense.T)
    else:
        np.testing.assert_allclose(scaled, dense)
    sums = np.abs(dense).sum(axis=1)
    assert np.average(sums[sums > 0], weights=weight[sums > 0]) == pytest.approx(32)
    squares = np.ma.average(np.ma.masked_equal(dense, 0) ** 2, weights=np.tile(weight[:, None], 4))
    assert scaling.size.item() == pytest.approx(np.sqrt(squares))


def test_scaling_of_rows_without_entries():
    for X in (np.zeros((5, 2)), sp.csr_array((5, 2))):
        assert learned("overall", X).factor.item() == 1


def test_what_auto_is():
    assert scaling_of("auto", np.ones((2, 2))) == "robust"
    assert scaling_of("auto", sp.csr_array((2, 2))) == "overall"
    assert scaling_of(None, np.ones((2, 2))) is None
    with pytest.raises(ValueError, match=r"would make sparse X dense. Set input_scaling='overall'"):
        small(input_scaling="robust").fit(sp.csr_array(np.eye(6)), np.eye(6, 2, dtype=int))


@pytest.mark.parametrize("unit", [1e-170, 1e160])
def test_units_of_sparse_features_do_not_matter(unit):
    X = sp.csr_array(np.maximum(skewed_rows()[:, [1, 3]], 0))
    Y = (X.toarray() > 0.5).astype(int)
    expected = small().fit(X, Y).decision_function(X)
    np.testing.assert_allclose(
        small().fit(X * unit, Y).decision_function(X * unit), expected, atol=1e-5
    )


def test_units_of_the_features_do_not_matter():
    X = skewed_rows()
    Y, factors, shifts = labels_of(X), 2.0 ** np.array([3, -2, 1, 5]), np.array([0, 1, 2, -4])
    model, other = small().fit(X, Y), small().fit(X * factors + shifts, Y)
    np.testing.assert_allclose(
        model.decision_function(X), other.decision_function(X * factors + shifts), atol=1e-6
    )


def test_a_fit_on_dense_rows_scores_sparse_ones():
    X = np.maximum(skewed_rows(), 0)
    model = small().fit(X, labels_of(X))
    np.testing.assert_allclose(
        model.decision_function(sp.csr_array(X)), model.decision_function(X), atol=1e-12
    )


def test_large_data_are_read_in_part(monkeypatch):
    monkeypatch.setattr(scaling_module, "_ENTRIES_OF_STATISTICS", 4 * 300)
    X = skewed_rows(5000)
    chosen = np.linspace(0, 4999, 300).round().astype(int)
    for kind in ("robust", "overall"):
        part, whole = learned(kind, X[chosen]), learned(kind, X, np.ones(5000))
        assert all(map(torch.equal, part.buffers(), whole.buffers()))


def test_the_scaling_is_of_the_first_rows_and_travels_with_the_model():
    X = skewed_rows()
    Y = labels_of(X)
    for model in (small(warm_start=True).fit(X, Y), small().partial_fit(X, Y)):
        before = copy.deepcopy(model.state_dict_)
        go_on = model.fit if model.warm_start else model.partial_fit
        go_on(2 * X, Y)
        for name in ("input_scaling.centre", "input_scaling.factor"):
            np.testing.assert_array_equal(model.state_dict_[name], before[name])
        twin = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(twin.decision_function(X), model.decision_function(X))
    sparse = small().partial_fit(sp.csr_array(X), Y).partial_fit(X, Y)
    assert sparse.state_dict_["input_scaling.factor"].shape == (1,)
    with pytest.raises(ValueError, match=r"input scaling 'overall'.*got .*None"):
        sparse.set_params(input_scaling=None).partial_fit(X, Y)


LABELS = (np.random.default_rng(2).random((200, 3)) < [0.02, 0.3, 0.9]).astype(int)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "mlce"},
        {"loss": "mlce", "scale": 2.0, "margin": (0.0, 3.0), "label_weight": [1.0, 5.0, 0.2]},
        {"loss": "bce"},
        {"loss": "bce", "scale": 8.0, "margin": (80.0, 80.0)},
        {"loss": "squared_hinge"},
    ],
    ids=str,
)
def test_the_first_scores_are_the_best_constant_ones(options, kind):
    X, y = np.zeros((200, 1)), LABELS if kind == "hard" else 0.8 * LABELS + 0.1
    weight = np.linspace(0.5, 2, 200)
    model = small(max_epochs=1, learning_rate_init=1e-12, **options).fit(X, y, weight)
    targets = encode_targets(y)
    own = {name: options.get(name) for name in ("scale", "margin")}
    objective = resolve_objective(options.get("loss", "auto"), target_format=targets.format, **own)
    label_weight = options.get("label_weight")
    expected = objective.constant_scores(
        targets,
        weight,
        LabelCounts.of(targets, weight),
        None if label_weight is None else np.array(label_weight),
    )
    np.testing.assert_allclose(model.decision_function(X)[0], expected, atol=1e-5)


def test_labels_that_no_row_carries_leave_the_first_scores_finite():
    y = np.column_stack([LABELS, np.zeros(200, int), np.ones(200, int)])
    for loss in ("auto", "mlce", "bce", "squared_hinge"):
        model = small(max_epochs=1, loss=loss).fit(np.zeros((200, 1)), y)
        assert all(np.isfinite(array).all() for array in model.state_dict_.values())


def test_a_network_of_no_use_predicts_the_frequencies():
    X = np.zeros((50, 1))
    y = np.repeat(["a", "b", "c"], [25, 15, 10])
    model = small(max_epochs=1, learning_rate_init=1e-12).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X)[0], [0.5, 0.3, 0.2], atol=1e-6)


def test_batches_and_epochs_follow_the_rows():
    assert [resolve_batch_size("auto", n) for n in (1, 322, 1500, 4880, 10**6)] == [
        32, 32, 128, 512, 512
    ]  # fmt: skip
    assert resolve_batch_size(7, 1000) == 7
    assert 400 <= resolve_max_epochs("auto", 128, 1500) * 12 < 400 + 12
    assert resolve_max_epochs("auto", 32, 1) == 60
    assert resolve_max_epochs("auto", 512, 10**6) == 3
    assert resolve_max_epochs(4, 512, 1) == 4


@pytest.mark.parametrize(
    ("dtype", "size"), [(np.float32, 1e-39), (np.float32, 1e-44), (np.float64, 1e-310)]
)
@pytest.mark.parametrize("input_scaling", ["robust", "overall"])
def test_features_near_zero_have_a_finite_factor(dtype, size, input_scaling):
    X = np.random.default_rng(0).normal(size=(200, 3)) * size * 10
    y = (X[:, 0] > 0).astype(int)
    model = small(max_epochs=1, input_scaling=input_scaling).fit(X.astype(dtype), y)
    assert np.isfinite(model.state_dict_["input_scaling.factor"]).all()
    assert np.isfinite(model.decision_function(X.astype(dtype))).all()
