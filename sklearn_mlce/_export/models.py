"""Fitted models as torch modules, whose state dict holds all that a fit has learned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sklearn_mlce._export.best_labels import shifted_to_best
from sklearn_mlce._export.outputs import computing_dtype
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE


class ExportedModel(nn.Module):
    """Base of the modules: scores of rows, and what is returned of them.

    Parameters
    ----------
    outputs : Module
        Of scores ``(n, n_outputs)``.
    n_best : int, default=None
        Labels to predict for each row; None predicts those above zero.
    """

    def __init__(self, outputs: nn.Module, n_best: int | None = None) -> None:
        super().__init__()
        self.outputs, self.n_best = outputs, n_best

    @abstractmethod
    def scores(self, x: Tensor) -> Tensor:
        """Scores ``(n, n_outputs)`` of rows ``(n, n_features)``."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Scores, labels or probabilities of rows ``(n, n_features)``."""
        return self.returned(self.scores(x))

    def returned(self, scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Scores, labels or probabilities of scores ``(n, n_outputs)``."""
        return self.outputs(scores if self.n_best is None else shifted_to_best(scores, self.n_best))

    def keep(self, name: str, array: np.ndarray) -> None:
        """Register a copy of an array as a buffer."""
        self.register_buffer(name, copied(array))


class LinearModel(ExportedModel):
    """The linear model.

    Parameters
    ----------
    coef : ndarray of shape (n_outputs, n_features)
        Weights.
    intercept : ndarray of shape (n_outputs,)
        Intercepts, those of constant labels among them.
    outputs, n_best
        Those of :class:`ExportedModel`.
    """

    def __init__(
        self,
        coef: np.ndarray,
        intercept: np.ndarray,
        outputs: nn.Module,
        n_best: int | None = None,
    ) -> None:
        super().__init__(outputs, n_best)
        self.linear = linear_layer(coef, intercept)

    def scores(self, x: Tensor) -> Tensor:
        """Scores ``(n, n_outputs)``, in the higher of the two precisions."""
        dtype = torch.promote_types(x.dtype, self.linear.weight.dtype)
        weight, bias = self.linear.weight.to(dtype), self.linear.bias.to(dtype)
        return functional.linear(x.to(dtype), weight, bias)


class NetworkModel(ExportedModel):
    """A network behind its input scaling.

    Parameters
    ----------
    input_scaling : Module
        Of rows and the precision to scale them into.
    learned_threshold : bool
        Whether the last score is to be subtracted from the others.
    constant_scores : ndarray of shape (n_outputs,)
        Scores of constant labels; NaN for the others.
    outputs, n_best
        Those of :class:`ExportedModel`.
    """

    constant_scores: Tensor

    def __init__(
        self,
        input_scaling: nn.Module,
        learned_threshold: bool,
        constant_scores: np.ndarray,
        outputs: nn.Module,
        n_best: int | None = None,
    ) -> None:
        super().__init__(outputs, n_best)
        self.input_scaling, self.learned_threshold = input_scaling, learned_threshold
        self.keep("constant_scores", constant_scores)

    @abstractmethod
    def network(self, x: Tensor) -> Tensor:
        """Output of the network for scaled rows."""

    def scores(self, x: Tensor) -> Tensor:
        """Scores ``(n, n_outputs)``."""
        dtype = next(self.parameters()).dtype
        # Rows are scaled in the precision that they are predicted in.
        wide = computing_dtype(next(self.parameters()))
        scores = self.network(self.input_scaling(x.to(wide), wide).to(dtype))
        if self.learned_threshold:
            scores = scores[:, :-1] - scores[:, -1:]
        return torch.where(self.constant_scores.isnan(), scores, self.constant_scores.to(dtype))


class PerceptronModel(NetworkModel):
    """The perceptron.

    Parameters
    ----------
    layers : sequence of pairs of ndarray
        Weights ``(n_in, n_out)`` and biases ``(n_out,)`` of each layer.
    activation : callable
        Function between the layers.
    **parameters : dict
        Those of :class:`NetworkModel`.
    """

    def __init__(
        self,
        layers: Sequence[tuple[np.ndarray, np.ndarray]],
        activation: Callable[[Tensor], Tensor],
        **parameters: object,
    ) -> None:
        super().__init__(**parameters)  # type: ignore[arg-type]
        self.layers = nn.ModuleList([linear_layer(weight.T, bias) for weight, bias in layers])
        self.activation = activation

    def network(self, x: Tensor) -> Tensor:
        """Output of the last layer."""
        *hidden, output = self.layers
        for layer in hidden:
            x = self.activation(layer(x))
        return output(x)


class ModuleModel(NetworkModel):
    """A user's module.

    Parameters
    ----------
    module : Module
        With its weights.
    **parameters : dict
        Those of :class:`NetworkModel`.
    """

    def __init__(self, module: nn.Module, **parameters: object) -> None:
        super().__init__(**parameters)  # type: ignore[arg-type]
        self.module = module

    def network(self, x: Tensor) -> Tensor:
        """Output of the module."""
        return self.module(x)


class ThresholdedModel(ExportedModel):
    """Scores of another model less thresholds.

    Parameters
    ----------
    estimator : Module
        Gives scores ``(n,)`` or ``(n, n_outputs)``.
    thresholds : ndarray of shape (n_outputs,)
        Of the labels.
    constant_scores : ndarray of shape (n_outputs,)
        Scores of constant labels; NaN for the others.
    outputs : Module
        That of :class:`ExportedModel`.
    """

    thresholds: Tensor
    constant_scores: Tensor

    def __init__(
        self,
        estimator: nn.Module,
        thresholds: np.ndarray,
        constant_scores: np.ndarray,
        outputs: nn.Module,
    ) -> None:
        super().__init__(outputs)
        self.estimator = estimator
        self.keep("thresholds", thresholds)
        self.keep("constant_scores", constant_scores)

    def scores(self, x: Tensor) -> Tensor:
        """Scores ``(n, n_outputs)`` in the precision of the thresholds, float32 at least."""
        dtype, limit = computing_dtype(self.thresholds), CONSTANT_LABEL_SCORE
        # float16 makes both infinite of a label that is always positive.
        scores = as_columns(self.estimator(x)).to(dtype).clamp(-limit, limit)
        scores = scores - self.thresholds.to(dtype).clamp(-0.75 * limit, 0.75 * limit)
        return torch.where(self.constant_scores.isnan(), scores, self.constant_scores.to(dtype))


def linear_layer(weight: np.ndarray, bias: np.ndarray) -> nn.Linear:
    """Linear layer of torch with copies of arrays ``(n_out, n_in)`` and ``(n_out,)``."""
    n_out, n_in = weight.shape
    layer = nn.Linear(n_in, n_out, device="meta")  # draws no weights
    layer.weight, layer.bias = nn.Parameter(copied(weight)), nn.Parameter(copied(bias))
    return layer


def copied(array: np.ndarray) -> Tensor:
    """Tensor of a copy, contiguous and on the CPU, whatever torch's default device is."""
    return torch.from_numpy(np.array(array, order="C"))


def as_columns(scores: Tensor) -> Tensor:
    """Scores ``(n, n_outputs)`` of those that a module returns; one column of ``(n,)``."""
    return scores[:, None] if scores.ndim == 1 else scores
