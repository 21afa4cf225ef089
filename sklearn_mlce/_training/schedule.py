"""The step size, from the number of the step alone, so that training can be resumed anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable

_WARM_UP = 0.05  # of all steps


def one_cycle(step: int, n_steps: int) -> float:
    """Factor of the step size: linearly up to 1, then down to almost 0 along half a cosine.

    Parameters
    ----------
    step : int
        Number of the step, counted from 0.
    n_steps : int
        Steps of the whole training.

    Returns
    -------
    float
        Above 0 and at most 1.

    Examples
    --------
    >>> from sklearn_mlce._training.schedule import one_cycle
    >>> [round(one_cycle(step, 100), 3) for step in (0, 4, 52, 99)]
    [0.2, 1.0, 0.5, 0.0]
    """
    n_warm = max(1, round(_WARM_UP * n_steps))
    if step < n_warm:
        return (step + 1) / n_warm
    return (1 + math.cos(math.pi * (step + 1 - n_warm) / (n_steps + 1 - n_warm))) / 2


# By the estimator's `learning_rate`; None leaves the step size as it is.
SCHEDULES: dict[str, Callable[[int, int], float] | None] = {
    "constant": None,
    "one_cycle": one_cycle,
}
