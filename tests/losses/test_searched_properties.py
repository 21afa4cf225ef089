"""What holds of every loss whatever the scores and the targets: searched over both."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sklearn_mlce import losses
from tests.helpers.searched import budget
from tests.losses.test_loss_family import CASES

pytestmark = pytest.mark.slow

#: Options that have a number for each label, cut or repeated to as many labels as are drawn.
OF_LABELS = ("label_counts", "pos_weight")
MLCE = {
    "mlce": (losses.mlce_loss, {}),
    "mlce, scaled": (losses.mlce_loss, {"scale": 3.0, "margin": (0.2, 1.8)}),
}
FAMILY = {name: (case.function, case.options) for name, case in CASES.items()}
ALL = MLCE | FAMILY
SOFT = [*MLCE, *(name for name, case in CASES.items() if case.soft)]
# Weights of the class-balanced loss have mean 1 over all labels, so that each changes the others.
APART = [name for name in ALL if not name.startswith("class-balanced")]
CONVEX = [*MLCE, *(name for name in CASES if name.startswith(("pairwise", "circle", "bce")))]


@st.composite
def batches(draw, unknown=True):
    """Scores of a few rows and labels, up to 30 of magnitude, and hard targets."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    shape = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    scores = rng.normal(scale=draw(st.sampled_from([0.1, 1.0, 10.0])), size=shape)
    targets = (rng.random(shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))).astype(float)
    if unknown and draw(st.booleans()):
        targets[rng.random(shape) < 0.3] = np.nan
    return torch.from_numpy(scores), torch.from_numpy(targets), rng


def loss_of(name, n_labels):
    """A loss as a function of scores and targets of so many labels."""
    function, options = ALL[name]
    given = {
        key: value.repeat(3)[:n_labels] if key in OF_LABELS else value
        for key, value in options.items()
    }
    return lambda scores, targets, **more: function(scores, targets, **given, **more)


@given(batches(), st.sampled_from(list(ALL)))
@budget
def test_gradients_are_those_of_differences(batch, name):
    scores, targets, rng = batch
    loss = loss_of(name, scores.shape[1])
    direction = torch.from_numpy(rng.normal(size=scores.shape))
    variable = scores.clone().requires_grad_()
    loss(variable, targets).backward()
    step = 1e-6
    ahead, behind = (loss(scores + sign * step * direction, targets) for sign in (1, -1))
    slope = float((variable.grad * direction).sum())
    assert float(ahead - behind) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-5)


@given(batches(), st.sampled_from(CONVEX), st.floats(0, 1))
@budget
def test_a_convex_loss_lies_below_its_chords(batch, name, at):
    scores, targets, rng = batch
    loss = loss_of(name, scores.shape[1])
    other = torch.from_numpy(rng.normal(scale=5, size=scores.shape))
    inside = float(loss(at * scores + (1 - at) * other, targets))
    chord = at * float(loss(scores, targets)) + (1 - at) * float(loss(other, targets))
    assert inside <= chord + 1e-9 * max(1.0, abs(chord))


@given(batches(), st.sampled_from(APART))
@budget
def test_unknown_labels_beside_change_nothing(batch, name):
    scores, targets, rng = batch
    n_labels = scores.shape[1]
    padded = torch.from_numpy(rng.normal(size=(len(scores), 3)))
    wide = torch.cat([scores, padded], dim=1).requires_grad_()
    nothing = torch.full_like(padded, torch.nan)
    narrow = scores.clone().requires_grad_()
    alone = loss_of(name, n_labels)(narrow, targets)
    beside = loss_of(name, n_labels + 3)(wide, torch.cat([targets, nothing], dim=1))
    torch.testing.assert_close(beside, alone, rtol=1e-10, atol=1e-12)
    for value in (alone, beside):
        value.backward()
    torch.testing.assert_close(wide.grad[:, :n_labels], narrow.grad, rtol=1e-10, atol=1e-12)
    assert not wide.grad[:, n_labels:].any()


@given(batches(), st.sampled_from(list(ALL)), st.floats(0, 4))
@budget
def test_a_loss_is_never_negative_and_finite_far_out(batch, name, exponent):
    scores, targets, _ = batch
    variable = (scores * 10.0**exponent).float().requires_grad_()
    rows = loss_of(name, scores.shape[1])(variable, targets, reduction="none")
    rows.sum().backward()
    assert torch.isfinite(rows).all()
    assert (rows >= 0).all()
    assert torch.isfinite(variable.grad).all()


@given(batches(unknown=False), st.sampled_from(["mlce", "bce"]))
@budget
def test_soft_targets_have_their_minimum_where_it_is_claimed(batch, name):
    scores, _, rng = batch
    targets = torch.from_numpy(rng.uniform(0.01, 0.99, size=scores.shape))
    optimum = torch.logit(targets) / (2 if name == "mlce" else 1)
    variable = optimum.clone().requires_grad_()
    loss = loss_of(name, scores.shape[1])
    least = loss(variable, targets)
    least.backward()
    assert float(variable.grad.abs().max()) < 1e-12
    assert float(loss(scores, targets)) >= float(least.detach()) - 1e-12


@given(batches(), st.sampled_from(SOFT))
@budget
def test_soft_targets_at_the_edges_are_hard_ones(batch, name):
    scores, targets, _ = batch
    scores = scores.clamp(-1, 1)  # exponentials would make much of the little that is added
    loss = loss_of(name, scores.shape[1])
    near = targets * (1 - 2e-12) + 1e-12  # none is 0 or 1, so that they are taken for soft
    torch.testing.assert_close(loss(scores, near), loss(scores, targets), rtol=1e-6, atol=1e-6)
