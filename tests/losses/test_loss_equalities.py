"""Where two losses are the same, where each is least, and what they refuse."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from sklearn_mlce import losses
from sklearn_mlce.losses import (
    asymmetric_loss,
    binary_cross_entropy_loss,
    class_balanced_focal_loss,
    distribution_balanced_loss,
    focal_loss,
    mlce_loss,
    pairwise_loss,
)
from tests.helpers import oracles

GENERATOR = torch.Generator().manual_seed(0)
SCORES = 3 * torch.randn(20, 6, generator=GENERATOR, dtype=torch.float64)
TARGETS = (torch.rand(20, 6, generator=GENERATOR) < 0.3).double()
COUNTS = torch.tensor([90, 40, 20, 5, 2, 0])
BCE = binary_cross_entropy_with_logits(SCORES, TARGETS, reduction="none").sum(dim=1).mean()


def gradient(loss, scores, targets):
    scores = scores.clone().requires_grad_()
    loss(scores, targets).backward()
    return scores.grad


@pytest.mark.parametrize(
    "loss",
    [
        lambda s, t: focal_loss(s, t, gamma=0),
        lambda s, t: 2 * focal_loss(s, t, gamma=0, alpha=0.5),
        lambda s, t: asymmetric_loss(s, t, gamma_positive=0, gamma_negative=0, margin=0),
        lambda s, t: class_balanced_focal_loss(s, t, COUNTS, beta=0, gamma=0),
        lambda s, t: distribution_balanced_loss(
            s, t, COUNTS, 100, weight_map=None, negative_scale=1, bias_scale=0, gamma=0
        ),
        binary_cross_entropy_loss,
    ],
)
def test_without_its_parts_each_is_binary_cross_entropy(loss):
    torch.testing.assert_close(loss(SCORES, TARGETS), BCE)


@pytest.mark.parametrize("margin", [0.0, (0.2, 1.8), (-0.5, 0.3)])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_binary_cross_entropy_is_mlce_with_all_terms_of_higher_order(scale, margin):
    """The log of the product of 1 + x_i is that of 1 + e_1 + e_2 + ..., MLCE keeps 1 + e_1."""
    options = {"scale": scale, "margin": margin}
    rows = binary_cross_entropy_loss(SCORES, TARGETS, **options, reduction="none")
    first = mlce_loss(SCORES, TARGETS, **options, reduction="none")
    by_degree = [
        [
            sum(oracles.log_symmetric_sums(exponents, degree) for exponents in sides)
            for degree in (1, 2, TARGETS.shape[1])
        ]
        for s, t in zip(SCORES.tolist(), TARGETS.tolist(), strict=True)
        for sides in [oracles.exponents_of_row(s, t, **options)]
    ]
    of_first, of_second, of_all = np.transpose(by_degree)
    np.testing.assert_allclose(first, of_first, rtol=1e-12)
    np.testing.assert_allclose(rows, of_all, rtol=1e-12)
    assert (of_first <= of_second).all()
    assert (of_second <= of_all).all()
    assert (of_first < of_all).any()


@pytest.mark.parametrize("scale", [0.3, 1.0, 8.0])
@pytest.mark.parametrize("margin", [0.0, (0.2, 1.8), (-0.5, 0.3)])
@pytest.mark.parametrize("size", [0.1, 1.0, 100.0])
def test_mlce_is_never_larger_than_binary_cross_entropy(scale, margin, size):
    """Of 0/1 labels, with the same weights on both; of one label they are the same."""
    options = {"scale": scale, "margin": margin, "reduction": "none"}
    unknown = torch.where(torch.rand(20, 6, generator=GENERATOR) < 0.2, torch.nan, TARGETS)
    for targets in (TARGETS, unknown):
        smaller = mlce_loss(size * SCORES, targets, **options)
        larger = binary_cross_entropy_loss(size * SCORES, targets, **options)
        # Where all is right by far, sums of tiny terms round to nothing in one of them.
        assert (smaller <= larger * (1 + 1e-12) + 1e-12).all()
    torch.testing.assert_close(
        mlce_loss(SCORES[:, :1], TARGETS[:, :1], **options),
        binary_cross_entropy_loss(SCORES[:, :1], TARGETS[:, :1], **options),
    )


def test_a_pair_of_equal_margins_is_one_margin_and_none_is_torchs_loss():
    soft = torch.rand(20, 6, generator=GENERATOR, dtype=torch.float64)
    for targets in (TARGETS, soft):
        expected = binary_cross_entropy_with_logits(
            2.5 * SCORES, targets, reduction="none", weight=COUNTS.double()
        ).sum(dim=1)
        for margin in (0.0, (0.0, 0.0), [0, 0], 1e-300):  # the last takes the formula with margins
            rows = binary_cross_entropy_loss(
                SCORES, targets, scale=2.5, margin=margin, label_weight=COUNTS, reduction="none"
            )
            torch.testing.assert_close(rows, expected)
        one, pair = (
            binary_cross_entropy_loss(SCORES, targets, margin=margin)
            for margin in (0.7, (0.7, 0.7))
        )
        assert one == pair


def test_a_weight_of_a_label_is_a_factor_of_its_logarithm_in_binary_cross_entropy():
    """Twice the weight is twice the label's loss; in MLCE it is not."""
    weight = torch.tensor([2.0, 1, 1, 1, 1, 1]).double()
    of_label = torch.tensor([1.0, 0, 0, 0, 0, 0]).double()
    for loss, is_factor in ((binary_cross_entropy_loss, True), (mlce_loss, False)):
        plain, doubled, alone = (
            loss(SCORES, TARGETS, label_weight=w, scale=2.0, margin=(0.2, 1.8))
            for w in (None, weight, of_label)
        )
        assert torch.isclose(doubled, plain + alone, rtol=1e-12) == is_factor


