"""The loss of a batch of rows and its gradient, for solvers that take rows a few at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernel import Affine, Cells, cells_from_indices
from sklearn_mlce._loss_options import LossOptions
from sklearn_mlce._pointwise import pointwise_loss_and_gradient
from sklearn_mlce._thresholded import loss_and_gradient
from sklearn_mlce._training.batch_targets import ClassCodes, EncodedTargets, Positives

# Second derivative of a loss in one score, at most: of MLCE, of any order, it is a probability
# times its complement, times the scale. Rows where several labels are at once in doubt have a
# larger eigenvalue (up to twice that of order 1, four times that of order 2) but are few, and the
# gradients are bounded: steps made for one label stay stable and converge several times faster.
_CURVATURE_OF_LABEL = {"mlce": 1 / 4, "bce": 1 / 4, "squared_hinge": 2.0}


class BatchLoss:
    """Losses of rows, divided by the scale.

    Parameters
    ----------
    options : LossOptions
        The loss.
    n_outputs : int
        Number L of scores of a row.
    label_weight : Tensor of shape (L,) or None
        Weight of each output; one of weight 0 takes no part.
    """

    def __init__(
        self, options: LossOptions, n_outputs: int, label_weight: Tensor | None = None
    ) -> None:
        self._options = options
        self._n_outputs = n_outputs
        self._label_weight = label_weight
        log_weight = None if label_weight is None else label_weight.log()
        self._affine = Affine(options.scale, options.margins, log_weight)

    @property
    def curvature(self) -> float:
        """Bound of the second derivative of a row's loss in one of its scores."""
        bound = _CURVATURE_OF_LABEL[self._options.loss] * self._options.scale
        if self._options.loss == "mlce" or self._label_weight is None:
            return bound
        return bound * float(self._label_weight.max())

    def intercept_curvatures(self, positive_share: Tensor) -> Tensor:
        """Second derivatives ``(L,)`` of the mean loss in the intercepts, near their optimum.

        A logistic term is curved where its label is in doubt, as about as many rows as have it
        are: the share of them in all, where it is less than half.
        """
        if self._options.loss == "squared_hinge":
            return torch.full_like(positive_share, self.curvature)
        in_doubt = torch.minimum(positive_share, 1 - positive_share)
        return in_doubt.clamp(max=1 / 4) * 4 * self.curvature

    @property
    def bounded(self) -> bool:
        """Whether the gradient in a score is."""
        return self._options.loss != "squared_hinge"

    @property
    def unit(self) -> float:
        """Change of a score that changes its exponent by 1."""
        return 1 / self._options.scale

    def __call__(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``(n,)`` of each row times its weight, and the gradient ``(n, L)`` of their sum."""
        if self._options.loss != "mlce":
            return pointwise_loss_and_gradient(
                self._options.loss, scores, self._matrix(targets), self._label_weight, weight
            )
        scale = self._affine.scale
        if weight is None and scale != 1:
            weight = scores.new_full((len(scores),), 1 / scale)
        elif weight is not None:
            weight = weight / scale
        if isinstance(targets, ClassCodes):
            return self._softmax(scores, targets.codes, weight)
        return loss_and_gradient(
            scores, self._matrix(targets), self._affine, self._options.orders, weight
        )

    def _matrix(self, targets: EncodedTargets) -> Tensor | Cells:
        if isinstance(targets, Positives):
            return cells_from_indices(targets.row_ends(), targets.indices, self._n_outputs)
        if isinstance(targets, ClassCodes):
            row_ends = torch.arange(len(targets.codes) + 1, device=targets.codes.device)
            return cells_from_indices(row_ends, targets.codes, self._n_outputs)
        return targets.dense

    def _softmax(
        self, scores: Tensor, codes: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Softmax cross-entropy, the margin standing between the true class and each other."""
        scale, (margin, _), log_weight = self._affine
        logits = scale * scores
        if log_weight is not None:
            logits += log_weight
        at_codes = codes[:, None]
        if margin:
            logits.scatter_add_(1, at_codes, logits.new_full((len(codes), 1), -scale * margin))
        log_softmax = torch.log_softmax(logits, dim=1)
        values = log_softmax.gather(1, at_codes).squeeze(1).neg_()
        gradient = log_softmax.exp_()
        gradient.scatter_add_(1, at_codes, gradient.new_full((len(codes), 1), -1.0))
        gradient.mul_(scale)
        if weight is None:
            return values, gradient
        return values.mul_(weight), gradient.mul_(weight[:, None])
