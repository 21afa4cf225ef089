"""Members: one network that gives their mean, and rows that each is trained without."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.batches import Batches, Rows, features
from sklearn_mlce._network.members import (
    combined_weights,
    draw_left_out,
    initialise_perceptron,
    left_out_scores,
    make_perceptron,
    member_weights,
)
from sklearn_mlce._network.perceptron import Perceptron, compute_scores, weights_to_arrays
from sklearn_mlce._network.train import Criterion
from sklearn_mlce._objectives.prepared_targets import TargetPreparer
from sklearn_mlce._objectives.registry import resolve_objective
from sklearn_mlce._targets.encoding import encode_targets

CPU = torch.device("cpu")
N_MEMBERS, WIDTH, N_FEATURES, N_LABELS, N_ROWS = 3, 4, 5, 2, 20


def members(learned_threshold=False):
    architecture = Architecture(
        N_FEATURES,
        (N_MEMBERS * WIDTH,),
        N_LABELS,
        "silu",
        learned_threshold=learned_threshold,
        n_members=N_MEMBERS,
    )
    module = make_perceptron(architecture, torch.float64)
    generator = torch.Generator().manual_seed(0)
    initialise_perceptron(module, generator)
    with torch.no_grad():
        for parameter in module.layers[1].parameters():
            parameter.normal_(generator=generator)
    return architecture, module


def rows_of(kind="dense", n_rows=N_ROWS):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, N_FEATURES))
    Y = rng.integers(2, size=(n_rows, N_LABELS))
    return Rows(sp.csr_array(X) if kind == "sparse" else X, encode_targets(Y), None)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
@pytest.mark.parametrize("learned_threshold", [False, True])
def test_one_network_gives_the_mean_of_the_members(learned_threshold, kind):
    architecture, module = members(learned_threshold)
    weights, X = weights_to_arrays(module, np.float64), rows_of(kind).X
    of_each = [
        compute_scores(architecture.member, member_weights(weights, member), X, CPU)
        for member in range(N_MEMBERS)
    ]
    assert np.ptp(of_each, axis=0).min() > 1e-3
    together = compute_scores(architecture.combined, combined_weights(weights), X, CPU)
    np.testing.assert_allclose(together, np.mean(of_each, axis=0), rtol=1e-12)
    with torch.no_grad():
        in_training = module.train()(features(X, CPU)).numpy()
        np.testing.assert_allclose(in_training, np.concatenate(of_each), rtol=1e-12)
        np.testing.assert_allclose(module.eval()(features(X, CPU)).numpy(), together, rtol=1e-12)


def test_each_member_starts_as_a_network_of_its_own():
    _, module = members()
    initialise_perceptron(module, torch.Generator().manual_seed(0))
    bound = (6 / (N_FEATURES + WIDTH)) ** 0.5
    hidden = module.layers[0].weight.detach().abs()
    assert 0.9 * bound < hidden.max() <= bound
    assert not any(
        weight.any() for weight in (module.layers[0].bias, *module.layers[1].parameters())
    )
    alone = make_perceptron(Architecture(N_FEATURES, (WIDTH,), N_LABELS, "silu"), torch.float32)
    assert type(alone) is Perceptron


@pytest.mark.parametrize("n_rows", [1, 2, 20, 31])
def test_each_row_is_left_out_once_and_members_leave_out_as_many(n_rows):
    left_out = draw_left_out(n_rows, N_MEMBERS, seed=1)
    assert (left_out.sum(axis=0) == 1).all()
    assert np.ptp(left_out.sum(axis=1)) <= 1
    assert (left_out == draw_left_out(n_rows, N_MEMBERS, seed=1)).all()


def test_scores_are_those_of_the_member_that_left_a_row_out():
    architecture, module = members()
    weights, rows = weights_to_arrays(module, np.float64), rows_of()
    left_out = draw_left_out(N_ROWS, N_MEMBERS, seed=0)
    found = left_out_scores(architecture, weights, rows, left_out, CPU)
    for row, member in enumerate(left_out.argmax(axis=0)):
        own = member_weights(weights, member)
        expected = compute_scores(architecture.member, own, rows.X[[row]], CPU)
        np.testing.assert_allclose(found[[row]], expected, rtol=1e-12)


def gradients(rows, member_weight, batch_size=N_ROWS, loss="bce"):
    """Gradients of all weights in the batches of a pass, by name."""
    _, module = members()
    preparer = TargetPreparer(
        resolve_objective(loss, None, None, rows.targets.format),
        batch_size * N_MEMBERS,
        np.dtype(np.float64),
        CPU,
        None,
        None,
    )
    batches = Batches(rows, batch_size, CPU, preparer, training=True, member_weight=member_weight)
    criterion, seen = Criterion(), 0
    for x, targets in batches:
        scores = module.train()(x)
        _, gradient = criterion.loss_and_gradient(scores, targets)
        torch.autograd.backward(scores, gradient * targets.total_weight)
        seen += targets.total_weight
    assert seen == pytest.approx(member_weight.sum())
    return {name: weight.grad.numpy() for name, weight in module.named_parameters()}


@pytest.mark.parametrize("loss", ["bce", "mlce", "focal"])
@pytest.mark.parametrize("batch_size", [7, N_ROWS])
def test_a_member_does_not_learn_from_the_rows_that_it_leaves_out(batch_size, loss):
    rows, row = rows_of(), 3
    left_out = draw_left_out(N_ROWS, N_MEMBERS, seed=0)
    weight = (~left_out).astype(np.float64)
    Y = rows.targets.positives.toarray()
    Y[row] = 1 - Y[row]
    other = Rows(rows.X, encode_targets(Y.astype(int)), None)
    first = member_gradients(gradients(rows, weight, batch_size, loss))
    second = member_gradients(gradients(other, weight, batch_size, loss))
    for member in range(N_MEMBERS):
        same = all(
            np.allclose(a, b, rtol=1e-9) for a, b in zip(first[member], second[member], strict=True)
        )
        assert same == left_out[member, row]


def member_gradients(by_name):
    return [list(member_weights(by_name, member).values()) for member in range(N_MEMBERS)]


def test_the_gradient_of_a_member_is_that_of_a_network_of_its_own():
    rows = rows_of()
    weight = np.random.default_rng(1).random((N_MEMBERS, N_ROWS))
    found = member_gradients(gradients(rows, weight))
    _, module = members()
    weights = weights_to_arrays(module, np.float64)
    objective = resolve_objective("bce", None, None, rows.targets.format)
    for member in range(N_MEMBERS):
        own = member_weights(weights, member)
        alone = Perceptron(Architecture(N_FEATURES, (WIDTH,), N_LABELS, "silu"), torch.float64)
        alone.load_state_dict({name: torch.from_numpy(value) for name, value in own.items()})
        preparer = TargetPreparer(objective, N_ROWS, np.dtype(np.float64), CPU, None, None)
        weighted = Rows(rows.X, rows.targets, weight[member])
        ((x, targets),) = Batches(weighted, N_ROWS, CPU, preparer, training=True)
        scores = alone.train()(x)
        _, gradient = Criterion().loss_and_gradient(scores, targets)
        torch.autograd.backward(scores, gradient * targets.total_weight)
        expected = {name: part.grad.numpy() for name, part in alone.named_parameters()}
        for name, part in zip(own, found[member], strict=True):
            np.testing.assert_allclose(part, expected[name], rtol=1e-9, err_msg=name)
