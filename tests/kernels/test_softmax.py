"""Softmax cross-entropy with a margin, and its derivatives, against autograd."""

import pytest
import torch

from sklearn_mlce._kernels.softmax import SoftmaxSecondOrder, softmax_rows
from tests.helpers.targets import random_scores

CODES = torch.tensor([0, 1, 4, 2, 1, 3, 0])
WEIGHT = torch.linspace(0.1, 1, 7, dtype=torch.float64)
SHAPES = [(1.0, 0.0), (2.5, 0.7)]


def total_of(scale, margin, label_weight=None):
    """Weighted loss by its formula: the others' exponents beside the true class."""

    def total(scores):
        apart = scale * (scores - scores.gather(1, CODES[:, None]) + margin)
        factors = torch.ones(5).double() if label_weight is None else label_weight
        terms = factors / factors[CODES][:, None] * apart.exp()
        others = terms.sum(dim=1) - terms.gather(1, CODES[:, None]).squeeze(1)
        return WEIGHT @ others.log1p()

    return total


@pytest.mark.parametrize(("scale", "margin"), SHAPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_have_the_loss_and_its_gradient(scale, margin, weighted):
    scores = random_scores(0)
    label_weight = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None
    total = total_of(scale, margin, label_weight)
    options = {"scale": scale, "margin": margin}
    options["log_weight"] = None if label_weight is None else label_weight.log()
    losses, gradient = softmax_rows(scores, CODES, WEIGHT, **options)
    assert losses.sum().item() == pytest.approx(total(scores).item(), rel=1e-12)
    torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(total, scores))
    unweighted, plain = softmax_rows(scores, CODES, None, **options)
    torch.testing.assert_close(unweighted * WEIGHT, losses)
    torch.testing.assert_close(plain * WEIGHT[:, None], gradient)


@pytest.mark.parametrize(("scale", "margin"), SHAPES)
def test_derivatives_are_those_of_the_formula(scale, margin, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.exponentials._BLOCK_ELEMENTS", 15)
    scores, direction, total = random_scores(1), random_scores(2), total_of(scale, margin)
    found = SoftmaxSecondOrder(CODES, WEIGHT, scale, margin).evaluate(scores)
    assert found.value == pytest.approx(total(scores).item() / scale, rel=1e-12)
    gradient = torch.autograd.functional.jacobian(total, scores) / scale
    _, product = torch.autograd.functional.hvp(total, scores, direction)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * [scores.numel()])
    diagonal = hessian.diagonal().reshape(scores.shape)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(found.gradient(), gradient)
        torch.testing.assert_close(found.curvature_diagonal(), diagonal / scale)
        torch.testing.assert_close(found.curvature_product(direction.clone()), product / scale)


@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_scores_are_finite(sign):
    scores = sign * 1e4 * torch.eye(7, 5)
    for part in softmax_rows(scores, CODES, None, scale=2.0, margin=1.0):
        assert torch.isfinite(part).all()
