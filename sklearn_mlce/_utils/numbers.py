"""Checks of numbers that users give."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


def check_margin(margin: Any) -> tuple[float, float]:
    """Margins of the two sides from what the user gave.

    Raises
    ------
    ValueError
        If it is not a finite number or a pair of them.
    """
    if type(margin) is float and _is_finite(margin):
        return margin, margin  # the rest takes as long as a pass over a small batch
    pair = tuple(margin) if isinstance(margin, tuple | list) else (margin, margin)
    if len(pair) != 2 or not all(isinstance(m, Real) and _is_finite(m) for m in pair):
        raise ValueError(
            "margin must be a finite number, or a pair of them: the negatives' and the "
            f"positives'; got {margin!r}"
        )
    return float(pair[0]), float(pair[1])


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
