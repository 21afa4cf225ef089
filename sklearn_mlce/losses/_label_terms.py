"""Losses of one label as functions of one score, with their slopes.

A term is the loss ``f(z)`` of a negative label with score ``z``. A positive label is a negative
one of the opposite score: its loss is ``g(-s)``, g being a term as well. With ``p = sigmoid(z)``
the binary cross-entropy is ``-log(1 - p) = softplus(z)``.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_mlce._orders import softplus


class Term(Protocol):
    """A loss of one label, taken entry by entry."""

    def evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes at ``z``, each in memory of its own."""


class FocalTerm(NamedTuple):
    """``factor p^gamma softplus(scale z) / scale``, where ``p = sigmoid(scale z)``."""

    gamma: float = 0.0
    factor: float = 1.0
    scale: float = 1.0

    def evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        scaled = z if self.scale == 1 else self.scale * z
        values = softplus(scaled)
        p = torch.sigmoid(scaled)
        slopes = p
        if self.gamma != 0:
            # p^gamma (p + gamma (1 - p) softplus)
            slopes = torch.addcmul(values, values, p, value=-1)
            torch.add(p, slopes, alpha=self.gamma, out=slopes)
            focus = power(p, self.gamma)
            slopes.mul_(focus)
            values.mul_(focus)
        if self.factor != self.scale:
            values.mul_(self.factor / self.scale)
        if self.factor != 1:
            slopes.mul_(self.factor)
        return values, slopes

    def mixed(self, positive: FocalTerm, z: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values and slopes at scores of both kinds of labels, by their targets 0 and 1.

        This is the term of the negatives; that of the positives has the same gamma. The scores
        are spent.
        """

        def by_target(negative: float, positive: float) -> Tensor:
            # One of the two is 0: a difference of the constants would cancel where one is large.
            return torch.sub(1, targets).mul_(negative).add_(targets, alpha=positive)

        signed_scales = by_target(self.scale, -positive.scale)
        values, slopes = FocalTerm(self.gamma).evaluate(z.mul_(signed_scales))
        factors, scales = (self.factor, positive.factor), (self.scale, positive.scale)
        if factors == scales:
            return values, slopes.mul_(signed_scales)
        values.mul_(by_target(self.factor / self.scale, positive.factor / positive.scale))
        return values, slopes.mul_(by_target(self.factor, -positive.factor))


class ShiftedFocalTerm(NamedTuple):
    """``-p_m^gamma log(1 - p_m)``, where ``p_m = max(sigmoid(z) - margin, 0)``."""

    gamma: float
    margin: float

    def evaluate(self, z: Tensor) -> tuple[Tensor, Tensor]:
        p, opposite = torch.sigmoid(z), torch.sigmoid(-z)
        shifted = torch.sub(p, self.margin).clamp_(min=0)
        # 1 / (1 - p_m) where p_m is not 0, by what p leaves of 1, which p near 1 does not tell
        inverse = torch.add(opposite, self.margin).reciprocal_()
        values = torch.mul(shifted, inverse).log1p_()  # 1 / (1 - p_m) is 1 + p_m / (1 - p_m)
        bent = opposite.mul_(p)  # p (1 - p), the slope of p_m where it has one
        # p_m^gamma (1 / (1 - p_m) + gamma (-log(1 - p_m)) / p_m)
        slopes = inverse
        if self.gamma == 0:
            return values, slopes.mul_(bent).mul_(shifted.sign())
        tiny = torch.finfo(p.dtype).tiny  # where p_m is 0 so is the logarithm
        slopes.addcdiv_(values, shifted.clamp(min=tiny), value=self.gamma)
        focus = power(shifted, self.gamma)
        return values.mul_(focus), slopes.mul_(bent).mul_(focus)


def power(base: Tensor, exponent: float) -> Tensor:
    """Base to an exponent, the base itself to 1: whole ones in a tenth of the time of pow."""
    if exponent not in (1, 2, 3, 4):
        return base.pow(exponent)
    if exponent == 1:
        return base
    square = base.square()
    if exponent == 2:
        return square
    return square.mul_(base) if exponent == 3 else square.square_()
