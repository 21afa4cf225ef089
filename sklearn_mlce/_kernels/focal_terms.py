"""Losses of one label as functions of one score, with their slopes.

A term is the loss ``f(z)`` of a negative label with score ``z``. A positive label is a negative
one of the opposite score: its loss is ``g(-s)``, g being a term as well. With ``p = sigmoid(z)``
the binary cross-entropy is ``-log(1 - p) = softplus(z)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_mlce._kernels.exponentials import softplus

#: Memory of a term, of the shape of its scores: of its values, its slopes, and three to work in.
Buffers = Sequence[Tensor]
N_BUFFERS = 5


class Term(Protocol):
    """A loss of one label, taken entry by entry."""

    def evaluate(self, z: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
        """Values and slopes at ``z``, which are the first two of `N_BUFFERS` buffers."""


class FocalTerm(NamedTuple):
    """``factor p^gamma softplus(scale z) / scale``, where ``p = sigmoid(scale z)``."""

    gamma: float = 0.0
    factor: float = 1.0
    scale: float = 1.0

    def evaluate(self, z: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
        values, slopes, p, scaled, _ = buffers
        scaled = z if self.scale == 1 else torch.mul(z, self.scale, out=scaled)
        softplus(scaled, out=values)
        if self.gamma == 0:
            torch.sigmoid(scaled, out=slopes)
        else:
            torch.sigmoid(scaled, out=p)
            # p^gamma (p + gamma (1 - p) softplus)
            torch.addcmul(values, values, p, value=-1, out=slopes)
            torch.add(p, slopes, alpha=self.gamma, out=slopes)
            focus = _power_(p, self.gamma)
            slopes.mul_(focus)
            values.mul_(focus)
        if self.factor != self.scale:
            values.mul_(self.factor / self.scale)
        if self.factor != 1:
            slopes.mul_(self.factor)
        return values, slopes

    def mixed(
        self, positive: FocalTerm, z: Tensor, targets: Tensor, buffers: Buffers
    ) -> tuple[Tensor, Tensor]:
        """Values and slopes at scores of both kinds of labels, by their targets 0 and 1.

        This is the term of the negatives; that of the positives has the same gamma.
        """

        def by_target(negative: float, positive: float, out: Tensor) -> Tensor:
            # One of the two is 0: a difference of the constants would cancel where one is large.
            return torch.sub(1, targets, out=out).mul_(negative).add_(targets, alpha=positive)

        # Of the buffers, `evaluate` leaves the last two alone where the scale is 1.
        *_, spare, signed, scales = buffers
        by_target(self.scale, -positive.scale, out=scales)
        signed = torch.mul(z, scales, out=signed)
        values, slopes = FocalTerm(self.gamma).evaluate(signed, buffers)
        factors = (self.factor, positive.factor)
        if factors == (self.scale, positive.scale):
            return values, slopes.mul_(scales)
        ratios = (self.factor / self.scale, positive.factor / positive.scale)
        values.mul_(by_target(*ratios, out=spare))
        return values, slopes.mul_(by_target(self.factor, -positive.factor, out=spare))


class ShiftedFocalTerm(NamedTuple):
    """``-p_m^gamma log(1 - p_m)``, where ``p_m = max(sigmoid(z) - margin, 0)``."""

    gamma: float
    margin: float

    def evaluate(self, z: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
        values, slopes, p, opposite, divisor = buffers
        torch.sigmoid(z, out=p)
        torch.sigmoid(torch.neg(z, out=opposite), out=opposite)
        # 1 / (1 - p_m) where p_m is not 0, by what p leaves of 1, which p near 1 does not tell
        torch.add(opposite, self.margin, out=slopes).reciprocal_()
        bent = opposite.mul_(p)  # p (1 - p), the slope of p_m where it has one
        shifted = p.sub_(self.margin).clamp_(min=0)
        torch.mul(shifted, slopes, out=values).log1p_()  # 1 / (1 - p_m) is 1 + p_m / (1 - p_m)
        # p_m^gamma (1 / (1 - p_m) + gamma (-log(1 - p_m)) / p_m)
        if self.gamma == 0:
            return values, slopes.mul_(bent).mul_(shifted.sign_())
        tiny = torch.finfo(p.dtype).tiny  # where p_m is 0 so is the logarithm
        slopes.addcdiv_(values, torch.clamp(shifted, min=tiny, out=divisor), value=self.gamma)
        focus = _power_(shifted, self.gamma)
        return values.mul_(focus), slopes.mul_(bent).mul_(focus)


def _power_(base: Tensor, exponent: float) -> Tensor:
    """Base to an exponent, in place: whole ones in a tenth of the time of pow."""
    if exponent not in (1, 2, 3, 4):
        return base.pow_(exponent)
    if exponent == 1:
        return base
    if exponent == 3:
        return base.mul_(base.square())  # rarely taken: no buffer is kept for it
    return base.square_() if exponent == 2 else base.square_().square_()
