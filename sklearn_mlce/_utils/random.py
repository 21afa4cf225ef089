"""The seed of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import check_random_state


def draw_seed(random_state: Any) -> int:
    """Draw the seed of one fit.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        As the estimators take it. None asks the operating system: NumPy's global generator is
        neither read nor advanced.

    Returns
    -------
    int
        A non-negative seed below 2**31.
    """
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31))
