r"""Mini-batch stochastic gradient descent for linear models.

The objective is the exact solver's: with row weights :math:`w_r` of mean one,

.. math:: F(W, b) = \frac{1}{n} \sum_r w_r\, \ell_r(W^T (x_r - \mu) + b)
    + \frac{\lambda}{2} \|W\|_F^2.

For the rows of a batch :math:`B`, of weight :math:`w_B = \sum_{r \in B} w_r`, and the gradient
:math:`G` (a row :math:`w_r \nabla \ell_r` for each of them) the step is

.. math::

    W \leftarrow \frac{W - \eta_t \sum_{r \in B} (x_r - \mu) G_r^T}{1 + \eta_t \lambda w_B},
    \qquad b \leftarrow b - \beta\, \frac{\eta_t}{\eta_0} \sum_{r \in B} G_r,

the penalty being taken at the new coefficients, where no strength of it can overshoot. The step
:math:`\eta_0 = s / (\kappa \rho)` follows from a bound :math:`\kappa` of the curvature of a row's
loss and from the largest eigenvalue :math:`\rho` of the batch's Gram matrix, so that it needs no
tuning; :math:`\beta` is an entry per label, from the curvature in its intercept.

References
----------
.. [1] Bottou, "Stochastic Gradient Descent Tricks", in Neural Networks: Tricks of the Trade,
   https://doi.org/10.1007/978-3-642-35289-8_25, 2012.
.. [2] Shalev-Shwartz, Singer, Srebro, Cotter, "Pegasos: Primal Estimated sub-GrAdient SOlver for
   SVM", https://doi.org/10.1007/s10107-010-0420-4, 2011 (a factor in place of shrinking all
   coefficients).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from sklearn.utils import gen_batches
from torch import Tensor

from sklearn_mlce._objectives.batch_loss import BatchLoss
from sklearn_mlce._solvers.problem import IterationMonitor, LinearProblem, PreparedFeatures
from sklearn_mlce._solvers.row_batches import BatchFeatures, RowBatches
from sklearn_mlce._solvers.step_sizes import (
    StepSizes,
    first_step,
    gram_eigenvalue,
    linear_decay,
    steps_of_intercepts,
)
from sklearn_mlce._targets.targets import LabelCounts
from sklearn_mlce._utils.rows import rows_that_fit
from sklearn_mlce._utils.tensors import dense_tensor

# Below this the factor is multiplied into the matrix: far from where float32 overflows.
_SMALLEST_FACTOR = 1e-9
_SQUARED_ENTRIES = 2**20  # at a time


class Snapshot(NamedTuple):
    """Parts of some parameters before steps on a few features."""

    rows: Tensor | slice
    matrix: Tensor  # of these rows
    sums: Tensor
    along_offset: Tensor
    intercepts: Tensor
    factor: float | Tensor


class CentredWeights:
    r"""Parameters of the centred features, shrunk and centred lazily.

    A step of stochastic gradient descent on a few sparse rows should cost no more than the features
    that occur in them. Shrinking all coefficients by the penalty, and centring the features, would
    cost all of them, so both are kept apart:

    .. math:: W = a (V - \mu h^T),

    with a factor :math:`a` (one of each label where their steps differ), the offset :math:`\mu` of
    the features and a vector :math:`h` of the
    gradients' sums. With :math:`c = \mu^T (V - \mu h^T)`, which is kept as well, the scores of
    rows X are

    .. math:: (X - 1 \mu^T) W + b = a (X V - (X \mu) h^T - 1 c^T) + b.

    Parameters
    ----------
    parameters : Tensor of shape (n_features + 1, L) or (n_features, L)
        Coefficients and, where the features are centred, intercepts of the features as given.
        They are overwritten.
    offset : Tensor of shape (n_features,) or None
        Subtracted from the features. None: neither offset nor intercepts.
    """

    def __init__(self, parameters: Tensor, offset: Tensor | None) -> None:
        self._parameters = parameters
        self._offset = offset
        self._factor: float | Tensor = 1.0
        self._multiplied: float | Tensor = 1.0
        n_features = len(parameters) if offset is None else len(offset)
        self._matrix = parameters[:n_features]
        self._sums = parameters.new_zeros(parameters.shape[1])  # h
        self._along_offset = torch.zeros_like(self._sums)  # c
        self._offset_square = 0.0
        self.intercepts = torch.zeros_like(self._sums)
        if offset is not None:
            self._along_offset = offset @ self._matrix
            self._offset_square = float(offset @ offset)
            self.intercepts = parameters[-1] + self._along_offset

    def scores(self, features: BatchFeatures) -> Tensor:
        """Scores ``(n, L)`` of a batch."""
        scores, factor = features.product(self._matrix), self._factor
        if self._offset is None:
            return scores.mul_(factor) if isinstance(factor, Tensor) or factor != 1 else scores
        if features.at_offset is None:
            return scores.mul_(factor).add_(self.intercepts)
        if isinstance(factor, Tensor):
            scores.addr_(features.at_offset, self._sums, alpha=-1).mul_(factor)
        else:
            scores.addr_(features.at_offset, self._sums, beta=factor, alpha=-factor)
        return scores.add_(self.intercepts - self._along_offset * factor)

    def step(
        self,
        features: BatchFeatures,
        gradient: Tensor,
        rate: float | Tensor,
        decay: float | Tensor,
    ) -> Tensor | None:
        """Step against the gradient ``(n, L)`` in the scores, then divide by ``1 + decay``.

        Rate and decay are those of all labels or ``(L,)``. Returns the sums of the gradient over
        the rows, where there are intercepts: theirs.
        """
        alpha = -rate / self._factor
        sums = moved = None if self._offset is None else gradient.sum(dim=0)
        if isinstance(alpha, Tensor):
            moved = None if sums is None else sums * alpha
            gradient, alpha = gradient * alpha, 1.0
        features.add_transposed_(self._matrix, gradient, alpha)
        if moved is not None and features.at_offset is not None:
            self._sums.add_(moved, alpha=alpha)
            self._along_offset.add_(features.at_offset @ gradient, alpha=alpha)
            self._along_offset.sub_(moved, alpha=alpha * self._offset_square)
        self._factor = self._factor / (1 + decay)
        factor = self._factor
        if (float(factor.min()) if isinstance(factor, Tensor) else factor) < _SMALLEST_FACTOR:
            for part in (self._matrix, self._sums, self._along_offset):
                part.mul_(self._factor)
            self._multiplied = self._multiplied * self._factor
            self._factor = 1.0
        return sums

    def squares(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Sums ``(L,)`` of the squares of some rows of :math:`V`, in float64."""
        matrix = self._matrix[rows]
        squares = torch.zeros(matrix.shape[1], dtype=torch.float64, device=matrix.device)
        # A sum over the rows of a large matrix is faster in parts that stay in the cache.
        for part in gen_batches(len(matrix), rows_that_fit(matrix.shape[1], _SQUARED_ENTRIES)):
            squares += matrix[part].square().sum(dim=0)
        return squares

    def squared_norm(self, squares: Tensor | None = None) -> float:
        """Sum of the squared coefficients, from the squares of all rows if they are at hand."""
        squares = self.squares() if squares is None else squares
        sums, along = self._sums.to(torch.float64), self._along_offset.to(torch.float64)
        centred = squares - sums * (2 * along + self._offset_square * sums)
        factor = self._factor
        if not isinstance(factor, Tensor):
            return factor**2 * max(float(centred.sum()), 0.0)
        return float(factor.to(torch.float64).square() @ centred.clamp_(min=0))

    @property
    def intercepts_of_given(self) -> Tensor:
        """Intercepts ``(L,)`` of the features as given; zero of a model without."""
        return self.intercepts - self._along_offset * self._factor

    def snapshot(self, rows: Tensor | slice) -> Snapshot:
        """Copy what steps on some features change."""
        self._multiplied = 1.0
        return Snapshot(
            rows,
            self._matrix[rows].clone(),
            self._sums.clone(),
            self._along_offset.clone(),
            self.intercepts.clone(),
            self._factor,
        )

    def restore(self, before: Snapshot) -> None:
        """Take back all steps since the snapshot, which had no other features."""
        multiplied = self._multiplied
        self._matrix[before.rows] = before.matrix * multiplied
        self._sums, self._along_offset = before.sums * multiplied, before.along_offset * multiplied
        self.intercepts, self._factor = before.intercepts, before.factor / multiplied

    @property
    def multiplied(self) -> float | Tensor:
        """What the rows of :math:`V` were multiplied by since the snapshot."""
        return self._multiplied

    def parameters(self) -> Tensor:
        """Parameters of the features as given, written over those that were passed."""
        if self._offset is not None:
            self._matrix.addr_(self._offset, self._sums, alpha=-1)
            self._sums.zero_()
        self._matrix.mul_(self._factor)
        self._factor = 1.0
        if self._offset is not None:
            self._along_offset = self._offset @ self._matrix
            torch.sub(self.intercepts, self._along_offset, out=self._parameters[-1])
        return self._parameters


