"""`MLCEMLP(module=...)`: a network of the user's, all else as for the perceptron."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skops import io as skops
from skorch.callbacks import Callback
from torch import nn

from sklearn_mlce import MLCEMLP
from sklearn_mlce._network import plan
from sklearn_mlce._utils.random import draw_seed
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.losses import FocalLoss
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import assert_same_scores, labelled_rows, single_labels
from tests.helpers.modules import ResidualNet, assert_same_outputs, normalised_net, small_net
from tests.helpers.pairwise import parametrize_pairwise
from tests.network.test_checkpoints import MODES, Kill, Killed, assert_same_fit

X, Y = labelled_rows()
TARGETS = {
    **single_labels(Y),
    "multilabel": Y,
    "sparse": sp.csr_array(Y),
    "frame": pd.DataFrame(Y, columns=list("abcd")),
    "soft": np.clip(Y * 0.8 + 0.1, 0, 1),
    "multioutput": np.column_stack([Y[:, :2].sum(axis=1), 5 * Y[:, 2:].sum(axis=1)]),
}


def with_module(module=small_net, **parameters):
    defaults = {"max_epochs": 3, "random_state": 0, "learning_rate": "constant"}
    return MLCEMLP(module=module, **(defaults | parameters))


@parametrize_pairwise(
    kind=TARGETS,
    module=[small_net, normalised_net, ResidualNet],
    form=[np.asarray, sp.csr_array, pd.DataFrame],
    dtype=[np.float32, np.float64],
)
def test_learns_every_kind_of_y(kind, module, form, dtype):
    features, y = form(X.astype(dtype)), TARGETS[kind]
    if form is pd.DataFrame:
        features.columns = list("uvwxyz")
    model = with_module(module, max_epochs=25, learning_rate_init=0.02).fit(features, y)
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert model.predict(features).shape == y.shape
    if kind != "soft":
        assert model.score(features, y) > 0.3
    assert all(array.dtype in (dtype, np.int64) for array in model.state_dict_.values())


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "sparse"])
def test_is_trained_as_the_perceptron_is(form):
    """The same first weights in a module of torch's layers end as the same network."""
    rows = form(np.where(np.abs(X) > 1, X, 0))
    options = {"max_epochs": 5, "random_state": 0, "precision": "full"}
    built_in = MLCEMLP(8, dropout=0, **options).fit(rows, Y)

    def same_start(n_features, n_outputs):
        generator = torch.Generator().manual_seed(draw_seed(0))
        layers = [nn.Linear(n_features, 8), nn.Linear(8, n_outputs)]
        for layer in layers:
            n_out, n_in = layer.weight.shape
            drawn = torch.empty(n_in, n_out, dtype=torch.float64)
            bound = (6 / (n_in + n_out)) ** 0.5
            layer.double().weight.data = drawn.uniform_(-bound, bound, generator=generator).T
            layer.bias.data.zero_()
        return nn.Sequential(layers[0], nn.SiLU(), layers[1])

    model = MLCEMLP(module=same_start, **options).fit(rows, Y)
    np.testing.assert_allclose(model.loss_curve_, built_in.loss_curve_, rtol=1e-9)
    assert_same_scores(model, built_in, rows)


def test_sparse_rows_are_dense_to_the_module():
    rows = np.where(np.abs(X) > 1, X, 0)
    for scaling in ("overall", None):
        model = with_module(ResidualNet, input_scaling=scaling)
        dense, sparse = clone(model).fit(rows, Y), model.fit(sp.csr_array(rows), Y)
        assert_same_scores(dense, sparse, rows, sp.csr_array(rows))


@parametrize_pairwise(
    loss=["auto", "mlce", "bce", "squared_hinge", "focal", "distribution_balanced", FocalLoss()],
    learn_threshold=[False, True],
    weighted=[False, True],
)
def test_losses_and_the_learned_threshold(loss, learn_threshold, weighted):
    model = with_module(loss=loss, learn_threshold=learn_threshold, max_epochs=20)
    weight = np.linspace(0.1, 2, len(X)) if weighted else None
    model.fit(X, Y, sample_weight=weight)
    assert model.state_dict_["module.2.bias"].shape == (4 + learn_threshold,)
    assert model.decision_function(X).shape == Y.shape
    assert model.loss_curve_[-1] < model.loss_curve_[0]


