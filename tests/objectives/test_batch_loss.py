"""The loss of a batch: what the public module says, of named losses and of the user's own."""

import numpy as np
import pytest
import torch

from sklearn_mlce._objectives.registry import OBJECTIVES, resolve_objective
from sklearn_mlce._objectives.target_tensors import encode
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import LabelCounts
from sklearn_mlce.losses import (
    AsymmetricLoss,
    BinaryCrossEntropyLoss,
    ClassBalancedFocalLoss,
    DistributionBalancedLoss,
    FocalLoss,
    MLCELoss,
    PairwiseLoss,
)

CPU = torch.device("cpu")
COUNTS, TOTAL = torch.tensor([9.0, 4.0, 1.0, 0.0, 20.0]), 21.0
LABEL_COUNTS = LabelCounts(COUNTS.double().numpy(), TOTAL - COUNTS.double().numpy(), TOTAL)
MODULES = {
    "mlce": MLCELoss,
    "pairwise": PairwiseLoss,
    "bce": BinaryCrossEntropyLoss,
    "focal": FocalLoss,
    "asymmetric": AsymmetricLoss,
    "class_balanced_focal": lambda **options: ClassBalancedFocalLoss(COUNTS, **options),
    "distribution_balanced": lambda **options: DistributionBalancedLoss(COUNTS, TOTAL, **options),
}
# Scale and margin of the losses that have them.
SHAPES = {
    "mlce": [(None, None), (2.5, (0.2, 1.8))],
    "bce": [(None, None), (2.5, (0.2, 1.8))],
    "pairwise": [(None, None), (2.5, 0.7)],
}
CASES = [(loss, *shape) for loss in MODULES for shape in SHAPES.get(loss, [(None, None)])]


def rows_of(kind, n_rows=17, n_labels=5):
    """Scores of some rows, and their targets as y has them."""
    rng = np.random.default_rng(0)
    Y = (rng.random((n_rows, n_labels)) < 0.4).astype(float)
    Y[0], Y[1] = 0, 1
    if kind == "unknown":
        Y[2:][rng.random((n_rows - 2, n_labels)) < 0.3] = np.nan
    if kind == "soft":
        Y[2:] = rng.random((n_rows - 2, n_labels))
    return torch.from_numpy(2 * rng.normal(size=Y.shape)), Y


def encoded(y):
    return encode(encode_targets(y), np.float64, CPU)


def batch_loss(loss, y, *, scale=None, margin=None, label_weight=None):
    objective = resolve_objective(loss, scale, margin, encode_targets(y).format)
    return objective.batch_loss(y.shape[1], label_weight, LABEL_COUNTS)


def by_autograd(module, scores, Y):
    """Sum of the losses of rows by the public module, and its gradient."""
    scores = scores.clone().requires_grad_()
    loss = module(scores, torch.from_numpy(Y))
    loss.sum().backward()
    return loss.detach(), scores.grad


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "unknown", "soft"])
@pytest.mark.parametrize(("loss", "scale", "margin"), CASES)
def test_a_batch_costs_what_the_module_says(loss, scale, margin, kind, weighted):
    if kind == "soft" and not OBJECTIVES[loss].takes_soft_targets:
        pytest.skip("takes no soft targets")
    scores, Y = rows_of(kind)
    label_weight = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None
    row_weight = torch.linspace(0.1, 1, len(Y), dtype=torch.float64) if weighted else None
    own = batch_loss(loss, Y, scale=scale, margin=margin, label_weight=label_weight)
    values, gradient = own.value_and_gradient(scores, encoded(Y), row_weight)
    options = {} if scale is None else {"scale": scale, "margin": margin}
    module = MODULES[loss](label_weight=label_weight, reduction="none", **options)
    expected, expected_gradient = by_autograd(module, scores, Y)
    if weighted:
        expected, expected_gradient = expected * row_weight, expected_gradient * row_weight[:, None]
    torch.testing.assert_close(values, expected / (scale or 1))  # which estimators divide by
    torch.testing.assert_close(gradient, expected_gradient / (scale or 1))


