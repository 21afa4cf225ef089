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
    pair = tuple(margin) if isinstance(margin, tuple | list) else (margin, margin)
    if len(pair) != 2 or not all(isinstance(m, Real) and math.isfinite(m) for m in pair):
        raise ValueError(
            "margin must be a finite number, or a pair of them: the negatives' and the "
            f"positives'; got {margin!r}"
        )
    return float(pair[0]), float(pair[1])


def check_number(
    name: str, value: Any, *, at_least: float | None = None, above: float | None = None
) -> None:
    """Raise ValueError unless an option is a finite number within its bound."""
    fits = isinstance(value, Real) and math.isfinite(value)
    if not (fits and (at_least is None or value >= at_least) and (above is None or value > above)):
        bound = "" if at_least is None else f" of at least {at_least}"
        bound = bound if above is None else f" greater than {above}"
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r}")