class StochasticDescent:
    """Passes over batches, from some parameters on.

    Parameters
    ----------
    weights : CentredWeights
        First parameters; they are moved in place.
    loss : BatchLoss
        The loss of a row.
    steps : StepSizes
        Sizes of the steps.
    n_steps : int, default=0
        Steps made before.
    """

    def __init__(
        self, weights: CentredWeights, loss: BatchLoss, steps: StepSizes, n_steps: int = 0
    ) -> None:
        self.weights, self._loss, self._steps = weights, loss, steps
        self.n_steps = n_steps

    def epoch(self, batches: RowBatches, order: np.ndarray, l2: float) -> float:
        """Pass over all rows in an order; return the mean loss met on the way."""
        weights, steps = self.weights, self._steps
        total: Tensor | None = None  # of the losses, each before its step
        total_weight = 0.0
        for batch in batches.epoch(order):
            scores = weights.scores(batch.features)
            losses, gradient = self._loss.value_and_gradient(scores, batch.targets, batch.weight)
            fraction = steps.fraction(self.n_steps)
            rate = steps.first * fraction
            sums = weights.step(batch.features, gradient, rate, rate * l2 * batch.total_weight)
            if sums is not None:
                weights.intercepts.addcmul_(steps.of_intercepts, sums, value=-fraction)
            self.n_steps += 1
            loss = losses.sum(dtype=torch.float64)
            total = loss if total is None else total.add_(loss)
            total_weight += batch.total_weight
        return float(total) / total_weight if total is not None else 0.0

    def check_finite(self, objective: float) -> float:
        """Return an objective, or mean loss.

        Raises
        ------
        ValueError
            If it has become infinite or NaN.
        """
        if not math.isfinite(objective):
            raise ValueError(
                f"the loss became {objective} after {self.n_steps} steps of solver='sgd'; expected "
                "it to stay finite. Scale the features, as StandardScaler and MaxAbsScaler do, "
                "bound sample_weight, or, where the loss is convex, set solver='newton-cg'. A loss "
                "of your own has to pass over targets that are NaN"
            )
        return objective


