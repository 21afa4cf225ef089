"""The parts that train the perceptron, each against its slow and obvious version."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import logsumexp
from skorch.callbacks import Callback

from sklearn_mlce._network import batches as batches_module
from sklearn_mlce._network import optimizer
from sklearn_mlce._network.batches import Batches, Rows, SparseBatch, sparse_batch
from sklearn_mlce._network.perceptron import (
    Architecture,
    Dropout,
    Perceptron,
    initialise,
    predictor,
    weights_to_arrays,
)
from sklearn_mlce._network.plan import layer_widths, network_device, one_cycle
from sklearn_mlce._network.randomness import EpochRandomness
from sklearn_mlce._network.train import Criterion, PerceptronNet
from sklearn_mlce._objectives.prepared_targets import TargetPreparer
from sklearn_mlce._objectives.registry import resolve_objective
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._utils.random import draw_seed
from sklearn_mlce._utils.tensors import resolve_device
from tests.helpers import oracles
from tests.helpers.pairwise import parametrize_pairwise

CPU = torch.device("cpu")
N_ROWS, N_LABELS = 23, 4


def targets_of_each_kind():
    rng = np.random.default_rng(0)
    labels = (rng.random((N_ROWS, N_LABELS)) < 0.4).astype(int)
    soft = labels * 0.75
    soft[3, 1] = np.nan
    return {
        "binary": labels[:, 0],
        "multiclass": labels.sum(axis=1).clip(max=2),
        "multilabel": labels,
        "sparse multilabel": sp.csr_array(labels),
        "soft": soft,
    }


KINDS = sorted(targets_of_each_kind())


def numbered_rows(kind, container=np.asarray, weighted=True):
    """Rows whose only feature is their number, counted from 1, as is their weight."""
    numbers = np.arange(1.0, N_ROWS + 1)
    targets = encode_targets(targets_of_each_kind()[kind])
    return Rows(container(numbers[:, None]), targets, numbers if weighted else None)


def objective_of(kind, scale=None, margin=None):
    target_format = encode_targets(targets_of_each_kind()[kind]).format
    return resolve_objective("mlce", scale, margin, target_format)


def preparer(batch_rows, objective=None):
    return TargetPreparer(objective or objective_of("multilabel"), batch_rows, np.float64, CPU)


def numbers_of(x):
    return (x.rows.values if isinstance(x, SparseBatch) else x[:, 0]).numpy().astype(int)


def loss_of_rows(scores, y, weight, scale=1.0, margin=0.0):
    """The weighted mean loss by its formula, row by row."""
    total = 0.0
    for row, target, row_weight in zip(scores, y, weight, strict=True):
        if np.ndim(target) == 0 and len(row) == 1:
            loss = np.logaddexp(0, scale * (margin - row[0] if target else row[0] + margin))
        elif np.ndim(target) == 0:
            others = np.delete(row, target)
            loss = logsumexp(np.append(scale * (others - row[target] + margin), 0))
        else:
            known = ~np.isnan(target)
            s, t = row[known], target[known]
            with np.errstate(divide="ignore"):
                negative = scale * (s + margin) + np.log(1 - t)
                positive = -scale * (s - margin) + np.log(t)
            loss = logsumexp(np.append(negative, 0)) + logsumexp(np.append(positive, 0))
        total += row_weight * loss / scale
    return total / np.sum(weight)


def test_device_names():
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type in ("cpu", "cuda")
    assert resolve_device("cpu:0") == torch.device("cpu:0")
    for name in ("gpu", "cuda:", "meta", ""):
        with pytest.raises(ValueError, match=rf"'{name}' is not .* expected 'cpu', 'auto'"):
            resolve_device(name)


def test_cuda_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
    with pytest.raises(ValueError, match=r"can use no CUDA device .* Type device='auto'"):
        resolve_device("cuda")


ACCELERATORS = {"cuda": 2, "mps": 1, "xpu": 3}


@pytest.mark.parametrize("kind", ACCELERATORS)
def test_devices_that_torch_finds(monkeypatch, kind):
    for other, n_devices in ACCELERATORS.items():
        backend = getattr(torch, other)
        monkeypatch.setattr(backend, "is_available", lambda found=other == kind: found)
        monkeypatch.setattr(backend, "device_count", lambda n_devices=n_devices: n_devices)
    assert resolve_device("auto", ("xpu", "mps", "cuda")).type == kind
    assert resolve_device("auto").type == ("cuda" if kind == "cuda" else "cpu")
    last = f"{kind}:{ACCELERATORS[kind] - 1}"
    assert resolve_device(last) == torch.device(last)
    with pytest.raises(ValueError, match=rf"finds {ACCELERATORS[kind]} .* Type device='{last}'"):
        resolve_device(f"{kind}:7")
    float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
    assert network_device("auto", float32, sparse=False).type == kind
    for dtype, sparse in ((float64, False), (float32, True)):
        found = network_device("auto", dtype, sparse=sparse)
        assert found.type == ("cpu" if kind == "mps" else kind)
        if kind == "mps":
            with pytest.raises(ValueError, match=r"dense rows of float32 alone, got .* set device"):
                network_device("mps", dtype, sparse=sparse)


def test_fused_steps_are_ours_on_devices_that_are_tested_alone(monkeypatch):
    def step(fused_on):
        monkeypatch.setattr(optimizer, "_FUSED_ON", fused_on)
        weight = torch.nn.Parameter(torch.ones(3))
        adamw = optimizer.FusedAdamW([weight], lr=0.1)
        weight.grad = torch.tensor([1.0, -2.0, 0.5])
        adamw.step()
        return weight.detach()

    torch.testing.assert_close(step(("cuda",)), step(("cpu",)))


def test_weights_without_a_gradient_stay():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    weights[2].requires_grad = False
    adamw = optimizer.FusedAdamW(weights, lr=0.1, weight_decay=0.5)
    weights[0].grad = torch.ones(2)
    adamw.step()
    assert (weights[0] < 1).all()
    assert (weights[1] == 1).all()
    assert (weights[2] == 1).all()


@pytest.mark.parametrize("container", [sp.csr_matrix, sp.csr_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index_dtype", [np.int32, np.int64])
def test_sparse_product_and_gradient(container, dtype, index_dtype):
    rng = np.random.default_rng(0)
    X = container((rng.standard_normal((6, 9)) * (rng.random((6, 9)) < 0.2)).astype(dtype))
    X.data[:2] = 0  # stored zeros
    X.indices, X.indptr = X.indices.astype(index_dtype), X.indptr.astype(index_dtype)
    weight = torch.from_numpy(rng.standard_normal((9, 3)).astype(dtype)).requires_grad_()
    product = sparse_batch(X, CPU, training=True).matmul(weight)
    direction = torch.from_numpy(rng.standard_normal((6, 3)).astype(dtype))
    product.backward(direction)
    exact = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(product.detach(), X @ weight.detach().numpy(), atol=exact)
    np.testing.assert_allclose(weight.grad, X.T @ direction.numpy(), atol=exact)


def test_sparse_product_of_empty_rows():
    X = sp.csr_array((2, 5))
    weight = torch.ones(5, 3, dtype=torch.float64, requires_grad=True)
    product = sparse_batch(X, CPU, training=True).matmul(weight)
    product.sum().backward()
    assert not product.any()
    assert not weight.grad.any()


@pytest.mark.parametrize("probability", [0.1, 0.3, 0.9])
def test_dropout_keeps_the_mean(probability):
    dropout = Dropout(probability, torch.Generator().manual_seed(0))
    x = torch.ones(100_003, dtype=torch.float64)  # not a multiple of the draws in a word
    thinned = dropout(x)
    error = 5 * np.sqrt(probability * (1 - probability) / len(x))  # five standard deviations
    assert abs((thinned == 0).double().mean() - probability) < error
    assert abs(thinned.mean() - 1) < error / (1 - probability)
    assert torch.equal(dropout.eval()(x), x)


def test_dropout_draws_from_its_generator_alone():
    before = torch.get_rng_state()
    x = torch.ones(64, 3)
    first, second = (Dropout(0.5, torch.Generator().manual_seed(1))(x) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@parametrize_pairwise(
    container=[np.asarray, sp.csr_matrix, sp.csr_array],
    kind=KINDS,
    batch_size=[4, 23, 100],
    block_bytes=[1, 10**6],
)
def test_each_pass_gives_every_row_once(container, kind, batch_size, block_bytes, monkeypatch):
    monkeypatch.setattr(batches_module, "_BLOCK_BYTES", block_bytes)
    rows = numbered_rows(kind, container)
    order = np.random.default_rng(1).permutation
    prepare = preparer(batch_size, objective_of(kind))
    batches = Batches(rows, batch_size, CPU, prepare, training=True, order=order)
    scores = torch.from_numpy(np.random.default_rng(2).standard_normal((N_ROWS, 9)))
    scores = scores[:, : rows.targets.n_outputs]
    y = targets_of_each_kind()[kind]
    y = y.toarray() if sp.issparse(y) else y
    seen = []
    for x, targets in batches:
        chosen = numbers_of(x) - 1
        seen.extend(chosen)
        loss = Criterion()(scores[chosen], targets)
        assert loss.item() == pytest.approx(
            loss_of_rows(scores[chosen].numpy(), y[chosen], chosen + 1.0)
        )
        assert targets.total_weight == (chosen + 1).sum()
    assert sorted(seen) == list(range(N_ROWS))
    assert (seen == sorted(seen)) == (batch_size >= N_ROWS)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "soft"])
def test_criterion_with_scale_and_margin(kind):
    rows = numbered_rows(kind, weighted=False)
    scores = np.random.default_rng(3).standard_normal((N_ROWS, rows.targets.n_outputs))
    objective = objective_of(kind, 3.0, 0.5)
    ((_, targets),) = Batches(rows, N_ROWS, CPU, preparer(N_ROWS, objective))
    loss = Criterion()(torch.from_numpy(scores), targets)
    y = targets_of_each_kind()[kind]
    expected = loss_of_rows(scores, y, np.ones(N_ROWS), scale=3.0, margin=0.5)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["mlce", "bce"])
@pytest.mark.parametrize("kind", ["multilabel", "soft"])
def test_criterion_with_unequal_margins(kind, loss):
    rows = numbered_rows(kind, weighted=False)
    scores = np.random.default_rng(4).standard_normal((N_ROWS, rows.targets.n_outputs))
    objective = resolve_objective(loss, 3.0, (0.2, 1.8), rows.targets.format)
    ((_, targets),) = Batches(rows, N_ROWS, CPU, preparer(N_ROWS, objective))
    found = Criterion()(torch.from_numpy(scores), targets)
    y = targets_of_each_kind()[kind]
    expected = oracles.LOSSES[loss](scores, y, scale=3.0, margin=(0.2, 1.8)).mean() / 3.0
    assert found.item() == pytest.approx(expected)


def test_passes_have_their_own_order_and_full_batches_are_kept():
    rows = numbered_rows("multilabel")
    batches = Batches(rows, 5, CPU, preparer(5), order=np.random.default_rng(0).permutation)
    first, second = (np.concatenate([numbers_of(x) for x, _ in batches]) for _ in range(2))
    assert (first != second).any()
    full = Batches(rows, N_ROWS, CPU, preparer(N_ROWS), order=np.random.default_rng(0).permutation)
    assert next(iter(full)) is next(iter(full))


def test_batches_of_sparse_rows_are_not_made_dense(monkeypatch):
    for container in (sp.csr_array, sp.csr_matrix):
        monkeypatch.setattr(container, "toarray", None)
    rows = numbered_rows("sparse multilabel", sp.csr_array)
    assert all(
        isinstance(x, SparseBatch) for x, _ in Batches(rows, 5, CPU, preparer(5), training=True)
    )


def test_splitting_takes_each_row_to_one_side():
    rows = numbered_rows("multilabel")
    train, held_out = rows.split(0.25, np.random.default_rng(0).permutation(N_ROWS))
    assert (len(train), len(held_out)) == (17, 6)
    both = np.concatenate([train.X[:], held_out.X])[:, 0]
    assert sorted(both) == list(range(1, N_ROWS + 1))
    for part in (train, held_out):
        np.testing.assert_array_equal(part.sample_weight, part.X[:][:, 0])


def test_an_epoch_draws_by_seed_and_number_alone():
    early, late = EpochRandomness(7, CPU), EpochRandomness(7, CPU)
    early.start_epoch(1)
    early.order(10)
    for randomness in (early, late):
        randomness.start_epoch(2)
    np.testing.assert_array_equal(early.order(10), late.order(10))
    assert early.dropout_generator.initial_seed() == late.dropout_generator.initial_seed()
    late.start_epoch(3)
    assert early.dropout_generator.initial_seed() != late.dropout_generator.initial_seed()


def test_seeds_come_from_random_state():
    assert draw_seed(3) == draw_seed(3) == draw_seed(np.random.RandomState(3))
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert draw_seed(None) != draw_seed(None)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_layer_widths():
    assert layer_widths(7) == layer_widths(np.array([7])) == (7,)
    assert layer_widths(()) == ()
    assert layer_widths([3, 4]) == (3, 4)
    for wrong in ([3, 0], [2.5], "ab"):
        with pytest.raises(ValueError, match=r"expected positive integers.*Type hidden_layer"):
            layer_widths(wrong)


def test_predictor_computes_with_the_arrays_it_is_given():
    architecture = Architecture(3, (5, 4), 2, "gelu")
    module = Perceptron(architecture, torch.float64, dropout=Dropout(0.5, torch.Generator()))
    initialise(module, torch.Generator().manual_seed(0))
    weights = weights_to_arrays(module, np.dtype(np.float64))
    for array in weights.values():
        array.setflags(write=False)  # as memory maps are
    x = torch.ones(2, 3, dtype=torch.float64)
    assert torch.equal(predictor(architecture, weights, CPU)(x), module.eval()(x))


def test_arguments_of_the_net_are_parameters_of_skorch():
    given = {
        "randomness": EpochRandomness(0, CPU),
        "n_epochs_before": 2,
        "schedule": one_cycle,
        "n_epochs_in_all": 5,
        "largest_norm": 1.0,
        "mixed_precision": True,
        "kept_dtype": np.float64,
        "may_stop": [Callback()],
    }
    module = Perceptron(Architecture(3, (), 2, "gelu"), torch.float32)
    net = PerceptronNet(module, Criterion(), callbacks=[], verbose=0, **given)
    assert {name: net.get_params(deep=False)[name] for name in given} == given
    assert net.set_params(largest_norm=2.0).initialize().largest_norm == 2.0
    with pytest.raises((TypeError, ValueError), match="no_parameter"):
        PerceptronNet(module, Criterion(), no_parameter=1, **given).initialize()
