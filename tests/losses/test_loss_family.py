"""The relatives of MLCE and the losses it is compared with: what holds for each of them."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch

from sklearn_mlce import losses
from sklearn_mlce._kernels.loss_function import constant
from tests.helpers import family_oracles as oracles
from tests.helpers.targets import N_LABELS, N_ROWS, random_targets

pytestmark = pytest.mark.usefixtures("_of_each_size")

COUNTS = torch.tensor([40, 3, 0, 100, 17])
BALANCED = {"label_counts": COUNTS}
DISTRIBUTION = {"label_counts": COUNTS, "n_samples": 100}


class Case(NamedTuple):
    name: str
    module: type
    oracle: object
    options: dict
    soft: bool = False

    @property
    def function(self):
        return getattr(losses, self.name)


PAIRWISE = ("pairwise_loss", losses.PairwiseLoss, oracles.pairwise)
FOCAL = ("focal_loss", losses.FocalLoss, oracles.focal)
CLASS_BALANCED = (
    "class_balanced_focal_loss",
    losses.ClassBalancedFocalLoss,
    oracles.class_balanced_focal,
)
DISTRIBUTION_BALANCED = (
    "distribution_balanced_loss",
    losses.DistributionBalancedLoss,
    oracles.distribution_balanced,
)
ASYMMETRIC = ("asymmetric_loss", losses.AsymmetricLoss, oracles.asymmetric)
BCE = (
    "binary_cross_entropy_loss",
    losses.BinaryCrossEntropyLoss,
    oracles.binary_cross_entropy,
)
CASES = {
    "pairwise": Case(*PAIRWISE, {}, soft=True),
    "circle": Case(*PAIRWISE, {"scale": 2.5, "margin": 0.7}, soft=True),
    "focal": Case(*FOCAL, {}),
    "focal, balanced": Case(*FOCAL, {"gamma": 0.5, "alpha": 0.25}),
    "focal, gamma 1": Case(*FOCAL, {"gamma": 1}),
    "class-balanced": Case(*CLASS_BALANCED, BALANCED),
    "class-balanced, inverse counts": Case(*CLASS_BALANCED, {**BALANCED, "beta": 0.999}),
    "distribution-balanced": Case(*DISTRIBUTION_BALANCED, DISTRIBUTION),
    "rebalanced weights alone": Case(
        *DISTRIBUTION_BALANCED,
        {**DISTRIBUTION, "negative_scale": 1, "bias_scale": 0, "gamma": 0},
    ),
    "negative-tolerant alone": Case(
        *DISTRIBUTION_BALANCED,
        {
            **DISTRIBUTION,
            "weight_map": None,
            "negative_scale": 5.0,
            "bias_scale": 0.3,
            "gamma": 0,
        },
    ),
    "asymmetric": Case(*ASYMMETRIC, {}),
    "asymmetric, other powers": Case(
        *ASYMMETRIC, {"gamma_positive": 1.5, "gamma_negative": 0.7, "margin": 0.2}
    ),
    "asymmetric, margin alone": Case(*ASYMMETRIC, {"gamma_negative": 0.0, "margin": 0.3}),
    "bce": Case(*BCE, {}, soft=True),
    "bce, positives weighted": Case(
        *BCE, {"pos_weight": torch.tensor([1.0, 3, 0.5, 9, 2]).double()}, soft=True
    ),
    "bce, scaled": Case(*BCE, {"scale": 2.5}, soft=True),
    "bce, one margin": Case(*BCE, {"margin": 0.7}, soft=True),
    "bce, smooth hinge": Case(
        *BCE,
        {"scale": 2.5, "margin": (0.2, 1.8), "pos_weight": torch.full((5,), 3.0).double()},
        soft=True,
    ),
}
FORMS = [
    (case, kind)
    for case in CASES
    for kind in ("hard", "unknown", *(["soft"] if CASES[case].soft else []))
]
# Each case and each kind meets each form of label weights.
WEIGHTED_FORMS = [
    (case, kinds[(i + j) % len(kinds)], weighted)
    for i, case in enumerate(CASES)
    for kinds in [[kind for of, kind in FORMS if of == case]]
    for j, weighted in enumerate([None, (N_LABELS,), (N_ROWS, N_LABELS)])
]
every_case = pytest.mark.parametrize("case", CASES)
every_form = pytest.mark.parametrize(("case", "kind"), FORMS)


def arrays_of(options):
    return {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in options.items()}


@pytest.mark.parametrize(("case", "kind", "weighted"), WEIGHTED_FORMS)
def test_equals_the_plain_loop(case, kind, weighted):
    case, rng = CASES[case], np.random.default_rng(0)
    scores, targets = rng.normal(scale=2, size=(N_ROWS, N_LABELS)), random_targets(kind, rng)
    label_weight = None if weighted is None else rng.uniform(0.1, 3, weighted)
    expected = oracles.rows(case.oracle, scores, targets, label_weight, **arrays_of(case.options))
    tensors = torch.from_numpy(scores), torch.from_numpy(targets)
    options = dict(case.options)
    if label_weight is not None:
        options["label_weight"] = torch.from_numpy(label_weight)
    rows = case.function(*tensors, **options, reduction="none")
    np.testing.assert_allclose(rows, expected, rtol=1e-11, atol=1e-13)
    weight = rng.random(N_ROWS)
    options["sample_weight"] = torch.from_numpy(weight)
    np.testing.assert_allclose(
        case.function(*tensors, **options), weight @ expected / weight.sum(), rtol=1e-11
    )
    np.testing.assert_allclose(
        case.function(*tensors, **options, reduction="sum"), weight @ expected, rtol=1e-11
    )


@every_form
def test_gradient_passes_gradcheck(case, kind):
    case, rng = CASES[case], np.random.default_rng(1)
    targets = torch.from_numpy(random_targets(kind, rng))
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS))).requires_grad_()
    options = {
        **case.options,
        "label_weight": torch.from_numpy(rng.uniform(0.1, 3, (N_ROWS, N_LABELS))),
        "sample_weight": torch.from_numpy(rng.random(N_ROWS)),
    }
    assert torch.autograd.gradcheck(
        lambda scores: case.function(scores, targets, **options, reduction="none"), [scores]
    )


@every_form
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_scores_are_finite(case, kind, sign):
    """The sign of the gradient is right too, on rows without positives or negatives as well."""
    case, rng = CASES[case], np.random.default_rng(2)
    targets = torch.from_numpy(random_targets(kind, rng)).float()
    for spread in (0.0, 1e4):
        scores = torch.full(targets.shape, sign * 1e4)
        scores[:, ::2] += spread
        scores.requires_grad_()
        rows = case.function(scores, targets, **case.options, reduction="none")
        rows.sum().backward()
        assert torch.isfinite(rows).all()
        assert torch.isfinite(scores.grad).all()
        assert (scores.grad[targets == 0] >= 0).all()
        assert (scores.grad[targets == 1] <= 0).all()
        assert (scores.grad[targets.isnan()] == 0).all()


@every_form
def test_float32_keeps_the_digits_of_float64(case, kind):
    case, rng = CASES[case], np.random.default_rng(3)
    targets = torch.from_numpy(random_targets(kind, rng))
    exact = torch.from_numpy(rng.normal(scale=8, size=(N_ROWS, N_LABELS))).requires_grad_()
    rounded = exact.detach().float().requires_grad_()
    exact_rows = case.function(exact, targets, **case.options, reduction="none")
    rounded_rows = case.function(rounded, targets.float(), **case.options, reduction="none")
    torch.testing.assert_close(rounded_rows.double(), exact_rows, rtol=2e-5, atol=1e-6)
    exact_rows.sum().backward()
    rounded_rows.sum().backward()
    torch.testing.assert_close(rounded.grad.double(), exact.grad, rtol=2e-4, atol=1e-5)


@every_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(case, dtype):
    case = CASES[case]
    scores = torch.linspace(-3, 3, 2 * N_LABELS).reshape(2, N_LABELS).to(dtype).requires_grad_()
    exact = scores.detach().float().requires_grad_()
    results = [case.function(s, torch.eye(2, N_LABELS), **case.options) for s in (scores, exact)]
    for loss in results:
        loss.backward()
    assert results[0].dtype == torch.float32
    torch.testing.assert_close(*results, rtol=0, atol=0)
    torch.testing.assert_close(scores.grad, exact.grad.to(dtype), rtol=0, atol=0)


@every_form
def test_weight_two_is_the_row_twice(case, kind):
    case, rng = CASES[case], np.random.default_rng(4)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets(kind, rng))
    times = torch.tensor([1, 2, 0, 3, 1, 2, 1])
    repeated = case.function(
        scores.repeat_interleave(times, 0), targets.repeat_interleave(times, 0), **case.options
    )
    weighted = case.function(scores, targets, sample_weight=times.double(), **case.options)
    torch.testing.assert_close(weighted, repeated)


@every_form
def test_an_unknown_label_has_weight_zero(case, kind):
    case, rng = CASES[case], np.random.default_rng(5)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets(kind, rng))
    if "label_counts" in case.options:
        targets[:, 1] = 0  # the weights depend on which labels a row is known to carry
    unknown = targets.clone()
    unknown[:, 1] = torch.nan
    weight = torch.tensor([1.0, 0, 1, 1, 1]).double()
    torch.testing.assert_close(
        case.function(scores, targets, label_weight=weight, **case.options),
        case.function(scores, unknown, **case.options),
    )


@every_case
def test_rows_do_not_depend_on_their_company(case, monkeypatch):
    """Nor on the leading shape, the blocks they are worked on in, or the memory's layout."""
    case, rng = CASES[case], np.random.default_rng(6)
    scores = torch.from_numpy(rng.normal(size=(2, 3, 4, N_LABELS)))
    targets = torch.from_numpy((rng.random(scores.shape) < 0.4).astype(float))
    targets[1, 1, 1, 1] = torch.nan
    together = case.function(scores, targets, **case.options, reduction="none")
    assert together.shape == (2, 3, 4)
    for place in ((0, 0, 0), (1, 1, 1), (1, 2, 3)):
        alone = case.function(scores[place], targets[place], **case.options)
        torch.testing.assert_close(together[place], alone)
    for known in (targets, targets.nan_to_num()):  # a list of entries, and a matrix
        whole = scores.clone().requires_grad_()
        case.function(whole, known, **case.options).backward()
        strided = scores.reshape(24, N_LABELS).T.contiguous().T.requires_grad_()
        with monkeypatch.context() as patch:  # 24 rows in blocks of 5, and a rest
            patch.setattr(losses._per_label, "_BLOCK_ELEMENTS", 5 * N_LABELS)
            case.function(strided, known.reshape(24, N_LABELS), **case.options).backward()
        torch.testing.assert_close(strided.grad, whole.grad.reshape(24, N_LABELS))