def test_a_known_number_of_labels():
    model = with_module(loss="pairwise", n_labels_per_row=2).fit(X, Y)
    assert (model.predict(X).sum(axis=1) == 2).all()


def test_starts_at_the_best_constant_scores():
    zero = {"learning_rate_init": 1e-12, "max_epochs": 1, "input_scaling": None}
    perceptron = MLCEMLP((), random_state=0, **zero).fit(X, Y).state_dict_["layers.0.bias"]
    model = with_module(**zero).fit(X, Y)
    np.testing.assert_allclose(model.state_dict_["module.2.bias"], perceptron, rtol=1e-6)
    other = with_module(ResidualNet, **zero).fit(X, Y)  # whose last parameter is another
    assert (np.abs(other.state_dict_["module.output.bias"] - perceptron) > 1e-3).all()


@pytest.mark.parametrize(
    ("mode", "container"),
    [("plain", np.asarray), ("warm", sp.csr_array), ("scorer", np.asarray)],
)
def test_a_killed_run_goes_on_to_the_same_weights(mode, container, tmp_path):
    def make(directory, **parameters):
        options = {"batch_size": 16, "max_epochs": 5, "random_state": 3} | MODES[mode]
        checkpoint = {"checkpoint_dir": tmp_path / directory}
        return MLCEMLP(module=normalised_net, **(options | checkpoint | parameters))

    features = container(X)
    whole = make("whole").fit(features, Y)
    with pytest.raises(Killed):
        make("cut", callbacks=[Kill(3)]).fit(features, Y)
    assert_same_fit(make("cut", resume=True).fit(features, Y), whole)


def wider_net(n_features, n_outputs):
    return nn.Sequential(nn.Linear(n_features, 9), nn.ReLU(), nn.Linear(9, n_outputs))


def other_activation(n_features, n_outputs):
    return nn.Sequential(nn.Linear(n_features, 8), nn.LeakyReLU(0.2), nn.Linear(8, n_outputs))


@pytest.mark.parametrize("other", [wider_net, other_activation, None])
def test_another_structure_is_another_fit(other, tmp_path):
    model = with_module(checkpoint_dir=tmp_path).fit(X, Y)
    with pytest.raises(ValueError, match=r"checkpoint of another fit: .*structure"):
        clone(model).set_params(module=other, resume=True).fit(X, Y)
    model.set_params(module=other, warm_start=True, checkpoint_dir=None)
    before = model.decision_function(X)
    with pytest.raises(ValueError, match=r"cannot go on: the network has the module \[.*8"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.decision_function(X), before)  # set_params changes nothing


@pytest.mark.parametrize("module", [small_net, normalised_net])
def test_going_on_is_as_if_training_had_not_stopped(module):
    whole = with_module(module, max_epochs=6).fit(X, Y)
    parts = with_module(module, warm_start=True).fit(X, Y).fit(X, Y)
    assert_same_scores(parts, whole, X)
    stream = with_module(module, batch_size=len(X), max_epochs=2).fit(X, Y)
    chunks = with_module(module, batch_size=len(X)).partial_fit(X, Y).partial_fit(X, Y)
    assert_same_scores(chunks, stream, X)
    assert chunks.n_iter_ == 2


def test_early_stopping_keeps_the_best_epoch():
    model = with_module(
        normalised_net,
        early_stopping=True,
        scoring="f1_micro",
        max_epochs=12,
        n_iter_no_change=4,
        learning_rate_init=0.05,
    )
    model.fit(X[:60], Y[:60], X_val=X[60:], y_val=Y[60:])
    assert model.best_epoch_ == 1 + np.argmax(model.validation_scores_)
    shorter = clone(model).set_params(max_epochs=model.best_epoch_)
    shorter.fit(X[:60], Y[:60], X_val=X[60:], y_val=Y[60:])
    assert_same_scores(model, shorter, X)


def test_global_generators_are_left_alone_and_do_not_matter():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = with_module(normalised_net).fit(X, Y)
    first.predict(X)
    first.to_torch()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert_same_scores(with_module(normalised_net).fit(X, Y), first, X)
    other = with_module(normalised_net, random_state=1).fit(X, Y)
    assert (other.decision_function(X) != first.decision_function(X)).any()


