"""Base of the losses that models are trained on.

Names, flags, constant scores and probabilities need NumPy alone; torch is imported by the methods
that training calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from scipy.special import expit, log_expit, softmax
from scipy.stats import rankdata

from sklearn_mlce._targets.targets import LabelCounts, TargetFormat, Targets

if TYPE_CHECKING:
    from torch import Tensor

    from sklearn_mlce._objectives.batch_loss import BatchLoss, RowLosses
    from sklearn_mlce._objectives.target_tensors import EncodedTargets

Margins = tuple[float, float]  # of the negatives, of the positives


class SecondOrderLoss(Protocol):
    """The weighted sum of row losses as a function of the scores, for second-order solvers."""

    def evaluate(self, scores: Tensor) -> Derivatives:
        """Value and derivatives at ``scores`` (n, L)."""


class Derivatives(Protocol):
    """Value, gradient and curvature of a loss at some scores."""

    value: float  # weighted sum of the row losses

    def gradient(self) -> Tensor:
        """Gradient in the scores, shape (n, L)."""

    def curvature_diagonal(self) -> Tensor:
        """Diagonal of the Hessian in the scores, shape (n, L)."""

    def curvature_product(self, direction: Tensor) -> Tensor:
        """Hessian times a direction ``(n, L)``, which is overwritten."""


class Objective:
    """A loss as training needs it, divided by its scale.

    Parameters
    ----------
    scale : float, default=1.0
        Factor of the scores.
    margins : pair of float, default=(0.0, 0.0)
        Margins of the negatives and of the positives.
    target_format : TargetFormat, default=None
        Of the y that it is trained on; None is a matrix of 0 and 1.

    Attributes
    ----------
    name : str
        What users type for it.
    takes_margin : bool
        Whether a scale and a margin shape it.
    convex : bool
        Whether it is known to be convex in the scores, so that the exact solver takes it.
    separable : bool
        Whether it is a sum over labels, each a problem of its own.
    has_probabilities : bool
        Whether its scores are mapped to probabilities.
    needs_label_counts : bool
        Whether it weighs labels by how many training rows carry each.
    takes_soft_targets : bool
        Whether its minimum is at a target between 0 and 1.
    needs_n_labels : bool
        Whether it knows no threshold, so that the number of labels per row has to be given.
    is_module : bool
        Whether it is the user's own torch module.
    bounded_gradient : bool
        Whether the gradient in a score is.
    form : str
        Key of :data:`sklearn_mlce._objectives.target_tensors.FORMS`: what it takes as targets.
    dense_form : {"signed", "two_sided"} or None
        The form in which small batches of hard labels are evaluated without a list of entries.
    """

    name: ClassVar[str]
    takes_margin: ClassVar[bool] = False
    convex: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    has_probabilities: ClassVar[bool] = True
    needs_label_counts: ClassVar[bool] = False
    takes_soft_targets: ClassVar[bool] = True
    needs_n_labels: ClassVar[bool] = False
    is_module: ClassVar[bool] = False
    bounded_gradient: ClassVar[bool] = True
    form: ClassVar[str] = "entries"
    dense_form: ClassVar[str | None] = None

    def __init__(
        self,
        scale: float = 1.0,
        margins: Margins = (0.0, 0.0),
        target_format: TargetFormat | None = None,
    ) -> None:
        self.scale, self.margins = float(scale), margins
        self.kind = "multilabel" if target_format is None else target_format.kind
        self.soft = target_format is not None and target_format.fractional

    @classmethod
    def for_targets(cls, target_format: TargetFormat, scale: float, margin: Any) -> Objective:
        """The objective of this loss for a kind of y; ``margin`` is a checked number or pair.

        Raises
        ------
        ValueError
            If the loss does not take such a y.
        """
        if target_format.kind == "multioutput":
            raise ValueError(
                "y is multiclass-multioutput, which loss='auto' and loss='mlce' alone take; got "
                f"loss={cls.name!r}. Set loss='auto', or wrap the estimator: "
                "sklearn.multioutput.MultiOutputClassifier(estimator)"
            )
        return cls(scale, margin, target_format)

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """What tells the loss from others, as plain values."""
        return self.described, self.scale, self.margins, self.kind, self.soft

    @property
    def described(self) -> str:
        """The loss as messages name it."""
        return f"loss={self.name!r}"

    @property
    def divisor(self) -> float:
        """What the row losses are still to be divided by."""
        return self.scale

    @property
    def margin(self) -> Any:
        """What users type for the margins."""
        return self.margins

    @property
    def large_work(self) -> float:
        """Work, as `choose_solver` counts it, above which mini-batches are three times faster.

        That is of labels that are one problem (``benchmarks/results/solver_choice.md``).
        """
        return 2e7

    @property
    def has_margin(self) -> bool:
        """Whether scores are asked to clear zero by a margin, so that small ones cost."""
        return sum(self.margins) > 0

    def constant_scores(
        self,
        targets: Targets,
        sample_weight: np.ndarray | None,
        counts: LabelCounts,
        label_weight: np.ndarray | None = None,
    ) -> np.ndarray:
        r"""Scores ``(n_outputs,)``, the same for all rows, that are best or near it; float64.

        At zero a large scale leaves every label's loss on its linear part, far from where it bends,
        and solvers crawl. Here the scores are those of least logistic loss, label by label. With
        the counts :math:`P` and :math:`N` of a label's positive and negative rows, the derivative
        of :math:`N \log(1 + e^{\gamma (b + m_0)}) + P \log(1 + e^{-\gamma (b - m_1)})` vanishes
        where

        .. math::

            N v^2 + (N - P) e^h v - P = 0, \quad v = e^{\gamma (b - (m_1 - m_0) / 2)}, \quad
            h = \gamma (m_0 + m_1) / 2,

        a quadratic with one positive root, taken in logarithms as :math:`h` may be large. Without
        margins :math:`\gamma b = \log(P / N)`.

        Parameters
        ----------
        targets : Targets
            Encoded targets of the rows.
        sample_weight : ndarray of shape (n_rows,) or None
            Weights of the rows.
        counts : LabelCounts
            Of the labels, each with a positive and a negative row.
        label_weight : ndarray of shape (n_outputs,), default=None
            Weights of the labels.
        """
        positive, negative, _ = counts
        h = self.scale * sum(self.margins) / 2
        half_difference = (self.margins[1] - self.margins[0]) / 2
        with np.errstate(divide="ignore"):  # as many positive as negative rows
            log_gap = np.log(np.abs(positive - negative))
        log_root = np.logaddexp(2 * log_gap, np.log(4 * positive * negative) - 2 * h) / 2
        log_sum = np.logaddexp(log_gap, log_root) + h
        # Of the two forms of the root, the one whose sum does not cancel.
        rare, frequent = np.log(2 * positive) - log_sum, log_sum - np.log(2 * negative)
        return np.where(positive < negative, rare, frequent) / self.scale + half_difference

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Map of scores ``(n, n_outputs)`` to probabilities, two columns for binary y."""
        logits = self.scale * scores
        if self.kind == "binary":
            return expit(np.hstack([-logits, logits]))
        if self.kind == "multiclass":  # one class against the rest
            return _ties_broken(softmax(log_expit(logits), axis=1), logits)
        return expit(self.label_logits(scores, softplus))

    def probabilities_of_tensor(self, scores: Tensor) -> Tensor:
        """:meth:`probabilities` of a tensor, which torch differentiates and exports.

        Classes that tie stay so.
        """
        import torch
        from torch.nn import functional

        if self.kind == "binary":
            logits = self.scale * scores
            return torch.cat([-logits, logits], dim=1).sigmoid()
        if self.kind == "multiclass":
            return functional.logsigmoid(self.scale * scores).softmax(dim=1)
        # onnxruntime has torch's own softplus in float32 alone.
        return self.label_logits(scores, lambda z: -functional.logsigmoid(-z)).sigmoid()

    def label_logits(self, scores: Any, softplus: Callable[[Any], Any]) -> Any:
        """Log-odds of the probabilities of the labels of a multi-label y.

        `scores` are an array or a tensor, and ``softplus`` gives ``log(1 + exp(z))`` of such.
        """
        return self.scale * scores

    def batch_loss(
        self,
        n_outputs: int,
        label_weight: Tensor | None = None,
        counts: LabelCounts | None = None,
    ) -> BatchLoss:
        """The loss of batches of rows, for mini-batch solvers and networks.

        Parameters
        ----------
        n_outputs : int
            Scores of a row.
        label_weight : Tensor of shape (n_outputs,), default=None
            Weight of each output; one of weight 0 takes no part.
        counts : LabelCounts, default=None
            Of the training rows; given where `needs_label_counts`.
        """
        from sklearn_mlce._objectives.batch_loss import BatchLoss

        return BatchLoss(self, self._row_losses(label_weight, counts), n_outputs, label_weight)

    def second_order(
        self,
        encoded: EncodedTargets,
        n_outputs: int,
        weight: Tensor,
        label_weight: Tensor | None = None,
    ) -> SecondOrderLoss:
        """The loss with its curvature, for the exact solvers; of convex losses alone.

        Parameters
        ----------
        encoded : EncodedTargets
            Targets of all rows.
        n_outputs : int
            Scores of a row.
        weight : Tensor of shape (n,)
            Positive weights of the rows, which sum to one.
        label_weight : Tensor of shape (n_outputs,), default=None
            Weights of the outputs.
        """
        from sklearn_mlce._objectives.target_tensors import FORMS

        return self._second_order(FORMS[self.form](encoded, n_outputs), weight, label_weight)

    # What a loss adds: its arithmetic, of which torch is imported here and not before.

    def _row_losses(self, label_weight: Tensor | None, counts: LabelCounts | None) -> RowLosses:
        """Function of scores, targets in their `form`, and weights of rows."""
        raise NotImplementedError

    def _second_order(
        self, targets: Any, weight: Tensor, label_weight: Tensor | None
    ) -> SecondOrderLoss:
        """Loss of targets in their `form`."""
        raise NotImplementedError

    def curvature(
        self, row_losses: RowLosses, n_outputs: int, label_weight: Tensor | None
    ) -> float | Tensor:
        """Bound of the second derivative of a row's loss in a score, of all or ``(n_outputs,)``.

        That of MLCE and its kin is a probability times its complement, times the scale. Rows where
        several labels are at once in doubt have a larger eigenvalue (up to twice that) but are
        few, and the gradients are bounded: steps made for one label stay stable and converge
        several times faster.
        """
        return self.scale / 4


