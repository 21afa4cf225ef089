"""Checks of numbers that users give."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

LARGEST_POWER = 1e6
LARGEST_MARGIN = 1e6  # whose product with the largest scale is in range


def check_margin(margin: Any) -> tuple[float, float]:
    """Margins of the two sides from what the user gave.

    Raises
    ------
    ValueError
        If it is not a finite number or a pair of them.
    """
    if type(margin) is float and _is_margin(margin):
        return margin, margin  # the rest takes as long as a pass over a small batch
    pair = tuple(margin) if isinstance(margin, tuple | list) else (margin, margin)
    if len(pair) != 2 or not all(isinstance(m, Real) and _is_margin(m) for m in pair):
        raise ValueError(
            f"margin must be a finite number up to {LARGEST_MARGIN:g}, or a pair of them: the "
            f"negatives' and the positives'; got {margin!r}"
        )
    return float(pair[0]), float(pair[1])


def _is_margin(value: Any) -> bool:
    return bool(-LARGEST_MARGIN <= value <= LARGEST_MARGIN)


def _is_finite(value: Any) -> bool:
    # math.isfinite refuses the numbers for which torch.compile(dynamic=True) has symbols.
    return bool(-math.inf < value < math.inf)


def check_number(
    name: str,
    value: Any,
    *,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Raise ValueError unless an option is a finite number within its bounds."""
    # Asking for an abstract class takes as long as a pass over a small batch.
    is_number = type(value) in (float, int) or isinstance(value, Real)
    if is_number and above < value < below and at_least <= value <= at_most and _is_finite(value):
        return
    words = {"of at least": at_least, "greater than": above, "up to": at_most, "below": below}
    bounds = [f" {word} {bound:g}" for word, bound in words.items() if _is_finite(bound)]
    raise ValueError(f"{name} must be a finite number{' and'.join(bounds)}, got {value!r}")


def check_k(k: Any, most: int | None = None) -> int:
    """A number of labels or features to look at.

    Raises
    ------
    ValueError
        If it is no whole number from 1 to `most`, where there is one.
    """
    whole = isinstance(k, Real) and _is_finite(k) and k == math.floor(k)
    if not whole or k < 1 or (most is not None and k > most):
        end = "on" if most is None else f"to {most}"
        raise ValueError(f"k must be a whole number from 1 {end}, got {k!r}")
    return math.floor(k)
