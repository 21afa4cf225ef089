"""The pairwise loss of rows and its derivatives, against sums over pairs."""

import numpy as np
import pytest
import torch

from sklearn_mlce._kernels.hard_targets import entries_from_dense, hard_from_dense
from sklearn_mlce._kernels.mlce import LogitTransform
from sklearn_mlce._kernels.pairwise import PairwiseSecondOrder, pairwise_rows
from tests.helpers.targets import KINDS, N_LABELS, N_ROWS, random_scores, random_targets

TRANSFORM = LogitTransform(2.0, (0.5, 0.0))


def problem(kind, seed=0):
    """Targets, weights of rows and of labels, and the weighted loss for autograd."""
    rng = np.random.default_rng(seed)
    dense = torch.from_numpy(random_targets(kind, rng))
    weight = torch.linspace(0.1, 1, N_ROWS, dtype=torch.float64)
    label_weight = torch.linspace(0.5, 2, N_LABELS, dtype=torch.float64)

    def total(scores):
        apart = (2 * (scores[:, :, None] - scores[:, None, :] + 0.5)).exp()
        negative = ((1 - dense) * label_weight).nan_to_num()
        positive = (dense * label_weight).nan_to_num()
        return weight @ torch.einsum("ri,rij,rj->r", negative, apart, positive).log1p()

    return dense, weight, TRANSFORM._replace(log_weight=label_weight.log()), total


@pytest.mark.parametrize("kind", KINDS)
def test_each_form_of_targets_has_the_loss_and_its_gradient(kind, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.exponentials._BLOCK_ELEMENTS", 3 * N_LABELS)
    dense, weight, transform, total = problem(kind)
    scores = random_scores(1)
    forms = [dense, hard_from_dense(dense), entries_from_dense(dense)]
    for targets in filter(lambda form: form is not None, forms):
        losses, gradient = pairwise_rows(scores, targets, weight, transform=transform)
        assert losses.sum().item() == pytest.approx(total(scores).item(), rel=1e-12)
        torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(total, scores))
        unweighted, plain = pairwise_rows(scores, targets, None, transform=transform)
        torch.testing.assert_close(unweighted * weight, losses)
        torch.testing.assert_close(plain * weight[:, None], gradient)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_formula(kind):
    dense, weight, transform, total = problem(kind)
    targets = entries_from_dense(dense) if kind == "hard" else dense
    scores, direction = random_scores(2), random_scores(3)
    found = PairwiseSecondOrder(targets, weight, transform).evaluate(scores)
    assert found.value == pytest.approx(total(scores).item() / 2, rel=1e-12)
    _, product = torch.autograd.functional.hvp(total, scores, direction)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * [scores.numel()])
    diagonal = hessian.diagonal().reshape(scores.shape)
    gradient = torch.autograd.functional.jacobian(total, scores)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(found.gradient(), gradient / 2)
        torch.testing.assert_close(found.curvature_diagonal(), diagonal / 2)
        torch.testing.assert_close(found.curvature_product(direction.clone()), product / 2)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("size", [1.0, 10.0, 1e4])
def test_it_is_convex(kind, size):
    dense, weight, transform, _ = problem(kind)
    targets = entries_from_dense(dense) if kind == "hard" else dense
    for seed in range(20):
        scores, direction = random_scores(2 * seed, size), random_scores(2 * seed + 1)
        found = PairwiseSecondOrder(targets, weight, transform).evaluate(scores)
        assert (direction * found.curvature_product(direction.clone())).sum() >= -1e-12
