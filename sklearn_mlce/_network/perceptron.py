"""Perceptron: dense layers with an activation and dropout between them, as module and arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils import gen_batches
from torch import Tensor, nn
from torch.nn import functional

from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.batches import Rows, SparseBatch, features
from sklearn_mlce._network.input_scaling import Scaling, make_scaling
from sklearn_mlce._network.process_group import Share
from sklearn_mlce._network.user_network import Factory, UserNetwork, remade_module
from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._targets.targets import LabelCounts
from sklearn_mlce._utils.tensors import dense_tensor

Arrays = dict[str, np.ndarray]

# Entries of the widest dense layer that are held at a time where there is no gradient.
_ENTRIES_PER_PASS = 2**22
_ROWS_OF_A_MODULE = 4096  # at most, where a user's module computes
# Frequencies are kept this far from 0 and 1, whose scores are infinite.
_RAREST = 1e-4


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


class Dropout(nn.Module):
    """Zero entries at random in training, and scale up the others to keep the mean.

    :func:`torch.nn.functional.dropout` draws from torch's global generator; this one does not
    touch it, and takes a tenth of the time. It spends as many random bits per entry as it needs,
    8 or 16: the probability that it works with is a multiple of 2**-8 within a hundredth of
    `probability`, or a multiple of 2**-16.

    Where processes share a batch, each draws for all of its rows, and `share` says which are here:
    so they thin out as one process would.

    Parameters
    ----------
    probability : float in [0, 1)
        Of zeroing an entry.
    generator : torch.Generator
        Source of the random bits, on the device of the entries.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce._network.perceptron import Dropout
    >>> dropout = Dropout(0.5, torch.Generator().manual_seed(0))
    >>> dropout(torch.ones(1000)).unique().tolist()
    [0.0, 2.0]
    >>> dropout.eval()(torch.ones(2))
    tensor([1., 1.])
    """

    share: Share | None = None

    def __init__(self, probability: float, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        zeroed = round(256 * probability)
        coarse = abs(zeroed - 256 * probability) <= 0.01 * 256 * probability and zeroed < 256
        self._dtype = torch.int8 if coarse else torch.int16
        self._n_values = 256 if coarse else 65536
        # At least one of the values keeps, so that the scale stays finite.
        self._n_kept = max(1, round((1 - probability) * self._n_values))

    def forward(self, x: Tensor) -> Tensor:
        """Thin out ``x`` in training mode; leave it as it is in evaluation mode."""
        if not self.training or self._n_kept == self._n_values:
            return x
        # Written as numbers at once: a comparison into booleans takes four times as long.
        kept = torch.empty_like(x, requires_grad=False)
        torch.ge(self._random_integers(x), self._n_values // 2 - self._n_kept, out=kept)
        return x * kept.mul_(self._n_values / self._n_kept)

    def _random_integers(self, like: Tensor) -> Tensor:
        """Uniform signed integers, drawn 64 bits at a time."""
        shape = like.shape if self.share is None else (self.share.n_rows, *like.shape[1:])
        n = math.prod(shape)
        words = torch.empty(
            -(-n * self._dtype.itemsize // 8), dtype=torch.int64, device=like.device
        )
        words.random_(-(2**63), None, generator=self.generator)
        drawn = words.view(self._dtype)[:n].view(shape)
        return drawn if self.share is None else drawn[self.share.rows]


class Perceptron(nn.Module):
    """Multi-layer perceptron over dense rows or a :class:`SparseBatch`.

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
        self.n_members = architecture.n_members
        *hidden, output = zip(architecture.sizes[:-1], architecture.sizes[1:], strict=True)
        self.layers = nn.ModuleList([Layer(*pair, dtype, device) for pair in hidden])
        self.layers.append(self.make_output(*output, dtype, device))
        self.activation = ACTIVATIONS[architecture.activation]
        self.dropout = nn.Identity() if dropout is None else dropout
        self.learned_threshold = architecture.learned_threshold

    def make_output(
        self, n_in: int, n_out: int, dtype: torch.dtype, device: torch.device | str
    ) -> nn.Module:
        """Make the last layer."""
        return Layer(n_in, n_out, dtype, device)

    @property
    def weight_of_features(self) -> str:
        """Name of the weights that have a column, or row, for each feature."""
        return "layers.0.weight"

    @property
    def output_bias(self) -> nn.Parameter:
        """Biases of the outputs."""
        return self.layers[-1].get_parameter("bias")

    def take_share(self, share: Share) -> None:
        """Expect a share of a batch as the next rows."""
        if isinstance(self.dropout, Dropout):
            self.dropout.share = share

    def forward(self, x: Tensor | SparseBatch) -> Tensor:
        """Scores ``(n, n_outputs)``."""
        *hidden, output = self.layers
        x = self.input_scaling(x, output.weight.dtype)
        for layer in hidden:
            x = self.dropout(self.activation(layer(x)))
        scores = output(x)
        return scores[:, :-1] - scores[:, -1:] if self.learned_threshold else scores