_EPOCHS = 10
_MIN_STEPS = 1000
# A batch takes a time of its own, beside that of its scores: few outputs, large batches.
_BATCH_SCORES = 2**13
_BATCH_ROWS = (64, 256)
_MIN_BATCHES = 10


class SGDFit(NamedTuple):
    """Parameters that stochastic gradient descent found."""

    parameters: Tensor  # (n_features + fit_intercept, L)
    loss_curve: list[float]  # mean objective met in each epoch


class SGDPlan(NamedTuple):
    """What stochastic gradient descent does for each block of labels alike."""

    n_epochs: int
    seed: int  # of the order of the rows
    batch_size: int
    gram: float  # largest eigenvalue of a batch's Gram matrix

    @classmethod
    def of(
        cls, problem: LinearProblem, features: PreparedFeatures, n_epochs: int, seed: int
    ) -> SGDPlan:
        """Plan the passes over a problem; all of its outputs are trained."""
        size = batch_size_for(problem.X.shape[0], problem.targets.n_outputs)
        batches = _row_batches(problem, features, size)
        return cls(n_epochs, seed, size, gram_eigenvalue(batches, np.random.default_rng(seed)))


def batch_size_for(n_rows: int, n_outputs: int) -> int:
    """Choose the number of rows of a batch."""
    least, most = _BATCH_ROWS
    size = min(max(_BATCH_SCORES // n_outputs, least), most)
    return max(1, min(size, n_rows // _MIN_BATCHES))


def epochs_for(n_rows: int, n_outputs: int, max_iter: int | None) -> int:
    """Return the number of passes over the rows: `max_iter`, or the default one."""
    if max_iter is not None:
        return max_iter
    n_batches = math.ceil(n_rows / batch_size_for(n_rows, n_outputs))
    return max(_EPOCHS, math.ceil(_MIN_STEPS / n_batches))


def fit_sgd(
    problem: LinearProblem,
    features: PreparedFeatures,
    start: Tensor,
    *,
    plan: SGDPlan,
    monitor: IterationMonitor,
) -> SGDFit:
    """Descend for some epochs, with steps that fall linearly to zero.

    Parameters
    ----------
    problem : LinearProblem
        What to fit; all of its outputs are trained.
    features : PreparedFeatures
        Its features.
    start : Tensor of shape (n_features + fit_intercept, L)
        First parameters, which are overwritten.
    plan : SGDPlan
        Passes over the rows, and batches.
    monitor : IterationMonitor
        Told of each epoch, and may stop the fit.

    Returns
    -------
    SGDFit
        The parameters, and how they were reached.
    """
    n_rows, l2 = problem.X.shape[0], problem.l2
    batches = _row_batches(problem, features, plan.batch_size)
    counts = LabelCounts.of(problem.targets, problem.sample_weight)
    loss = batch_loss(problem, problem.label_weight, counts)
    weighted = LabelCounts.of(problem.targets, batches.weight)
    steps = StepSizes(
        # The penalty of a step, summed over all rows: steps are half the first one on the average.
        first_step(loss, plan.gram, passed=l2 * n_rows * plan.n_epochs / 2),
        steps_of_intercepts(batches, loss, weighted.positive, weighted.negative),
        linear_decay(plan.n_epochs * batches.n_batches),
    )
    offset = features.standardisation.divided_offset
    weights = CentredWeights(
        start, None if offset is None else dense_tensor(offset, problem.device)
    )
    descent = StochasticDescent(weights, loss, steps)
    loss_curve: list[float] = []
    for epoch in range(1, plan.n_epochs + 1):
        monitor.begin()
        order = np.random.default_rng([plan.seed, epoch]).permutation(n_rows)
        objective = descent.epoch(batches, order, l2) + l2 / 2 * weights.squared_norm()
        loss_curve.append(descent.check_finite(objective))
        if monitor.end(weights.parameters):
            break
    return SGDFit(weights.parameters(), loss_curve)


def _row_batches(problem: LinearProblem, features: PreparedFeatures, size: int) -> RowBatches:
    """Batches of the rows, whose weights are of mean one."""
    n_rows = problem.X.shape[0]
    weight = None if problem.sample_weight is None else problem.row_weight * n_rows
    return RowBatches(
        problem.X, problem.targets, weight, features.standardisation, size, problem.device
    )


def batch_loss(
    problem: LinearProblem, label_weight: np.ndarray | None, counts: LabelCounts | None = None
) -> BatchLoss:
    """Make the loss of all outputs; one of weight 0 takes no part."""
    weight = None
    if label_weight is not None:
        weight = dense_tensor(label_weight.astype(problem.X.dtype), problem.device)
    return problem.objective.batch_loss(problem.targets.n_outputs, weight, counts)
