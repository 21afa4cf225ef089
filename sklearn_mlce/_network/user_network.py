"""A user's own module in place of the perceptron, made by a factory."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.batches import SparseBatch
from sklearn_mlce._network.input_scaling import make_scaling
from sklearn_mlce._network.randomness import global_generators_seeded

Factory = Callable[[int, int], nn.Module]  # of the numbers of features and of outputs

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class UserNetwork(nn.Module):
    """Module of a user behind the input scaling; a sparse batch becomes dense for it.

    Parameters
    ----------
    module : Module
        Maps rows ``(n, n_features)`` to scores ``(n, n_outputs)``.
    architecture : Architecture
        Of the estimator.
    dtype, input_dtype : dtype
        Precision of the weights, and that of the rows, in which they are scaled.
    """

    def __init__(
        self,
        module: nn.Module,
        architecture: Architecture,
        dtype: torch.dtype,
        input_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_scaling = make_scaling(
            architecture.input_scaling, architecture.n_features, input_dtype or dtype, "cpu"
        )
        self.module = module.to(dtype)
        self.learned_threshold = architecture.learned_threshold
        self._dtype, self._sizes = dtype, architecture.sizes

    @property
    def weight_of_features(self) -> str | None:
        """Name of the weights of the first linear layer as wide as the rows, if there is one."""
        for name, part in self.named_modules():
            if isinstance(part, nn.Linear) and part.in_features == self._sizes[0]:
                return f"{name}.weight"
        return None

    @property
    def output_bias(self) -> nn.Parameter | None:
        """Biases of the outputs: the last parameter, if it is called so and has their length."""
        name, last = list(self.module.named_parameters())[-1]
        is_bias = name.rpartition(".")[2] == "bias" and last.shape == self._sizes[-1:]
        return last if is_bias else None

    def forward(self, x: Tensor | SparseBatch) -> Tensor:
        """Scores ``(n, n_outputs)``."""
        if isinstance(x, SparseBatch):
            x = x.to_dense(self._sizes[0])
        scores = self.module(self.input_scaling(x, self._dtype))
        self._check(scores, len(x))
        return scores[:, :-1] - scores[:, -1:] if self.learned_threshold else scores

    def _check(self, scores: Any, n_rows: int) -> None:
        expected = (n_rows, self._sizes[-1])
        seen = type(scores).__name__
        if isinstance(scores, Tensor) and scores.shape == expected and not scores.is_complex():
            if scores.requires_grad or not torch.is_grad_enabled():
                return
            raise ValueError(
                f"{type(self.module).__name__}, which module= made, returned scores that do not "
                "depend on its parameters by torch's graph; expected scores that are computed "
                "from them. Remove what cuts the graph, such as .detach(), .numpy() or "
                "torch.no_grad()"
            )
        if isinstance(scores, Tensor):
            kind = " of complex numbers" if scores.is_complex() else ""
            seen = f"a tensor{kind} of shape {tuple(scores.shape)}"
        raise ValueError(
            f"{type(self.module).__name__}, which module= made for n_features={self._sizes[0]} and "
            f"n_outputs={self._sizes[-1]}, returned {seen} for {n_rows} rows; expected a tensor of "
            f"shape {expected}, a score for each output. Make its last layer n_outputs wide"
        )


def make_module(factory: Factory, architecture: Architecture, seed: int) -> nn.Module:
    """Module of a factory, a copy; what its weights are drawn from is seeded.

    Raises
    ------
    TypeError
        If the factory is a module itself, or makes something else.
    ValueError
        If there is nothing to train, or the shape of a parameter is not known.
    """
    n_features, n_outputs = architecture.sizes
    if isinstance(factory, nn.Module):
        raise TypeError(
            f"module is a {type(factory).__name__}, which fits would share; expected a function or "
            "class that makes a new one. Type def make(n_features, n_outputs): return ..., and "
            "module=make"
        )
    with global_generators_seeded(seed, torch.device("cpu")):
        module = factory(n_features, n_outputs)
    called = f"module({n_features}, {n_outputs})"
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"{called} made a {type(module).__name__}; expected a torch.nn.Module that maps rows "
            f"of shape (n, {n_features}) to scores of shape (n, {n_outputs})"
        )
    if any(is_lazy(parameter) for parameter in module.parameters()):
        raise ValueError(
            f"{called} made a {type(module).__name__} with lazy layers, whose shapes follow from "
            "the first rows; expected parameters of known shapes. Type nn.Linear(n_features, ...) "
            "in place of nn.LazyLinear(...)"
        )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError(
            f"{called} made a {type(module).__name__} without parameters to train; expected one "
            "at least. Register layers as attributes, in lists by torch.nn.ModuleList"
        )
    # The factory may give one module each time, or one with weights that others use.
    return copy.deepcopy(module)


def remade_module(factory: Factory, architecture: Architecture, seed: int) -> nn.Module:
    """Module as a fit of a seed made it, with its first weights.

    What a module draws and does not keep in its state dict is the same again.

    Raises
    ------
    ValueError
        If the factory makes another one now.
    """
    module = make_module(factory, architecture, seed)
    before, now = architecture.structure or (), structure_of(module)
    if before != now:
        differ = [f"{old} at the fit" for old in before if old not in now]
        differ += [f"{new} now" for new in now if new not in before]
        raise ValueError(
            f"the network of module= has changed since the fit: {'; '.join(differ)}. Restore the "
            "function that made it, or fit again"
        )
    return module


def structure_of(module: nn.Module) -> tuple[str, ...]:
    """Classes of a module's parts with their options, and the shapes of its parameters."""
    parts = [
        f"{name or 'module'}: {type(part).__qualname__}({without_addresses(part.extra_repr())})"
        for name, part in module.named_modules()
    ]
    shapes = [f"{name}: {tuple(tensor.shape)}" for name, tensor in module.state_dict().items()]
    return (*parts, *shapes)


def without_addresses(described: str) -> str:
    """Description of an object as every process has it."""
    return _ADDRESS.sub("", described)


def check_not_shaped(shaping: Mapping[str, tuple[Any, Any]]) -> None:
    """Raise ValueError unless the parameters that shape the perceptron have their defaults.

    `shaping` has the value and the default of each, by name.
    """
    for name, (value, default) in shaping.items():
        if value != default:
            raise ValueError(
                f"{name}={value!r} shapes the perceptron, but module= brings a network of its "
                f"own. Set {name}={default!r}, its default, and shape the module in the "
                "function that makes it, or set module=None"
            )


def of_module(architecture: Architecture, factory: Factory) -> Architecture:
    """Architecture of what a factory makes for it."""
    module = make_module(factory, architecture, seed=0)
    largest = max(max(part.shape, default=1) for part in module.parameters())
    return replace(architecture, structure=structure_of(module), largest_size=largest)
