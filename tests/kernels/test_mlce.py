"""MLCE of rows against slow sums: values, gradients, curvature, and scores far off zero."""

import numpy as np
import pytest
import torch

from sklearn_mlce._kernels.hard_targets import entries_from_dense, hard_from_dense
from sklearn_mlce._kernels.mlce import (
    LogitTransform,
    MLCESecondOrder,
    evaluate_rows,
    loss_and_gradient,
)
from sklearn_mlce.losses import mlce_loss
from tests.helpers import oracles
from tests.helpers.targets import KINDS, N_LABELS, N_ROWS, random_scores, random_targets


def rows_and_gradient(scores, targets, **options):
    scores = scores.clone().requires_grad_()
    rows = mlce_loss(scores, targets, reduction="none", **options)
    rows.sum().backward()
    return rows.detach(), scores.grad


def expected_rows_and_gradient(scores, targets, scale=1.0):
    values, gradients = [], []
    for row, target in zip(scores.double().tolist(), targets.tolist(), strict=True):
        negatives, positives = oracles.exponents_of_row(row, target, scale=scale)
        values.append(oracles.mlce_row(row, target, scale=scale))
        gradients.append(oracles.log_sum_gradient(negatives) - oracles.log_sum_gradient(positives))
    return torch.tensor(values, dtype=torch.float64), scale * torch.tensor(np.array(gradients))


# Each a row of scores: ties, one or two far above the rest, a tail that underflows beside them,
# and a second that underflows beside the first.
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