def test_a_soft_target_is_the_mean_of_both_labels_in_binary_cross_entropy():
    options = {"scale": 2.0, "margin": (0.2, 1.8), "reduction": "none"}
    negative, positive = (
        binary_cross_entropy_loss(SCORES, torch.full_like(SCORES, value), **options)
        for value in (0, 1)
    )
    rows = binary_cross_entropy_loss(SCORES, torch.full_like(SCORES, 0.3), **options)
    torch.testing.assert_close(rows, 0.7 * negative + 0.3 * positive)


def test_asymmetric_with_equal_powers_is_focal():
    asymmetric = asymmetric_loss(SCORES, TARGETS, gamma_positive=2, gamma_negative=2, margin=0)
    torch.testing.assert_close(asymmetric, focal_loss(SCORES, TARGETS))


def test_a_tiny_margin_is_close_to_none():
    """The two forms of the negatives' part, which have different formulas, meet."""
    tiny = asymmetric_loss(SCORES, TARGETS, margin=1e-9)
    torch.testing.assert_close(tiny, asymmetric_loss(SCORES, TARGETS, margin=0))


@pytest.mark.parametrize("gamma", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("margin", [1e-9, 1e-3, 0.05])
def test_a_margin_keeps_the_digits_of_confident_wrong_negatives(margin, gamma):
    """1 - p_m is the margin and what p leaves of 1, which float32 loses in p itself."""
    score, rest = 20.0, margin + 1 / (1 + np.exp(20.0))
    scores, targets = torch.tensor([[score]], requires_grad=True), torch.zeros(1, 1)
    value = asymmetric_loss(scores, targets, gamma_negative=gamma, margin=margin)
    value.backward()
    log, bent = -np.log(rest), np.exp(-score) / (1 + np.exp(-score)) ** 2
    power = (1 - rest) ** gamma
    slope = power * bent * (1 / rest + gamma * log / (1 - rest))
    assert value.item() == pytest.approx(power * log, rel=1e-6)
    assert scores.grad.item() == pytest.approx(slope, rel=1e-6, abs=0)


def test_weights_of_equal_counts_are_one():
    balanced = class_balanced_focal_loss(SCORES, TARGETS, torch.full((6,), 7), beta=0.99)
    torch.testing.assert_close(balanced, focal_loss(SCORES, TARGETS))


def test_weights_near_beta_one_are_inverse_counts():
    counts = torch.tensor([1, 2, 4, 5, 10, 20])
    inverse = 1 / counts.double()
    torch.testing.assert_close(
        class_balanced_focal_loss(SCORES, TARGETS, counts, beta=1 - 1e-12),
        focal_loss(SCORES, TARGETS, label_weight=inverse / inverse.mean()),
    )


@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_without_steepness_all_rebalanced_weights_are_the_same(mu):
    """Also those of rows without positives, whose steepness would be 0 / 0."""
    targets = torch.cat([TARGETS[:19], torch.zeros(1, 6, dtype=torch.float64)])

    def of(weight_map):
        return lambda s, t: distribution_balanced_loss(s, t, COUNTS, 100, weight_map=weight_map)

    flat, unweighted = (gradient(of(weights), SCORES, targets) for weights in ((0.2, 0, mu), None))
    torch.testing.assert_close(flat, 0.7 * unweighted)
    torch.testing.assert_close(of((0.2, 0, mu))(SCORES, targets), 0.7 * of(None)(SCORES, targets))


def test_pairwise_with_one_positive_is_softmax_cross_entropy():
    codes = torch.arange(20) % 6
    one_hot = torch.nn.functional.one_hot(codes, 6)
    results = []
    for loss in (lambda s: pairwise_loss(s, one_hot), lambda s: cross_entropy(s, codes)):
        scores = SCORES.clone().requires_grad_()
        value = loss(scores)
        value.backward()
        results.append((value.detach(), scores.grad))
    torch.testing.assert_close(*results)


def test_pairwise_does_not_see_a_constant_of_the_row():
    shifted = SCORES + torch.randn(20, 1, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(pairwise_loss(shifted, TARGETS), pairwise_loss(SCORES, TARGETS))


def test_pairwise_with_a_fixed_score_on_both_sides_is_mlce():
    """The border's label: one more negative and one more positive, both of score 0."""
    n_rows = len(SCORES)
    border = torch.zeros(n_rows, 2, dtype=torch.float64)
    extended = torch.cat([SCORES, border], dim=1)
    sides = torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(n_rows, 2)
    rows = pairwise_loss(extended, torch.cat([TARGETS, sides], dim=1), reduction="none")
    # the pair of the borders adds e^0 to the pairs; MLCE has it as the 1
    expected = mlce_loss(SCORES, TARGETS, reduction="none")
    torch.testing.assert_close(torch.log(torch.expm1(rows)), expected)


def test_rows_without_a_pair_are_silent():
    scores = SCORES[:2].clone().requires_grad_()
    targets = torch.tensor([[0.0] * 6, [1.0] * 6])
    rows = pairwise_loss(scores, targets, scale=2.0, margin=1.0, reduction="none")
    rows.sum().backward()
    assert (rows == 0).all()
    assert (scores.grad == 0).all()


SOFT_TARGETS = torch.tensor([[0.9, 0.3, 0.5, 0.05]], dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_pairwise_minimum_of_soft_targets_is_half_the_logit_but_for_a_constant(scale):
    scores = torch.logit(SOFT_TARGETS) / (2 * scale) + 7
    slopes = gradient(lambda s, t: pairwise_loss(s, t, scale=scale), scores, SOFT_TARGETS)
    torch.testing.assert_close(slopes, torch.zeros_like(slopes), rtol=0, atol=1e-14)


def test_binary_cross_entropy_minimum_of_soft_targets_is_the_logit():
    slopes = gradient(binary_cross_entropy_loss, torch.logit(SOFT_TARGETS), SOFT_TARGETS)
    torch.testing.assert_close(slopes, torch.zeros_like(slopes), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda s, t: focal_loss(s, t, gamma=0), 3 * np.exp(-25)),
        (lambda s, t: focal_loss(s, t, gamma=1), 3 * np.exp(-50)),
        (lambda s, t: asymmetric_loss(s, t, gamma_negative=1), np.exp(-25)),
        (pairwise_loss, 2 * np.exp(-50)),
    ],
)
def test_small_losses_keep_their_digits(loss, expected):
    value = loss(torch.tensor([[25.0, -25.0, -25.0]]), torch.tensor([[1.0, 0, 0]]))
    assert value.item() == pytest.approx(expected, rel=1e-5, abs=0)


SOFT = torch.full((20, 6), 0.5)
OF_COUNTS = {"label_counts": COUNTS}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("focal_loss", {}),
        ("asymmetric_loss", {}),
        ("class_balanced_focal_loss", OF_COUNTS),
        ("distribution_balanced_loss", {**OF_COUNTS, "n_samples": 100}),
    ],
)
def test_soft_targets_are_refused_where_they_mean_nothing(name, options):
    with pytest.raises(ValueError, match=rf"{name} takes targets 0, 1 and NaN.*use mlce_loss"):
        getattr(losses, name)(SCORES, SOFT, **options)
    with pytest.raises(ValueError, match=r"got \[-1.0\].*targets > 0"):
        getattr(losses, name)(SCORES, -torch.ones(20, 6), **options)