def test_dropout_differs_from_batch_to_batch_and_from_epoch_to_epoch():
    drawn = []

    class Noisy(nn.Module):
        def __init__(self, n_features, n_outputs):
            super().__init__()
            self.linear = nn.Linear(n_features, n_outputs)

        def forward(self, x):
            if self.training:
                drawn.append(torch.rand(()).item())
            return self.linear(x)

    with_module(Noisy, batch_size=45).fit(X, Y)
    assert len(set(drawn)) == len(drawn) == 6


def test_a_failure_in_the_module_leaves_the_generators_alone():
    def failing(n_features, n_outputs):
        net = small_net(n_features, n_outputs)
        net.register_forward_pre_hook(lambda *_: 1 / 0)
        return net

    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        with_module(failing).fit(X, Y)
    assert torch.equal(torch.get_rng_state(), before)


def test_fits_in_threads_are_those_made_one_after_the_other():
    def fit(seed):
        return with_module(normalised_net, random_state=seed).fit(X, Y)

    alone = [fit(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for model, other in zip(threads.map(fit, range(4)), alone, strict=True):
            assert_same_scores(model, other, X)


@pytest.mark.parametrize("n_rows", [65, 33, 32, 31, 2])
def test_batch_norm_never_meets_a_batch_of_one_row(n_rows):
    model = with_module(normalised_net, batch_size=32, early_stopping=False)
    model.fit(X[:n_rows], Y[:n_rows])
    n_batches = model.state_dict_["module.1.num_batches_tracked"]
    assert n_batches == 3 * (2 if n_rows == 65 else 1)
    assert n_batches.dtype == np.int64
    assert np.isfinite(model.decision_function(X[:1])).all()


def test_one_row_is_refused_by_batch_norm_and_the_last_fit_kept():
    model = with_module(normalised_net).fit(X, Y)
    before = model.decision_function(X)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        model.partial_fit(X[:1], Y[:1])
    np.testing.assert_array_equal(model.decision_function(X), before)


def frozen_part(n_features, n_outputs):
    """Return a network with a part that is not trained, and one that takes no part."""
    net = small_net(n_features, n_outputs)
    net[0].requires_grad_(False)
    net[1].unused = nn.Parameter(torch.ones(3, 3))
    return net


def test_frozen_and_unused_weights_stay(tmp_path):
    options = {"batch_size": 16, "warm_start": True, "gradient_clipping": 1.0}
    model = with_module(frozen_part, **options, checkpoint_dir=tmp_path).fit(X, Y)
    fresh = with_module(frozen_part, **options, learning_rate_init=1e-12, max_epochs=1).fit(X, Y)
    for name in ("module.0.weight", "module.0.bias", "module.1.unused"):
        np.testing.assert_array_equal(model.state_dict_[name], fresh.state_dict_[name])
    assert (model.state_dict_["module.2.weight"] != fresh.state_dict_["module.2.weight"]).all()
    resumed = clone(model).set_params(resume=True).fit(X, Y)
    assert_same_fit(resumed, model)
    assert_same_scores(model.fit(X, Y), resumed.fit(X, Y), X)


def test_weights_of_the_same_options_make_one_step():
    groups = []

    class Look(Callback):
        def on_train_begin(self, net, **kwargs):
            groups.extend(net.optimizer_.param_groups)

    with_module(normalised_net, callbacks=[Look()]).fit(X, Y)
    assert [len(group["params"]) for group in groups] == [2, 4]


def test_weight_decay_is_for_matrices():
    huge = {"alpha": 1e6, "learning_rate_init": 1e-7, "max_epochs": 1, "batch_size": len(X)}
    weights = with_module(normalised_net, **huge).fit(X, Y).state_dict_
    plain = with_module(normalised_net, **(huge | {"alpha": 0})).fit(X, Y).state_dict_
    for name, part in weights.items():
        shrunk = part.ndim == 2
        np.testing.assert_allclose(part, plain[name] * (0.9 if shrunk else 1), atol=1e-6)


@pytest.mark.parametrize("module", [small_net, normalised_net, ResidualNet])
def test_stored_and_loaded(module):
    model = with_module(module).fit(X, Y)
    assert_same_scores(pickle.loads(pickle.dumps(model)), model, X)
    stored = skops.dumps(model)
    names = skops.get_untrusted_types(data=stored)
    assert set(names) == {"sklearn_mlce.MLCEMLP", f"tests.helpers.modules.{module.__name__}"}
    assert_same_scores(skops.loads(stored, trusted=names), model, X)


def test_predicts_with_what_was_fitted_and_says_where_that_is_another():
    made = {"width": 8}

    def changing(n_features, n_outputs):
        width = made["width"]
        return nn.Sequential(nn.Linear(n_features, width), nn.Linear(width, n_outputs))

    model = with_module(changing).fit(X, Y)
    before = model.decision_function(X)
    model.set_params(module=small_net)
    np.testing.assert_array_equal(model.decision_function(X), before)
    made["width"] = 9
    with pytest.raises(ValueError, match=r"0: Linear\(.*out_features=8.* at the fit; .* now\. R"):
        model.predict(X)


class RandomFeatures(nn.Module):
    """What is drawn and not stored, or shown by its address, is the same again."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.frequencies = torch.randn(n_features, 16, dtype=torch.float64)
        self.linear = nn.Linear(16, n_outputs)

    def extra_repr(self):
        return f"phase={object()}"

    def forward(self, x):
        """Scores of rows."""
        return self.linear(torch.cos(x @ self.frequencies.to(x.dtype)))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_what_a_module_draws_without_storing_it_is_kept(early_stopping):
    last = []

    class Keep(Callback):
        def on_train_end(self, net, **kwargs):
            last.append(net.module_)

    options = {"early_stopping": early_stopping, "max_epochs": 8, "precision": "full"}
    model = with_module(RandomFeatures, scoring="f1_micro", callbacks=[Keep()], **options)
    model.fit(X, Y)
    if not early_stopping:
        with torch.no_grad():
            expected = last[0](torch.from_numpy(X)).numpy()
        np.testing.assert_allclose(model.decision_function(X), expected, rtol=1e-12)
    model.set_params(callbacks=None)
    loaded = pickle.loads(pickle.dumps(model))
    assert_same_scores(loaded, model, X)
    assert_same_outputs(model, X)
    if early_stopping:
        return
    first, second = (slice(None, 60), slice(60, None))
    streamed = with_module(RandomFeatures, random_state=None).partial_fit(X[first], Y[first])
    kept = streamed.decision_function(X)
    streamed.set_params(learning_rate_init=1e-12).partial_fit(X[second], Y[second])
    np.testing.assert_allclose(streamed.decision_function(X), kept, atol=1e-6)


def test_weights_that_others_use_are_copied():
    pretrained, vectors = small_net(6, 4).double(), torch.randn(4, 6, dtype=torch.float64)

    class FromVectors(nn.Module):
        def __init__(self, n_features, n_outputs):
            super().__init__()
            self.weight = nn.Parameter(vectors)

        def forward(self, x):
            return x @ self.weight.T

    before = [part.detach().clone() for part in (*pretrained.parameters(), vectors)]
    options = {"precision": "full", "learning_rate_init": 0.05, "early_stopping": True}
    for module in (lambda *_: pretrained, FromVectors):
        first = with_module(module, scoring="f1_micro", **options).fit(X, Y)
        assert_same_scores(with_module(module, scoring="f1_micro", **options).fit(X, Y), first, X)
        assert first.best_epoch_ == 1 + np.argmax(first.validation_scores_)
    for part, old in zip((*pretrained.parameters(), vectors), before, strict=True):
        assert torch.equal(part, old)
    assert pretrained.training


def test_in_searches_and_wrappers():
    search = GridSearchCV(with_module(), {"module": [small_net, ResidualNet]}, cv=2).fit(X, Y)
    assert search.best_params_["module"] in (small_net, ResidualNet)
    for wrapper in (Tuned, Calibrated):
        model = wrapper(with_module(), cv=2, random_state=0).fit(X, Y)
        found = model.to_torch()(torch.from_numpy(X)).detach().numpy()
        np.testing.assert_allclose(found, model.decision_function(X), rtol=0, atol=1e-6)


def test_defaults_of_torch_are_left_alone_and_do_not_matter():
    model = with_module(normalised_net).fit(X, Y)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        other = with_module(normalised_net).fit(X, Y)
        assert_same_outputs(other, X)
    finally:
        torch.set_default_dtype(before)
    assert other.state_dict_["module.0.weight"].shape == model.state_dict_["module.0.weight"].shape


def test_many_rows_are_predicted_in_passes():
    model = with_module().fit(X, Y)
    many = np.tile(X, (100, 1))
    np.testing.assert_allclose(
        model.decision_function(many), np.tile(model.decision_function(X), (100, 1)), rtol=1e-12
    )


def too_few(n_features, n_outputs):
    return nn.Linear(n_features, n_outputs - 1)


class Pair(nn.Module):
    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.linear = nn.Linear(n_features, n_outputs)

    def forward(self, x):
        return self.linear(x), x


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x).detach()


REFUSED = {
    "no module": (
        lambda *_: np.ones(3),
        TypeError,
        r"module\(6, 4\) made a ndarray; exp",
    ),
    "an instance": (
        small_net(6, 4),
        TypeError,
        "is a Sequential, which fits would share; .* def",
    ),
    "no function": ("resnet", ValueError, "The 'module' parameter"),
    "no parameters": (lambda *_: nn.ReLU(), ValueError, "a ReLU without parameters to train"),
    "lazy": (
        lambda _, n_outputs: nn.LazyLinear(n_outputs),
        ValueError,
        r"made a LazyLinear with lazy layers, .* Type nn\.Linear",
    ),
    "cut off": (Detached, ValueError, r"Detached, .* returned scores that do not depend on its"),
    "frozen": (lambda *s: nn.Linear(*s).requires_grad_(False), ValueError, "without parameters"),
    "too few scores": (
        too_few,
        ValueError,
        r"of shape \(32, 3\) for 32 rows; .* \(32, 4\)",
    ),
    "a pair": (Pair, ValueError, "returned tuple for 32 rows; expected a tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_keeps_the_last_fit(name):
    module, error, message = REFUSED[name]
    model = with_module().fit(X, Y)
    before = model.decision_function(X)
    with pytest.raises(error, match=message):
        model.set_params(module=module).fit(X, Y)
    np.testing.assert_array_equal(model.decision_function(X), before)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_layer_sizes", (8,)), ("activation", "relu"), ("dropout", 0.1)],
)
def test_the_shape_of_the_perceptron_is_refused_beside_a_module(name, value):
    with pytest.raises(ValueError, match=rf"{name}=.* shapes the perceptron, .* Set {name}"):
        with_module(**{name: value}).fit(X, Y)
    assert with_module(hidden_layer_sizes=[256]).fit(X, Y).n_iter_ == 3


@pytest.mark.gpu
def test_on_a_gpu():
    before = torch.cuda.get_rng_state()
    model = with_module(normalised_net, device="cuda", precision="full").fit(X, Y)
    again = with_module(normalised_net, device="cuda:0", precision="full").fit(X, Y)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    np.testing.assert_allclose(model.decision_function(X), again.decision_function(X), atol=1e-6)
    on_gpu = model.decision_function(X)
    moved = pickle.loads(pickle.dumps(model)).set_params(device="cpu")
    np.testing.assert_allclose(moved.decision_function(X), on_gpu, rtol=1e-6, atol=1e-6)
    rows = torch.from_numpy(X).cuda()
    found = model.to_torch().cuda()(rows).detach().cpu().numpy()
    np.testing.assert_allclose(found, on_gpu, rtol=1e-6, atol=1e-6)


def test_mixed_precision(monkeypatch):
    monkeypatch.setattr(plan, "_has_bfloat16", lambda device: True)  # emulated, if need be
    seen = set()

    class Look(nn.Module):
        def __init__(self, n_features, n_outputs):
            super().__init__()
            self.linear = nn.Linear(n_features, n_outputs)

        def forward(self, x):
            scores = self.linear(x)
            seen.add((self.training, scores.dtype))
            return scores

    model = with_module(Look, precision="mixed").fit(X, Y)
    assert seen == {(True, torch.bfloat16)}
    full = with_module(Look, precision="full").fit(X, Y)
    np.testing.assert_allclose(model.decision_function(X), full.decision_function(X), atol=0.1)


def test_complex_scores_are_refused():
    class Complex(nn.Linear):
        def forward(self, rows):
            return super().forward(rows).to(torch.complex64)

    X, Y = labelled_rows()
    with pytest.raises(ValueError, match="returned a tensor of complex numbers of shape"):
        MLCEMLP(module=Complex, max_epochs=1).fit(X, Y)
