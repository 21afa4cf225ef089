"""Memory that blocks of labels are trained in, one after another."""

from __future__ import annotations

import math

import numpy as np


class BlockMemory:
    """Memory of blocks, which is lent again once a block has been copied out of it.

    The operating system takes a tenth of a block's fit to map fresh memory. Threads share an
    object; sent to a process, it is empty there, and so is what comes back from one.
    """

    def __init__(self) -> None:
        self._lent: dict[int, np.ndarray] = {}
        self._spare: list[np.ndarray] = []

    def __reduce__(self) -> tuple[type[BlockMemory], tuple[()]]:
        return type(self), ()

    def lend(self, block: int, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
        """Zeros of a shape for a block, by its number."""
        size = math.prod(shape)
        try:
            memory = self._spare.pop()
        except IndexError:  # not asked for before, since another thread may take the last
            memory = np.zeros(0, dtype)
        if memory.size < size:
            memory = np.zeros(size, dtype)
        else:
            memory[:size] = 0
        self._lent[block] = memory
        return memory[:size].reshape(shape)

    def give_back(self, block: int) -> None:
        """Take back what a block was lent, if that was in this process."""
        memory = self._lent.pop(block, None)
        if memory is not None:
            self._spare.append(memory)
