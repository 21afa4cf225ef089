"""Steps of the training loop: schedule, clipping, optimiser, precision, memory."""

import tracemalloc
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from sklearn_mlce._estimators.mlp import MLCEMLP
from sklearn_mlce._network import batches as batches_module
from sklearn_mlce._network import optimizer as optimizer_module
from sklearn_mlce._network import plan
from sklearn_mlce._network.optimizer import FusedAdamW
from sklearn_mlce._network.plan import SCHEDULES, one_cycle

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 6))
Y = (X @ RNG.standard_normal((6, 4)) + RNG.standard_normal((120, 4)) > 0.7).astype(int)


def small(**parameters):
    """Return an estimator that trains in a moment, in four batches per epoch."""
    defaults = {"hidden_layer_sizes": (8,), "batch_size": 30, "max_epochs": 4, "random_state": 0}
    return MLCEMLP(**(defaults | {"learning_rate": "constant"} | parameters))


def assert_same_weights(left, right):
    assert left.state_dict_.keys() == right.state_dict_.keys()
    for name, array in left.state_dict_.items():
        np.testing.assert_array_equal(array, right.state_dict_[name])


class Recorder(Callback):
    """Records the step size and the gradient's norm at each step."""

    rates: list = []  # noqa: RUF012  (shared with the copies that fits make)
    norms: list = []  # noqa: RUF012

    def on_grad_computed(self, net, named_parameters, **kwargs):
        gradients = [parameter.grad for _, parameter in named_parameters]
        self.norms.append(float(torch.sqrt(sum(g.square().sum() for g in gradients))))
        self.rates.extend({group["lr"] for group in net.optimizer_.param_groups})


@pytest.fixture
def recorder():
    Recorder.rates, Recorder.norms = [], []
    return Recorder()


@pytest.mark.parametrize("n_steps", [1, 2, 19, 1000])
def test_one_cycle_rises_and_then_falls(n_steps):
    factors = [one_cycle(step, n_steps) for step in range(n_steps)]
    peak = int(np.argmax(factors))
    assert factors[peak] == 1
    assert peak <= 0.05 * n_steps
    assert (np.diff(factors[: peak + 1]) > 0).all()
    assert (np.diff(factors[peak:]) < 0).all()
    assert min(factors) > 0
    assert n_steps < 1000 or factors[-1] < 1e-4


def test_steps_follow_the_schedule(recorder):
    small(learning_rate="one_cycle", learning_rate_init=0.01, callbacks=[recorder]).fit(X, Y)
    expected = [0.01 * SCHEDULES["one_cycle"](step, 16) for step in range(16)]
    np.testing.assert_allclose(recorder.rates, expected)
    recorder.rates.clear()
    small(learning_rate_init=0.01, callbacks=[recorder]).fit(X, Y)
    assert set(recorder.rates) == {0.01}


