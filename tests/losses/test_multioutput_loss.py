"""Several outputs of several classes: the hard loss and the two for soft targets."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn.functional import cross_entropy, one_hot

from sklearn_mlce.losses import (
    MultioutputDivergenceLoss,
    MultioutputLoss,
    SoftMultioutputLoss,
    mlce_loss,
    multioutput_divergence_loss,
    multioutput_loss,
    soft_multioutput_loss,
)
from tests.helpers import family_oracles as oracles

N_ROWS, N_OUTPUTS, N_CLASSES = 6, 5, 4
CASES = {
    "hard": (multioutput_loss, MultioutputLoss, oracles.multioutput),
    "soft": (soft_multioutput_loss, SoftMultioutputLoss, oracles.soft_multioutput),
    "divergence": (
        multioutput_divergence_loss,
        MultioutputDivergenceLoss,
        oracles.multioutput_divergence,
    ),
}
every_case = pytest.mark.parametrize("kind", CASES)


def problem(kind, seed=0, unknown=True):
    """Scores and targets, of which some outputs and one whole row are unknown."""
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(scale=2, size=(N_ROWS, N_OUTPUTS, N_CLASSES)))
    if kind == "hard":
        targets = rng.integers(N_CLASSES, size=(N_ROWS, N_OUTPUTS)).astype(float)
        targets[0] = 2  # all outputs of one class
    else:
        targets = rng.dirichlet(np.ones(N_CLASSES), size=(N_ROWS, N_OUTPUTS))
        targets[0, 0] = [0, 1, 0, 0]
    if unknown:
        targets[rng.random((N_ROWS, N_OUTPUTS)) < 0.2] = np.nan
        targets[1] = np.nan
    return scores, torch.from_numpy(targets)


@every_case
@pytest.mark.parametrize(
    "weighted", [None, (N_CLASSES,), (N_OUTPUTS, N_CLASSES), (N_ROWS, N_OUTPUTS, 1)]
)
def test_equals_the_plain_loop(kind, weighted):
    function, module, oracle = CASES[kind]
    scores, targets = problem(kind)
    rng = np.random.default_rng(1)
    label_weight = None if weighted is None else rng.uniform(0.1, 3, weighted)
    expected = oracles.rows(oracle, scores.numpy(), targets.numpy(), label_weight)
    options = {"label_weight": None if weighted is None else torch.from_numpy(label_weight)}
    rows = function(scores, targets, **options, reduction="none")
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-14)
    weight = torch.from_numpy(rng.random(N_ROWS))
    for reduction, total in (("sum", 1), ("mean", weight.sum())):
        value = function(scores, targets, **options, sample_weight=weight, reduction=reduction)
        np.testing.assert_allclose(value, weight.numpy() @ expected / total, rtol=1e-12)
        torch.testing.assert_close(
            module(**options, reduction=reduction)(scores, targets, weight), value
        )


@every_case
def test_gradient_passes_gradcheck(kind):
    function, _, _ = CASES[kind]
    scores, targets = problem(kind)
    options = {
        "label_weight": torch.rand(N_OUTPUTS, N_CLASSES, dtype=torch.float64) + 0.1,
        "sample_weight": torch.rand(N_ROWS, dtype=torch.float64),
        "reduction": "none",
    }
    assert torch.autograd.gradcheck(
        lambda scores: function(scores, targets, **options), [scores.requires_grad_()]
    )


@every_case
def test_scores_far_off_zero_take_another_way_to_the_same_end(kind):
    """Of a batch with them all exponents are shifted: its other rows must not feel it."""
    function, _, oracle = CASES[kind]
    scores, targets = problem(kind)
    far = 20 * scores
    expected = oracles.rows(oracle, far.numpy(), targets.numpy(), None)
    np.testing.assert_allclose(function(far, targets, reduction="none"), expected, rtol=1e-10)
    alone, beside = scores.requires_grad_(), torch.cat([scores.detach(), far]).requires_grad_()
    rows = function(alone, targets, reduction="none")
    all_rows = function(beside, torch.cat([targets, targets]), reduction="none")
    torch.testing.assert_close(all_rows[:N_ROWS], rows)
    rows.sum().backward()
    all_rows.sum().backward()
    torch.testing.assert_close(beside.grad[:N_ROWS], alone.grad)


@every_case
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_scores_are_finite(kind, sign):
    function, _, _ = CASES[kind]
    _, targets = problem(kind)
    for places in (slice(None), slice(0, 2), slice(2, None)):
        scores = torch.zeros(N_ROWS, N_OUTPUTS, N_CLASSES)
        scores[..., places] = sign * 1e4
        scores.requires_grad_()
        rows = function(scores, targets.float(), reduction="none")
        rows.sum().backward()
        assert torch.isfinite(rows).all()
        assert torch.isfinite(scores.grad).all()
        assert (scores.grad[1] == 0).all()


@every_case
def test_half_precision_is_computed_in_float32(kind):
    function, _, _ = CASES[kind]
    scores, targets = problem(kind)
    half = scores.half().requires_grad_()
    exact = half.detach().float().requires_grad_()
    losses = [function(s, targets) for s in (half, exact)]
    for loss in losses:
        loss.backward()
    assert losses[0].dtype == torch.float32
    torch.testing.assert_close(*losses, rtol=0, atol=0)
    torch.testing.assert_close(half.grad, exact.grad.half(), rtol=0, atol=0)


@every_case
def test_weight_two_is_the_row_twice_and_rows_keep_to_themselves(kind):
    function, _, _ = CASES[kind]
    scores, targets = problem(kind)
    times = torch.tensor([1, 2, 0, 3, 1, 2])
    torch.testing.assert_close(
        function(scores, targets, sample_weight=times),
        function(scores.repeat_interleave(times, 0), targets.repeat_interleave(times, 0)),
    )
    leading = (2, 3)
    rows = function(
        scores.reshape(*leading, N_OUTPUTS, N_CLASSES),
        targets.reshape(*leading, *targets.shape[1:]),
        reduction="none",
    )
    assert rows.shape == leading
    torch.testing.assert_close(rows[1, 2], function(scores[5], targets[5]))


@every_case
def test_an_unknown_output_is_as_good_as_absent(kind):
    function, _, _ = CASES[kind]
    scores, targets = problem(kind, unknown=False)
    targets[:, 3] = torch.nan
    kept = [0, 1, 2, 4]
    torch.testing.assert_close(
        function(scores, targets), function(scores[:, kept], targets[:, kept])
    )


def test_two_classes_are_mlce_of_the_difference():
    scores, _ = problem("hard")
    scores = scores[..., :2]
    targets = torch.arange(N_ROWS * N_OUTPUTS).reshape(N_ROWS, N_OUTPUTS) % 3 == 0
    torch.testing.assert_close(
        multioutput_loss(scores, targets.long()),
        mlce_loss(scores[..., 1] - scores[..., 0], targets),
    )


def test_one_output_is_softmax_cross_entropy():
    scores, targets = problem("hard", unknown=False)
    torch.testing.assert_close(
        multioutput_loss(scores[:, :1], targets[:, :1].long()),
        cross_entropy(scores[:, 0], targets[:, 0].long()),
    )


def test_a_class_that_an_output_does_not_have_has_no_part():
    """Its score is -inf; an output of a single class costs nothing."""
    scores, targets = problem("hard", unknown=False)
    targets = targets.clamp(max=2)
    padded = torch.cat([scores[..., :3], torch.full_like(scores[..., :1], -torch.inf)], dim=2)
    padded.requires_grad_()
    loss = multioutput_loss(padded, targets)
    loss.backward()
    torch.testing.assert_close(loss, multioutput_loss(scores[..., :3], targets))
    assert (padded.grad[..., 3] == 0).all()
    single = torch.tensor([[[1.0, -torch.inf]]], requires_grad=True)
    loss = multioutput_loss(single, torch.tensor([[0]]))
    loss.backward()
    assert loss.item() == 0
    assert (single.grad == 0).all()


def test_a_small_loss_keeps_its_digits():
    scores = torch.zeros(1, 2, 3)
    scores[0, :, 1] = 25
    loss = multioutput_loss(scores, torch.tensor([[1, 1]]))
    assert loss.item() == pytest.approx(4 * np.exp(-25), rel=1e-6)


def test_the_soft_loss_is_least_where_softmax_is_the_target():
    _, targets = problem("soft", unknown=False)
    targets = targets.clamp(min=0.01)
    targets /= targets.sum(dim=2, keepdim=True)
    shift = torch.randn(N_ROWS, N_OUTPUTS, 1, generator=torch.Generator().manual_seed(0))
    scores = (targets.log() + shift).requires_grad_()
    soft_multioutput_loss(scores, targets).backward()
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores), rtol=0, atol=1e-15)


def test_the_soft_loss_is_a_poor_one_of_hard_targets():
    """Raising the score of a wrong class helps it, which is why there are two losses."""
    scores = torch.zeros(1, 1, 3, dtype=torch.float64, requires_grad=True)
    targets = one_hot(torch.tensor([[0]]), 3).double()
    soft_multioutput_loss(scores, targets).backward()
    assert scores.grad[0, 0, 0] < 0 < scores.grad[0, 0, 1]
    better = torch.tensor([[[0.0, -20.0, 5.0]]])
    assert soft_multioutput_loss(better, targets) < 1e-2
    assert better.argmax() == 2


def softened(seed=0, zeros=False):
    """Probabilities of classes, some of them 0 if ``zeros``."""
    rng = np.random.default_rng(seed)
    targets = rng.dirichlet(np.full(N_CLASSES, 0.7), size=(3, N_OUTPUTS))
    if zeros:
        targets[rng.random(targets.shape) < 0.2] = 0
        targets /= targets.sum(axis=-1, keepdims=True)
    return torch.from_numpy(targets)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_minimiser_finds_the_targets_of_the_divergence(seed, weighted):
    """One that knows nothing of the loss but its values and slopes."""
    targets, rng = softened(seed), np.random.default_rng(seed)
    label_weight = torch.from_numpy(rng.uniform(0.2, 5, N_CLASSES)) if weighted else None

    def value_and_slope(flat):
        scores = torch.from_numpy(flat).view(targets.shape).requires_grad_()
        value = multioutput_divergence_loss(
            scores, targets, label_weight=label_weight, reduction="sum"
        )
        value.backward()
        return value.item(), scores.grad.numpy().ravel()

    start = rng.normal(size=targets.numel())
    options = {"maxiter": 10_000, "maxfun": 10_000, "ftol": 0, "gtol": 1e-13}
    found = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", options=options)
    softmax = torch.from_numpy(found.x).view(targets.shape).softmax(dim=2)
    torch.testing.assert_close(softmax, targets, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_divergence_is_zero_at_the_targets_and_above_elsewhere(dtype):
    targets = softened(zeros=True).to(dtype)
    shift = torch.randn(3, N_OUTPUTS, 1, generator=torch.Generator().manual_seed(0), dtype=dtype)
    scores = (targets.log() + shift).requires_grad_()
    rows = multioutput_divergence_loss(scores, targets, reduction="none")
    rows.sum().backward()
    tolerance = 1e-6 if dtype == torch.float32 else 1e-14
    torch.testing.assert_close(rows, torch.zeros_like(rows), rtol=0, atol=tolerance)
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores), rtol=0, atol=tolerance)
    generator = torch.Generator().manual_seed(1)
    for size in (1e-6, 1e-3, 1.0, 100.0):
        moved = scores.detach() + size * torch.randn(scores.shape, generator=generator, dtype=dtype)
        rows = multioutput_divergence_loss(moved, targets, reduction="none")
        assert (rows >= 0).all()
        assert size < 1 or (rows > 0.01).all()


def test_the_hessian_of_the_divergence_at_its_optimum_is_that_of_the_cross_entropy():
    targets = softened()[0]
    hessian = torch.autograd.functional.hessian(
        lambda scores: multioutput_divergence_loss(scores, targets), targets.log()
    )
    expected = torch.zeros_like(hessian)
    for number, t in enumerate(targets):
        expected[number, :, number] = torch.diag(t) - torch.outer(t, t)
    torch.testing.assert_close(hessian, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_divergence_of_hard_targets_is_a_function_of_the_odds(scale):
    scores, codes = problem("hard", unknown=False)
    scores, codes = scale * scores, codes.long()
    own = scores.gather(2, codes[..., None])
    others = scores.masked_fill(one_hot(codes, N_CLASSES).bool(), -torch.inf)
    odds = (others - own).exp().sum(dim=2)
    terms = one_hot(codes, N_CLASSES) * (odds - odds.log1p())[..., None]
    torch.testing.assert_close(
        multioutput_divergence_loss(scores, one_hot(codes, N_CLASSES).double(), reduction="none"),
        terms.sum(dim=1).log1p().sum(dim=1),
    )


def test_the_divergence_of_hard_targets_is_not_convex():
    """Where the class is missed by far the slope falls a little."""
    scores = torch.tensor([[[0.0, 4.0]]], dtype=torch.float64)
    targets = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(
        lambda scores: multioutput_divergence_loss(scores, targets), scores
    )
    assert hessian.reshape(2, 2)[0, 0] < 0


@pytest.mark.parametrize("frequency", [0.05, 0.2, 0.4])
def test_alike_rows_of_different_targets_have_probabilities_nearer_to_one_half(frequency):
    """The guide says so: the loss is no proper scoring rule of hard targets."""
    probability = torch.linspace(1e-3, 1 - 1e-3, 999, dtype=torch.float64)
    scores = torch.stack([(1 - probability).log(), probability.log()], dim=1)[:, None]
    first, second = (
        multioutput_divergence_loss(scores, hard.expand_as(scores), reduction="none")
        for hard in torch.eye(2, dtype=torch.float64)
    )
    best = probability[((1 - frequency) * first + frequency * second).argmin()]
    assert frequency + 0.05 < best < 0.5
    assert frequency != 0.2 or best == pytest.approx(0.35, abs=0.005)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_divergence_meets_its_asymptote_far_off(dtype):
    """A class that is missed by 2e4 costs the logarithm of its odds, whose slope is 1."""
    scores = torch.tensor([[[-1e4, 1e4, 0.0]]], dtype=dtype, requires_grad=True)
    targets = torch.tensor([[[0.5, 0.5, 0.0]]], dtype=dtype)
    loss = multioutput_divergence_loss(scores, targets)
    loss.backward()
    certain = np.log1p(0.5 * (0.5 - 1 - np.log(0.5)))
    expected = 2e4 + 2 * np.log(0.5) + certain
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    # The second class has as good as all of the softmax, which no slope moves.
    torch.testing.assert_close(scores.grad, torch.tensor([[[-1.0, 1.0, 0.0]]], dtype=dtype))


@pytest.mark.parametrize(
    ("function", "shape", "targets", "message"),
    [
        (multioutput_loss, (2, 3, 4), torch.zeros(2, 4), r"targets \(..., n_outputs\)"),
        (multioutput_loss, (3,), torch.zeros(()), r"\(..., n_outputs, n_classes\)"),
        (multioutput_loss, (2, 3, 4), torch.full((2, 3), 4), "from 0 to 3.*got .4"),
        (multioutput_loss, (2, 3, 4), torch.full((2, 3), -1), "from 0 to 3.*got .-1"),
        (multioutput_loss, (2, 3, 4), torch.full((2, 3), 0.5), r"got \[0.5\]"),
        (soft_multioutput_loss, (3,), torch.zeros(3), r"scores must be \(..., n_outputs"),
        (soft_multioutput_loss, (2, 3, 4), torch.zeros(2, 3), "targets have shape"),
        (soft_multioutput_loss, (2, 3, 4), torch.full((2, 3, 4), 1.5), r"got \[1.5\]"),
        (
            soft_multioutput_loss,
            (1, 1, 2),
            torch.tensor([[[0.5, torch.nan]]]),
            "NaN for all of its classes or for none",
        ),
        (multioutput_divergence_loss, (3,), torch.zeros(3), r"scores must be \(..., n_outputs"),
        (multioutput_divergence_loss, (2, 3, 4), torch.zeros(2, 3), "targets have shape"),
        (multioutput_divergence_loss, (1, 1, 2), torch.full((1, 1, 2), -1.0), r"got \[-1.0\]"),
    ],
)
def test_unusable_arguments_say_what_was_expected(function, shape, targets, message):
    with pytest.raises(ValueError, match=message):
        function(torch.zeros(shape), targets)
