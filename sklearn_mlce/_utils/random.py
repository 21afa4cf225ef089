"""Random numbers of a fit, all from one seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state

if TYPE_CHECKING:
    import torch


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


class EpochRandomness:
    """Order of rows and generator of dropout, seeded afresh for each epoch.

    What an epoch draws depends on the seed and on its number alone, so that training which
    goes on later goes on as if it had never stopped.

    Parameters
    ----------
    seed : int
        From :func:`draw_seed`.
    device : torch.device
        Where dropout draws.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        import torch

        self._seed = seed
        self.dropout_generator = torch.Generator(device)
        self._order = np.random.default_rng(seed)

    def weight_generator(self) -> torch.Generator:
        """Generator of the first weights, on the CPU: the same weights on every device."""
        import torch

        return torch.Generator().manual_seed(self._seed)

    def start_epoch(self, epoch: int) -> None:
        """Seed for an epoch, counted from 1."""
        self._order = np.random.default_rng([self._seed, epoch])
        self.dropout_generator.manual_seed(int(self._order.integers(2**31)))

    def order(self, n_rows: int) -> np.ndarray:
        """Order of the rows in the present epoch."""
        return self._order.permutation(n_rows)