class Interruption(Callback):
    """Interrupts the third epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:.*interrupted")
def test_a_resumed_cycle_goes_on_where_it_was(tmp_path):
    parameters = {"learning_rate": "one_cycle", "learning_rate_init": 0.01, "max_epochs": 6}
    at_once = small(**parameters).fit(X, Y)
    stopped = small(**parameters, checkpoint_dir=tmp_path, callbacks=[Interruption()])
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y)
    resumed = small(**parameters, checkpoint_dir=tmp_path, resume=True).fit(X, Y)
    assert_same_weights(at_once, resumed)


def test_partial_fit_keeps_the_step_size_and_the_moments():
    constant, cycle = small(), small(learning_rate="one_cycle")
    for model in (constant, cycle):
        for chunk in (slice(0, 60), slice(60, 120), slice(0, 60)):
            model.partial_fit(X[chunk], Y[chunk])
    assert_same_weights(constant, cycle)
    steps = {float(moments["step"]) for moments in cycle.optimizer_state_.values()}
    assert steps == {6.0}


def test_gradients_are_clipped(recorder):
    small(callbacks=[recorder]).fit(X, Y)
    free = np.array(recorder.norms)
    recorder.norms.clear()
    small(gradient_clipping=free.min() / 2, callbacks=[recorder]).fit(X, Y)
    np.testing.assert_allclose(recorder.norms, free.min() / 2, rtol=1e-4)
    assert_same_weights(small(gradient_clipping=1e6).fit(X, Y), small().fit(X, Y))


@pytest.mark.parametrize("has_the_kernel", [True, False])
def test_the_optimizer_is_torchs(has_the_kernel, monkeypatch):
    if not has_the_kernel:
        monkeypatch.setattr(optimizer_module, "_fused_adamw", None)
    twins = []
    for make in (FusedAdamW, partial(torch.optim.AdamW, fused=True)):
        weights = [torch.linspace(-1, 1, n).reshape(-1, 3).requires_grad_() for n in (12, 3)]
        groups = [{"params": weights[:1], "weight_decay": 0.1}, {"params": weights[1:]}]
        steps = make(groups, lr=0.1, weight_decay=0.0)
        for number in range(4):
            for group in steps.param_groups:
                group["lr"] = 0.1 / (number + 1)
            for weight in weights:
                weight.grad = (weight.detach() * 3).cos() + number
            steps.step()
        moments = [value for weight in weights for value in steps.state[weight].values()]
        twins.append([*weights, *moments])
    for ours, torchs in zip(*twins, strict=True):
        assert torch.equal(ours, torchs)


def test_torch_has_the_kernel_of_the_optimizer():
    """Where this fails fits still work, but take about 1.15 of the time: time them anew."""
    assert optimizer_module._fused_adamw is not None


@pytest.mark.parametrize("first", [True, False])
def test_training_goes_on_with_either_step_of_the_optimizer(first, monkeypatch, tmp_path):
    options = {"max_epochs": 4, "checkpoint_dir": tmp_path, "warm_start": True}
    whole = small(**options).fit(X, Y)
    kernel = optimizer_module._fused_adamw
    monkeypatch.setattr(optimizer_module, "_fused_adamw", kernel if first else None)
    cut = small(**options, callbacks=[Interruption()])
    with pytest.raises(KeyboardInterrupt), pytest.warns(ConvergenceWarning):
        cut.fit(X, Y)
    monkeypatch.setattr(optimizer_module, "_fused_adamw", None if first else kernel)
    resumed = small(**options, resume=True).fit(X, Y)
    assert_same_weights(resumed, whole)
    for name, moments in whole.optimizer_state_.items():
        for key, array in moments.items():
            np.testing.assert_array_equal(array, resumed.optimizer_state_[name][key])


def test_precision_is_refused_where_it_is_of_no_use(monkeypatch):
    monkeypatch.setattr(plan, "_has_bfloat16", lambda device: False)
    with pytest.raises(ValueError, match=r"this cpu has no instructions.* Set precision='auto'"):
        small(precision="mixed").fit(X, Y)


def test_automatic_precision(monkeypatch):
    resolve, cuda = plan.resolve_precision, torch.device("cuda")
    monkeypatch.setattr(plan, "_has_bfloat16", lambda device: True)
    assert resolve("auto", cuda)
    assert not resolve("auto", CPU)
    assert not resolve("full", cuda)
    monkeypatch.setattr(plan, "_has_bfloat16", lambda device: False)
    assert not resolve("auto", cuda)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_training_in_float32_keeps_the_precision_of_the_rows(container):
    """Doubles are scaled as doubles, even far from zero, and predicted as doubles."""
    rows = container(np.maximum(X, 0))
    fits = {
        (name, dtype): small(precision=name).fit(rows.astype(dtype), Y)
        for name in ("auto", "full")
        for dtype in (np.float32, np.float64)
    }
    for (name, dtype), model in fits.items():
        assert all(array.dtype == dtype for array in model.state_dict_.values())
        assert model.decision_function(rows.astype(dtype)).dtype == dtype
        held = model.state_dict_["layers.0.weight"]
        rounded = held.astype(np.float32).astype(dtype)
        assert np.array_equal(held, rounded) == (name == "auto" or dtype == np.float32)
    single, double = (fits["auto", dtype].state_dict_ for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(single["layers.0.weight"], double["layers.0.weight"], atol=1e-4)


def test_a_large_offset_does_not_drown_in_float32():
    offset = 1.7e9  # a time in seconds
    near, far = (small(max_epochs=20).fit(features, Y) for features in (X, X + offset))
    np.testing.assert_allclose(
        far.decision_function(X + offset), near.decision_function(X), atol=1e-3
    )


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_mixed_precision_is_close_to_full(container, monkeypatch):
    monkeypatch.setattr(plan, "_has_bfloat16", lambda device: True)  # emulated, if need be
    features = container(X.astype(np.float32))
    full, mixed = (
        small(precision=name, dropout=0.0, max_epochs=20, learning_rate_init=0.01).fit(features, Y)
        for name in ("full", "mixed")
    )
    assert (full.state_dict_["layers.1.weight"] != mixed.state_dict_["layers.1.weight"]).any()
    assert {array.dtype.name for array in mixed.state_dict_.values()} == {"float32"}
    np.testing.assert_allclose(full.loss_curve_, mixed.loss_curve_, rtol=0.02)


@pytest.mark.gpu
def test_gpu_trains_as_the_cpu():
    features = X.astype(np.float32)
    common = {"dropout": 0.0, "max_epochs": 20, "learning_rate_init": 0.01}
    expected = small(**common).fit(features, Y)
    model = small(**common, device="cuda", precision="mixed").fit(features, Y)
    np.testing.assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=0.02)
    assert (model.predict(features) == expected.predict(features)).mean() > 0.95


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_memory_map_is_not_loaded_whole(early_stopping, tmp_path, monkeypatch):
    monkeypatch.setattr(batches_module, "_BLOCK_BYTES", 2**18)
    shape = (4096, 512)  # 8 MiB
    on_disk = np.memmap(tmp_path / "X.dat", dtype=np.float32, mode="w+", shape=shape)
    on_disk[:] = np.random.default_rng(0).standard_normal(shape)
    on_disk.flush()
    features = np.memmap(tmp_path / "X.dat", dtype=np.float32, mode="r", shape=shape)
    labels = (features[:, :3] > 0.5).astype(int)
    model = small(early_stopping=early_stopping, max_epochs=2, batch_size=64)
    clone(model).fit(features[:64], labels[:64])  # what a first fit loads is not counted
    tracemalloc.start()
    try:
        model.fit(features, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < on_disk.nbytes / 2
    in_memory = small(early_stopping=early_stopping, max_epochs=2, batch_size=64)
    monkeypatch.setattr(batches_module, "_BLOCK_BYTES", 2**24)
    assert_same_weights(model, in_memory.fit(np.array(features), labels))
