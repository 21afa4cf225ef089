"""The condition that an intercept meets at its optimum, label by label."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit

_BISECTIONS = 50


class LabelBalance(NamedTuple):
    """Where the slope of a label's negatives is that of its positives."""

    scale: float
    margins: tuple[float, float]
    log_weight: np.ndarray  # (L,)
    positive: np.ndarray  # (L,), weight of the rows where a label is positive
    negative: np.ndarray
    total: float  # weight of all rows

    @property
    def reach(self) -> float:
        """Bound of the intercepts."""
        ratio = np.log(self.positive) - np.log(self.negative)
        return 2 * max(map(abs, self.margins)) + (100 + float(np.abs(ratio).max())) / self.scale

    def exponents(self, intercepts: np.ndarray, sign: int) -> np.ndarray:
        """Exponents ``(L,)`` on the negatives' (+1) or the positives' (-1) side."""
        margin = self.margins[0 if sign > 0 else 1]
        return sign * self.scale * (intercepts + sign * margin) + self.log_weight

    def charge(self, sign: int, intercepts: np.ndarray) -> Callable[[float], float]:
        """Sum over labels of a side's slope of order "all", per row, as a function of a shift."""
        exponents = self.exponents(intercepts, sign)
        mass = self.negative if sign > 0 else self.positive
        return lambda shift: float(mass @ expit(exponents + shift) / self.total)

    def solve(self, log_negative: np.ndarray | None, log_positive: np.ndarray | None) -> np.ndarray:
        """Intercepts ``(L,)`` of balance.

        The slope of a side is ``exp(exponent + log_...)`` with these held fixed, or, where they
        are None, that of order "all": the rows' weight times the sigmoid of the exponent.
        """
        if log_negative is not None and log_positive is not None:
            return (log_positive - log_negative) / (2 * self.scale)
        low = np.full_like(self.positive, -self.reach)
        high = -low
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            falls = self._log_slope(middle, 1, log_negative) < self._log_slope(
                middle, -1, log_positive
            )
            low, high = np.where(falls, middle, low), np.where(falls, high, middle)
        return (low + high) / 2

    def _log_slope(
        self, intercepts: np.ndarray, sign: int, coupled: np.ndarray | None
    ) -> np.ndarray:
        exponents = self.exponents(intercepts, sign)
        if coupled is not None:
            return exponents + coupled
        mass = self.negative if sign > 0 else self.positive
        return np.log(mass) - np.logaddexp(0, -exponents)
