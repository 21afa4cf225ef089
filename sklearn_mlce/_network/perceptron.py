"""The network: dense layers with an activation and dropout between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sklearn_mlce._network.input_scaling import Scaling, make_scaling
from sklearn_mlce._network.sparse_layer import SparseBatch


def _identity(x: Tensor) -> Tensor:
    return x


# Of the outputs of a layer, which no gradient needs: they may be written over.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "identity": _identity,
    "logistic": torch.sigmoid,
    "relu": torch.relu_,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


@dataclass(frozen=True)
class Architecture:
    """What fixes the shapes of the weights and what is computed from them."""

    n_features: int
    hidden_layer_sizes: tuple[int, ...]
    n_outputs: int
    activation: str
    input_scaling: str | None = None  # as scaling_of gives it
    learned_threshold: bool = False  # one more unit, the last, to subtract from the others

    @property
    def sizes(self) -> tuple[int, ...]:
        """Width of every layer, the input's first and the output's last."""
        n_last = self.n_outputs + self.learned_threshold
        return (self.n_features, *self.hidden_layer_sizes, n_last)


class Layer(nn.Module):
    """``x @ weight + bias``, with ``weight`` of shape (n_in, n_out) as scikit-learn has it.

    torch's own linear layer draws its first weights from the global generator; this one leaves
    them to :func:`initialise`.
    """

    def __init__(
        self, n_in: int, n_out: int, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out, dtype=dtype, device=device))
        self.bias = nn.Parameter(torch.empty(n_out, dtype=dtype, device=device))

    def forward(self, x: Tensor | SparseBatch) -> Tensor:
        """Scores or hidden units ``(n, n_out)`` of rows ``(n, n_in)``."""
        if isinstance(x, SparseBatch):
            return x.matmul(self.weight) + self.bias
        return torch.addmm(self.bias, x, self.weight)


class Perceptron(nn.Module):
    """A multi-layer perceptron over dense rows or a :class:`SparseBatch`.

    Nothing in it is set: :func:`initialise` draws the weights and `input_scaling` has to learn from
    rows, or ``load_state_dict`` sets both.
    """

    def __init__(
        self,
        architecture: Architecture,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        dropout: nn.Module | None = None,
        input_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        # Scaling is done in the rows' own precision: a large offset would drown in a lower one.
        self.input_scaling: Scaling = make_scaling(
            architecture.input_scaling, architecture.n_features, input_dtype or dtype, device
        )
        pairs = zip(architecture.sizes[:-1], architecture.sizes[1:], strict=True)
        self.layers = nn.ModuleList([Layer(*pair, dtype, device) for pair in pairs])
        self.activation = ACTIVATIONS[architecture.activation]
        self.dropout = nn.Identity() if dropout is None else dropout
        self.learned_threshold = architecture.learned_threshold

    def forward(self, x: Tensor | SparseBatch) -> Tensor:
        """Scores ``(n, n_outputs)``."""
        *hidden, output = self.layers
        x = self.input_scaling(x, output.weight.dtype)
        for layer in hidden:
            x = self.dropout(self.activation(layer(x)))
        scores = output(x)
        return scores[:, :-1] - scores[:, -1:] if self.learned_threshold else scores


@torch.no_grad()
def initialise(module: Perceptron, generator: torch.Generator) -> None:
    """Draw the weights uniformly within ``sqrt(6 / (n_in + n_out))``; set the biases to zero.

    The bound keeps the variance of activations and of gradients from layer to layer [1]_.

    References
    ----------
    .. [1] Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural
       networks", AISTATS 2010.
    """
    for parameter in module.parameters():
        if parameter.ndim == 1:
            parameter.zero_()
        else:
            bound = math.sqrt(6 / sum(parameter.shape))
            parameter.uniform_(-bound, bound, generator=generator)
