"""The parts of the mini-batch solver against slow, dense, float64 versions of themselves."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn_mlce._objectives.constant_scores import intercept_start
from sklearn_mlce._objectives.first_order import BatchLoss
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._objectives.second_order import row_loss_of

from sklearn_mlce._solvers.row_batches import RowBatches
from sklearn_mlce._solvers.sgd import CentredWeights, StochasticDescent
from sklearn_mlce._solvers.step_sizes import StepSizes, gram_eigenvalue, linear_decay
from sklearn_mlce._targets.encoding import encode_targets

CPU = torch.device("cpu")
N_ROWS, N_FEATURES, N_LABELS = 23, 11, 6
LOSSES = {
    "plain": LossOptions(),
    "order 1": LossOptions(8.0, (1.0, 1.0), (1, 1)),
    "order 2": LossOptions(6.0, (1.0, 1.0), (2, 2)),
    "all": LossOptions(8.0, (1.0, 1.0), ("all", "all")),
    "2 and all": LossOptions(6.0, (1.0, 1.0), (2, "all")),
    "all and 1": LossOptions(3.0, (0.5, 0.5), ("all", 1)),
    "bce": LossOptions(loss="bce"),
    "squared hinge": LossOptions(loss="squared_hinge"),
}


def sparse_rows(rng, n_rows=N_ROWS, n_features=N_FEATURES):
    X = rng.normal(size=(n_rows, n_features)) + 1
    X[rng.random(X.shape) < 0.6] = 0
    X[3] = 0  # a row without entries
    X[:, 2] = 0  # a feature without entries
    return X


def label_rows(rng, n_rows=N_ROWS, n_labels=N_LABELS, kind="hard"):
    Y = (rng.random((n_rows, n_labels)) < 0.4).astype(float)
    Y[0], Y[1] = 1, 0
    if kind == "soft":
        Y = np.where(rng.random(Y.shape) < 0.5, rng.random(Y.shape), Y)
    if kind == "unknown":
        Y[5:][rng.random((n_rows - 5, n_labels)) < 0.2] = np.nan
    return Y


def slow_gradient(scores, targets, weight, options):
    """Gradient of the weighted rows, and their values, by the solvers' other engine."""
    everything = np.ones(targets.n_outputs, dtype=bool)
    rows = row_loss_of(targets, everything, torch.from_numpy(weight), options)
    derivatives = rows.evaluate(torch.from_numpy(scores))
    return derivatives.value, derivatives.gradient().numpy()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("n_labels", [N_LABELS, 150])  # narrow and wide rows of coefficients
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("centred", [False, True])
def test_an_epoch_is_that_of_plain_centred_descent(
    container, n_labels, weighted, centred, monkeypatch
):
    monkeypatch.setattr("sklearn_mlce._solvers.row_batches._PRODUCT_ENTRIES", 4 * N_LABELS)
    rng = np.random.default_rng(0)
    X, Y = sparse_rows(rng), label_rows(rng, n_labels=n_labels)
    weight = rng.uniform(0.5, 2, N_ROWS) if weighted else np.ones(N_ROWS)
    offset = rng.normal(size=N_FEATURES) if centred else None
    options, batch_size, rate, l2 = LossOptions(4.0, (0.5, 0.5), (1, "all")), 5, 0.1, 0.3
    targets = encode_targets(sp.csr_array(Y.astype(int)))
    of_intercepts = np.linspace(0.01, 0.05, n_labels)

    W, b = rng.normal(size=(N_FEATURES, n_labels)), rng.normal(size=n_labels) if centred else 0.0
    first = np.vstack([W, b]) if centred else W
    order, n_steps, objective = rng.permutation(N_ROWS), 9, 0.0
    W = W.copy()
    shifted = X - offset if centred else X
    b = b + offset @ W if centred else b
    for number, start in enumerate(range(0, N_ROWS, batch_size)):
        rows = order[start : start + batch_size]
        scores = shifted[rows] @ W + b
        value, gradient = slow_gradient(scores, targets.index_rows(rows), weight[rows], options)
        objective += value
        share = 1 - number / n_steps
        W = W - rate * share * shifted[rows].T @ gradient
        W /= 1 + rate * share * l2 * weight[rows].sum()
        b = b - share * of_intercepts * gradient.sum(axis=0) if centred else b
    objective = objective / weight.sum() + l2 / 2 * (W**2).sum()

    in_batches = RowBatches(
        container(X), targets, weight if weighted else None, offset, batch_size, CPU
    )
    weights = CentredWeights(
        torch.from_numpy(first.copy()), None if offset is None else torch.from_numpy(offset)
    )
    steps = StepSizes(rate, torch.from_numpy(of_intercepts), linear_decay(n_steps))
    descent = StochasticDescent(weights, BatchLoss(options, n_labels), steps)
    assert descent.epoch(in_batches, order, l2) == pytest.approx(objective, rel=1e-10)
    expected = np.vstack([W, b - offset @ W]) if centred else W
    np.testing.assert_allclose(weights.parameters(), expected, rtol=1e-10, atol=1e-12)