@pytest.mark.parametrize(("loss", "scale", "margin"), [*CASES, ("squared_hinge", None, None)])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_second_derivative_in_one_score_is_above_the_bound(loss, scale, margin, weighted):
    """By finite differences, where labels are alone in their rows or beside others."""
    label_weight = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None
    step = 1e-3
    for seed in range(3):
        rng = np.random.default_rng(seed)
        Y = (rng.random((60, 5)) < 0.4).astype(float)
        Y[0] = 0
        scores = torch.from_numpy(rng.normal(scale=1.5, size=Y.shape))
        own = batch_loss(loss, Y, scale=scale, margin=margin, label_weight=label_weight)
        bounds = torch.as_tensor(own.curvature).expand(5)
        for label in range(5):
            moved = scores.clone()
            moved[:, label] += step
            before, after = (
                own.value_and_gradient(s, encoded(Y), None)[1][:, label] for s in (scores, moved)
            )
            assert (after - before).max() / step <= bounds[label] * 1.01


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", MODULES)
def test_a_module_is_a_loss_like_the_named_one(loss, reduction):
    scores, Y = rows_of("hard")
    named, own = batch_loss(loss, Y), batch_loss(MODULES[loss](reduction=reduction), Y)
    for weight in (None, torch.full((1,), 0.25), torch.linspace(0.1, 1, len(Y))):
        weight = None if weight is None else weight.double()
        values, gradient = named.value_and_gradient(scores, encoded(Y), weight)
        own_values, own_gradient = own.value_and_gradient(scores, encoded(Y), weight)
        torch.testing.assert_close(own_values.sum(), values.sum())
        torch.testing.assert_close(own_gradient, gradient)
    assert 0.5 < own.curvature / named.curvature < 3 or loss in ("mlce", "pairwise")


def test_a_module_of_torch_is_a_loss():
    scores, Y = rows_of("hard")
    module = torch.nn.BCEWithLogitsLoss()  # the mean over cells
    values, gradient = batch_loss(module, Y).value_and_gradient(scores, encoded(Y), None)
    named, of_named = batch_loss("bce", Y).value_and_gradient(scores, encoded(Y), None)
    torch.testing.assert_close(values.sum(), named.sum() / 5)
    torch.testing.assert_close(gradient, of_named / 5)


@pytest.mark.parametrize("loss", ["mlce", "pairwise", "bce"])
def test_a_label_of_weight_zero_takes_no_part(loss):
    """As sgd leaves out labels that have only one kind of row yet."""
    scores, Y = rows_of("hard")
    weight = torch.tensor([1.0, 0, 1, 1, 1]).double()
    own = batch_loss(loss, Y, label_weight=weight)
    values, gradient = own.value_and_gradient(scores, encoded(Y), None)
    unknown = Y.copy()
    unknown[:, 1] = np.nan
    without = batch_loss(loss, unknown).value_and_gradient(scores, encoded(unknown), None)
    torch.testing.assert_close((values, gradient), without)


@pytest.mark.parametrize("loss", OBJECTIVES)
def test_steps_have_a_size_where_no_label_takes_part_yet(loss):
    _, Y = rows_of("hard")
    none = torch.zeros(5, dtype=torch.float64)
    assert (torch.as_tensor(batch_loss(loss, Y, label_weight=none).curvature) > 0).all()


@pytest.mark.parametrize("kind", ["hard", "unknown", "soft"])
@pytest.mark.parametrize(("loss", "scale", "margin"), CASES)
def test_the_second_order_has_the_value_and_gradient_of_the_batch(loss, scale, margin, kind):
    scores, Y = rows_of(kind)
    objective = resolve_objective(loss, scale, margin, encode_targets(Y).format)
    if not objective.convex or (kind == "soft" and not objective.takes_soft_targets):
        return
    weight = torch.linspace(0.5, 2, len(Y)).double()
    label_weight = torch.linspace(0.5, 2, Y.shape[1]).double()
    arguments = encoded(Y), Y.shape[1], weight, label_weight
    found = objective.second_order(*arguments).evaluate(scores)
    batch = batch_loss(loss, Y, scale=scale, margin=margin, label_weight=label_weight)
    losses, gradient = batch.value_and_gradient(scores, encoded(Y), weight)
    assert found.value == pytest.approx(float(losses.sum()))
    torch.testing.assert_close(found.gradient(), gradient)


@pytest.mark.parametrize("loss", ["mlce", "bce"])
def test_the_unit_of_scores_is_that_of_exponents(loss):
    Y, label_weight = rows_of("hard")[1], torch.tensor([0.5, 1.0, 2.0, 4.0, 1.0]).double()
    assert batch_loss(loss, Y, scale=2.5, margin=0.0).unit == 0.4
    found = batch_loss(loss, Y, scale=2.5, margin=0.0, label_weight=label_weight).unit
    expected = 0.4 / label_weight if loss == "bce" else torch.tensor(0.4).double()
    torch.testing.assert_close(torch.as_tensor(found, dtype=torch.float64), expected)


@pytest.mark.parametrize("loss", ["mlce", "bce", "squared_hinge"])
def test_intercepts_are_curved_where_their_label_is_in_doubt(loss):
    batch = batch_loss(loss, rows_of("hard")[1])
    prevalence = torch.tensor([0.0, 0.01, 0.2, 0.25, 0.5, 0.75, 0.8, 0.99, 1.0])
    shares = torch.tensor([0.0, 0.04, 0.8, 1.0, 1.0, 1.0, 0.8, 0.04, 0.0])
    expected = shares if batch.bounded else torch.ones(9)
    found = batch.intercept_curvatures(prevalence)
    torch.testing.assert_close(found / batch.curvature, expected)
