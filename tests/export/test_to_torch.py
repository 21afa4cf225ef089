"""`to_torch`: the module gives what the estimator gives, is plain torch, and loads back."""

import copy
import io

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch.utils._python_dispatch import TorchDispatchMode

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._export.best_labels import shifted_to_best
from sklearn_mlce._export.decided import BestAndAbove, BestLabels, HighestExpectedF1
from sklearn_mlce._targets import top_k
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.decisions import MultilabelDecisionClassifier as Decided
from sklearn_mlce.decisions._expected_f1 import quadrature_of
from sklearn_mlce.decisions._rules import best_and_others, best_f1_of_rows, best_of_rows
from sklearn_mlce.losses import FocalLoss
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, linear, mlp, single_labels
from tests.helpers.modules import ResidualNet, assert_same_outputs, normalised_net, small_net
from tests.helpers.pairwise import parametrize_pairwise

X, Y = labelled_rows()
CONSTANT = Y.copy()
CONSTANT[:, 1], CONSTANT[:, 2] = 0, 1  # never positive, always positive


def unknown():
    labels = Y.astype(float)
    labels[::7, 0] = np.nan
    return labels


TARGETS = {
    **single_labels(Y),
    "multilabel": Y,
    "sparse": sp.csr_array(Y),
    "frame": pd.DataFrame(Y, columns=list("abcd")),
    "constant": CONSTANT,
    "soft": np.clip(Y * 0.8 + 0.1, 0, 1),
    "unknown": unknown(),
    "multioutput": np.column_stack([Y[:, :2].sum(axis=1), 5 * Y[:, 2:].sum(axis=1)]),
}


def cross_validated(**parameters):
    return MLCEClassifierCV([0.1, 10.0], random_state=0, **parameters)


ESTIMATORS = {
    "linear": linear,
    "CV": cross_validated,
    "perceptron": mlp,
    "no hidden layer": lambda: mlp(hidden_layer_sizes=(), input_scaling=None),
    "deep": lambda: mlp(hidden_layer_sizes=(8, 5), activation="relu"),
    "module": lambda: mlp(hidden_layer_sizes=(256,), module=normalised_net),
}


@parametrize_pairwise(kind=TARGETS, name=ESTIMATORS, dtype=[np.float32, np.float64])
def test_gives_what_the_estimator_gives(kind, name, dtype):
    features = X.astype(dtype)
    model = ESTIMATORS[name]().fit(features, TARGETS[kind])
    assert_same_outputs(model, features)


OPTIONS = {
    "threshold": (mlp, {"learn_threshold": True}),
    "threshold of a module": (
        mlp,
        {"learn_threshold": True, "module": small_net, "hidden_layer_sizes": 256},
    ),
    "two labels a row": (mlp, {"n_labels_per_row": 2}),
    "pairwise": (linear, {"loss": "pairwise", "n_labels_per_row": 3}),
    "more labels than were trained": (linear, {"n_labels_per_row": 4}),
    "no intercept": (linear, {"fit_intercept": False}),
    "mlce": (linear, {"loss": "mlce", "scale": 3.0, "margin": (0.1, 0.6)}),
    "bce": (linear, {"loss": "bce", "scale": 3.0, "margin": 0.5}),
    "squared hinge": (linear, {"loss": "squared_hinge"}),
    "focal": (linear, {"loss": "focal"}),
    "module as loss": (mlp, {"loss": FocalLoss()}),
}