Network = Perceptron | UserNetwork


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


@torch.no_grad()
def start_from_rows(
    module: Network, rows: Rows, objective: Objective, label_weight: np.ndarray | None
) -> None:
    """Let the input scaling learn, and set the last biases to the best constant scores."""
    module.input_scaling.learn(rows.X, rows.sample_weight)
    if objective.is_module:  # whose scores may mean anything
        return
    counts = LabelCounts.of(rows.targets, rows.sample_weight).bounded(_RAREST)
    scores = objective.constant_scores(rows.targets, rows.sample_weight, counts, label_weight)
    if module.output_bias is not None:
        module.output_bias[..., : len(scores)].copy_(dense_tensor(scores))  # of each member


def torch_dtype(dtype: np.dtype) -> torch.dtype:
    """Precision of an array as torch names it."""
    return torch.float32 if dtype == np.float32 else torch.float64


def dtype_of(weights: Mapping[str, np.ndarray]) -> np.dtype:
    """Precision of a network's weights, which may have counts among them."""
    return next(array.dtype for array in weights.values() if array.dtype.kind == "f")


def weights_to_arrays(module: nn.Module, dtype: np.dtype) -> Arrays:
    """Copy a module's weights into arrays of a precision, by name; counts keep theirs."""
    arrays = {name: part.detach().cpu().numpy() for name, part in module.state_dict().items()}
    return {
        name: array.astype(dtype if array.dtype.kind == "f" else array.dtype)
        for name, array in arrays.items()
    }


def weights_from_arrays(module: nn.Module, weights: Mapping[str, np.ndarray]) -> None:
    """Copy arrays into a module's weights."""
    module.load_state_dict({name: dense_tensor(array) for name, array in weights.items()})


def predictor(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    device: torch.device,
    factory: Factory | None = None,
    seed: int = 0,
) -> Network:
    """Make a network in evaluation mode of arrays, with which it computes in place on a CPU."""
    tensors = {name: dense_tensor(array, device) for name, array in weights.items()}
    dtype = torch_dtype(dtype_of(weights))
    if factory is not None:
        network = UserNetwork(remade_module(factory, architecture, seed), architecture, dtype)
        network.load_state_dict(tensors, assign=True)
        return network.to(device).eval()
    module = Perceptron(architecture, dtype, device="meta")  # allocates nothing
    module.load_state_dict(tensors, assign=True)
    return module.eval()


def compute_scores(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    X: Any,
    device: torch.device,
    factory: Factory | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Scores ``(n, n_outputs)`` of validated rows, in the weights' precision.

    Parameters
    ----------
    architecture : Architecture
        Of the network.
    weights : mapping of str to ndarray
        Its weights, by name.
    X : ndarray or CSR matrix of shape (n, d)
        Rows.
    device : torch.device
        Where to compute.
    factory : callable, default=None
        Makes the user's module that has the weights; None is the perceptron.
    seed : int, default=0
        Of the fit, which the factory drew from.

    Returns
    -------
    ndarray of shape (n, n_outputs)
        Scores.
    """
    module = predictor(architecture, weights, device, factory, seed)
    dtype = dtype_of(weights)
    scores = np.empty((X.shape[0], architecture.n_outputs), dtype=dtype)
    with torch.inference_mode():
        for rows in gen_batches(X.shape[0], rows_per_pass(architecture, X)):
            part = X[rows].astype(dtype, copy=False)
            scores[rows] = module(features(part, device)).cpu().numpy()
    return scores


def rows_per_pass(architecture: Architecture, X: Any) -> int:
    """Rows of X that a pass without a gradient holds at a time."""
    if architecture.structure is not None:  # of whose layers little is known
        widths = (*architecture.sizes, architecture.largest_size or 1)
        return max(1, min(_ROWS_OF_A_MODULE, _ENTRIES_PER_PASS // max(widths)))
    widths = architecture.sizes[1:] if issparse(X) else architecture.sizes
    return max(1, _ENTRIES_PER_PASS // max(widths))
