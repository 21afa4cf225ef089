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
from sklearn_mlce._kernels.loss_function import constant

#: Memory of a term, of the shape of its scores: of its values, its slopes, and three to work in.
#: None stands for fresh memory, which is the cheaper one for few scores.
Buffers = Sequence[Tensor | None]
N_BUFFERS = 5
FRESH: Buffers = (None,) * N_BUFFERS
# Numbers of which one is at most so many times the other: their difference costs no digits.
_CLOSE = 4


class Term(Protocol):
    """A loss of one label, taken entry by entry."""

    def evaluate(self, z: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
        """Values and slopes at ``z``, which are the first two of `N_BUFFERS` buffers."""

    def plain(self, z: Tensor) -> Tensor:
        """Values at ``z`` by operations that are differentiable any number of times."""


class FocalTerm(NamedTuple):
    """``factor p^gamma softplus(scale z) / scale``, where ``p = sigmoid(scale z)``."""

    gamma: float = 0.0
    factor: float = 1.0
    scale: float = 1.0

    def evaluate(self, z: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
        of_values, of_slopes, of_p, of_scaled, _ = buffers
        scaled = z if self.scale == 1 else torch.mul(z, self.scale, out=of_scaled)
        values = softplus(scaled, out=of_values)
        if self.gamma == 0:
            slopes = torch.sigmoid(scaled, out=of_slopes)
        else:
            p = torch.sigmoid(scaled, out=of_p)
            # p^gamma (p + gamma (1 - p) softplus)
            slopes = torch.addcmul(values, values, p, value=-1, out=of_slopes)
            slopes = torch.add(p, slopes, alpha=float(self.gamma), out=of_slopes)
            focus = _power_(p, self.gamma)
            slopes.mul_(focus)
            values.mul_(focus)
        if self.factor != self.scale:
            values.mul_(self.factor / self.scale)
        if self.factor != 1:
            slopes.mul_(self.factor)
        return values, slopes

    def plain(self, z: Tensor) -> Tensor:
        scaled = self.scale * z
        values = self.factor / self.scale * softplus(scaled)
        # By its logarithm: powers of what underflows to 0 have no slope.
        return values * torch.exp(-self.gamma * softplus(-scaled)) if self.gamma else values

    def mixed(
        self, positive: FocalTerm, z: Tensor, targets: Tensor, buffers: Buffers
    ) -> tuple[Tensor, Tensor]:
        """Values and slopes at scores of both kinds of labels, by their targets 0 and 1.

        This is the term of the negatives; that of the positives has the same gamma.
        """
        # Of the buffers, `evaluate` leaves the last two alone where the scale is 1.
        *_, spare, of_signed, of_scales = buffers
        if self == positive:
            sign = _by_target(targets, 1, -1, out=of_scales)
            values, slopes = self.evaluate(torch.mul(z, sign, out=of_signed), buffers)
            return values, slopes.mul_(sign)
        scales = _by_target(targets, self.scale, -positive.scale, out=of_scales)
        signed = torch.mul(z, scales, out=of_signed)
        values, slopes = FocalTerm(self.gamma).evaluate(signed, buffers)
        factors = (self.factor, positive.factor)
        if factors == (self.scale, positive.scale):
            return values, slopes.mul_(scales)
        ratios = _by_target(
            targets, self.factor / self.scale, positive.factor / positive.scale, out=spare
        )
        return values.mul_(ratios), slopes.mul_(ratios).mul_(scales)


class ShiftedFocalTerm(NamedTuple):
    """``-p_m^gamma log(1 - p_m)``, where ``p_m = max(sigmoid(z) - margin, 0)``."""

    gamma: float
    margin: float

    def evaluate(self, z: Tensor, buffers: Buffers) -> tuple[Tensor, Tensor]:
        of_values, of_slopes, of_p, of_opposite, of_divisor = buffers
        p = torch.sigmoid(z, out=of_p)
        opposite = torch.neg(z, out=of_opposite).sigmoid_()
        # 1 / (1 - p_m) where p_m is not 0, by what p leaves of 1, which p near 1 does not tell
        slopes = torch.add(opposite, self.margin, out=of_slopes).reciprocal_()
        bent = opposite.mul_(p)  # p (1 - p), the slope of p_m where it has one
        shifted = p.sub_(self.margin).clamp_(min=0)
        # 1 / (1 - p_m) is 1 + p_m / (1 - p_m)
        values = torch.mul(shifted, slopes, out=of_values).log1p_()
        # p_m^gamma (1 / (1 - p_m) + gamma (-log(1 - p_m)) / p_m)
        if self.gamma == 0:
            return values, slopes.mul_(bent).mul_(shifted.sign_())
        tiny = torch.finfo(p.dtype).tiny  # where p_m is 0 so is the logarithm
        slopes.addcdiv_(values, torch.clamp(shifted, min=tiny, out=of_divisor), value=self.gamma)
        focus = _power_(shifted, self.gamma)
        return values.mul_(focus), slopes.mul_(bent).mul_(focus)

    def plain(self, z: Tensor) -> Tensor:
        shifted = torch.sigmoid(z) - self.margin
        inside = shifted > 0
        shifted = torch.where(inside, shifted, 1.0)  # off zero, where powers have no slope
        values = torch.log1p(shifted / (torch.sigmoid(-z) + self.margin))
        return torch.where(inside, values * shifted**self.gamma, 0.0)


def _by_target(targets: Tensor, negative: float, positive: float, out: Tensor | None) -> Tensor:
    """One number where a target is 0, another one where it is 1."""
    if abs(negative) <= _CLOSE * abs(positive) and abs(positive) <= _CLOSE * abs(negative):
        start = constant(negative, targets.dtype)
        return torch.add(start, targets, alpha=positive - negative, out=out)
    # One of the two is 0: the difference of the constants would cancel.
    return torch.sub(1, targets, out=out).mul_(negative).add_(targets, alpha=positive)


def _power_(base: Tensor, exponent: float) -> Tensor:
    """Base to an exponent, in place: torch has squares and cubes, but takes logarithms for 4."""
    if exponent == 2:
        return base.mul_(base)  # of few numbers in a third of the time of a power
    return base.square_().square_() if exponent == 4 else base.pow_(exponent)
