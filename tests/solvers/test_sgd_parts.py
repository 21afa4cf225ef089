"""The parts of the mini-batch solver against slow, dense, float64 versions of themselves."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce._objectives.mlce import MLCE
from sklearn_mlce._objectives.pointwise import BinaryCrossEntropy, SquaredHinge
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._solvers import row_batches
from sklearn_mlce._solvers.row_batches import RowBatches
from sklearn_mlce._solvers.sgd import CentredWeights, StochasticDescent
from sklearn_mlce._solvers.standardisation import Standardisation
from sklearn_mlce._solvers.step_sizes import (
    StepSizes,
    gram_eigenvalue,
    linear_decay,
    stream_decay,
)
from sklearn_mlce._solvers.stream import LiveWeights
from sklearn_mlce._targets.encoding import encode_targets

CPU = torch.device("cpu")
N_ROWS, N_FEATURES, N_LABELS = 23, 11, 6


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


def slow_gradient(scores, targets, weight, objective):
    """Gradient of the weighted rows, and their values, by the solvers' other engine."""
    encoded = encode(targets, np.float64, CPU)
    loss = objective.second_order(encoded, targets.n_outputs, torch.from_numpy(weight))
    derivatives = loss.evaluate(torch.from_numpy(scores))
    return derivatives.value, derivatives.gradient().numpy()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("n_labels", [N_LABELS, 150])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("family", [MLCE, BinaryCrossEntropy])