@pytest.mark.parametrize("labels", [Y, CONSTANT], ids=["varying", "constant"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options(name, labels):
    make, parameters = OPTIONS[name]
    assert_same_outputs(make(**parameters).fit(X, labels), X)


@pytest.mark.parametrize("loss", ["mlce", "bce"])
def test_soft_labels_with_margins(loss):
    model = linear(loss=loss, scale=2.0, margin=(0.3, 0.7)).fit(X, TARGETS["soft"])
    assert_same_outputs(model, X)


@pytest.mark.parametrize("loss", ["bce", "squared_hinge"])
def test_classes_one_against_the_rest(loss):
    assert_same_outputs(linear(loss=loss).fit(X, TARGETS["multiclass"]), X)


WRAPPERS = {
    "global": lambda model: Tuned(model, random_state=0),
    "per label": lambda model: Tuned(model, thresholds="per_label", random_state=0),
    "sigmoid": lambda model: Calibrated(model, cv=2, random_state=0),
    "isotonic": lambda model: Calibrated(model, method="isotonic", cv=2, random_state=0),
    "scale": lambda model: Calibrated(model, method="scale", cv=2, random_state=0),
    "ensemble": lambda model: Calibrated(model, cv=2, ensemble=True, random_state=0),
    "isotonic ensemble": lambda model: Calibrated(
        model, method="isotonic", cv=2, ensemble=True, random_state=0
    ),
    "calibrated and tuned": lambda model: Tuned(
        Calibrated(model, cv=2, random_state=0), random_state=0
    ),
}


@pytest.mark.filterwarnings("ignore:.*positives or more:UserWarning")
@parametrize_pairwise(
    name=WRAPPERS,
    kind=["binary", "multilabel", "sparse", "constant", "soft", "unknown"],
    inner=["linear", "perceptron"],
    dtype=[np.float32, np.float64],
)
def test_wrappers(name, kind, inner, dtype):
    features = X.astype(dtype)
    model = WRAPPERS[name](ESTIMATORS[inner]()).fit(features, TARGETS[kind])
    # A steep step of an isotonic map multiplies what float32 has rounded off a score.
    is_steep = "isotonic" in name and dtype == np.float32
    assert_same_outputs(model, features, allows_rounding=is_steep)


BY_ROW = ["f1_samples", "top_k", "best_and_above"]


@parametrize_pairwise(
    decision=[*BY_ROW, "f1_micro", "f1_macro"], kind=["multilabel", "constant", "binary"]
)
def test_decisions(decision, kind):
    model = Decided(linear(), decision=decision, cv=2, random_state=0).fit(X, TARGETS[kind])
    assert_same_outputs(model, X)


@pytest.mark.parametrize("decision", BY_ROW)
def test_decisions_of_classes(decision):
    assert_same_outputs(Decided(linear(), decision=decision).fit(X, TARGETS["multiclass"]), X)


RULES = {
    "top 1": lambda n_labels: (BestLabels(1, n_labels), best_of_rows, 1),
    "top 3": lambda n_labels: (BestLabels(3, n_labels), best_of_rows, 3),
    "best and above": lambda n_labels: (BestAndAbove(0.3), best_and_others, 0.3),
    **{
        f"F1, zero_division={value}": lambda n_labels, value=value: (
            HighestExpectedF1(value, n_labels, *quadrature_of(n_labels)),
            best_f1_of_rows,
            value,
        )
        for value in (0.0, 0.6, 1.0)
    },
}


@parametrize_pairwise(name=RULES, n_labels=[1, 2, 7, 40], power=[0.5, 3, 9], ties=[False, True])
def test_rules_choose_the_labels_that_numpy_chooses(name, n_labels, power, ties):
    probabilities = np.random.default_rng(0).random((50, n_labels)) ** power
    if ties:  # 0 among them; two labels of 1 and 0.5 would make two sets equally good
        probabilities = 0.97 * np.round(7 * probabilities) / 7
    rule, in_numpy, parameter = RULES[name](n_labels)
    chosen = rule(torch.from_numpy(probabilities)).numpy()
    np.testing.assert_array_equal(chosen, in_numpy(probabilities, parameter))


def test_wrappers_of_fitted_estimators():
    fitted = linear().fit(X, Y)
    search = GridSearchCV(linear(), {"C": [0.1, 1.0]}, cv=2)
    assert_same_outputs(Tuned(search, cv=2, random_state=0).fit(X, Y), X)
    assert_same_outputs(Calibrated(search.fit(X, Y), cv=2, random_state=0).fit(X, Y), X)
    assert_same_outputs(Tuned(fitted, cv="prefit", refit=False).fit(X, Y), X)
    assert_same_outputs(Calibrated(FrozenEstimator(fitted)).fit(X, Y), X)
    assert_same_outputs(Decided(FrozenEstimator(fitted), decision="f1_micro").fit(X, Y), X)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_extreme_scores_of_a_calibrator(method):
    model = Calibrated(linear(), method=method, cv=2, random_state=0).fit(X, CONSTANT)
    assert_same_outputs(model, 1e4 * X)


class LargestTensor(TorchDispatchMode):
    """Number of the entries of the largest tensor that an operation has made."""

    n_entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operation and look at what it made."""
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.n_entries = max(self.n_entries, made.numel())
        return made


def test_isotonic_maps_take_memory_for_their_knots_alone():
    module = Calibrated(linear(), method="isotonic", cv=2, random_state=0).fit(X, Y).to_torch()
    n_knots = len(module.members[0].labels)
    assert n_knots > 2 * X.shape[1]
    with LargestTensor() as largest:
        module(torch.from_numpy(X[:1]))
    assert largest.n_entries == n_knots


@pytest.mark.parametrize("make", [linear, mlp])
@pytest.mark.parametrize("fitted", [np.float32, np.float64])
def test_rows_of_the_other_precision(make, fitted):
    model = make().fit(X.astype(fitted), Y)
    other = X.astype(np.float32 if fitted is np.float64 else np.float64)
    assert_same_outputs(model, other)


def test_large_offsets_are_scaled_in_the_precision_of_the_rows():
    shifted = X + 1e9
    model = mlp().fit(shifted, Y)
    assert_same_outputs(model, shifted)


def test_fitted_on_sparse_rows():
    rows = sp.csr_array(np.where(np.abs(X) > 1, X, 0))
    for model in (linear(), mlp()):
        model.fit(rows, Y)
        x = torch.from_numpy(rows.toarray())
        found = model.to_torch()(x).detach().numpy()
        np.testing.assert_allclose(found, model.decision_function(rows), rtol=0, atol=1e-6)


def test_after_partial_fit():
    for model in (linear(solver="sgd", random_state=0), mlp()):
        for rows in (slice(0, 50), slice(50, None)):
            model.partial_fit(X[rows], Y[rows])
        assert_same_outputs(model, X)


@parametrize_pairwise(
    columns=[2, 5], k=[1, 2, 3], dtype=[torch.float32, torch.float64], constant=[False, True]
)
def test_best_labels_are_those_of_numpy(columns, k, dtype, constant):
    if k > columns:
        return
    generator = torch.Generator().manual_seed(0)
    scores = torch.randint(-3, 4, (200, columns), generator=generator).to(dtype)  # many ties
    scores[:50] += torch.rand(50, columns, generator=generator, dtype=dtype)
    if constant:
        scores[:, 0], scores[100:, 1] = -1e9, 1e9
    expected = top_k.shifted_to_best(scores.numpy(), k)
    found = shifted_to_best(scores, k)
    np.testing.assert_array_equal(found.numpy(), expected)
    assert ((found > 0).sum(dim=1) == k).all()


MODELS = {
    "linear": linear,
    "two labels a row": lambda: linear(n_labels_per_row=2),
    "perceptron": mlp,
    "module": lambda: mlp(hidden_layer_sizes=256, module=ResidualNet),
    "tuner": lambda: Tuned(mlp(), thresholds="per_label", random_state=0),
    "calibrator": lambda: Calibrated(linear(), cv=2, random_state=0),
    "isotonic": lambda: Calibrated(
        linear(), method="isotonic", cv=2, ensemble=True, random_state=0
    ),
    "decided": lambda: Decided(Calibrated(linear(), cv=2, random_state=0)),
}


@pytest.mark.parametrize("name", MODELS)
def test_is_differentiable_in_the_rows(name):
    model = MODELS[name]().fit(X, CONSTANT)
    x = torch.from_numpy(X[:5] + 0.01).requires_grad_()  # beside the knots of regressions
    for output in ("scores", "probabilities"):
        (gradient,) = torch.autograd.grad(model.to_torch(output)(x)[:, 0].sum(), x)
        assert gradient.isfinite().all()
        assert (gradient != 0).any()
    module = model.to_torch()
    assert torch.autograd.gradcheck(lambda rows: module(rows)[:, [0, 3]], x)


@pytest.mark.parametrize("name", MODELS)
def test_loads_the_weights_of_another_fit(name):
    first = MODELS[name]().fit(X, CONSTANT)
    labels = Y.copy()
    labels[:, 3] = 0  # another label is constant
    second = MODELS[name]().fit(X[::-1] * 2 + 1, labels)
    if name == "isotonic":  # as many knots as it found
        first, second = second, copy.deepcopy(second)
    module = first.to_torch()
    module.load_state_dict(second.to_torch().state_dict())
    x = torch.from_numpy(X)
    assert torch.equal(module(x), second.to_torch()(x))


def test_names_and_orientation_of_the_weights():
    state = linear().fit(X, Y).to_torch().state_dict()
    assert {name: part.shape for name, part in state.items()} == {
        "linear.weight": (4, 6),
        "linear.bias": (4,),
    }
    names = mlp().fit(X, Y).to_torch().state_dict()
    assert names["layers.0.weight"].shape == (8, 6)
    assert names["layers.1.weight"].shape == (4, 8)
    names = Tuned(linear(), random_state=0).fit(X, Y).to_torch().state_dict()
    assert {"estimator.linear.weight", "thresholds"} <= names.keys()
    weight = linear().fit(X, Y)
    np.testing.assert_array_equal(weight.to_torch().linear.weight.detach(), weight.coef_)


@pytest.mark.parametrize("name", MODELS)
def test_shares_nothing_with_the_estimator(name):
    model = MODELS[name]().fit(X, Y)
    before = model.decision_function(X)
    module = model.to_torch()
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.zero_()
    np.testing.assert_array_equal(model.decision_function(X), before)


@pytest.mark.parametrize("name", MODELS)
def test_is_a_plain_module(name):
    """It is copied, stored whole, and converted, and draws no random number."""
    model = MODELS[name]().fit(X, Y)
    state = torch.get_rng_state()
    module = model.to_torch()
    assert torch.equal(torch.get_rng_state(), state)
    x, stored = torch.from_numpy(X), io.BytesIO()
    torch.save(module, stored)
    stored.seek(0)
    assert torch.equal(torch.load(stored, weights_only=False)(x), module(x))
    assert torch.equal(copy.deepcopy(module)(x), module(x))
    half = copy.deepcopy(module).float()(x.float())
    torch.testing.assert_close(half.double(), module(x).double(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_network_in_half_precision_scales_its_rows_in_float32(dtype):
    model = mlp().fit(X, Y)
    module = model.to_torch().to(dtype)
    far = torch.tensor(1e3 * X, dtype=dtype)  # whose squares are infinite in float16
    expected = model.decision_function(1e3 * X)
    np.testing.assert_allclose(module(far).detach().float().numpy(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_answers_in_half_precision_are_near(name, dtype):
    model = MODELS[name]().fit(X, CONSTANT)
    x = torch.from_numpy(X).to(dtype)
    near = {torch.float16: 0.01, torch.bfloat16: 0.08}[dtype]
    scores = model.decision_function(X)
    clear = abs(scores) > 4 * near * abs(scores[:, [0, 3]]).max()
    labels = model.to_torch("labels").to(dtype)(x)
    np.testing.assert_array_equal(labels.numpy()[clear], model.predict(X)[clear])
    probabilities = model.to_torch("probabilities").to(dtype)(x)
    np.testing.assert_allclose(
        probabilities.detach().float().numpy(), model.predict_proba(X), rtol=0, atol=near
    )
    assert not model.to_torch().to(dtype)(x).isnan().any()


def test_can_be_trained_further():
    module = linear().fit(X, Y).to_torch()
    x, labels = torch.from_numpy(X), torch.from_numpy(Y).double()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(module(x), labels)
    loss.backward()
    assert module.linear.weight.grad.abs().sum() > 0


def test_what_cannot_be_exported_says_what_to_type():
    with pytest.raises(NotFittedError):
        MLCEClassifier().to_torch()
    model = linear().fit(X, Y)
    wrapped = [Tuned(linear(), random_state=0), Calibrated(linear(), cv=2, random_state=0)]
    for one in (model, *(wrapper.fit(X, Y) for wrapper in wrapped)):
        with pytest.raises(ValueError, match=r"output='logits' is not known; expected .* Type to"):
            one.to_torch("logits")
    with pytest.raises(AttributeError, match=r"gives no probabilities\. Use decision_function"):
        linear(loss="squared_hinge").fit(X, Y).to_torch("probabilities")
    pipeline = make_pipeline(StandardScaler(), linear())
    for wrapper in (Tuned, Calibrated, Decided):
        around = wrapper(pipeline, cv=2, random_state=0).fit(X, Y)
        with pytest.raises(TypeError, match=r"a Pipeline, .* last in the pipeline, and call pipe"):
            around.to_torch()
    other = Tuned(LinearSVC(), random_state=0).fit(X, TARGETS["binary"])
    with pytest.raises(TypeError, match=r"a LinearSVC, .* by a converter of its own library"):
        other.to_torch()


# A function makes its module where torch is told to.
@pytest.mark.parametrize("name", [name for name in MODELS if name != "module"])
def test_is_made_on_the_cpu_whatever_the_default_device_is(name):
    model = MODELS[name]().fit(X, Y)
    expected = model.decision_function(X)
    with torch.device("meta"):
        module = model.to_torch()
    np.testing.assert_allclose(module(torch.from_numpy(X)).detach().numpy(), expected, atol=1e-6)
