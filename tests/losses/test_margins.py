"""A margin for each side: of the negatives and of the positives."""

import numpy as np
import pytest
import torch

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.losses import MLCELoss, mlce_loss, mlce_loss_from_indices
from tests.helpers import oracles
from tests.helpers.linear_problems import make_labels

MARGINS = [(0.2, 1.8), (1.0, -0.5), (0.0, 0.0)]
ORDERS = [1, 2, "all", (2, "all")]


def problem(kind="hard"):
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(7, 5)), (rng.random((7, 5)) < 0.4).astype(float)
    if kind == "soft":
        targets = 0.8 * targets + 0.1
        targets[2, 3] = np.nan
    return torch.from_numpy(scores), torch.from_numpy(targets)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_losses_are_the_formula(margin, order, kind):
    scores, targets = problem(kind)
    options = {"scale": 3.0, "margin": margin, "order": order}
    threshold = torch.linspace(-1, 1, 7, dtype=torch.float64)
    for thresholds in (None, threshold):
        expected = oracles.mlce(
            scores, targets, threshold_scores=thresholds, label_weight=[1, 2, 3, 4, 5], **options
        )
        weight = torch.arange(1.0, 6, dtype=torch.float64)
        arguments = {"label_weight": weight, "threshold_scores": thresholds}
        loss = mlce_loss(scores, targets, reduction="none", **arguments, **options)
        np.testing.assert_allclose(loss, expected, rtol=1e-10)
        module = MLCELoss(reduction="none", label_weight=weight, **options)
        of_module = module(scores, targets, threshold_scores=thresholds)
        torch.testing.assert_close(of_module, loss)
        if kind == "hard":
            rows, indices = targets.nonzero(as_tuple=True)
            counts = torch.bincount(rows, minlength=len(targets))
            indptr = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
            by_index = mlce_loss_from_indices(
                scores, indptr, indices, reduction="none", **arguments, **options
            )
            torch.testing.assert_close(by_index, loss)


def test_a_number_is_a_pair_of_equal_ones():
    scores, targets = problem()
    one, pair = (mlce_loss(scores, targets, margin=margin) for margin in (0.7, [0.7, 0.7]))
    assert one.item() == pair.item()


@pytest.mark.parametrize("bad", [(1.0,), (1.0, 2.0, 3.0), (0.0, np.inf), ("a", 1.0), np.nan])
def test_what_is_no_margin_is_refused(bad):
    scores, targets = problem()
    with pytest.raises(ValueError, match="margin must be a finite number, or a pair of them"):
        mlce_loss(scores, targets, margin=bad)
    with pytest.raises(ValueError, match="margin must be a finite number, or a pair of them"):
        MLCELoss(margin=bad)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shift", [0.8, -1.5])
def test_a_difference_of_the_margins_moves_the_intercepts(order, shift):
    """Margins m - d and m + d ask for the scores less d what m alone asks of the scores."""
    X, Y = make_labels(np.random.default_rng(1))
    options = {"C": 2.0, "scale": 4.0, "order": order, "tol": 1e-11}
    equal = MLCEClassifier(margin=1.0, **options).fit(X, Y)
    moved = MLCEClassifier(margin=(1.0 - shift, 1.0 + shift), **options).fit(X, Y)
    np.testing.assert_allclose(moved.coef_, equal.coef_, atol=1e-8)
    np.testing.assert_allclose(moved.intercept_, equal.intercept_ + shift, atol=1e-8)
    binary = {"C": 2.0, "scale": 4.0, "tol": 1e-11}
    equal = MLCEClassifier(margin=1.0, **binary).fit(X, Y[:, 0])
    moved = MLCEClassifier(margin=(1.0 - shift, 1.0 + shift), **binary).fit(X, Y[:, 0])
    np.testing.assert_allclose(moved.intercept_, equal.intercept_ + shift, atol=1e-8)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("soft", [False, True])
def test_the_perceptron_trains_on_both_margins(order, soft):
    X, Y = make_labels(np.random.default_rng(2))
    Y = 0.8 * Y + 0.1 if soft else Y
    options = {"scale": 3.0, "margin": (0.2, 1.8), "order": order}
    model = MLCEMLP(
        (8,),
        max_epochs=1,
        learning_rate_init=1e-12,  # the scores of the first epoch are those of the fit
        alpha=0.0,
        dropout=0.0,
        random_state=0,
        **options,
    ).fit(X, Y)
    expected = oracles.mlce(model.decision_function(X), Y, **options).mean() / 3.0
    assert model.loss_curve_[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("estimator", [MLCEClassifier(margin=(0.2, 1.8)), MLCEMLP(margin=[0, 1])])
def test_a_pair_is_refused_where_the_classes_of_a_row_share_one(estimator):
    X, Y = make_labels(np.random.default_rng(3))
    with pytest.raises(ValueError, match=r"is a pair, but a multiclass y has one margin"):
        estimator.fit(X, Y[:, 0] + Y[:, 1])
