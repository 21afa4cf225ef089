"""What a network knows of the training rows before its first step."""

from __future__ import annotations

import math

import numpy as np
import torch

from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.perceptron import Perceptron
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._targets.targets import Targets, weighted_label_counts
from sklearn_mlce._utils.sparse import dense_tensor

# Frequencies are kept this far from 0 and 1, whose scores are infinite.
_RAREST = 1e-4


@torch.no_grad()
def start_from_rows(module: Perceptron, rows: Rows, options: LossOptions) -> None:
    """Let the input scaling learn, and set the last biases by the frequencies of the labels."""
    module.input_scaling.learn(rows.X, rows.sample_weight)
    if options.module is not None:  # whose scores may mean anything
        return
    frequencies = output_frequencies(rows.targets, rows.sample_weight)
    scores = dense_tensor(constant_scores(frequencies, options))
    *_, output = module.layers
    output.get_parameter("bias")[: len(scores)].copy_(scores)


def output_frequencies(targets: Targets, weight: np.ndarray | None) -> np.ndarray:
    """Weighted mean ``(n_outputs,)`` of each label or class; one half where nothing is known."""
    weight = np.ones(targets.n_rows) if weight is None else weight.astype(np.float64)
    positive, negative = weighted_label_counts(targets, weight)
    total = positive + negative
    return np.divide(positive, total, out=np.full(len(total), 0.5), where=total > 0)


def constant_scores(frequencies: np.ndarray, options: LossOptions) -> np.ndarray:
    r"""Scores ``(n_outputs,)`` that are the same for all rows, by the frequencies of the labels.

    For p the frequency, those of least loss of order "all", label by label, where
    :math:`u = e^{\gamma s}` solves :math:`(1 - p) A u^2 / B + (1 - 2 p) A u = p` with
    :math:`A = e^{\gamma m_-}` and :math:`B = e^{\gamma m_+}`; without margins, as of "bce",
    :math:`\gamma s = \log(p / (1 - p))`. The other orders and losses start there too, whatever
    the weights of labels; the softmax starts at its least.
    """
    p = np.clip(frequencies, _RAREST, 1 - _RAREST)
    if options.loss in ("softmax", "multioutput"):
        return np.log(p) / options.scale
    log_A, log_B = (options.scale * margin for margin in options.margins)
    # In units of e^((log_B - log_A) / 2) the equation has the same form with A = B = r.
    log_r = min((log_A + log_B) / 2, 700.0)  # so that 1 / r is not 0
    linear = 1 - 2 * p
    root = np.hypot(linear, 2 * np.sqrt(p * (1 - p)) * math.exp(-log_r))
    # Of the two forms of the solution, the one that only adds numbers of one sign.
    log_u = np.where(
        linear >= 0,
        np.log(2 * p) - np.log(np.abs(linear) + root) - log_r,
        np.log(root + np.abs(linear)) - np.log(2 * (1 - p)) + log_r,
    )
    return (log_u + (log_B - log_A) / 2) / options.scale
