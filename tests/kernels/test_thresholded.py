"""The orders of the loss against elementary symmetric sums, in value and gradient."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from sklearn_mlce._kernels.hard_targets import cells_from_dense
from sklearn_mlce._kernels.row_blocks import Affine
from sklearn_mlce._kernels.thresholded import loss_and_gradient
from sklearn_mlce.losses import mlce_loss, mlce_loss_from_indices
from tests.helpers import oracles
from tests.losses.test_losses import (
    N_LABELS,
    N_ROWS,
    as_tensors,
    random_arguments,
    random_targets,
)

ORDERS = [2, "all", (1, 2), (2, "all")]
KINDS = ["hard", "soft", "unknown"]
FORMS = list(itertools.product(KINDS, [None, "label", "cell"], [False, True], [False, True]))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kind", "weighted", "threshold", "scaled"), FORMS)
def test_equals_the_symmetric_sums(order, kind, weighted, threshold, scaled):
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(scale=2, size=(N_ROWS, N_LABELS)), random_targets(kind, rng)
    arguments = random_arguments(rng, weighted, threshold, scaled)
    expected = oracles.mlce(scores, targets, order=order, **arguments)
    tensors = torch.from_numpy(scores), torch.from_numpy(targets)
    rows = mlce_loss(*tensors, order=order, **as_tensors(arguments), reduction="none")
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("kind", "weighted", "threshold", "scaled"), FORMS[::3] + FORMS[1::6])
def test_gradient_passes_gradcheck(order, kind, weighted, threshold, scaled):
    rng = np.random.default_rng(1)
    targets = torch.from_numpy(random_targets(kind, rng))
    arguments = as_tensors(random_arguments(rng, weighted, threshold, scaled))
    arguments["sample_weight"] = torch.from_numpy(rng.random(N_ROWS))
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS))).requires_grad_()
    thresholds = arguments.pop("threshold_scores")
    inputs = [scores] if thresholds is None else [scores, thresholds.requires_grad_()]

    def rows(scores, threshold_scores=None):
        return mlce_loss(
            scores,
            targets,
            order=order,
            threshold_scores=threshold_scores,
            **arguments,
            reduction="none",
        )

    assert torch.autograd.gradcheck(rows, inputs)


def rows_and_gradient(scores, targets, **options):
    scores = scores.clone().requires_grad_()
    rows = mlce_loss(scores, targets, reduction="none", **options)
    rows.sum().backward()
    return rows.detach(), scores.grad


def expected_rows_and_gradient(scores, targets, order, scale=1.0):
    values, gradients = [], []
    for row, target in zip(scores.double().tolist(), targets.tolist(), strict=True):
        negatives, positives = oracles.exponents_of_row(row, target, scale=scale)
        values.append(oracles.side(negatives, order) + oracles.side(positives, order))
        gradients.append(
            oracles.side_gradient(negatives, order) - oracles.side_gradient(positives, order)
        )
    return torch.tensor(values, dtype=torch.float64), scale * torch.tensor(np.array(gradients))


# Each a row of scores: ties, one or two far above the rest, a tail that underflows beside them,
# and a second that underflows beside the first and yet decides the value.
EXTREMES = [
    [1e4, 1e4, 1e4, 1e4],
    [-1e4, -1e4, -1e4, -1e4],
    [1e4, -1e4, 1e4, -1e4],
    [1e4, 9e3, 8e3, -1e4],
    [1e4, 1.0, 0.5, -1.0],
    [100.0, 10.0, 9.0, -200.0],
    [100.0, -20.0, -30.0, -200.0],
    [-100.0, -110.0, -300.0, 0.0],
    [88.0, 88.0, -88.0, 0.0],
    [60.0, -60.0, -60.0, -60.0],
]


@pytest.mark.parametrize("order", [1, 2, "all"])
@pytest.mark.parametrize("kind", ["negatives", "positives", "mixed", "soft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores(order, kind, dtype):
    scores = torch.tensor(EXTREMES, dtype=dtype)
    targets = torch.zeros_like(scores)
    targets[:] = {
        "negatives": 0.0, "positives": 1.0, "mixed": targets.new_tensor([0, 0, 1, 1]), "soft": 0.25
    }[kind]  # fmt: skip
    values, gradient = rows_and_gradient(scores, targets, order=order)
    expected = expected_rows_and_gradient(scores, targets, order)
    tolerance = dict.fromkeys(("rtol", "atol"), 5e-6 if dtype == torch.float32 else 1e-11)
    torch.testing.assert_close(values, expected[0].to(dtype), **tolerance)
    torch.testing.assert_close(gradient, expected[1].to(dtype), **tolerance)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("order", [2, "all"])
@pytest.mark.parametrize("soft", [False, True])
def test_small_losses_keep_their_digits(order, sign, soft):
    scores = sign * torch.tensor([[-25.0, -26.0, -27.0]])
    targets = torch.full((1, 3), 0.0 if sign > 0 else 1.0)
    if soft:
        targets = targets.clamp(1e-30, 1 - 1e-6)
    values, gradient = rows_and_gradient(scores, targets, order=order)
    expected = expected_rows_and_gradient(scores, targets, order)
    torch.testing.assert_close(values, expected[0].float(), rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, expected[1].float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", [1.0, 12.0])
def test_order_two_of_many_labels_in_float32(scale):
    rng = np.random.default_rng(2)
    scores = torch.from_numpy(rng.normal(size=(20, 300))).float()
    targets = torch.from_numpy(rng.random((20, 300)) < 0.02).float()
    values, gradient = rows_and_gradient(scores, targets, order=2, scale=scale)
    expected = expected_rows_and_gradient(scores, targets, 2, scale)
    torch.testing.assert_close(values, expected[0].float(), rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(gradient, expected[1].float(), rtol=2e-5, atol=1e-6 * scale)


def test_every_order_is_binary_cross_entropy():
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.normal(scale=3, size=(N_ROWS, N_LABELS))).requires_grad_()
    targets = torch.from_numpy(random_targets("hard", rng))
    reference = binary_cross_entropy_with_logits(scores, targets, reduction="sum")
    (expected,) = torch.autograd.grad(reference, scores)
    loss = mlce_loss(scores, targets, order="all", reduction="sum")
    (gradient,) = torch.autograd.grad(loss, scores)
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_order_charges_more(kind):
    rng = np.random.default_rng(4)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets(kind, rng))
    first, second, every = (
        mlce_loss(scores, targets, order=order, reduction="none") for order in (1, 2, "all")
    )
    assert (first <= second).all()
    assert (second <= every).all()
    assert (first < every).any()


@pytest.mark.parametrize("order", ORDERS)
def test_one_label_has_one_order(order):
    scores = torch.linspace(-4, 4, 9)[:, None]
    for targets in ((torch.arange(9) % 2)[:, None], torch.full((9, 1), 0.3)):
        torch.testing.assert_close(
            mlce_loss(scores, targets, order=order), mlce_loss(scores, targets)
        )


@pytest.mark.parametrize("order", ORDERS)
def test_two_labels_on_a_side_have_two(order):
    scores = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    higher = order if isinstance(order, tuple) else (order, order)
    for targets, k in ((torch.zeros(6, 2), higher[0]), (torch.ones(6, 2), higher[1])):
        expected = mlce_loss(scores, targets, order="all" if k == 2 else k)
        torch.testing.assert_close(mlce_loss(scores, targets, order=order), expected)


@pytest.mark.parametrize("order", ORDERS)
def test_indices_give_what_dense_targets_give(order):
    rng = np.random.default_rng(5)
    targets = torch.from_numpy(random_targets("hard", rng))
    indptr = torch.nn.functional.pad(targets.sum(1).long().cumsum(0), (1, 0))
    results = []
    for loss, encoded in (
        (mlce_loss, (targets,)),
        (mlce_loss_from_indices, (indptr, targets.nonzero()[:, 1])),
    ):
        scores = torch.linspace(-2, 2, N_ROWS * N_LABELS).reshape(N_ROWS, N_LABELS)
        value = loss(scores.requires_grad_(), *encoded, order=order)
        value.backward()
        results.append((value, scores.grad))
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("soft", [False, True])
def test_many_blocks_give_what_one_gives(order, soft, monkeypatch):
    rng = np.random.default_rng(6)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets("soft" if soft else "hard", rng))
    whole = rows_and_gradient(scores, targets, order=order)
    monkeypatch.setattr("sklearn_mlce._kernels.row_blocks._BLOCK_ELEMENTS", 2 * N_LABELS)
    torch.testing.assert_close(rows_and_gradient(scores, targets, order=order), whole)


@pytest.mark.parametrize("order", ORDERS)
def test_half_precision_is_computed_in_float32(order):
    scores = torch.linspace(-3, 3, 400).reshape(2, 200).to(torch.bfloat16)
    targets = torch.zeros(2, 200)
    targets[:, :3] = 1
    values, gradient = rows_and_gradient(scores, targets, order=order, scale=2.3)
    exact = rows_and_gradient(scores.float(), targets, order=order, scale=2.3)
    torch.testing.assert_close(values, exact[0], rtol=0, atol=0)
    torch.testing.assert_close(gradient, exact[1].to(torch.bfloat16), rtol=0, atol=0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_empty_shapes(order, shape):
    scores = torch.zeros(shape, requires_grad=True)
    loss = mlce_loss(scores, torch.zeros(shape), order=order, reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.shape == shape


@pytest.mark.parametrize("order", ["all", 2, (1, 2)])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_for_solvers_is_the_same_without_a_graph(order, kind):
    rng = np.random.default_rng(7)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    dense = torch.from_numpy(random_targets(kind, rng))
    cells = cells_from_dense(dense)
    weight = torch.from_numpy(rng.random(N_ROWS))
    orders = order if isinstance(order, tuple) else (order, order)
    values, gradient = loss_and_gradient(
        scores, dense if cells is None else cells, Affine(2.0, (0.5, 0.5)), orders, weight
    )
    expected = rows_and_gradient(
        scores, dense, order=order, scale=2.0, margin=0.5, sample_weight=weight
    )
    torch.testing.assert_close((values, gradient), expected, rtol=1e-14, atol=1e-14)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("order", ORDERS)
def test_gpu_gives_what_the_cpu_gives(kind, order):
    rng = np.random.default_rng(8)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets(kind, rng))
    on_cpu = rows_and_gradient(scores, targets, order=order)
    on_gpu = rows_and_gradient(scores.cuda(), targets.cuda(), order=order)
    torch.testing.assert_close(tuple(part.cpu() for part in on_gpu), on_cpu)