def softplus(z: np.ndarray) -> np.ndarray:
    """Logarithm of ``1 + exp(z)``."""
    return np.logaddexp(z, 0)


def shrunk_logits(scores: Any, slope: float, margins: Margins) -> Any:
    """Log-odds of scores of 0/1 labels, less steep where there are margins.

    Without margins the slope is the loss's own. Margins m make the scores of regularised models
    gather between -m and m; that the slope falls to 5 / m then, and how far the centre follows a
    difference between the margins, was chosen on the data sets of the benchmarks.
    """
    margin = max(sum(margins) / 2, 0.0)
    centre = 0.3 * (margins[1] - margins[0])
    return slope / (1 + slope * margin / 5) * (scores - centre)


def one_margin(margins: Margins, what: str) -> float:
    """The margin between two scores, which is one number.

    Raises
    ------
    ValueError
        If the margins are two different numbers.
    """
    if margins[0] != margins[1]:
        raise ValueError(
            f"margin={margins!r} is a pair, but {what} has one margin, by which a positive is to "
            "lead a negative. Pass one number"
        )
    return margins[0]


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities that are never exactly 0 or 1."""
    return np.clip(probabilities, np.finfo(np.float64).tiny, np.nextafter(1.0, 0.0))


def _ties_broken(probabilities: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Probabilities that rise with the scores of their row, by a rounding error where they tie.

    Sigmoids of scores above 37 round to 1. A class above n other scores of its row is raised by n
    units in the last place, which keeps the order of those that differ already.
    """
    above = rankdata(scores, method="dense", axis=1) - 1
    return probabilities * (1 + np.finfo(np.float64).eps * above)


def log_of(probabilities: Any) -> Any:
    """Logarithms of probabilities, of each array of a list; -inf for 0."""
    if isinstance(probabilities, list):
        return [log_of(part) for part in probabilities]
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def is_module(loss: Any) -> bool:
    """Whether a loss is given as a module and not by its name."""
    return not isinstance(loss, str)
