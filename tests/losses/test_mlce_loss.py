"""MLCE against a plain loop, its gradient, its limits and its arguments."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from sklearn_mlce.losses import MLCELoss, mlce_loss, mlce_loss_from_indices
from tests.helpers import oracles
from tests.helpers.targets import KINDS, N_LABELS, N_ROWS, random_targets

pytestmark = pytest.mark.usefixtures("_of_each_size")


def random_arguments(rng, weighted, threshold, scaled):
    return {
        "label_weight": {
            None: None,
            "label": rng.uniform(0.1, 3, N_LABELS),
            "cell": rng.uniform(0.1, 3, (N_ROWS, N_LABELS)),
        }[weighted],
        "threshold_scores": rng.normal(size=N_ROWS) if threshold else None,
        **({"scale": 2.5, "margin": 0.7} if scaled else {}),
    }


def as_tensors(arguments):
    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in arguments.items()
    }


WEIGHTED = [None, "label", "cell"]
FORMS = list(itertools.product(KINDS, WEIGHTED, [False, True], [False, True]))
# All forms but for the weights, each of which meets each other value.
UNWEIGHTED = itertools.product(KINDS, [False, True], [False, True])
SOME_FORMS = [
    (kind, weighted, threshold, scaled)
    for (kind, threshold, scaled), weighted in zip(
        UNWEIGHTED, itertools.cycle(WEIGHTED), strict=False
    )
]


@pytest.mark.parametrize(("kind", "weighted", "threshold", "scaled"), FORMS)
def test_equals_the_plain_loop(kind, weighted, threshold, scaled):
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(scale=2, size=(N_ROWS, N_LABELS)), random_targets(kind, rng)
    arguments = random_arguments(rng, weighted, threshold, scaled)
    expected = oracles.mlce(scores, targets, **arguments)
    arguments = as_tensors(arguments)
    tensors = torch.from_numpy(scores), torch.from_numpy(targets)
    rows = mlce_loss(*tensors, **arguments, reduction="none")
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-14)
    weight = rng.random(N_ROWS)
    for reduction, value in {
        "sum": weight @ expected,
        "mean": weight @ expected / weight.sum(),
    }.items():
        weighted_loss = mlce_loss(
            *tensors, **arguments, sample_weight=torch.from_numpy(weight), reduction=reduction
        )
        np.testing.assert_allclose(weighted_loss, value, rtol=1e-12)
    np.testing.assert_allclose(mlce_loss(*tensors, **arguments), expected.mean(), rtol=1e-12)


@pytest.mark.parametrize(("kind", "weighted", "threshold", "scaled"), SOME_FORMS)
def test_gradient_passes_gradcheck(kind, weighted, threshold, scaled):
    rng = np.random.default_rng(1)
    targets = torch.from_numpy(random_targets(kind, rng))
    arguments = as_tensors(random_arguments(rng, weighted, threshold, scaled))
    arguments["sample_weight"] = torch.from_numpy(rng.random(N_ROWS))
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS))).requires_grad_()
    thresholds = arguments.pop("threshold_scores")
    inputs = [scores] if thresholds is None else [scores, thresholds.requires_grad_()]

    def rows(scores, threshold_scores=None):
        return mlce_loss(
            scores, targets, threshold_scores=threshold_scores, **arguments, reduction="none"
        )

    assert torch.autograd.gradcheck(rows, inputs)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int8, torch.int64, torch.float32])
def test_hard_targets_of_every_dtype_agree(dtype):
    rng = np.random.default_rng(2)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets("hard", rng))
    torch.testing.assert_close(
        mlce_loss(scores, targets.to(dtype)), mlce_loss(scores, targets), rtol=0, atol=0
    )


@pytest.mark.parametrize(("weighted", "threshold", "scaled"), [form[1:] for form in FORMS[:12]])
def test_indices_give_what_dense_targets_give(weighted, threshold, scaled):
    rng = np.random.default_rng(3)
    targets = torch.from_numpy(random_targets("hard", rng))
    arguments = as_tensors(random_arguments(rng, weighted, threshold, scaled))
    indptr = torch.nn.functional.pad(targets.sum(1).long().cumsum(0), (1, 0))
    indices = targets.nonzero()[:, 1]
    gradients = []
    for loss, encoded in ((mlce_loss, (targets,)), (mlce_loss_from_indices, (indptr, indices))):
        scores = torch.linspace(-2, 2, N_ROWS * N_LABELS).reshape(N_ROWS, N_LABELS).double()
        scores.requires_grad_()
        loss(scores, *encoded, **arguments).backward()
        gradients.append(scores.grad)
    torch.testing.assert_close(*gradients, rtol=1e-14, atol=1e-15)


def test_any_leading_shape():
    rng = np.random.default_rng(4)
    scores = torch.from_numpy(rng.normal(size=(2, 3, 4, N_LABELS)))
    targets = torch.from_numpy((rng.random((2, 3, 4, N_LABELS)) < 0.3).astype(float))
    threshold, weight = torch.rand(2, 3, 4, 1), torch.rand(2, 3, 4)
    arguments = {"threshold_scores": threshold, "sample_weight": weight, "reduction": "none"}
    rows = mlce_loss(scores, targets, **arguments)
    assert rows.shape == (2, 3, 4)
    torch.testing.assert_close(
        rows[1, 2, 3],
        mlce_loss(
            scores[1, 2, 3],
            targets[1, 2, 3],
            threshold_scores=threshold[1, 2, 3, 0],
            sample_weight=weight[1, 2, 3],
            reduction="none",
        ),
    )
    flat = mlce_loss(scores.reshape(-1, N_LABELS), targets.reshape(-1, N_LABELS))
    torch.testing.assert_close(mlce_loss(scores, targets), flat)


def test_non_contiguous_scores():
    rng = np.random.default_rng(5)
    wide = torch.from_numpy(rng.normal(size=(N_LABELS, N_ROWS))).requires_grad_()
    targets = torch.from_numpy(random_targets("hard", rng))
    mlce_loss(wide.T, targets).backward()
    copy = wide.detach().T.contiguous().requires_grad_()
    mlce_loss(copy, targets).backward()
    torch.testing.assert_close(wide.grad.T, copy.grad, rtol=0, atol=0)


def test_many_blocks_give_what_one_row_at_a_time_gives():
    """Rows are worked on by blocks; 6 rows fill one here."""
    rng = np.random.default_rng(6)
    scores = torch.from_numpy(rng.normal(size=(8, 170_000))).float()
    targets = torch.from_numpy(rng.random(scores.shape) < 1e-3)
    rows = mlce_loss(scores, targets, reduction="none")
    singly = [mlce_loss(s, t) for s, t in zip(scores, targets, strict=True)]
    torch.testing.assert_close(rows, torch.stack(singly), rtol=1e-6, atol=0)
    soft = targets * 0.9
    rows = mlce_loss(scores, soft, reduction="none")
    singly = [mlce_loss(s, t) for s, t in zip(scores, soft, strict=True)]
    torch.testing.assert_close(rows, torch.stack(singly), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    scores = torch.linspace(-3, 3, 4000).reshape(2, 2000).to(dtype).requires_grad_()
    targets = torch.zeros(2, 2000)
    targets[:, :3] = 1
    loss = mlce_loss(scores, targets)
    loss.backward()
    exact = scores.detach().float().requires_grad_()
    reference = mlce_loss(exact, targets)
    reference.backward()
    assert loss.dtype == torch.float32
    assert scores.grad.dtype == dtype
    torch.testing.assert_close(loss, reference, rtol=0, atol=0)
    torch.testing.assert_close(scores.grad, exact.grad.to(dtype), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_scores_are_finite_with_the_right_gradient(kind, sign):
    """At scores of +-1e4 the loss is its largest exponent and the gradient picks it out."""
    scores = torch.full((3, 4), sign * 1e4).requires_grad_()
    targets = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    if kind == "soft":
        targets = targets * 0.5 + 0.25
    rows = mlce_loss(scores, targets, reduction="none")
    rows.sum().backward()
    assert torch.isfinite(rows).all()
    wrong_side = targets if sign < 0 else 1 - targets
    share = wrong_side / wrong_side.sum(1, keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(scores.grad, sign * share)
    expected = torch.where(wrong_side.sum(1) > 0, 1e4 + wrong_side.sum(1).clamp(min=1e-30).log(), 0)
    torch.testing.assert_close(rows.detach(), expected)


def test_one_positive_among_many_labels_does_not_cancel():
    """Where the positives are subtracted from a sum over all labels this gives 3.88."""
    scores = torch.full((1, 1000), -8.0)
    scores[0, 0] = 20.0
    scores = scores.requires_grad_()
    targets = torch.zeros(1, 1000)
    targets[0, 0] = 1
    loss = mlce_loss(scores, targets)
    loss.backward()
    expected = oracles.mlce(scores.detach().numpy(), targets.numpy())[0]
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert scores.grad[0, 0].item() == pytest.approx(-np.exp(-20), rel=1e-6)


@pytest.mark.parametrize("soft", [False, True])
def test_small_losses_keep_their_digits(soft):
    scores = torch.tensor([[25.0, -25.0, -25.0]])
    targets = torch.tensor([[1.0, 0, 1e-30 if soft else 0]])
    loss = mlce_loss(scores, targets)
    assert loss.item() == pytest.approx(3 * np.exp(-25), rel=1e-6)


@pytest.mark.parametrize("sign", [-1, 1])
def test_large_losses_keep_their_digits_in_float64(sign):
    scores = sign * torch.tensor([[21.0, 23.5, 30.0]], dtype=torch.float64)
    for targets in ([[1.0, 0, 0]], [[0.9, 0.1, 0.4]]):
        loss = mlce_loss(scores, torch.tensor(targets, dtype=torch.float64))
        expected = oracles.mlce(scores.numpy(), targets)[0]
        assert loss.item() == pytest.approx(expected, rel=1e-15)


def test_threshold_score_is_a_shift_of_the_scores():
    rng = np.random.default_rng(7)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    threshold = torch.from_numpy(rng.normal(size=N_ROWS))
    targets = torch.from_numpy(random_targets("soft", rng))
    torch.testing.assert_close(
        mlce_loss(scores, targets, threshold_scores=threshold, scale=3.0, margin=0.5),
        mlce_loss(scores - threshold[:, None], targets, scale=3.0, margin=0.5),
    )


def test_one_label_is_the_logistic_loss():
    scores = torch.linspace(-4, 4, 9)[:, None]
    targets = (torch.arange(9) % 2)[:, None]
    torch.testing.assert_close(
        mlce_loss(scores, targets), binary_cross_entropy_with_logits(scores, targets.float())
    )


def test_one_positive_and_the_threshold_as_softmax():
    """With one positive far above the threshold the negatives' side is a cross-entropy."""
    scores = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    negatives = torch.cat([torch.zeros(4, 1), scores], dim=1)
    expected = cross_entropy(negatives, torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(mlce_loss(scores, torch.zeros(4, 6)), expected)


def test_minimum_of_soft_targets_is_half_the_logit():
    targets = torch.tensor([[0.9, 0.3, 0.5, 0.05]], dtype=torch.float64)
    scores = (0.5 * torch.logit(targets)).requires_grad_()
    mlce_loss(scores, targets).backward()
    torch.testing.assert_close(scores.grad, torch.zeros_like(scores), rtol=0, atol=1e-15)


def test_an_unknown_label_is_as_good_as_absent():
    rng = np.random.default_rng(8)
    scores = torch.from_numpy(rng.normal(size=(4, 5))).requires_grad_()
    targets = torch.tensor([[1.0, 0, float("nan"), 0, 1]]).repeat(4, 1)
    loss = mlce_loss(scores, targets)
    loss.backward()
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(loss, mlce_loss(scores[:, kept], targets[:, kept]))
    assert (scores.grad[:, 2] == 0).all()


def test_zero_label_weight_is_as_good_as_unknown():
    scores = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([[1.0, 0, 1, 0]]).repeat(3, 1)
    unknown = targets.clone()
    unknown[:, 1] = float("nan")
    torch.testing.assert_close(
        mlce_loss(scores, targets, label_weight=torch.tensor([1.0, 0, 1, 1])),
        mlce_loss(scores, unknown),
    )


def test_backward_twice_through_a_retained_graph():
    scores = torch.randn(3, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    threshold = torch.zeros(3, requires_grad=True)
    loss = mlce_loss(scores, torch.eye(3, 4), threshold_scores=threshold) * 3
    loss.backward(retain_graph=True)
    first, first_threshold = scores.grad.clone(), threshold.grad.clone()
    loss.backward()
    torch.testing.assert_close(scores.grad, 2 * first)
    torch.testing.assert_close(threshold.grad, 2 * first_threshold)


def test_gradient_is_made_only_where_it_is_wanted():
    scores, targets = torch.zeros(2, 3), torch.eye(2, 3)
    assert not mlce_loss(scores, targets).requires_grad
    with torch.no_grad():
        assert not mlce_loss(scores.requires_grad_(), targets).requires_grad
    threshold = torch.zeros(2, requires_grad=True)
    mlce_loss(scores.detach(), targets, threshold_scores=threshold).backward()
    assert threshold.grad is not None


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (0, 0)])
def test_empty_shapes(shape):
    scores = torch.zeros(shape, requires_grad=True)
    loss = mlce_loss(scores, torch.zeros(shape), reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert scores.grad.shape == shape


def test_module_is_the_function():
    rng = np.random.default_rng(9)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets("unknown", rng))
    weight = torch.rand(N_LABELS)
    options = {"scale": 2.0, "margin": 0.5, "reduction": "sum"}
    module = MLCELoss(label_weight=weight, **options)
    per_row = {"sample_weight": torch.rand(N_ROWS), "threshold_scores": torch.rand(N_ROWS)}
    torch.testing.assert_close(
        module(scores, targets, **per_row),
        mlce_loss(scores, targets, label_weight=weight, **options, **per_row),
    )
    assert "label_weight" in module.state_dict()
    assert "scale=2.0, margin=0.5, reduction='sum'" in repr(module)