@pytest.mark.parametrize(
    ("module", "arguments", "options", "message"),
    [
        (
            "FocalLoss",
            (),
            {"gamma": -1.0},
            "gamma must be .* of at least 0 .*, got -1",
        ),
        ("FocalLoss", (), {"gamma": float("nan")}, "gamma must be a finite number"),
        (
            "FocalLoss",
            (),
            {"alpha": 1.5},
            "alpha must be .* of at least 0 and up to 1, got 1.5",
        ),
        ("FocalLoss", (), {"reduction": "average"}, "reduction must be one of"),
        (
            "ClassBalancedFocalLoss",
            (COUNTS,),
            {"beta": 1.0},
            "beta must be .* and below 1",
        ),
        ("ClassBalancedFocalLoss", (COUNTS,), {"gamma": -2}, "gamma must be"),
        ("DistributionBalancedLoss", (COUNTS, 1), {}, "n_samples must be a finite number of at"),
        ("DistributionBalancedLoss", (COUNTS, 9), {"weight_map": (1, 2)}, "weight_map must be"),
        (
            "DistributionBalancedLoss",
            (COUNTS, 9),
            {"weight_map": (-1, 2, 3)},
            "alpha of weight_map",
        ),
        ("DistributionBalancedLoss", (COUNTS, 9), {"negative_scale": 0}, "number greater than 0"),
        ("DistributionBalancedLoss", (COUNTS, 9), {"bias_scale": -1}, "bias_scale must be"),
        ("DistributionBalancedLoss", (COUNTS, 9), {"gamma": -1}, "gamma must be"),
        ("AsymmetricLoss", (), {"gamma_positive": -1}, "gamma_positive must be"),
        ("AsymmetricLoss", (), {"gamma_negative": -1}, "gamma_negative must be"),
        ("AsymmetricLoss", (), {"margin": 1.0}, "margin must be .* and below 1"),
        ("PairwiseLoss", (), {"scale": 0.0}, "scale must be .* greater than 0"),
        ("PairwiseLoss", (), {"margin": (0, 1)}, r"margin must be a finite number.*, got \(0, 1\)"),
        ("BinaryCrossEntropyLoss", (), {"reduction": "all"}, "reduction must be one of"),
        (
            "BinaryCrossEntropyLoss",
            (),
            {"scale": -1.0},
            "scale must be .* greater than 0",
        ),
        ("BinaryCrossEntropyLoss", (), {"margin": (0, 1, 2)}, "or a pair of them"),
    ],
)
def test_modules_check_their_options_at_once(module, arguments, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(losses, module)(*arguments, **options)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("pairwise_loss", {"targets": torch.zeros(20, 5)}, "targets have shape"),
        ("pairwise_loss", {"targets": 2 * torch.ones(20, 6)}, r"got \[2.0\]"),
        ("focal_loss", {"targets": torch.zeros(20, 5)}, "targets have shape"),
        ("focal_loss", {"label_weight": -torch.ones(6)}, "label_weight must not be negative"),
        ("focal_loss", {"sample_weight": torch.ones(6)}, "sample_weight has shape"),
        ("binary_cross_entropy_loss", {"pos_weight": torch.ones(5)}, "pos_weight has shape"),
        ("binary_cross_entropy_loss", {"pos_weight": -torch.ones(6)}, "pos_weight must not be"),
        ("binary_cross_entropy_loss", {"targets": -TARGETS}, r"got \[-1.0\]"),
        (
            "binary_cross_entropy_loss",
            {"scale": 0.0},
            "scale must be .* greater than 0",
        ),
        ("binary_cross_entropy_loss", {"margin": float("inf")}, "margin must be a finite number"),
        ("class_balanced_focal_loss", {"label_counts": COUNTS[:5]}, "label_counts has shape"),
        ("class_balanced_focal_loss", {"label_counts": -COUNTS}, "label_counts must not be"),
    ],
)
def test_unusable_arguments_say_what_was_expected(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(losses, name)(**{"scores": SCORES, "targets": TARGETS, **arguments})