def test_a_factor_that_gets_small_is_multiplied_out(monkeypatch):
    rng = np.random.default_rng(1)
    X, targets = sp.csr_array(sparse_rows(rng)), encode_targets(label_rows(rng))
    offset = rng.normal(size=N_FEATURES)
    results = []
    for smallest in (0.0, 0.9):
        monkeypatch.setattr("sklearn_mlce._solvers.sgd._SMALLEST_FACTOR", smallest)
        weights = CentredWeights(
            torch.zeros(N_FEATURES + 1, N_LABELS).double(), torch.from_numpy(offset)
        )
        steps = StepSizes(0.1, torch.full((N_LABELS,), 0.02).double(), linear_decay(100))
        descent = StochasticDescent(weights, BatchLoss(LossOptions(), N_LABELS), steps)
        descent.epoch(RowBatches(X, targets, None, offset, 4, CPU), np.arange(N_ROWS), 0.5)
        results.append(weights.parameters().numpy())
    np.testing.assert_allclose(*results, rtol=1e-10, atol=1e-13)


def test_blocks_do_not_change_the_batches(monkeypatch):
    rng = np.random.default_rng(2)
    X, targets = sp.csr_array(sparse_rows(rng)), encode_targets(label_rows(rng))
    batches = RowBatches(X, targets, rng.random(N_ROWS), rng.random(N_FEATURES), 4, CPU)
    order = rng.permutation(N_ROWS)
    values = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))

    def seen():
        products = torch.zeros(N_FEATURES, N_LABELS).double()
        parts = []
        for batch in batches.epoch(order):
            n_rows = len(batch.weight)
            batch.features.add_transposed_(products, values[:n_rows], alpha=2.0)
            parts.append((batch.weight, batch.features.at_offset, batch.total_weight))
            parts.append((products.clone(), batch.targets.indices))
        return parts

    first = seen()
    monkeypatch.setattr("sklearn_mlce._solvers.row_batches._BLOCK_ENTRIES", 1)
    assert len(list(batches.blocks())) > 1
    for part, other in zip(first, seen(), strict=True):
        for entry, other_entry in zip(part, other, strict=True):
            torch.testing.assert_close(entry, other_entry)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_gram_eigenvalue_is_that_of_the_centred_weighted_rows(container):
    rng = np.random.default_rng(3)
    X, weight = sparse_rows(rng), rng.uniform(0.1, 3, N_ROWS)
    offset = X.mean(axis=0)
    targets = encode_targets(label_rows(rng))
    batches = RowBatches(container(X), targets, weight, offset, N_ROWS, CPU)
    rows = (X - offset) * np.sqrt(weight)[:, None]
    expected = np.linalg.eigvalsh(rows @ rows.T)[-1]
    assert gram_eigenvalue(batches, rng) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("name", LOSSES)
