"""The losses that are timed and whose memory is measured, on made scores."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sklearn_mlce.losses import (
    asymmetric_loss,
    binary_cross_entropy_loss,
    class_balanced_focal_loss,
    distribution_balanced_loss,
    focal_loss,
    mlce_loss,
    mlce_loss_from_indices,
    multioutput_loss,
    pairwise_loss,
    soft_multioutput_loss,
)

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

    @cached_property
    def counts(self) -> Tensor:
        """Positives of each label, shape (L,)."""
        return self.dense.sum(dim=0)

    @cached_property
    def probabilities(self) -> Tensor:
        """The targets as probabilities of the classes of outputs, none of them 0."""
        return torch.softmax(_outputs(self.dense), dim=2)

    @cached_property
    def codes(self) -> Tensor:
        """The first class of each output that is positive, or the first."""
        return _outputs(self.dense).argmax(dim=2)


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
}

#: Classes of each output, where the labels are taken for the classes of several outputs.
N_CLASSES = 10


def _outputs(values: Tensor) -> Tensor:
    return values.unflatten(1, (-1, N_CLASSES))


#: The relatives of MLCE and the losses it is compared with, from dense targets.
RELATIVES: dict[str, Callable[[Problem], Tensor]] = {
    BASELINE: LOSSES[BASELINE],
    "mlce_loss": lambda p: mlce_loss(p.scores, p.dense),
    "pairwise_loss": lambda p: pairwise_loss(p.scores, p.dense),
    "focal_loss": lambda p: focal_loss(p.scores, p.dense),
    "class_balanced_focal_loss": lambda p: class_balanced_focal_loss(p.scores, p.dense, p.counts),
    "distribution_balanced_loss": lambda p: distribution_balanced_loss(
        p.scores, p.dense, p.counts, len(p.dense)
    ),
    "asymmetric_loss": lambda p: asymmetric_loss(p.scores, p.dense),
    "binary_cross_entropy_loss": lambda p: binary_cross_entropy_loss(p.scores, p.dense),
    "multioutput_loss": lambda p: multioutput_loss(_outputs(p.scores), p.codes),
    "soft_multioutput_loss": lambda p: soft_multioutput_loss(_outputs(p.scores), p.probabilities),
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
