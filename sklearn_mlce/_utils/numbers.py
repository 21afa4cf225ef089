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
    name: str, value: Any, *, at_least: float | None = None, above: float | None = None
) -> None:
    """Raise ValueError unless an option is a finite number within its bound."""
    # Asking for an abstract class takes as long as a pass over a small batch.
    fits = (type(value) in (float, int) or isinstance(value, Real)) and _is_finite(value)
    if not (fits and (at_least is None or value >= at_least) and (above is None or value > above)):
        bound = "" if at_least is None else f" of at least {at_least}"
        bound = bound if above is None else f" greater than {above}"
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r}")