def test_first_intercepts_are_the_best_without_features(name, kind, weighted):
    rng = np.random.default_rng(4)
    targets = encode_targets(label_rows(rng, n_rows=200, kind=kind))
    weight = rng.uniform(0.2, 2, 200) if weighted else None
    intercepts = intercept_start(targets, LOSSES[name], weight)
    mean = np.full(200, 1 / 200) if weight is None else weight / weight.sum()
    scores = np.tile(intercepts, (200, 1))
    value, gradient = slow_gradient(scores, targets, mean, LOSSES[name])
    # Soft targets inside the logarithms of order "all" and 2 make the masses a rough guide.
    coupled = kind == "soft" and not {"all", 2}.isdisjoint(LOSSES[name].orders)
    assert coupled or np.abs(gradient.sum(axis=0)).max() < 0.005
    at_zero, _ = slow_gradient(0 * scores, targets, mean, LOSSES[name])
    assert value <= at_zero + 1e-6


@pytest.mark.parametrize("scale", [1.0, 8.0, 64.0])
@pytest.mark.parametrize("orders", [(1, 1), (2, 2), (2, "all"), ("all", 2), ("all", "all")])
def test_first_intercepts_of_many_rare_labels(orders, scale):
    rng = np.random.default_rng(5)
    n_rows, n_labels = 12_000, 4_000
    share = 3.0 / (np.arange(n_labels) + 1) ** 1.1
    columns = rng.choice(n_labels, (n_rows, 3), p=share / share.sum())
    Y = sp.csr_array(
        (np.ones(3 * n_rows, dtype=int), columns.ravel(), 3 * np.arange(n_rows + 1)),
        shape=(n_rows, n_labels),
    )
    Y.sum_duplicates()
    Y.data[:] = 1
    Y = Y[:, Y.sum(axis=0) > 0]
    options = LossOptions(scale, (1.0, 1.0), orders)
    targets = encode_targets(Y)
    intercepts = intercept_start(targets, options)
    rows = np.arange(0, n_rows, 16)
    mean = np.full(len(rows), 1 / len(rows))
    scores = np.tile(intercepts, (len(rows), 1))
    value, gradient = slow_gradient(scores, targets.index_rows(rows), mean, options)
    at_zero, _ = slow_gradient(0 * scores, targets.index_rows(rows), mean, options)
    assert value < at_zero
    # The rows taken have not the frequencies of all: what is left is their noise.
    frequency = np.asarray(Y[rows].sum(axis=0)).ravel() / len(rows)
    expected = np.asarray(Y.sum(axis=0)).ravel() / n_rows
    noise = np.abs(frequency - expected).sum()
    assert np.abs(gradient.sum(axis=0)).sum() < 2 * noise + 0.1 * frequency.sum()


def test_first_intercepts_of_classes():
    codes = np.repeat([0, 1, 2], [10, 30, 60])
    intercepts = intercept_start(encode_targets(codes), LossOptions(loss="softmax"))
    np.testing.assert_allclose(np.exp(intercepts - intercepts[0]), [1, 3, 6])


def test_a_loss_that_overflows_says_what_to_do():
    rng = np.random.default_rng(6)
    X, targets = sparse_rows(rng), encode_targets(label_rows(rng))
    options = LossOptions(loss="squared_hinge")
    weights = CentredWeights(torch.zeros(N_FEATURES + 1, N_LABELS), torch.zeros(N_FEATURES))
    steps = StepSizes(1e6, torch.zeros(N_LABELS), lambda number: 1.0)
    descent = StochasticDescent(weights, BatchLoss(options, N_LABELS), steps)
    batches = RowBatches(X.astype(np.float32), targets, None, np.zeros(N_FEATURES, "f"), 4, CPU)
    with pytest.raises(ValueError, match=r"the loss became .*StandardScaler.*'newton-cg'"):
        descent.epoch(batches, np.arange(N_ROWS), 0.0)
