"""Losses where torch has to see each operation: compiled, exported, differentiated twice ...

There the plain form runs. It is held to the closed form, for few and for many scores.
"""

import shutil
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch._inductor import config as inductor_config
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from sklearn_mlce import losses
from sklearn_mlce._kernels.loss_function import is_traced
from tests.helpers.targets import N_LABELS, N_ROWS, random_scores, random_targets
from tests.losses.test_loss_family import CASES

pytestmark = [
    # Forward-mode differentiation of torch 2.13 loads decompositions that torch scripts itself.
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning"),
]

N_OUTPUTS, N_CLASSES = 3, 4


class Problem(NamedTuple):
    """A loss as a function of scores alone, and scores in float64."""

    loss: object
    scores: torch.Tensor


def _dense(function, kind, options, seed=0):
    rng = np.random.default_rng(seed)
    targets = torch.from_numpy(random_targets(kind, rng))
    fixed = {
        **options,
        "label_weight": torch.from_numpy(rng.uniform(0.1, 3, N_LABELS)),
        "sample_weight": torch.from_numpy(rng.random(N_ROWS)),
    }

    def loss(scores, **more):
        return function(scores, targets, **{**fixed, **more})

    return Problem(loss, random_scores(seed))


def _listed(options):
    rng = np.random.default_rng(0)
    rows, indices = np.nonzero(random_targets("hard", rng))
    indptr = torch.from_numpy(np.searchsorted(rows, np.arange(N_ROWS + 1)))
    indices = torch.from_numpy(indices)

    def loss(scores, **more):
        return losses.mlce_loss_from_indices(scores, indptr, indices, **{**options, **more})

    return Problem(loss, random_scores(0))


def _outputs(function, targets):
    rng = np.random.default_rng(0)
    fixed = {
        "label_weight": torch.from_numpy(rng.uniform(0.1, 3, (N_OUTPUTS, N_CLASSES))),
        "sample_weight": torch.from_numpy(rng.random(N_ROWS)),
    }
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, N_OUTPUTS, N_CLASSES)))

    def loss(scores, **more):
        return function(scores, targets, **{**fixed, **more})

    return Problem(loss, scores)


def _codes(unknown):
    codes = torch.from_numpy(np.random.default_rng(1).integers(N_CLASSES, size=(N_ROWS, N_OUTPUTS)))
    return codes if not unknown else codes.double().masked_fill(codes == 1, torch.nan)


def _probabilities(unknown):
    logits = np.random.default_rng(1).normal(size=(N_ROWS, N_OUTPUTS, N_CLASSES))
    probabilities = torch.from_numpy(logits).softmax(dim=2)
    if unknown:
        probabilities[1, 2] = torch.nan
    return probabilities


MLCE = {
    "mlce": {},
    "mlce, scaled": {"scale": 2.5, "margin": (0.2, 0.7)},
    "mlce, threshold": {"threshold_scores": torch.linspace(-1, 1, N_ROWS).double(), "scale": 2.0},
}
PROBLEMS = {
    **{
        f"{name}, {kind}": lambda options=options, kind=kind: _dense(
            losses.mlce_loss, kind, options
        )
        for name, options in MLCE.items()
        for kind in ("hard", "soft", "unknown")
    },
    "mlce from indices": lambda: _listed({"scale": 2.0, "margin": 0.5}),
    **{
        f"{name}, {kind}": lambda case=case, kind=kind: _dense(case.function, kind, case.options)
        for name, case in CASES.items()
        for kind in ("hard", "unknown", *(["soft"] if case.soft else []))
    },
    **{
        f"{name}, {kind}": lambda name=name, of=of, kind=kind: _outputs(
            getattr(losses, name), of(kind == "unknown")
        )
        for name, of in {
            "multioutput_loss": _codes,
            "soft_multioutput_loss": _probabilities,
            "multioutput_divergence_loss": _probabilities,
        }.items()
        for kind in ("known", "unknown")
    },
}
#: One of each loss.
FEW_PROBLEMS = [
    "mlce, unknown",
    "mlce, scaled, soft",
    "mlce, threshold, hard",
    "mlce from indices",
    "circle, soft",
    "focal, balanced, unknown",
    "class-balanced, hard",
    "distribution-balanced, unknown",
    "asymmetric, other powers, hard",
    "bce, soft",
    "bce, smooth hinge, unknown",
    "multioutput_loss, unknown",
    "soft_multioutput_loss, unknown",
    "multioutput_divergence_loss, unknown",
]
every_problem = pytest.mark.parametrize("name", PROBLEMS)
each_loss = pytest.mark.parametrize("name", FEW_PROBLEMS)


def value_and_gradient(loss, scores):
    scores = scores.clone().requires_grad_()
    value = loss(scores)
    (gradient,) = torch.autograd.grad(value, scores)
    return value.detach(), gradient


