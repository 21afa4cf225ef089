"""Decision rules as torch modules: which labels of a row they choose by its probabilities."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_mlce._export.best_labels import chosen_above_zero, first_down_to, largest
from sklearn_mlce._export.models import ExportedModel, copied
from sklearn_mlce._export.outputs import computing_dtype


class PositiveProbabilities(nn.Module):
    """Probabilities of a model ``(n, n_outputs)``; of two classes those of the second.

    Parameters
    ----------
    estimator : Module
        Gives probabilities ``(n, n_outputs)``, or ``(n, 2)`` of one output.
    n_outputs : int
        Labels, or classes, or 1.
    """

    def __init__(self, estimator: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.estimator, self.n_outputs = estimator, n_outputs

    def forward(self, x: Tensor) -> Tensor:
        """Probabilities of rows ``(n, n_features)``."""
        return self.estimator(x)[:, -self.n_outputs :]


class RuleModel(ExportedModel):
    """Probabilities less a number per row, so that the labels a rule chooses are above zero.

    Parameters
    ----------
    probabilities : Module
        Gives probabilities ``(n, n_labels)``.
    rule : Module
        Makes a mask of probabilities. One below 0 is of a label that cannot be chosen.
    constant_scores : ndarray of shape (n_labels,)
        Scores of the labels that are never predicted; NaN for the others.
    outputs : Module
        That of :class:`ExportedModel`.
    """

    constant_scores: Tensor

    def __init__(
        self,
        probabilities: nn.Module,
        rule: nn.Module,
        constant_scores: np.ndarray,
        outputs: nn.Module,
    ) -> None:
        super().__init__(outputs)
        self.probabilities, self.rule = probabilities, rule
        self.keep("constant_scores", constant_scores)

    def scores(self, x: Tensor) -> Tensor:
        """Scores ``(n, n_labels)``."""
        p = self.probabilities(x).to(computing_dtype(self.constant_scores))
        able = self.constant_scores.isnan()
        eligible = torch.where(able, p, -1.0)
        margins = margins_of(eligible, self.rule(eligible.detach()))
        return torch.where(able, margins, self.constant_scores.to(p.dtype))


def margins_of(p: Tensor, chosen: Tensor) -> Tensor:
    """Probabilities ``(n, L)`` less the midpoint of the last chosen one and the next of each row.

    As in the `decision_function` of :class:`~sklearn_mlce.decisions.MultilabelDecisionClassifier`.
    """
    last = torch.where(chosen, p, 1.0).amin(dim=1, keepdim=True)
    following = torch.where(chosen, 0.0, p).amax(dim=1, keepdim=True).clamp(min=0)
    return chosen_above_zero(p - (last + following) / 2, chosen)


class BestLabels(nn.Module):
    """The k most probable labels of each row, those of probability 0 aside."""

    def __init__(self, k: int, n_labels: int) -> None:
        super().__init__()
        self.k = min(k, n_labels)

    def forward(self, p: Tensor) -> Tensor:
        """Mask of probabilities ``(n, n_labels)``."""
        return largest(p, self.k) & (p > 0)


class BestAndAbove(nn.Module):
    """The most probable label of each row, and those above a threshold."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, p: Tensor) -> Tensor:
        """Mask of probabilities ``(n, n_labels)``."""
        labels = torch.arange(p.shape[1], device=p.device)
        return (p > self.threshold) | (labels == p.argmax(dim=1, keepdim=True))


class HighestExpectedF1(nn.Module):
    """The labels of each row with the highest expected F1.

    The formula is that of :mod:`sklearn_mlce.decisions._expected_f1`, for all numbers of labels at
    once, which takes memory for a number of each label at each node in each row.

    Parameters
    ----------
    zero_division : float
        F1 of a row without labels for which none is predicted.
    n_labels : int
        Labels of a row.
    nodes, weights : ndarray of shape (n_nodes,)
        Quadrature rule on (0, 1).
    """

    nodes: Tensor
    powers: Tensor

    def __init__(
        self, zero_division: float, n_labels: int, nodes: np.ndarray, weights: np.ndarray
    ) -> None:
        super().__init__()
        self.zero_division = zero_division
        self.register_buffer("nodes", copied(nodes))
        numbers = np.arange(1, n_labels + 1)[:, None]
        self.register_buffer("powers", copied(2 * weights * nodes**numbers))  # (n_labels, n_nodes)

    def forward(self, p: Tensor) -> Tensor:
        """Mask of probabilities ``(n, n_labels)``."""
        ordered = p.clamp(min=0).topk(p.shape[1], dim=1).values
        factors = 1 - ordered[:, :, None] * (1 - self.nodes).to(p.dtype)
        hits = (ordered[:, :, None] / factors).cumsum(dim=1)
        generating = factors.prod(dim=1, keepdim=True)
        of_some = (hits * generating * self.powers.to(p.dtype)).sum(dim=2)
        of_none = self.zero_division * (1 - ordered).prod(dim=1, keepdim=True)
        k = torch.cat([of_none, of_some], dim=1).argmax(dim=1, keepdim=True)
        last = ordered.gather(1, (k - 1).clamp(min=0))
        return first_down_to(last, p, k)
