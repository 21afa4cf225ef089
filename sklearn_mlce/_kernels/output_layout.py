"""Scores of several outputs: side by side as a model gives them, or a matrix for each row."""

from __future__ import annotations

import torch
from torch import Tensor

# Score of a class that an output does not have: its exponential is zero beside any other.
ABSENT = -1e9


class OutputLayout:
    """Where the classes of each output stand.

    Parameters
    ----------
    sizes : tuple of int
        Number of classes of each output.
    device : torch.device
        Of the scores.
    """

    def __init__(self, sizes: tuple[int, ...], device: torch.device) -> None:
        counts = torch.tensor(sizes, device=device)
        self._shape = (len(sizes), int(counts.max()))
        self._even = len(set(sizes)) == 1
        self.starts = counts.cumsum(0) - counts  # (n_outputs,) first column of each
        self._present = torch.arange(self._shape[1], device=device) < counts[:, None]

    def split(self, flat: Tensor, absent: float = ABSENT) -> Tensor:
        """Columns ``(n, n_scores)`` as ``(n, n_outputs, most classes)``."""
        if self._even:
            return flat.reshape(len(flat), *self._shape)
        cube = flat.new_full((len(flat), *self._shape), absent)
        cube[:, self._present] = flat
        return cube

    def join(self, cube: Tensor) -> Tensor:
        """The inverse."""
        return cube.reshape(len(cube), -1) if self._even else cube[:, self._present]

    def codes(self, columns: Tensor) -> Tensor:
        """Class codes ``(n, n_outputs)`` of columns listed row by row, one for each output.

        A column of -1 stands for an unknown output, whose code is negative.
        """
        return columns.reshape(-1, self._shape[0]) - self.starts
