r"""The pairwise loss, with gradient and curvature, for second-order solvers.

With the softmax p of a row's negatives and q of its positives, and the sigmoid c of the
difference of their log-sum-exps, the loss has the gradient :math:`g = c (p - q)` in the scores
and, scale aside, the Hessian

.. math:: c (\mathrm{diag}(p) - p p^T + \mathrm{diag}(q) - q q^T) + c (1 - c) (p - q)(p - q)^T.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.autograd import empty_gradient
from sklearn_mlce._kernels.elementwise import softplus
from sklearn_mlce._kernels.hard_targets import Cells
from sklearn_mlce._kernels.row_blocks import Affine, BlockMemory, matrix_blocks, positive_exponents
from sklearn_mlce._kernels.row_layouts import MatrixRows, softmax_
from sklearn_mlce._objectives.mlce import CURVATURE_OF_LABEL, divided_by_scale, weighted_total
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._objectives.target_tensors import EncodedTargets, cells_or_matrix
from sklearn_mlce.losses._pairwise import pairs_of_cells, pairs_of_matrix


class PairwiseBatches:
    """Each positive beside each negative, divided by the scale; see :class:`BatchLoss`."""

    bounded = True

    def __init__(self, options: LossOptions, n_outputs: int, label_weight: Tensor | None) -> None:
        log_weight = None if label_weight is None else label_weight.log()
        self._affine = Affine(options.scale, (options.margins[0], 0.0), log_weight)
        self._n_outputs = n_outputs
        self.curvature = CURVATURE_OF_LABEL * options.scale

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        weight = divided_by_scale(weight, scores, self._affine.scale)
        matrix = cells_or_matrix(targets, self._n_outputs)
        gradient = empty_gradient(scores)
        if isinstance(matrix, Cells):
            return pairs_of_cells(scores, matrix, self._affine, weight, gradient), gradient
        return pairs_of_matrix(scores, matrix, self._affine, weight, gradient), gradient


class PairwiseRows:
    """Pairwise loss of targets; ``weight`` sums the rows, the loss is divided by the scale."""

    def __init__(self, targets: Cells | Tensor, weight: Tensor, affine: Affine) -> None:
        self.targets = targets
        self.weight = weight
        self.affine = affine

    def evaluate(self, scores: Tensor) -> _PairwiseDerivatives:
        """Value and derivatives at ``scores``."""
        (p, of_negatives), (q, of_positives) = self._softmax(scores, 1), self._softmax(scores, -1)
        paired = of_negatives.add_(of_positives)
        value = weighted_total(softplus(paired), self.weight, self.affine.scale)
        return _PairwiseDerivatives(value, p, q, torch.sigmoid(paired), self.weight, self.affine)

    def _softmax(self, scores: Tensor, sign: int) -> tuple[Tensor, Tensor]:
        """Softmax ``(n, L)`` of one side, 0 off it, and the log-sum-exp ``(n,)``."""
        if isinstance(self.targets, Cells) and sign < 0:
            softmax = torch.full_like(scores, -torch.inf)
            exponents = positive_exponents(scores, self.targets, self.affine)
            softmax.view(-1).index_copy_(0, self.targets.positive, exponents)
        else:
            softmax = torch.empty_like(scores)
            memory = BlockMemory(scores, softmax)
            for _ in matrix_blocks(scores, self.targets, self.affine, sign, memory):
                pass  # each writes its exponents into the memory
        return softmax, softmax_(softmax, MatrixRows())


class _PairwiseDerivatives:
    def __init__(
        self, value: float, p: Tensor, q: Tensor, share: Tensor, weight: Tensor, affine: Affine
    ) -> None:
        self.value = value
        self._p, self._q = p, q
        self._share = share[:, None]
        self._weight, self._scale = weight[:, None], affine.scale

    def gradient(self) -> Tensor:
        return torch.sub(self._p, self._q).mul_(self._share * self._weight)

    def curvature_diagonal(self) -> Tensor:
        p, q, share = self._p, self._q, self._share
        diagonal = (p - p.square()).add_(q - q.square())
        diagonal.addcmul_(1 - share, (p - q).square_())
        return diagonal.mul_(share * self._weight * self._scale)

    def curvature_product(self, direction: Tensor) -> Tensor:
        p, q, share = self._p, self._q, self._share
        p_dot = torch.linalg.vecdot(p, direction)[:, None]
        q_dot = torch.linalg.vecdot(q, direction)[:, None]
        between = (1 - share) * (p_dot - q_dot)
        # p (d - p.d + between) + q (d - q.d - between)
        of_positives = (direction - (q_dot + between)).mul_(q)
        direction.sub_(p_dot - between).mul_(p).add_(of_positives)
        return direction.mul_(share * self._weight * self._scale)
