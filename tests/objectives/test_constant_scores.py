"""The best constant scores, in closed form."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce._objectives.constant_scores import separable_intercepts as intercept_start
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import label_masses
from sklearn_mlce.losses import mlce_loss
from tests.helpers.linear_problems import make_labels

SCALES = [1e-3, 0.1, 1.0, 8.0, 50.0, 1e3]


def masses_of(rng, n_labels=20):
    """Masses of rows, among them labels with nearly no row of one kind."""
    positive = 10.0 ** rng.uniform(-8, 0, n_labels)
    negative = 10.0 ** rng.uniform(-8, 0, n_labels)
    positive[0], negative[0] = 0.5, 0.5
    return positive, negative


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("margins", [(0.0, 0.0), (0.2, 1.8), (1.8, 0.2), (-0.3, 0.3), (2.0, 2.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_derivative_of_the_loss_vanishes(scale, margins, weighted):
    """Of a positive and a negative row that weigh as much as all of their kind."""
    rng = np.random.default_rng(0)
    positive, negative = masses_of(rng)
    label_weight = 10.0 ** rng.uniform(-2, 2, len(positive)) if weighted else None
    options = LossOptions(scale, margins, ("all", "all"))
    start = intercept_start(positive, negative, options, label_weight)
    assert np.isfinite(start).all()
    scores = torch.from_numpy(start).requires_grad_()

    def pull(target, mass):
        loss = mlce_loss(
            scores[:, None],
            torch.full((len(positive), 1), target, dtype=torch.float64),
            label_weight=None if label_weight is None else torch.from_numpy(label_weight)[:, None],
            scale=scale,
            margin=margins,
            order="all",
            reduction="none",
        )
        (gradient,) = torch.autograd.grad(torch.from_numpy(mass) @ loss, scores)
        return gradient.numpy()

    up, down = pull(1.0, positive), pull(0.0, negative)
    # An intercept is rounded to its last digit: of steep losses that moves the derivative.
    resolution = 1e-10 + 1e-15 * scale * (1 + np.abs(start))
    assert (np.abs(up + down) <= resolution * np.minimum(np.abs(up), np.abs(down))).all()


@pytest.mark.parametrize("loss", ["bce", "squared_hinge"])
def test_the_derivative_of_the_other_losses_vanishes(loss):
    positive, negative = masses_of(np.random.default_rng(1))
    start = intercept_start(positive, negative, LossOptions(loss=loss), np.full(20, 3.0))
    expected = np.log(positive / negative)
    if loss == "squared_hinge":
        expected = (positive - negative) / (positive + negative)
    np.testing.assert_allclose(start, expected, rtol=1e-9, atol=1e-12)


def test_masses_are_sums_of_the_rows_weights():
    rng = np.random.default_rng(2)
    _, Y = make_labels(rng)
    weight = rng.uniform(size=len(Y))
    weight /= weight.sum()
    expected = weight @ Y, weight @ (1 - Y)
    for y in (Y, sp.csr_array(Y), Y.astype(float)):
        for mass, mass_expected in zip(
            label_masses(encode_targets(y), weight), expected, strict=True
        ):
            np.testing.assert_allclose(mass, mass_expected, rtol=1e-12)
    soft = 0.8 * Y + 0.1
    soft[3, 1] = np.nan
    known = ~np.isnan(soft)
    positive, negative = label_masses(encode_targets(soft), weight)
    np.testing.assert_allclose(positive, weight @ np.where(known, soft, 0), rtol=1e-12)
    np.testing.assert_allclose(negative, weight @ np.where(known, 1 - soft, 0), rtol=1e-12)
    codes = Y[:, 0] + Y[:, 1]
    one_hot = np.eye(3)[codes]
    positive, negative = label_masses(encode_targets(codes), weight)
    np.testing.assert_allclose(positive, weight @ one_hot, rtol=1e-12)
    np.testing.assert_allclose(negative, 1 - weight @ one_hot, rtol=1e-12)