def assert_same(found, expected, dtype=torch.float64):
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("_of_each_size")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@every_problem
def test_the_plain_form_is_the_closed_form(name, dtype):
    loss, scores = PROBLEMS[name]()
    scores = scores.to(dtype)
    value, gradient = value_and_gradient(loss, scores)
    found, of_rows = torch.func.grad_and_value(loss)(scores)[::-1]
    assert found.dtype == dtype
    assert_same((found, of_rows), (value, gradient), dtype)
    rows = torch.func.vmap(lambda scores: loss(scores, reduction="none"), in_dims=0)
    assert_same(rows(scores[None])[0], loss(scores, reduction="none"), dtype)
    # A gradient that is to be differentiated again is the same gradient.
    variable = scores.clone().requires_grad_()
    (again,) = torch.autograd.grad(loss(variable), variable, create_graph=True)
    assert again.requires_grad
    assert_same(again.detach(), gradient, dtype)


@pytest.mark.parametrize("size", [1.0, 30.0, 1e4])
@each_loss
def test_the_plain_form_is_the_closed_form_of_extreme_scores(name, size):
    loss, scores = PROBLEMS[name]()
    for wide in (size * scores.float(), torch.full_like(scores, size).float()):
        value, gradient = value_and_gradient(loss, wide)
        of_rows, found = torch.func.grad_and_value(loss)(wide)
        torch.testing.assert_close(found, value, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(of_rows, gradient, rtol=1e-5, atol=1e-5)


@every_problem
def test_second_derivatives_pass_gradgradcheck(name):
    loss, scores = PROBLEMS[name]()
    scores = scores.requires_grad_()
    assert torch.autograd.gradcheck(loss, scores, fast_mode=True)
    assert torch.autograd.gradgradcheck(loss, scores, fast_mode=True)


@every_problem
def test_transforms_of_torch_func(name):
    loss, scores = PROBLEMS[name]()
    _, gradient = value_and_gradient(loss, scores)
    direction = torch.linspace(-1, 1, scores.numel(), dtype=scores.dtype).view_as(scores)
    _, slope = torch.func.jvp(loss, (scores,), (direction,))
    assert_same(slope, (gradient * direction).sum())
    hessian = torch.func.hessian(loss)(scores)
    variable = scores.clone().requires_grad_()
    (again,) = torch.autograd.grad(loss(variable), variable, create_graph=True)
    (product,) = torch.autograd.grad(again, variable, direction)
    assert_same(torch.tensordot(hessian, direction, direction.ndim), product)


@each_loss
def test_forward_mode(name):
    loss, scores = PROBLEMS[name]()
    _, gradient = value_and_gradient(loss, scores)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(loss(forward_ad.make_dual(scores, torch.ones_like(scores))))
        assert_same(found.tangent, gradient.sum())


def test_gradients_of_each_row_by_vmap():
    scores, targets = random_scores(0), torch.eye(N_ROWS, N_LABELS)
    found = torch.func.vmap(torch.func.grad(losses.mlce_loss))(scores, targets)
    for row, label, gradient in zip(scores, targets, found, strict=True):
        assert_same(gradient, value_and_gradient(lambda s, t=label: losses.mlce_loss(s, t), row)[1])


@each_loss
def test_second_derivatives_pass_gradgradcheck_entry_by_entry(name):
    loss, scores = PROBLEMS[name]()
    assert torch.autograd.gradgradcheck(loss, scores.requires_grad_())


@pytest.mark.slow
@each_loss
def test_compiles_as_one_graph(name):
    loss, scores = PROBLEMS[name]()
    expected = value_and_gradient(loss, scores)
    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert_same(value_and_gradient(compiled, scores), expected)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the CPU with g++")
# Inductor's own module of threads is old.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiles_to_machine_code():
    """Two losses in one graph: to compile another one takes longer than all else here."""
    problems = [PROBLEMS[name]() for name in ("mlce, unknown", "focal, balanced, unknown")]

    def both(*scores):
        return [problem.loss(each) for problem, each in zip(problems, scores, strict=True)]

    torch._dynamo.reset()
    scores = [problem.scores.clone().requires_grad_() for problem in problems]
    with inductor_config.patch(compile_threads=1):  # in this process: others import torch first
        values = torch.compile(both, fullgraph=True)(*scores)
        gradients = torch.autograd.grad(sum(values), scores)
    for problem, value, gradient in zip(problems, values, gradients, strict=True):
        expected = value_and_gradient(problem.loss, problem.scores)
        assert_same((value.detach(), gradient), expected)


class _Graph(nn.Module):
    """A loss that torch.export sees as a module."""

    def __init__(self, loss):
        super().__init__()
        self._loss = loss

    def forward(self, scores):
        return self._loss(scores)


@pytest.mark.slow
@every_problem
def test_exports(name):
    loss, scores = PROBLEMS[name]()
    program = torch.export.export(_Graph(loss), (scores,))
    other = scores.flip(0)
    assert_same(program.module()(other), loss(other))


class _Network(nn.Module):
    """Features to the loss: what a training step compiles or exports."""

    def __init__(self, loss):
        super().__init__()
        self.linear = nn.Linear(6, N_LABELS)
        self.loss = loss

    def forward(self, features, targets):
        return self.loss(self.linear(features), targets)


MODULES = {
    "mlce": lambda: losses.MLCELoss(label_weight=torch.rand(N_LABELS), scale=2.0, margin=0.5),
    "pairwise": lambda: losses.PairwiseLoss(scale=2.0),
    "focal": lambda: losses.FocalLoss(),
    "class-balanced": lambda: losses.ClassBalancedFocalLoss(torch.arange(N_LABELS)),
    "distribution-balanced": lambda: losses.DistributionBalancedLoss(torch.arange(N_LABELS), 90),
    "asymmetric": lambda: losses.AsymmetricLoss(),
    "bce": lambda: losses.BinaryCrossEntropyLoss(pos_weight=torch.rand(N_LABELS)),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_network_with_its_loss_exports_with_any_number_of_rows(name):
    torch.manual_seed(0)
    network = _Network(MODULES[name]())
    arguments = torch.randn(4, 6), torch.eye(4, N_LABELS)
    rows = torch.export.Dim("rows", min=2)
    program = torch.export.export(network, arguments, dynamic_shapes=({0: rows}, {0: rows}))
    for n_rows in (4, 9):
        arguments = torch.randn(n_rows, 6), torch.eye(n_rows, N_LABELS)
        assert_same(program.module()(*arguments), network(*arguments), torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_a_compiled_network_is_trained_as_another(name):
    torch.manual_seed(0)
    network = _Network(MODULES[name]())
    torch._dynamo.reset()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True, dynamic=True)
    for n_rows in (4, 9):
        arguments = torch.randn(n_rows, 6), torch.eye(n_rows, N_LABELS)
        gradients = [
            torch.autograd.grad(step(*arguments), list(network.parameters()))
            for step in (network, compiled)
        ]
        assert_same(*gradients, torch.float32)


@each_loss
def test_fake_and_meta_tensors(name):
    loss, scores = PROBLEMS[name]()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(scores.float())
        assert loss(fake).shape == ()
        assert loss(fake, reduction="none").shape == (N_ROWS,)
        assert loss(fake).dtype == torch.float32
    graph = make_fx(loss)(scores)
    assert_same(graph(scores), loss(scores))


@pytest.mark.parametrize("targets", [torch.eye(3, 4), torch.rand(3, 4), torch.eye(3, 4).bool()])
@pytest.mark.parametrize(
    "function",
    [
        losses.mlce_loss,
        losses.pairwise_loss,
        losses.focal_loss,
        losses.asymmetric_loss,
        losses.binary_cross_entropy_loss,
    ],
)
def test_meta_tensors_have_a_meta_loss(function, targets):
    scores = torch.empty(3, 4, device="meta", requires_grad=True)
    loss = function(scores, targets.to("meta"), sample_weight=torch.ones(3, device="meta"))
    loss.backward()
    assert loss.device.type == scores.grad.device.type == "meta"
    assert scores.grad.shape == scores.shape


def test_where_operations_are_traced():
    scores = torch.zeros(2, 3)
    assert not is_traced(scores, nn.Parameter(scores))
    assert is_traced(scores.to("meta"))
    assert not is_traced(torch.Tensor._make_subclass(_Subclass, scores))
    assert is_traced(scores, torch.Tensor._make_subclass(_DispatchingSubclass, scores))
    seen = []

    def note(scores):
        seen.append(is_traced(scores))
        return scores.sum()

    torch.func.grad(note)(scores)
    torch.func.vmap(note)(scores)
    make_fx(note)(scores)
    torch.compile(lambda scores: scores + is_traced(scores), backend="eager", fullgraph=True)
    with FakeTensorMode(allow_non_fake_inputs=True):
        note(scores)
    with forward_ad.dual_level():
        note(scores)
    torch.jit.trace(note, scores, check_trace=False)
    assert seen == [True] * 6
    note(scores)
    assert not seen[-1]


class _Subclass(torch.Tensor):
    pass


class _DispatchingSubclass(torch.Tensor):
    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def test_values_are_checked_where_they_can_be_read():
    scores, wrong = torch.zeros(2, 3), torch.full((2, 3), 2.0)
    with pytest.raises(ValueError, match="targets must be 0, 1, a number between"):
        losses.mlce_loss(scores, wrong)
    assert torch.func.grad(losses.mlce_loss)(scores, wrong).isfinite().all()
    # Shapes and options always are.
    with pytest.raises(ValueError, match="they must be the same"):
        torch.func.grad(losses.mlce_loss)(scores, wrong[:1])


def test_a_penalty_on_the_gradient_is_learned():
    torch.manual_seed(0)
    network = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    features, targets = torch.randn(32, 4), torch.eye(3)[torch.arange(32) % 3]
    norms = []
    for _ in range(20):
        optimizer.zero_grad()
        variable = features.clone().requires_grad_()
        loss = losses.mlce_loss(network(variable), targets)
        (gradient,) = torch.autograd.grad(loss, variable, create_graph=True)
        penalty = gradient.square().sum()
        (loss + 100 * penalty).backward()
        optimizer.step()
        norms.append(penalty.item())
    assert norms[-1] < norms[0] / 10
