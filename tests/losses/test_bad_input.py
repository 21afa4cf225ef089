"""Odd arguments of every loss: a sentence, or a finite gradient; and no state of the process."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from sklearn_mlce import losses
from tests.helpers.global_state import nothing_changed

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(4, 5, generator=GENERATOR)
TARGETS = (torch.rand(4, 5, generator=GENERATOR) > 0.6).float()
COUNTS = torch.tensor([3, 2, 1, 4, 2])
OUTPUTS = torch.randn(4, 3, 5, generator=GENERATOR)
CODES = torch.randint(5, (4, 3), generator=GENERATOR)
SHARES = torch.randn(4, 3, 5, generator=GENERATOR).softmax(-1)
INDPTR, INDICES = torch.tensor([0, 1, 2, 3, 5]), torch.tensor([0, 1, 2, 3, 4])


def of_indices(scores, targets=None, **options):
    return losses.mlce_loss_from_indices(scores, INDPTR, INDICES, **options)


def hinge(scores, targets, **options):
    options = {"scale": 8.0, "margin": (0.2, 1.8)} | options
    return losses.binary_cross_entropy_loss(scores, targets, **options)


def class_balanced(scores, targets, **options):
    return losses.class_balanced_focal_loss(scores, targets, COUNTS, **options)


def distribution_balanced(scores, targets, **options):
    return losses.distribution_balanced_loss(scores, targets, COUNTS, 20, **options)


#: Each loss with scores and targets that it takes.
LOSSES = {
    "mlce": (losses.mlce_loss, SCORES, TARGETS),
    "from indices": (of_indices, SCORES, TARGETS),
    "pairwise": (losses.pairwise_loss, SCORES, TARGETS),
    "binary cross-entropy": (losses.binary_cross_entropy_loss, SCORES, TARGETS),
    "hinge": (hinge, SCORES, TARGETS),
    "focal": (losses.focal_loss, SCORES, TARGETS),
    "class balanced": (class_balanced, SCORES, TARGETS),
    "distribution balanced": (distribution_balanced, SCORES, TARGETS),
    "asymmetric": (losses.asymmetric_loss, SCORES, TARGETS),
    "outputs": (losses.multioutput_loss, OUTPUTS, CODES),
    "soft outputs": (losses.soft_multioutput_loss, OUTPUTS, SHARES),
    "divergence": (losses.multioutput_divergence_loss, OUTPUTS, SHARES),
}
SHAPED = ("mlce", "from indices", "pairwise", "binary cross-entropy", "hinge")
on_all = pytest.mark.parametrize("name", LOSSES)

NO_TENSORS = {
    "list": [[1.0, 2.0]],
    "array": np.ones((4, 5)),
    "text": "abc",
    "none": None,
    "sparse": sp.csr_matrix(np.eye(3)),
}


@on_all
@pytest.mark.parametrize("kind", NO_TENSORS)
def test_what_is_no_tensor_is_refused(name, kind):
    loss, scores, targets = LOSSES[name]
    value = NO_TENSORS[kind]
    match = f"is of type {type(value).__name__}; expected a torch.Tensor. Pass torch.as_tensor"
    with nothing_changed(value):
        with pytest.raises(TypeError, match=f"^scores {match}"):
            loss(value, targets)
        if name != "from indices":
            with pytest.raises(TypeError, match=f"^targets {match}"):
                loss(scores, value)
        if value is not None:
            with pytest.raises(TypeError, match=f"^sample_weight {match}"):
                loss(scores, targets, sample_weight=value)


@on_all
def test_complex_scores_are_refused(name):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(TypeError, match=r"scores holds complex numbers; .* Pass scores\.real"):
        loss(scores.to(torch.complex64), targets)


@on_all
@pytest.mark.parametrize("value", [torch.inf, torch.nan, -1.0, 1e30])
def test_weights_that_are_none_are_refused(name, value):
    loss, scores, targets = LOSSES[name]
    weight = torch.ones(4)
    weight[1] = value
    match = r"sample_weight must not be negative, infinite or NaN, got values from .* to 1e\+15"
    with pytest.raises(ValueError, match=match):
        loss(scores, targets, sample_weight=weight)
    weight = torch.ones(5)
    weight[1] = value
    with pytest.raises(ValueError, match="label_weight must not be negative, infinite or NaN"):
        loss(scores, targets, label_weight=weight)


@on_all
def test_weights_of_zero_have_no_mean(name):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(ValueError, match=r"sample_weight adds up to 0, by which .*='sum'"):
        loss(scores, targets, sample_weight=torch.zeros(4))
    assert loss(scores, targets, sample_weight=torch.zeros(4), reduction="sum") == 0


@on_all
@pytest.mark.parametrize("text", ["abc", [None]])
def test_label_weights_of_text_are_refused(name, text):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(TypeError, match=r"label_weight is of type .* does not hold numbers"):
        loss(scores, targets, label_weight=text)


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("value", [1e300, 0, -1, float("nan"), "a", None, 1j, torch.ones(())])
def test_scales_that_are_none_are_refused(name, value):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(ValueError, match=r"scale must be a number greater than 0 and up to 1e\+06"):
        loss(scores, targets, scale=value)


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("value", [1e300, float("inf"), "a", None, (1.0,), {}])
def test_margins_that_are_none_are_refused(name, value):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(ValueError, match="margin must be a finite number"):
        loss(scores, targets, margin=value)


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("scale", [1e-30, 1e6])
def test_the_gradient_is_finite_at_the_ends_of_the_scale(name, scale):
    loss, scores, targets = LOSSES[name]
    scores = scores.clone().requires_grad_()
    loss(scores, targets, scale=scale).backward()
    assert scores.grad.isfinite().all()


@on_all
@pytest.mark.parametrize("value", ["average", None, 3, ["mean"]])
def test_reductions_that_are_none_are_refused(name, value):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(ValueError, match="reduction must be one of"):
        loss(scores, targets, reduction=value)


FAR = [torch.inf, -torch.inf, 3e38, -3e38]


@on_all
@pytest.mark.parametrize("value", FAR)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_scores_however_far_have_finite_losses_and_gradients(name, value, dtype, reduction):
    loss, scores, targets = LOSSES[name]
    scores = scores.to(dtype).clone()
    scores[0, 0], scores[1, 1] = value, -value
    scores.requires_grad_()
    with nothing_changed(targets):
        value = loss(scores, targets, reduction=reduction)
        value.sum().backward()
    assert value.isfinite().all()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("name", ["mlce", "binary cross-entropy", "hinge", "pairwise", "focal"])
def test_infinite_scores_have_the_gradient_of_their_limit(name):
    """One of infinite size has that of one that is merely large, in rows that overflow or not."""
    loss, scores, targets = LOSSES[name]
    gradients = []
    for far in (torch.inf, 1e20):
        moved = torch.where(SCORES.abs() > 1, SCORES.sign() * far, SCORES).requires_grad_()
        loss(moved, targets, reduction="sum").backward()
        gradients.append(moved.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)
    assert scores is SCORES


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "from indices"])
def test_scores_that_are_not_known_are_told_as_torch_tells_them(name):
    loss, scores, targets = LOSSES[name]
    assert loss(torch.full_like(scores, torch.nan), targets).isnan()


OPTIONS = [
    ("focal_loss", "gamma", ["a", None, -1, 1e300, float("nan")]),
    ("focal_loss", "alpha", ["a", -1, 1e300, float("nan")]),
    ("class_balanced_focal_loss", "beta", ["a", None, 1.0, float("nan")]),
    ("distribution_balanced_loss", "weight_map", ["a", (1, 2), (1, 2, "a"), 3, (1e300, 1, 0)]),
    ("distribution_balanced_loss", "negative_scale", ["a", 0, 1e300]),
    ("distribution_balanced_loss", "bias_scale", ["a", -1, 1e300]),
    ("asymmetric_loss", "margin", ["a", None, 1.0, float("nan")]),
    ("asymmetric_loss", "gamma_negative", ["a", None, -1, 1e300]),
]


@pytest.mark.parametrize(
    ("function", "option", "value"),
    [(function, option, value) for function, option, values in OPTIONS for value in values],
)
def test_options_that_are_none_are_refused(function, option, value):
    counts = {"class_balanced_focal_loss": (COUNTS,), "distribution_balanced_loss": (COUNTS, 20)}
    with pytest.raises(ValueError, match=f"{option} must be"):
        getattr(losses, function)(SCORES, TARGETS, *counts.get(function, ()), **{option: value})


@pytest.mark.parametrize(
    ("counts", "error", "match"),
    [
        ("a", TypeError, "label_counts is of type str and does not hold numbers"),
        (None, TypeError, "label_counts is of type NoneType"),
        ([1, 2], ValueError, "label_counts has shape"),
        (torch.tensor([1, 2, 3, 4, -5]), ValueError, "label_counts must not be negative"),
        (torch.tensor([1, 2, 3, 4, torch.inf]), ValueError, "label_counts must not be negative"),
    ],
)
def test_counts_that_are_none_are_refused(counts, error, match):
    with pytest.raises(error, match=match):
        losses.class_balanced_focal_loss(SCORES, TARGETS, counts)


@on_all
@pytest.mark.parametrize("weighs_labels", [False, True])
def test_autocast_does_not_halve_the_precision_of_a_loss(name, weighs_labels):
    loss, scores, targets = LOSSES[name]
    options = {"label_weight": torch.linspace(0.3, 0.9, 5)} if weighs_labels else {}
    rows = [scores.repeat(40, *[1] * (scores.ndim - 1)), scores]  # of many and of few cells
    for form in rows[name == "from indices" :]:
        y = targets if form is scores else targets.repeat(40, *[1] * (targets.ndim - 1))
        found = []
        for enabled in (False, True):
            variable = form.clone().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                value = loss(variable, y, **options)
            found.append((value, *torch.autograd.grad(value, variable)))
        torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


@on_all
def test_tensors_that_torch_does_not_compute_with_are_refused(name):
    loss, scores, targets = LOSSES[name]
    with pytest.raises(TypeError, match=r"^scores has the layout torch.sparse_coo.*to_dense"):
        loss(scores.to_sparse(), targets)
    if name != "from indices":
        with pytest.raises(TypeError, match=r"^targets has the layout torch.sparse_coo.*to_dense"):
            loss(scores, targets.to_sparse())
    with pytest.raises(TypeError, match=r"^scores are of torch.float8.*Pass scores.float"):
        loss(scores.to(torch.float8_e4m3fn), targets)


@pytest.mark.parametrize("name", ["focal", "class balanced", "distribution balanced"])
def test_a_power_may_be_a_truth_value(name):
    loss, scores, targets = LOSSES[name]
    assert loss(scores, targets, gamma=True) == loss(scores, targets, gamma=1.0)
