r"""The loss of several outputs of several classes, with curvature, for second-order solvers.

An output i of class j compares the score of j with that of each other class k, and the exponentials
of these differences are pooled, over the outputs of class j, in one logarithm. With the share
:math:`p_{ik}` of a pair in its pool the gradient is p at k and minus its sum over k at j. In the
differences :math:`d` the Hessian is :math:`\mathrm{diag}(p) - p p^T` within each pool.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._kernels.multioutput import hard_rows
from sklearn_mlce._kernels.output_layout import ABSENT, OutputLayout
from sklearn_mlce._objectives.mlce import CURVATURE_OF_LABEL, weighted_total
from sklearn_mlce._objectives.target_tensors import EncodedTargets, Positives


class MultioutputBatches:
    """The classes of all outputs compared within their output; see :class:`BatchLoss`.

    Parameters
    ----------
    sizes : tuple of int
        Number of classes of each output.
    in_play : Tensor of shape (n_scores,) or None
        Zero for the classes that take no part; None where all do.
    """

    bounded = True
    curvature = CURVATURE_OF_LABEL

    def __init__(self, sizes: tuple[int, ...], in_play: Tensor | None = None) -> None:
        self._sizes = sizes
        self._out_of_play = None if in_play is None else in_play == 0
        self._layouts: dict[torch.device, OutputLayout] = {}

    def evaluate(
        self, scores: Tensor, targets: EncodedTargets, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        assert isinstance(targets, Positives)
        layout = self._layouts.get(scores.device)
        if layout is None:
            layout = OutputLayout(self._sizes, scores.device)
            self._layouts[scores.device] = layout
        if weight is not None:
            weight = weight.expand(len(scores))
        codes = layout.codes(targets.indices)
        if self._out_of_play is not None:
            # An output whose only class yet is out of play is as good as unknown.
            unknown = self._out_of_play[targets.indices].view_as(codes)
            codes = codes.masked_fill(unknown, -1)
            scores = scores.masked_fill(self._out_of_play, ABSENT)
        values, gradient = hard_rows(layout.split(scores), codes, factor=weight)
        gradient = layout.join(gradient)
        if self._out_of_play is not None:
            gradient = gradient.masked_fill(self._out_of_play, 0)
        return values, gradient


class MultioutputRows:
    """Loss of class codes; ``weight`` (n,) sums the rows.

    Parameters
    ----------
    columns : Tensor of shape (n * n_outputs,)
        Column of the class of each output, row by row.
    weight : Tensor of shape (n,)
        Weights of the rows.
    sizes : tuple of int
        Number of classes of each output.
    """

    def __init__(self, columns: Tensor, weight: Tensor, sizes: tuple[int, ...]) -> None:
        self._layout = OutputLayout(sizes, weight.device)
        self._codes = self._layout.codes(columns)
        self._weight = weight

    def evaluate(self, scores: Tensor) -> _MultioutputDerivatives:
        """Value and derivatives at ``scores``."""
        losses, gradient = hard_rows(self._layout.split(scores), self._codes)
        value = weighted_total(losses, self._weight)
        return _MultioutputDerivatives(value, gradient, self._codes, self._weight, self._layout)


class _MultioutputDerivatives:
    def __init__(
        self, value: float, gradient: Tensor, codes: Tensor, weight: Tensor, layout: OutputLayout
    ) -> None:
        self.value = value
        self._gradient = gradient  # (n, n_outputs, most classes), of the rows' own losses
        self._codes, self._layout = codes, layout
        self._weight = weight[:, None]

    def gradient(self) -> Tensor:
        return self._layout.join(self._gradient).mul(self._weight)

    def curvature_diagonal(self) -> Tensor:
        size = self._layout.join(self._gradient).abs()
        return size.sub_(size.square()).mul_(self._weight)

    def curvature_product(self, direction: Tensor) -> Tensor:
        moves = self._layout.split(direction, absent=0.0)
        own = self._codes[..., None]
        shares = self._gradient.scatter(2, own, 0.0)
        moves = moves - moves.gather(2, own)  # of the differences
        product = shares * moves
        pools = moves.new_zeros(len(moves), moves.shape[2])
        pools.scatter_add_(1, self._codes, product.sum(dim=2))
        product -= shares * pools.gather(1, self._codes)[..., None]
        product.scatter_(2, own, -product.sum(dim=2, keepdim=True))
        torch.mul(self._layout.join(product), self._weight, out=direction)
        return direction