@every_case
def test_backward_twice_through_a_retained_graph(case):
    case = CASES[case]
    scores = torch.linspace(-1, 1, 3 * N_LABELS).reshape(3, N_LABELS).requires_grad_()
    loss = case.function(scores, torch.eye(3, N_LABELS), **case.options) * 3
    loss.backward(retain_graph=True)
    first = scores.grad.clone()
    loss.backward()
    torch.testing.assert_close(scores.grad, 2 * first)
    with torch.no_grad():
        assert not case.function(scores, torch.eye(3, N_LABELS), **case.options).requires_grad


@every_case
def test_no_rows_cost_nothing(case):
    case = CASES[case]
    scores = torch.zeros(0, N_LABELS, requires_grad=True)
    loss = case.function(scores, torch.zeros(0, N_LABELS), **case.options)
    loss.backward()
    assert loss.item() == 0


@every_case
def test_module_is_the_function(case):
    case, rng = CASES[case], np.random.default_rng(7)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets("unknown", rng))
    label_weight, weight = torch.rand(N_LABELS), torch.rand(N_ROWS)
    module = case.module(**case.options, label_weight=label_weight, reduction="sum")
    expected = case.function(
        scores,
        targets,
        **case.options,
        label_weight=label_weight,
        sample_weight=weight,
        reduction="sum",
    )
    for copy in (module, pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(copy(scores, targets, weight), expected)
    assert "label_weight" in module.state_dict()
    assert repr(module).startswith(case.module.__name__)
    assert "reduction='sum'" in repr(module)
    assert case.module.__module__ == "sklearn_mlce.losses"


@pytest.mark.gpu
@every_form
def test_gpu_gives_what_the_cpu_gives(case, kind):
    case, rng = CASES[case], np.random.default_rng(8)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_LABELS)))
    targets = torch.from_numpy(random_targets(kind, rng))
    results = []
    for device in ("cpu", "cuda"):
        moved = scores.to(device).requires_grad_()
        loss = case.function(moved, targets.to(device), **case.options)
        loss.backward()
        results.append((loss.detach().cpu(), moved.grad.cpu()))
    torch.testing.assert_close(*results)