SCORES, TARGETS = torch.zeros(3, 4), torch.zeros(3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"targets": torch.zeros(3, 5)}, "targets have shape"),
        ({"targets": -torch.ones(3, 4)}, r"got \[-1.0\].*targets > 0"),
        ({"targets": torch.full((3, 4), 2)}, r"got \[2\]"),
        ({"targets": torch.full((3, 4), 1.5)}, r"got \[1.5\]"),
        ({"sample_weight": torch.ones(4)}, "sample_weight has shape"),
        ({"sample_weight": -torch.ones(3)}, "sample_weight must not be negative"),
        ({"label_weight": torch.ones(5)}, "label_weight has shape"),
        ({"label_weight": torch.ones(2, 3, 4)}, "label_weight has shape"),
        ({"label_weight": -torch.ones(4)}, "label_weight must not be negative"),
        ({"threshold_scores": torch.zeros(3, 4)}, "threshold_scores has shape"),
        ({"scale": 0.0}, r"scale must be .* greater than 0 and up to 1e\+06, got 0.0"),
        ({"scale": float("inf")}, "scale must be"),
        ({"margin": float("nan")}, "margin must be a finite number"),
        ({"reduction": "average"}, "reduction must be one of"),
        ({"margin": (1.0,)}, r"or a pair of them.*got \(1.0,\)"),
    ],
)
def test_unusable_arguments_say_what_was_expected(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlce_loss(**{"scores": SCORES, "targets": TARGETS, **arguments})


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 1], [0], r"indptr must have shape \(4,\)"),
        ([0, 1, 1, 1, 1], [0], r"indptr must have shape \(4,\)"),
        ([0, 1, 1, 2], [0], "run from 0 to the number of indices"),
        ([1, 1, 1, 1], [0], "run from 0"),
        ([0, 2, 1, 2], [0, 1], "must not decrease"),
        ([0, 1, 1, 2], [0, 4], r"lie in \[0, 3\], got 0 to 4"),
        ([0, 1, 1, 2], [-1, 0], r"lie in \[0, 3\]"),
        ([0, 2, 2, 2], [1, 1], "ascending and without repetition"),
        ([0, 2, 2, 2], [2, 1], "ascending and without repetition"),
    ],
)
def test_unusable_indices_say_what_was_expected(indptr, indices, message):
    with pytest.raises(ValueError, match=message):
        mlce_loss_from_indices(SCORES, torch.tensor(indptr), torch.tensor(indices))


def test_scalar_scores_are_refused():
    with pytest.raises(ValueError, match="last dimension of labels"):
        mlce_loss(torch.tensor(1.0), torch.tensor(1.0))


def test_module_checks_its_options_at_once():
    with pytest.raises(ValueError, match="scale must be"):
        MLCELoss(scale=-1.0)
    with pytest.raises(ValueError, match="margin must be"):
        MLCELoss(margin=(1.0, 2.0, 3.0))
    with pytest.raises(TypeError, match="order"):
        MLCELoss(order=2)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_gpu_gives_what_the_cpu_gives(kind):
    rng = np.random.default_rng(10)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets(kind, rng))
    of_rows = torch.from_numpy(rng.random((2, N_ROWS)))  # stay on the CPU
    results = []
    for device in ("cpu", "cuda"):
        moved = scores.to(device).requires_grad_()
        options = {"sample_weight": of_rows[0], "threshold_scores": of_rows[1]}
        loss = mlce_loss(moved, targets.to(device), scale=2.0, margin=0.5, **options)
        loss.backward()
        results.append((loss.detach().cpu(), moved.grad.cpu()))
    torch.testing.assert_close(*results)
