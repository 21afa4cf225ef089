"""Networks trained together, each without some of the rows, that predict as one network.

Member m of M has hidden units, output weights W_m and output biases b_m of its own, and so the
scores ``h_m(x) W_m + b_m``. Their mean is one perceptron: its hidden units are those of all
members, its output weights the W_m over M, and its output biases the mean of the b_m.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._network.batches import Rows, SparseBatch
from sklearn_mlce._network.perceptron import Arrays, Perceptron, compute_scores, initialise

_HIDDEN, _OUTPUT = "layers.0", "layers.1"


class MemberOutput(nn.Module):
    """Output layers of members, each over the hidden units of its own."""

    def __init__(
        self,
        n_members: int,
        n_hidden: int,
        n_out: int,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        super().__init__()
        self.n_members = n_members
        self.weight = nn.Parameter(torch.empty(n_hidden, n_out, dtype=dtype, device=device))
        self.bias = nn.Parameter(torch.empty(n_members, n_out, dtype=dtype, device=device))

    def forward(self, hidden: Tensor) -> Tensor:
        """Scores ``(n_members * n, n_out)`` of ``n`` rows, one member after the other."""
        by_member = hidden.unflatten(1, (self.n_members, -1)).transpose(0, 1)
        weights = self.weight.unflatten(0, (self.n_members, -1))
        return torch.baddbmm(self.bias.unsqueeze(1), by_member, weights).flatten(0, 1)


class MemberPerceptron(Perceptron):
    """Members in training; in evaluation mode, their mean."""

    def make_output(
        self, n_in: int, n_out: int, dtype: torch.dtype, device: torch.device | str
    ) -> nn.Module:
        """Make the last layers of all members."""
        return MemberOutput(self.n_members, n_in, n_out, dtype, device)

    def forward(self, x: Tensor | SparseBatch) -> Tensor:
        """Scores ``(n_members * n, n_outputs)``, or their means ``(n, n_outputs)``."""
        scores = super().forward(x)
        if self.training:
            return scores
        return scores.unflatten(0, (self.n_members, -1)).mean(dim=0)


def make_perceptron(architecture: Architecture, dtype: torch.dtype, **options: Any) -> Perceptron:
    """Make the members, or the one network, to train."""
    kind = Perceptron if architecture.n_members == 1 else MemberPerceptron
    return kind(architecture, dtype, **options)


@torch.no_grad()
def initialise_perceptron(module: Perceptron, generator: torch.Generator) -> None:
    """Draw the first weights of the one network, or of members.

    The hidden weights of each member are drawn as those of a network of its own. Its output
    weights are zero: members start from the same scores, and differ by what they learn.
    """
    if not isinstance(module, MemberPerceptron):
        initialise(module, generator)
        return
    for parameter in module.parameters():
        parameter.zero_()
    weight = module.layers[0].get_parameter("weight")
    n_in, n_hidden = weight.shape
    bound = math.sqrt(6 / (n_in + n_hidden // module.n_members))
    weight.uniform_(-bound, bound, generator=generator)


def draw_left_out(n_rows: int, n_members: int, seed: int) -> np.ndarray:
    """Draw which member is trained without which rows, ``(n_members, n_rows)``.

    Each row is left out by one member, and each member leaves out as many rows, or one more.
    """
    by = np.random.default_rng(seed).permutation(np.arange(n_rows) % n_members)
    return by == np.arange(n_members)[:, None]


def member_weights(weights: Mapping[str, np.ndarray], member: int) -> Arrays:
    """Weights of one member, as those of a network of its own."""
    n_members = len(weights[f"{_OUTPUT}.bias"])
    width = len(weights[f"{_HIDDEN}.bias"]) // n_members
    units = slice(member * width, (member + 1) * width)
    return dict(weights) | {
        f"{_HIDDEN}.weight": weights[f"{_HIDDEN}.weight"][:, units],
        f"{_HIDDEN}.bias": weights[f"{_HIDDEN}.bias"][units],
        f"{_OUTPUT}.weight": weights[f"{_OUTPUT}.weight"][units],
        f"{_OUTPUT}.bias": weights[f"{_OUTPUT}.bias"][member],
    }


def combined_weights(weights: Mapping[str, np.ndarray]) -> Arrays:
    """Weights of the one network that gives the members' mean scores."""
    biases = weights[f"{_OUTPUT}.bias"]
    return dict(weights) | {
        f"{_OUTPUT}.weight": weights[f"{_OUTPUT}.weight"] / len(biases),
        f"{_OUTPUT}.bias": biases.mean(axis=0),
    }


def left_out_scores(
    architecture: Architecture,
    weights: Mapping[str, np.ndarray],
    rows: Rows,
    left_out: np.ndarray,
    device: torch.device,
) -> np.ndarray:
    """Scores of rows, each of the member that was trained without it.

    Parameters
    ----------
    architecture : Architecture
        Of the members.
    weights : mapping of str to ndarray
        Their weights, by name.
    rows : Rows
        Training rows.
    left_out : ndarray of bool of shape (n_members, n_rows)
        From :func:`draw_left_out`.
    device : torch.device
        Where to compute.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
        Scores.
    """
    scores = np.empty((len(rows), architecture.n_outputs))
    for member, numbers in enumerate(map(np.flatnonzero, left_out)):
        own = member_weights(weights, member)
        scores[numbers] = compute_scores(architecture.member, own, rows.X[numbers], device)
    return scores
