"""The losses that are timed and whose memory is measured, on made scores."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sklearn_mlce.losses import mlce_loss, mlce_loss_from_indices

BASELINE = "BCE with logits (torch)"


@dataclass(frozen=True)
class Problem:
    """Scores with a few positive labels in every row.

    Attributes
    ----------
    scores : Tensor of shape (n, L), float32, requires_grad
    dense : Tensor of shape (n, L), float32
        0/1 targets.
    indptr, indices : Tensor of int64
        The same targets in CSR form.
    """

    scores: Tensor
    dense: Tensor
    indptr: Tensor
    indices: Tensor


def make_problem(n: int, n_labels: int, positives: int = 5, seed: int = 0) -> Problem:
    """Draw scores and exactly `positives` distinct labels a row.

    Parameters
    ----------
    n, n_labels : int
        Rows and labels.
    positives : int, default=5
        At most `n_labels`.
    seed : int, default=0
        Of the generator of its own that everything is drawn from.

    Returns
    -------
    Problem
    """
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(n, n_labels, generator=generator).requires_grad_()
    # Distinct and ascending: a random start, then random steps that cannot lead around to it.
    step = max(1, n_labels // positives)
    offsets = torch.randint(step, (n, positives), generator=generator)
    labels = offsets + step * torch.arange(positives)
    dense = torch.zeros(n, n_labels)
    dense.scatter_(1, labels, 1.0)
    return Problem(scores, dense, torch.arange(n + 1) * positives, labels.flatten())


#: What is compared: a name, and the loss of a problem. The first is what the others are held to.
LOSSES: dict[str, Callable[[Problem], Tensor]] = {
    BASELINE: lambda p: binary_cross_entropy_with_logits(p.scores, p.dense),
    "mlce_loss_from_indices": lambda p: mlce_loss_from_indices(p.scores, p.indptr, p.indices),
    "mlce_loss, dense targets": lambda p: mlce_loss(p.scores, p.dense),
    "mlce_loss_from_indices, order 2": lambda p: mlce_loss_from_indices(
        p.scores, p.indptr, p.indices, order=2
    ),
}


def step(loss: Callable[[Problem], Tensor], problem: Problem) -> None:
    """One forward and backward pass into an empty gradient.

    Parameters
    ----------
    loss : callable
        One of `LOSSES`.
    problem : Problem
    """
    problem.scores.grad = None
    loss(problem).backward()
