"""Random numbers of a training, all from one seed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_GLOBAL_GENERATORS = threading.RLock()


@contextmanager
def global_generators_seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators for a user's module, and leave them as they were.

    Threads take turns: what one draws does not depend on the others.
    """
    with _GLOBAL_GENERATORS:
        generators = _global_generators(device)
        before = [generator.get_state() for generator in generators]
        try:
            for generator in generators:
                generator.manual_seed(seed)
            yield
        finally:
            for generator, state in zip(generators, before, strict=True):
                generator.set_state(state)


def _global_generators(device: torch.device) -> list[torch.Generator]:
    """Those that modules on a device draw from: the CPU's and its own."""
    if device.type == "cpu":
        return [torch.default_generator]
    backend: Any = torch.get_device_module(device.type)
    if device.type == "mps":
        return [torch.default_generator, backend._get_default_mps_generator()]
    index = backend.current_device() if device.index is None else device.index
    return [torch.default_generator, backend.default_generators[index]]


class EpochRandomness:
    """Order of rows and generator of dropout, seeded afresh for each epoch.

    What an epoch draws depends on the seed and on its number alone, so that training which
    goes on later goes on as if it had never stopped.

    Parameters
    ----------
    seed : int
        From :func:`sklearn_mlce._utils.random.draw_seed`.
    device : torch.device
        Where dropout draws.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed = seed
        self.dropout_generator = torch.Generator(device)
        self._order = np.random.default_rng(seed)
        self.epoch_seed = seed  # of what an epoch draws besides the order of rows

    def weight_generator(self) -> torch.Generator:
        """Generator of the first weights, on the CPU: the same weights on every device."""
        return torch.Generator().manual_seed(self._seed)

    def start_epoch(self, epoch: int) -> None:
        """Seed for an epoch, counted from 1."""
        self._order = np.random.default_rng([self._seed, epoch])
        self.epoch_seed = int(self._order.integers(2**31))
        self.dropout_generator.manual_seed(self.epoch_seed)

    def order(self, n_rows: int) -> np.ndarray:
        """Order of the rows in the present epoch."""
        return self._order.permutation(n_rows)
