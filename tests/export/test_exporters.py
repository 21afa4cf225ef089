"""torch.export, torch.compile, ONNX and safetensors take what `to_torch` makes."""

import shutil
import warnings

import numpy as np
import pytest
import torch
from torch._inductor import config as inductor_config

from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.decisions import MultilabelDecisionClassifier as Decided
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, linear, mlp, single_labels
from tests.helpers.modules import arrays_of, assert_same_outputs, normalised_net

X, Y = labelled_rows()
Y[:, 3] = 0  # never positive
OUTPUTS = np.column_stack([Y[:, :2].sum(axis=1), 5 * Y[:, 2:].sum(axis=1)])
CASES = {
    "linear": (linear, Y),
    "binary": (linear, single_labels(Y)["binary"]),
    "multiclass": (linear, single_labels(Y)["multiclass"]),
    "one class against the rest": (lambda: linear(loss="bce"), single_labels(Y)["multiclass"]),
    "several outputs": (linear, OUTPUTS),
    "soft": (lambda: linear(loss="bce", margin=0.5), np.clip(0.8 * Y, 0, 1)),
    "two labels a row": (lambda: linear(n_labels_per_row=2), Y),
    "perceptron": (mlp, Y),
    "relu": (lambda: mlp(activation="relu", learn_threshold=True), Y),
    "module": (lambda: mlp(hidden_layer_sizes=256, module=normalised_net), Y),
    "tuner": (lambda: Tuned(mlp(), thresholds="per_label", random_state=0), Y),
    "calibrator": (lambda: Calibrated(linear(), cv=2, random_state=0), Y),
    "binary calibrator": (
        lambda: Calibrated(linear(), cv=2, random_state=0),
        single_labels(Y)["binary"],
    ),
    "isotonic": (
        lambda: Calibrated(linear(), method="isotonic", cv=2, ensemble=True, random_state=0),
        Y,
    ),
    "highest F1": (lambda: Decided(Calibrated(linear(), cv=2, random_state=0)), Y),
    "one threshold": (lambda: Decided(linear(), decision="f1_micro", random_state=0), Y),
    "two best": (lambda: Decided(linear(), decision="top_k", k=2), Y),
    "best and above": (lambda: Decided(linear(), decision="best_and_above", threshold=0.3), Y),
}
any_case = pytest.mark.parametrize("name", CASES)


def fitted(name, dtype=np.float64):
    make, y = CASES[name]
    return make().fit(X.astype(dtype), y)


def exported(module, dtype=torch.float64):
    """Export a module with any number of rows."""
    rows = torch.zeros(3, X.shape[1], dtype=dtype)
    return torch.export.export(module, (rows,), dynamic_shapes=({0: torch.export.Dim("rows")},))


@any_case
def test_torch_export_with_any_number_of_rows(name):
    def run(module):
        program = exported(module).module()
        assert len(arrays_of(program(torch.from_numpy(X[:1])))) == len(
            arrays_of(module(torch.from_numpy(X[:1])))
        )
        return lambda x: arrays_of(program(x))

    assert_same_outputs(fitted(name), X, run)


@pytest.mark.slow
@any_case
def test_compiled_whole(name):
    def run(module):
        compiled = torch.compile(module, fullgraph=True, backend="eager", dynamic=True)
        return lambda x: arrays_of(compiled(x))

    torch.compiler.reset()
    assert_same_outputs(fitted(name), X, run)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
@pytest.mark.parametrize(
    ("name", "output"), [("perceptron", "labels"), ("isotonic", "probabilities")]
)
def test_compiled_to_machine_code(name, output):
    """An output of each: the compiler takes seconds, and `test_compiled_whole` has all of them."""

    def run(module):
        compiled = torch.compile(module, fullgraph=True)
        return lambda x: arrays_of(compiled(x))

    torch.compiler.reset()
    with inductor_config.patch(compile_threads=1):  # in this process: others import torch first
        assert_same_outputs(fitted(name), X, run, outputs=[output])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, np.float64) for name in CASES),
        *((name, np.float32) for name in ("linear", "perceptron", "tuner", "calibrator")),
    ],
)
def test_onnx_with_any_number_of_rows(name, dtype, tmp_path):
    pytest.importorskip("onnxscript", reason="torch.onnx needs onnx and onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")

    def run(module):
        with warnings.catch_warnings():  # of onnxscript, about itself
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (torch.zeros(3, X.shape[1], dtype=torch.from_numpy(X.astype(dtype)).dtype),),
                input_names=["rows"],
                dynamic_shapes=({0: torch.export.Dim("n_rows")},),
                dynamo=True,
                verbose=False,
            )
        program.save(tmp_path / "model.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")

        def outputs(x):
            assert session.run(None, {"rows": x[:1].numpy()})[0].shape[0] == 1
            found = session.run(None, {"rows": x.numpy()})
            return found if len(found) > 1 else found[0]

        return outputs

    tolerance = 1e-6 if dtype is np.float64 else 1e-5  # another order of sums
    assert_same_outputs(fitted(name, dtype), X.astype(dtype), run, tolerance)


@any_case
def test_safetensors_there_and_back(name, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    model, path = fitted(name), tmp_path / "weights.safetensors"
    module = model.to_torch()
    safetensors.save_file(module.state_dict(), path)
    other = model.to_torch()
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.zero_()
    other.load_state_dict(safetensors.load_file(path))
    for found, expected in zip(
        arrays_of(other(torch.from_numpy(X))), arrays_of(module(torch.from_numpy(X))), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["perceptron", "module"])
def test_safetensors_of_the_arrays_of_an_estimator(name, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    model, path = fitted(name), tmp_path / "weights.safetensors"
    expected = model.decision_function(X)
    safetensors.save_file(model.state_dict_, path)
    make, y = CASES[name]
    other = make().set_params(random_state=1).fit(X, y)
    assert (other.decision_function(X) != expected).any()
    other.state_dict_ = safetensors.load_file(path)
    np.testing.assert_array_equal(other.decision_function(X), expected)
