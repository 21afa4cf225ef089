"""Converters for skl2onnx."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._estimators.linear import MLCEClassifier
from sklearn_mlce._estimators.linear_cv import MLCEClassifierCV
from sklearn_mlce._estimators.mlp import MLCEMLP
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

ESTIMATORS = (
    MLCEClassifier,
    MLCEClassifierCV,
    MLCEMLP,
    MultilabelTunedThresholdClassifierCV,
    MultilabelCalibratedClassifierCV,
    MultilabelDecisionClassifier,
)
LABEL, SCORES, PROBABILITIES = "label", "scores", "probabilities"


def register_converters() -> None:
    """Let skl2onnx convert the estimators of this package, alone and at the end of a pipeline.

    Afterwards :func:`skl2onnx.to_onnx` takes a fitted
    :class:`~sklearn_mlce.MLCEClassifier`, :class:`~sklearn_mlce.MLCEClassifierCV`,
    :class:`~sklearn_mlce.MLCEMLP`, and the tuner, the calibrator and the decision classifier
    around one of them. The model has the outputs

    - ``label``: what `predict` returns; 0 and 1 as int64 for a matrix of labels, dense also where
      `y` was sparse;
    - ``scores``: what `decision_function` returns;
    - ``probabilities``: what `predict_proba` returns, where the loss has any.

    Several outputs have ``scores_0``, ``scores_1`` and so on, and ``probabilities_0`` and so on.
    Classes are int64, or text where one of them is. Rows are float32 or float64, as the
    `initial_types` say, or integers, which are taken for float32. A second call changes nothing.

    Raises
    ------
    ImportError
        If skl2onnx, onnx or onnxscript is not installed.

    See Also
    --------
    sklearn_mlce.MLCEClassifier.to_torch : A torch module of a fitted estimator.

    Notes
    -----
    The graph is the one that torch exports of `to_torch`, so that there is one translation of each
    formula. Both packages are needed where a model is converted, and :mod:`onnxruntime` alone where
    it is served.

    References
    ----------
    .. [1] ONNX, https://onnx.ai/onnx/intro/.

    Examples
    --------
    >>> from sklearn_mlce.onnx import register_converters
    >>> register_converters()  # doctest: +SKIP
    >>> from skl2onnx import to_onnx  # doctest: +SKIP
    >>> model = to_onnx(pipeline, X[:1].astype("float32"))  # doctest: +SKIP
    """
    try:
        import onnxscript  # noqa: F401
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError(
            f"register_converters needs skl2onnx, onnx and onnxscript, but {error.name} is not "
            "installed. Type pip install 'sklearn-mlce[onnx]'"
        ) from error
    for estimator in ESTIMATORS:
        update_registered_converter(
            estimator,
            f"SklearnMLCE{estimator.__name__}",
            _check_shapes,
            _convert,
            overwrite=True,
            parser=_parse,
        )


def _parse(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Declare the operator of a fitted model, and its outputs."""
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common.data_types import guess_tensor_type

    operator = scope.declare_local_operator(sklearn_operator_name_map[type(model)], model)
    operator.inputs += inputs
    number = guess_tensor_type(inputs[0].type)
    for name, dtype in _outputs_of(model).items():
        variable_type = type(number) if dtype is None else dtype
        operator.outputs.append(scope.declare_local_variable(name, variable_type([None, None])))
    return operator.outputs


def _outputs_of(model: Any) -> dict[str, Any]:
    """Names of the outputs, with the class of their type; None is that of the numbers of X."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    target_format = model._target_format
    is_text = any(classes.dtype.kind in "OU" for classes in _class_arrays(target_format))
    outputs: dict[str, Any] = {LABEL: StringTensorType if is_text else Int64TensorType}
    for name in (SCORES, PROBABILITIES) if hasattr(model, "predict_proba") else (SCORES,):
        if target_format.kind == "multioutput":
            outputs |= {f"{name}_{i}": None for i in range(len(target_format.sizes))}
        else:
            outputs[name] = None
    return outputs


def _class_arrays(target_format: Any) -> list[np.ndarray]:
    """Classes of each output; none of a matrix of labels."""
    if target_format.kind == "multioutput":
        return list(target_format.classes)
    return [target_format.classes] if target_format.single_label else []


def _check_shapes(operator: Any) -> None:
    """Set the shapes of the outputs."""
    model, n_rows = operator.raw_operator, operator.inputs[0].get_first_dimension()
    target_format = model._target_format
    kind, sizes = target_format.kind, list(target_format.sizes)
    n_outputs = target_format.n_outputs
    for output in operator.outputs:
        name, _, number = output.raw_name.partition("_")
        if kind == "multioutput":
            width = [sizes[int(number)] if number else len(sizes)]
        elif kind in ("binary", "multiclass"):
            of_binary = {LABEL: [], SCORES: [], PROBABILITIES: [2]}
            of_many = {LABEL: [], SCORES: [n_outputs], PROBABILITIES: [n_outputs]}
            width = (of_binary if kind == "binary" else of_many)[name]
        else:
            width = [n_outputs]
        output.type.shape = [n_rows, *width]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a fitted model to the graph."""
    import torch

    from sklearn_mlce.onnx._graphs import ROWS, AllOutputs, graph_of

    model = operator.raw_operator
    kinds = ["labels", SCORES] + [PROBABILITIES] * hasattr(model, "predict_proba")
    rows, dtype = _as_floats(scope, operator.inputs[0], container)
    module = AllOutputs([model.to_torch(output) for output in kinds])
    opset = container.target_opset
    proto = graph_of(module, model.n_features_in_, getattr(torch, dtype), opset)
    names = {ROWS: rows}
    found = [output.name for output in proto.graph.output]
    _copy_nodes(scope, container, proto, names)
    label, *others = operator.outputs
    _add_labels(scope, container, model._target_format, names[found[0]], label.full_name)
    for name, output in zip(found[1:], others, strict=True):
        _cast(container, scope, names[name], output.full_name, dtype)