@every_case
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_weight_for_all_labels_broadcasts(case, shape):
    case = CASES[case]
    scores = torch.linspace(-3, 3, 2 * N_LABELS).reshape(2, N_LABELS)
    one, each = (torch.full(s, 2.0) for s in (shape, (N_LABELS,)))
    broadcast, spelled_out = (
        case.function(scores, torch.eye(2, N_LABELS), label_weight=weight, **case.options)
        for weight in (one, each)
    )
    torch.testing.assert_close(broadcast, spelled_out)


@every_case
@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_the_mean_is_the_sum_over_the_rows(case, factor):
    case = CASES[case]
    scores = torch.linspace(-3, 3, 4 * N_LABELS, dtype=torch.float64).reshape(4, N_LABELS)
    found = []
    for reduction, n_rows in (("mean", 1), ("sum", 4)):
        leaf = scores.clone().requires_grad_()
        loss = case.function(leaf, torch.eye(4, N_LABELS), **case.options, reduction=reduction)
        (factor * loss / n_rows).backward()
        found.append((loss.detach() / n_rows, leaf.grad))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-15)


@every_case
def test_a_loss_evaluated_in_inference_mode_first_is_differentiable_afterwards(case):
    case = CASES[case]
    constant.cache_clear()
    scores, targets = (
        torch.linspace(-3, 3, 2 * N_LABELS).reshape(2, N_LABELS),
        torch.eye(2, N_LABELS),
    )
    with torch.inference_mode():
        before = case.function(scores, targets, **case.options)
    loss = case.function(scores.requires_grad_(), targets, **case.options)
    loss.backward()
    assert loss.item() == before.item()
    assert scores.grad.isfinite().all()


@every_case
def test_a_gradient_in_half_precision_is_rounded_after_it_is_scaled(case):
    case = CASES[case]
    scores = torch.linspace(-12, -9, 2 * N_LABELS).reshape(2, N_LABELS)
    gradients = []
    for dtype in (torch.float16, torch.float32):
        leaf = scores.to(torch.float16).to(dtype).requires_grad_()
        loss = case.function(leaf, torch.eye(2, N_LABELS), **case.options)
        (2.0**12 * loss).backward()
        gradients.append(leaf.grad.float())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-7)
