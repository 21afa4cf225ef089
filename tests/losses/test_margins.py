"""A margin of the negatives and one of the positives, in MLCE."""

import numpy as np
import pytest
import torch

from sklearn_mlce.losses import MLCELoss, mlce_loss, mlce_loss_from_indices
from tests.helpers import oracles

MARGINS = [(0.2, 1.8), (1.0, -0.5), (0.0, 0.0)]


def problem(kind="hard"):
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(7, 5)), (rng.random((7, 5)) < 0.4).astype(float)
    if kind == "soft":
        targets = 0.8 * targets + 0.1
        targets[2, 3] = np.nan
    return torch.from_numpy(scores), torch.from_numpy(targets)


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_losses_are_the_formula(margin, kind):
    scores, targets = problem(kind)
    options = {"scale": 3.0, "margin": margin}
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
    with pytest.raises(ValueError, match=r"margin must be a finite number.*, or a pair of them"):
        mlce_loss(scores, targets, margin=bad)
    with pytest.raises(ValueError, match=r"margin must be a finite number.*, or a pair of them"):
        MLCELoss(margin=bad)
