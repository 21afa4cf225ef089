"""Sums over labels of a convex function, and their derivatives, against the formulas."""

import numpy as np
import pytest
import torch

from sklearn_mlce._kernels.hard_targets import entries_from_dense
from sklearn_mlce._kernels.mlce import LogitTransform
from sklearn_mlce._kernels.pointwise import (
    LOGISTIC,
    SQUARED_HINGE,
    PointwiseLoss,
    PointwiseSecondOrder,
    pointwise_rows,
)
from tests.helpers.targets import KINDS, N_LABELS, N_ROWS, random_scores, random_targets

FUNCTIONS = {
    "logistic": (LOGISTIC, torch.nn.functional.softplus),
    "squared hinge": (SQUARED_HINGE, lambda z: torch.relu(1 + z) ** 2),
}
TRANSFORMS = [LogitTransform(1.0, (0.0, 0.0)), LogitTransform(2.5, (0.7, -0.3))]
on_each = pytest.mark.parametrize("name", FUNCTIONS)


def losses_of_labels(formula, scores, targets, transform):
    """Loss of each label of each row by its formula; 0 where unknown."""
    scale, (of_negatives, of_positives), _ = transform
    known, t = ~targets.isnan(), targets.nan_to_num()
    negative, positive = scale * (scores + of_negatives), -scale * (scores - of_positives)
    return known * ((1 - t) * formula(negative) + t * formula(positive)) / scale


@pytest.mark.parametrize("transform", TRANSFORMS, ids=["plain", "scaled"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@on_each
def test_derivatives_are_those_of_the_formula(name, kind, weighted, transform, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.exponentials._BLOCK_ELEMENTS", 3 * N_LABELS)
    function, formula = FUNCTIONS[name]
    rng = np.random.default_rng(0)
    dense = torch.from_numpy(random_targets(kind, rng))
    scores, direction = random_scores(1, 2.0), random_scores(2)
    weight = torch.from_numpy(rng.uniform(0.1, 1, N_ROWS))
    label_weight = torch.from_numpy(rng.uniform(0.1, 3, N_LABELS)) if weighted else None
    factors = 1.0 if label_weight is None else label_weight
    targets = entries_from_dense(dense) if kind == "hard" else dense

    def total(scores):
        losses = losses_of_labels(formula, scores, dense, transform)
        return weight @ (factors * losses).sum(dim=1)

    loss = PointwiseSecondOrder(function, targets, weight, transform, label_weight)
    derivatives = loss.evaluate(scores)
    assert derivatives.value == pytest.approx(total(scores).item(), rel=1e-12)
    gradient = torch.autograd.functional.jacobian(total, scores)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * (scores.numel(),))
    diagonal = hessian.diagonal().reshape(scores.shape)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(derivatives.gradient(), gradient)
        torch.testing.assert_close(derivatives.curvature_diagonal(), diagonal)
        product = derivatives.curvature_product(direction.clone())
        torch.testing.assert_close(product, diagonal * direction)
    options = {"function": function, "transform": transform, "label_weight": label_weight}
    before = scores.clone()
    rows, of_rows = pointwise_rows(scores, targets, weight, **options)
    assert rows.sum().item() == pytest.approx(total(scores).item(), rel=1e-12)
    torch.testing.assert_close(of_rows, gradient)
    rows, of_rows = pointwise_rows(scores, targets, None, **options)
    torch.testing.assert_close(of_rows * weight[:, None], gradient)
    torch.testing.assert_close(scores, before, rtol=0, atol=0)


@on_each
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("transform", TRANSFORMS, ids=["plain", "scaled"])
def test_extreme_scores_are_finite(name, sign, transform):
    function, _ = FUNCTIONS[name]
    scores = torch.full((2, 3), sign * 1e4)
    hard = torch.tensor([[1.0, 0, 0], [1, 1, 1]])
    for targets in (entries_from_dense(hard), 0.5 * hard + 0.25):
        loss = PointwiseLoss(function, scores, targets, transform)
        for part in (loss.values, loss.gradient(), loss.curvature()):
            assert torch.isfinite(part).all()


@on_each
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_loss_whose_gradient_was_released_cannot_be_used(name, kind):
    function, _ = FUNCTIONS[name]
    dense = torch.from_numpy(random_targets(kind, np.random.default_rng(0)))
    targets = entries_from_dense(dense) if kind == "hard" else dense
    loss = PointwiseLoss(function, random_scores(0), targets, LogitTransform(1.0, (0.0, 0.0)))
    expected = loss.gradient()
    torch.testing.assert_close(loss.gradient(), expected)  # a copy spends nothing
    torch.testing.assert_close(loss.release_gradient(), expected)
    for use in (loss.gradient, loss.release_gradient, loss.curvature):
        with pytest.raises(AssertionError, match="the gradient was released"):
            use()