def test_an_epoch_is_that_of_plain_centred_descent(family, container, n_labels, weighted, centred):
    rng = np.random.default_rng(0)
    X, Y = sparse_rows(rng), label_rows(rng, n_labels=n_labels)
    weight = rng.uniform(0.5, 2, N_ROWS) if weighted else np.ones(N_ROWS)
    offset = rng.normal(size=N_FEATURES) if centred else None
    objective, batch_size, rate, l2 = family(4.0, (0.5, 0.2)), 5, 0.1, 0.3
    targets = encode_targets(sp.csr_array(Y.astype(int)))
    of_intercepts = np.linspace(0.01, 0.05, n_labels)

    W, b = rng.normal(size=(N_FEATURES, n_labels)), rng.normal(size=n_labels) if centred else 0.0
    first = np.vstack([W, b]) if centred else W
    order, n_steps, expected = rng.permutation(N_ROWS), 9, 0.0
    W = W.copy()
    shifted = X - offset if centred else X
    b = b + offset @ W if centred else b
    for number, start in enumerate(range(0, N_ROWS, batch_size)):
        rows = order[start : start + batch_size]
        scores = shifted[rows] @ W + b
        value, gradient = slow_gradient(scores, targets.index_rows(rows), weight[rows], objective)
        expected += value
        share = 1 - number / n_steps
        W = W - rate * share * shifted[rows].T @ gradient
        W /= 1 + rate * share * l2 * weight[rows].sum()
        b = b - share * of_intercepts * gradient.sum(axis=0) if centred else b
    expected = expected / weight.sum() + l2 / 2 * (W**2).sum()

    in_batches = RowBatches(
        container(X),
        targets,
        weight if weighted else None,
        Standardisation(offset),
        batch_size,
        CPU,
    )
    weights = CentredWeights(
        torch.from_numpy(first.copy()), None if offset is None else torch.from_numpy(offset)
    )
    steps = StepSizes(rate, torch.from_numpy(of_intercepts), linear_decay(n_steps))
    descent = StochasticDescent(weights, objective.batch_loss(n_labels), steps)
    objective_met = descent.epoch(in_batches, order, l2) + l2 / 2 * weights.squared_norm()
    assert objective_met == pytest.approx(expected, rel=1e-10)
    expected = np.vstack([W, b - offset @ W]) if centred else W
    np.testing.assert_allclose(weights.parameters(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_blocks_are_whole_batches(container, monkeypatch):
    rng = np.random.default_rng(0)
    X = np.ones((N_ROWS, N_FEATURES))
    targets = encode_targets(label_rows(rng))
    batches = RowBatches(container(X), targets, None, Standardisation(None), 5, CPU)
    for entries, rows in ((1, 5), (5 * N_FEATURES, 5), (12 * N_FEATURES, 10), (10**6, N_ROWS)):
        monkeypatch.setattr("sklearn_mlce._solvers.row_batches._BLOCK_ENTRIES", entries)
        assert [block.start for block in batches.blocks()] == [*range(0, N_ROWS, rows)]
        assert sum(len(batch.targets.indptr) - 1 for batch in batches.epoch(np.arange(N_ROWS))) == (
            N_ROWS
        )


@pytest.mark.parametrize("smallest", [0.0, 0.9])
def test_squares_are_kept_while_a_chunk_moves_some_of_the_weights(smallest, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._solvers.sgd._SMALLEST_FACTOR", smallest)
    rng = np.random.default_rng(0)
    X = sp.csr_array(np.where(np.arange(N_FEATURES) < 3, rng.normal(size=(5, N_FEATURES)), 0))
    targets = encode_targets(label_rows(rng, 5))
    live = LiveWeights(rng.normal(size=(N_FEATURES, N_LABELS)), Standardisation(None), None, CPU)
    (batch,) = RowBatches(X, targets, None, Standardisation(None), 5, CPU).epoch(np.arange(5))
    before = live.parameters(copy=True)
    with live.moved_by(X):
        gradient = torch.from_numpy(rng.normal(size=(5, N_LABELS)))
        live.weights.step(batch.features, gradient, 0.1, 0.5)
    torch.testing.assert_close(live.squares, live.weights.squares())
    norm = live.weights.squared_norm(live.squares)
    expected = (before - 0.1 * X.T @ gradient.numpy()) / 1.5
    np.testing.assert_allclose(live.parameters(copy=True), expected)
    assert norm == pytest.approx((expected**2).sum())


def test_steps_of_a_stream_fall_as_one_over_the_root_of_their_number():
    assert stream_decay(0) == 1
    steps = np.array([stream_decay(number) for number in (0, 50, 150, 400, 5000)])
    np.testing.assert_allclose(steps, [1, 0.5**0.5, 0.5, 1 / 3, 101**-0.5])


@pytest.mark.parametrize("decay", [0.1, torch.linspace(0.1, 0.5, N_LABELS).double()])
def test_a_sum_of_squares_is_not_negative_by_rounding(decay):
    X, targets = sparse_rows(np.random.default_rng(0)), encode_targets(np.eye(N_ROWS, N_LABELS))
    weights = CentredWeights(
        torch.ones(N_FEATURES + 1, N_LABELS).double(), torch.ones(N_FEATURES).double()
    )
    batches = RowBatches(X, targets, None, Standardisation(np.ones(N_FEATURES)), N_ROWS, CPU)
    (batch,) = batches.epoch(np.arange(N_ROWS))
    weights.step(batch.features, torch.zeros(N_ROWS, N_LABELS).double(), 0.1, decay)
    expected = (torch.ones(N_FEATURES, N_LABELS).double() / (1 + decay)).square().sum()
    assert weights.squared_norm() == pytest.approx(float(expected))
    assert weights.squared_norm(torch.full((N_LABELS,), -1e-9).double()) == 0


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
        descent = StochasticDescent(weights, MLCE().batch_loss(N_LABELS), steps)
        descent.epoch(
            RowBatches(X, targets, None, Standardisation(offset), 4, CPU), np.arange(N_ROWS), 0.5
        )
        results.append(weights.parameters().numpy())
    np.testing.assert_allclose(*results, rtol=1e-10, atol=1e-13)


def test_blocks_do_not_change_the_batches(monkeypatch):
    rng = np.random.default_rng(2)
    X, targets = sp.csr_array(sparse_rows(rng)), encode_targets(label_rows(rng))
    batches = RowBatches(
        X, targets, rng.random(N_ROWS), Standardisation(rng.random(N_FEATURES)), 4, CPU
    )
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


def test_the_form_for_accelerators_adds_the_same_products(monkeypatch):
    monkeypatch.setattr("sklearn_mlce._solvers.row_batches._PRODUCT_ENTRIES", 4 * N_LABELS)
    rng = np.random.default_rng(7)
    X = sparse_rows(rng, n_rows=24)
    X[8:12] = 0  # a batch without entries
    targets = encode_targets(label_rows(rng, n_rows=24))
    batches = RowBatches(sp.csr_array(X), targets, None, Standardisation(None), 4, CPU)
    values = torch.from_numpy(rng.normal(size=(4, N_LABELS)))
    start = torch.from_numpy(rng.normal(size=(N_FEATURES, N_LABELS)))

    def sums():
        products = [start.clone() for _ in range(batches.n_batches)]
        for product, batch in zip(products, batches.epoch(np.arange(24)), strict=True):
            batch.features.add_transposed_(product, values, alpha=-0.3)
        return torch.stack(products)

    of_cpu = sums()
    monkeypatch.setattr(row_batches, "_feature_entries", row_batches._present_features)
    torch.testing.assert_close(sums(), of_cpu, rtol=1e-12, atol=1e-14)
    expected = start.numpy() - 0.3 * X.reshape(6, 4, -1).transpose(0, 2, 1) @ values.numpy()
    np.testing.assert_allclose(of_cpu, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_the_gram_eigenvalue_is_that_of_the_centred_weighted_rows(container):
    rng = np.random.default_rng(3)
    X, weight = sparse_rows(rng), rng.uniform(0.1, 3, N_ROWS)
    offset = X.mean(axis=0)
    targets = encode_targets(label_rows(rng))
    batches = RowBatches(container(X), targets, weight, Standardisation(offset), N_ROWS, CPU)
    rows = (X - offset) * np.sqrt(weight)[:, None]
    expected = np.linalg.eigvalsh(rows @ rows.T)[-1]
    assert gram_eigenvalue(batches, rng) == pytest.approx(expected, rel=1e-2)


def test_a_loss_that_overflows_says_what_to_do():
    rng = np.random.default_rng(6)
    X, targets = sparse_rows(rng), encode_targets(label_rows(rng))
    weights = CentredWeights(torch.zeros(N_FEATURES + 1, N_LABELS), torch.zeros(N_FEATURES))
    steps = StepSizes(1e6, torch.zeros(N_LABELS), lambda number: 1.0)
    descent = StochasticDescent(weights, SquaredHinge().batch_loss(N_LABELS), steps)
    batches = RowBatches(
        X.astype(np.float32), targets, None, Standardisation(np.zeros(N_FEATURES, "f")), 4, CPU
    )
    with pytest.raises(ValueError, match=r"the loss became .*StandardScaler.*'newton-cg'"):
        descent.check_finite(descent.epoch(batches, np.arange(N_ROWS), 0.0))
