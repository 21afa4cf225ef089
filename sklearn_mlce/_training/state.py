"""Where training stands, as NumPy arrays, and the way to and from torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from sklearn_mlce._training.perceptron import Architecture, Perceptron
from sklearn_mlce._utils.sparse import dense_tensor

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class TrainingState:
    """All that training needs to go on as if it had not stopped."""

    weights: Arrays  # by name; empty before training
    optimizer: dict[str, Arrays]  # moments of each weight; empty to begin them anew
    seed: int
    n_epochs: int  # passed with these weights


def torch_dtype(dtype: np.dtype) -> torch.dtype:
    """The torch dtype of an array's precision."""
    return torch.float32 if dtype == np.float32 else torch.float64


def weights_to_arrays(module: nn.Module, dtype: np.dtype) -> Arrays:
    """Copy a module's weights into arrays of a precision, by name."""
    tensors = module.state_dict().items()
    return {name: tensor.detach().cpu().numpy().astype(dtype) for name, tensor in tensors}


def weights_from_arrays(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copy arrays into a module's weights."""
    module.load_state_dict({name: dense_tensor(array) for name, array in weights.items()})


def optimizer_to_arrays(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Arrays]:
    """Copy an optimiser's moments into arrays, by the name of their weight."""
    return {
        name: {key: _copied(tensor) for key, tensor in optimizer.state[weight].items()}
        for name, weight in module.named_parameters()
    }


def optimizer_from_arrays(
    optimizer: torch.optim.Optimizer, module: nn.Module, moments: Mapping[str, Arrays]
) -> None:
    """Copy arrays into an optimiser's moments."""
    for name, weight in module.named_parameters():
        optimizer.state[weight] = {
            key: _moment_like(weight, array) for key, array in moments[name].items()
        }


def _moment_like(weight: torch.Tensor, array: np.ndarray) -> torch.Tensor:
    """A moment in the layout of its weight, which fused steps rely on; or the count of steps."""
    if array.ndim == 0:  # in float32, whatever the weight's precision
        return torch.tensor(array, device=weight.device)
    return torch.empty_like(weight, requires_grad=False).copy_(dense_tensor(array))


def predictor(
    architecture: Architecture, weights: Mapping[str, np.ndarray], device: torch.device
) -> Perceptron:
    """A perceptron in evaluation mode that computes with these arrays, on the CPU in place."""
    tensors = {name: dense_tensor(array, device) for name, array in weights.items()}
    dtype = next(iter(tensors.values())).dtype
    module = Perceptron(architecture, dtype, device="meta")  # allocates nothing
    module.load_state_dict(tensors, assign=True)
    return module.eval()


def _copied(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()