def _as_floats(scope: Any, variable: Any, container: Any) -> tuple[str, str]:
    """Name of the rows as floating-point numbers, and their precision."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if isinstance(variable.type, DoubleTensorType):
        return variable.full_name, "float64"
    if isinstance(variable.type, FloatTensorType):
        return variable.full_name, "float32"
    name = scope.get_unique_variable_name("rows")
    _cast(container, scope, variable.full_name, name, "float32")
    return name, "float32"


def _cast(container: Any, scope: Any, before: str, after: str, dtype: str) -> None:
    from onnx import TensorProto

    to = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}[dtype]
    _add_node(scope, container, "Cast", before, after, to=to)


def _add_node(
    scope: Any, container: Any, kind: str, inputs: Any, output: str, **attributes: Any
) -> None:
    name = scope.get_unique_operator_name(kind)
    container.add_node(kind, inputs, output, name=name, **attributes)


def _copy_nodes(scope: Any, container: Any, proto: Any, names: dict[str, str]) -> None:
    """Copy the nodes and constants of a graph, under new names, which are written down."""
    from onnx import helper

    def renamed(name: str) -> str:
        if name and name not in names:
            names[name] = scope.get_unique_variable_name(name)
        return names.get(name, "")

    for constant in proto.graph.initializer:
        copied = type(constant)()
        copied.CopyFrom(constant)
        copied.name = renamed(constant.name)
        container.add_initializer(copied.name, None, None, copied)
    version = next(item.version for item in proto.opset_import if not item.domain)
    for node in proto.graph.node:
        container.add_node(
            node.op_type,
            [renamed(name) for name in node.input],
            [renamed(name) for name in node.output],
            op_domain=node.domain,
            op_version=version,
            name=scope.get_unique_operator_name(node.op_type),
            **{item.name: helper.get_attribute_value(item) for item in node.attribute},
        )


def _add_labels(scope: Any, container: Any, target_format: Any, places: str, output: str) -> None:
    """Turn indices of classes into classes; 0 and 1 of a matrix of labels stay."""
    arrays = _class_arrays(target_format)
    if not arrays:
        _add_node(scope, container, "Identity", places, output)
        return
    if any(classes.dtype.kind in "OU" for classes in arrays):
        arrays = [classes.astype(str) for classes in arrays]
    if target_format.kind != "multioutput":
        classes = _constant(scope, container, arrays[0])
        _add_node(scope, container, "Gather", [classes, places], output, axis=0)
        return
    parts = []
    for number, of_output in enumerate(arrays):
        own, part = (scope.get_unique_variable_name(name) for name in ("places", "classes"))
        column = _constant(scope, container, np.array([number]))
        _add_node(scope, container, "Gather", [places, column], own, axis=1)
        classes = _constant(scope, container, of_output)
        _add_node(scope, container, "Gather", [classes, own], part, axis=0)
        parts.append(part)
    _add_node(scope, container, "Concat", parts, output, axis=1)


def _constant(scope: Any, container: Any, values: np.ndarray) -> str:
    """Name of a constant; text where there is any, else int64."""
    from onnx import TensorProto

    name = scope.get_unique_variable_name("constant")
    if values.dtype.kind in "OU":
        texts = [str(value).encode() for value in values]
        container.add_initializer(name, TensorProto.STRING, [len(texts)], texts)
    else:
        numbers = values.astype(np.int64).tolist()
        container.add_initializer(name, TensorProto.INT64, [len(numbers)], numbers)
    return name