@pytest.mark.parametrize("kind", ["negatives", "positives", "mixed", "soft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores(kind, dtype):
    scores = torch.tensor(EXTREMES, dtype=dtype)
    targets = torch.zeros_like(scores)
    targets[:] = {
        "negatives": 0.0, "positives": 1.0, "mixed": targets.new_tensor([0, 0, 1, 1]), "soft": 0.25
    }[kind]  # fmt: skip
    values, gradient = rows_and_gradient(scores, targets)
    expected = expected_rows_and_gradient(scores, targets)
    tolerance = dict.fromkeys(("rtol", "atol"), 5e-6 if dtype == torch.float32 else 1e-11)
    torch.testing.assert_close(values, expected[0].to(dtype), **tolerance)
    torch.testing.assert_close(gradient, expected[1].to(dtype), **tolerance)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("soft", [False, True])
def test_small_losses_keep_their_digits(sign, soft):
    scores = sign * torch.tensor([[-25.0, -26.0, -27.0]])
    targets = torch.full((1, 3), 0.0 if sign > 0 else 1.0)
    if soft:
        targets = targets.clamp(1e-30, 1 - 1e-6)
    values, gradient = rows_and_gradient(scores, targets)
    expected = expected_rows_and_gradient(scores, targets)
    torch.testing.assert_close(values, expected[0].float(), rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, expected[1].float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("scale", [0.5, 1.0, 12.0])
def test_many_labels_in_float32(scale):
    rng = np.random.default_rng(2)
    scores = torch.from_numpy(rng.normal(size=(20, 300))).float()
    targets = torch.from_numpy(rng.random((20, 300)) < 0.02).float()
    values, gradient = rows_and_gradient(scores, targets, scale=scale)
    expected = expected_rows_and_gradient(scores, targets, scale)
    torch.testing.assert_close(values, expected[0].float(), rtol=2e-6, atol=1e-6)
    torch.testing.assert_close(gradient, expected[1].float(), rtol=2e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_few_scores_near_zero(kind, scale, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.loss_function._SMALL", 2**16)
    scores = random_scores(3)
    targets = torch.from_numpy(random_targets(kind, np.random.default_rng(3)))
    values, gradient = rows_and_gradient(scores, targets, scale=scale)
    expected = expected_rows_and_gradient(scores, targets, scale)
    torch.testing.assert_close(values, expected[0])
    torch.testing.assert_close(gradient, expected[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("with_threshold", [False, True])
def test_many_blocks_give_what_one_gives(kind, with_threshold, monkeypatch):
    rng = np.random.default_rng(6)
    scores = random_scores(6)
    dense = torch.from_numpy(random_targets(kind, rng))
    threshold = torch.linspace(-1, 1, N_ROWS, dtype=torch.float64) if with_threshold else None
    forms = [dense, hard_from_dense(dense), entries_from_dense(dense)]
    for targets in filter(lambda form: form is not None, forms):
        arguments = {"targets": targets, "transform": LogitTransform(2.0, (0.2, 0.7))}
        arguments["weight"] = torch.from_numpy(rng.random(N_ROWS))
        whole = evaluate_rows(scores, threshold, **arguments)
        with monkeypatch.context() as patch:
            patch.setattr("sklearn_mlce._kernels.exponentials._BLOCK_ELEMENTS", 2 * N_LABELS)
            torch.testing.assert_close(evaluate_rows(scores, threshold, **arguments), whole)
        values, gradients = evaluate_rows(scores, threshold, **arguments, with_gradient=False)
        torch.testing.assert_close(values, whole[0])
        assert gradients is None


@pytest.mark.parametrize("kind", KINDS)
def test_loss_and_gradient_for_solvers_is_the_same_without_a_graph(kind):
    rng = np.random.default_rng(7)
    scores = random_scores(7)
    dense = torch.from_numpy(random_targets(kind, rng))
    entries = entries_from_dense(dense)
    weight = torch.from_numpy(rng.random(N_ROWS))
    found = loss_and_gradient(
        scores,
        dense if entries is None else entries,
        weight,
        transform=LogitTransform(2.0, (0.5, 0.5)),
    )
    expected = rows_and_gradient(scores, dense, scale=2.0, margin=0.5, sample_weight=weight)
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)


def second_order(kind, log_weight=None, seed=0, scale=2.5):
    """The loss for second-order solvers, and the same as a function for autograd."""
    rng = np.random.default_rng(seed)
    dense = torch.from_numpy(random_targets(kind, rng))
    weight = torch.from_numpy(rng.uniform(0.1, 1, N_ROWS))
    targets = entries_from_dense(dense) if kind == "hard" else dense
    loss = MLCESecondOrder(targets, weight, LogitTransform(scale, (0.7, 0.3), log_weight))
    factors = torch.ones(N_LABELS) if log_weight is None else log_weight.exp()

    def total(scores):
        negatives = ((1 - dense) * factors).nan_to_num() * (scale * (scores + 0.7)).exp()
        positives = (dense * factors).nan_to_num() * (-scale * (scores - 0.3)).exp()
        return weight @ (negatives.sum(dim=1).log1p() + positives.sum(dim=1).log1p()) / scale

    return loss, total


@pytest.mark.parametrize(("weighted", "scale"), [(False, 1.0), (False, 2.0), (True, 2.5)])
@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_formula(kind, weighted, scale, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.exponentials._BLOCK_ELEMENTS", 3 * N_LABELS)
    log_weight = torch.linspace(-1, 1, N_LABELS, dtype=torch.float64) if weighted else None
    loss, total = second_order(kind, log_weight, scale=scale)
    scores, direction = random_scores(1), random_scores(2)
    derivatives = loss.evaluate(scores)
    assert derivatives.value == pytest.approx(total(scores).item(), rel=1e-12)
    _, product = torch.autograd.functional.hvp(total, scores, direction)
    gradient = torch.autograd.functional.jacobian(total, scores)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * [scores.numel()])
    diagonal = hessian.diagonal().reshape(scores.shape)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(derivatives.gradient(), gradient)
        torch.testing.assert_close(derivatives.curvature_diagonal(), diagonal)
        torch.testing.assert_close(derivatives.curvature_product(direction.clone()), product)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("size", [1.0, 10.0, 1e4])
def test_it_is_convex(kind, size):
    loss, _ = second_order(kind)
    for seed in range(20):
        scores, direction = random_scores(2 * seed, size), random_scores(2 * seed + 1)
        product = loss.evaluate(scores).curvature_product(direction.clone())
        assert (direction * product).sum() >= -1e-12
