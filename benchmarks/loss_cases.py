"""The losses that are timed and whose memory is measured, on made scores."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

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

#: Most classes of an output, where the labels are taken for the classes of several outputs.
N_CLASSES = 10


def _outputs(values: Tensor) -> Tensor:
    n_classes = max(n for n in range(1, N_CLASSES + 1) if values.shape[1] % n == 0)
    return values.unflatten(1, (-1, n_classes))


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


#: The same formulas as one would write them in operations of torch and leave to autograd, with the
#: losses' default options and without checks: what ours are held to where batches are small. For
#: the binary cross-entropy torch has a fused function.
PLAIN: dict[str, Callable[[Problem], Tensor]] = {
    "mlce_loss": lambda p: _plain_mlce(p.scores, p.dense > 0),
    "mlce_loss_from_indices": lambda p: _plain_mlce(p.scores, _mask_of_indices(p)),
    "pairwise_loss": lambda p: softplus(sum(_log_sums(p.scores, p.dense > 0))).mean(),
    "focal_loss": lambda p: _plain_focal(p).sum(dim=1).mean(),
    "class_balanced_focal_loss": lambda p: (
        (_plain_focal(p) * _effective_number_weights(p.counts)).sum(dim=1).mean()
    ),
    "distribution_balanced_loss": lambda p: _plain_distribution_balanced(p),
    "asymmetric_loss": lambda p: _plain_asymmetric(p.scores, p.dense),
    "binary_cross_entropy_loss": LOSSES[BASELINE],
    "multioutput_loss": lambda p: _plain_multioutput(_outputs(p.scores), p.codes),
    "soft_multioutput_loss": lambda p: _plain_soft_multioutput(_outputs(p.scores), p.probabilities),
}


def _log_sums(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    negatives = scores.masked_fill(positive, -torch.inf)
    positives = (-scores).masked_fill(~positive, -torch.inf)
    return torch.logsumexp(negatives, dim=1), torch.logsumexp(positives, dim=1)


def _plain_mlce(scores: Tensor, positive: Tensor) -> Tensor:
    of_negatives, of_positives = _log_sums(scores, positive)
    return (softplus(of_negatives) + softplus(of_positives)).mean()


def _mask_of_indices(problem: Problem) -> Tensor:
    n_rows, n_labels = problem.scores.shape
    rows = torch.repeat_interleave(torch.arange(n_rows), problem.indptr.diff())
    mask = torch.zeros(n_rows, n_labels, dtype=torch.bool)
    mask[rows, problem.indices] = True
    return mask


def _plain_focal(problem: Problem) -> Tensor:
    z = (1 - 2 * problem.dense) * problem.scores
    return torch.sigmoid(z) ** 2 * softplus(z)


def _effective_number_weights(counts: Tensor) -> Tensor:
    weights = 0.1 / (1 - 0.9 ** counts.clamp(min=1))
    return weights / weights[counts > 0].mean()


def _plain_distribution_balanced(problem: Problem) -> Tensor:
    n_rows, targets = len(problem.scores), problem.dense
    counts = problem.counts.clamp(1, n_rows - 1)
    inverse = 1 / counts
    ratio = inverse / (targets @ inverse)[:, None]
    weights = 0.1 + torch.sigmoid(10 * (ratio - 0.2))
    scale = 2 - 3 * targets
    z = scale * (problem.scores - 0.05 * torch.log(n_rows / counts - 1))
    return (weights * torch.sigmoid(z) ** 2 * softplus(z) / scale.abs()).sum(dim=1).mean()


def _plain_asymmetric(scores: Tensor, targets: Tensor) -> Tensor:
    shifted = (torch.sigmoid(scores) - 0.05).clamp(min=0)
    negatives = (1 - targets) * shifted**4 * torch.log1p(-shifted)
    return (targets * softplus(-scores) - negatives).sum(dim=1).mean()


def _plain_multioutput(scores: Tensor, codes: Tensor) -> Tensor:
    own = codes[..., None]
    others = torch.logsumexp(scores.scatter(2, own, -torch.inf), dim=2, keepdim=True)
    differences = others - scores.gather(2, own)
    of_classes = torch.full_like(scores, -torch.inf).scatter(2, own, differences)
    # A class that no output carries would have an infinite logarithm, and a slope of NaN.
    zeros = scores.new_zeros(len(scores), 1, scores.shape[2])
    return torch.logsumexp(torch.cat([of_classes, zeros], dim=1), dim=1).sum(dim=1).mean()


def _plain_soft_multioutput(scores: Tensor, probabilities: Tensor) -> Tensor:
    exponents = scores.mean(dim=2, keepdim=True) - scores + probabilities.log()
    return softplus(torch.logsumexp(exponents, dim=1)).sum(dim=1).mean()


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
