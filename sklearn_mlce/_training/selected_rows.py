"""Some rows of a dense array that are copied when they are asked for, not before.

What is held out of a large X, perhaps a memory map, would otherwise cost a copy of the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class SelectedRows:
    """Rows of an array, by their numbers; indexed like an array of these rows alone.

    Parameters
    ----------
    array : ndarray of shape (n, d)
        All rows.
    rows : ndarray of int
        Numbers of the selected ones.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_mlce._training.selected_rows import SelectedRows
    >>> selected = SelectedRows(np.arange(8).reshape(4, 2), np.array([0, 3]))
    >>> len(selected), selected.shape
    (2, (2, 2))
    >>> selected[1:]
    array([[6, 7]])
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self._array, self._rows = array, rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype, self.ndim = array.dtype, array.ndim
        self.nbytes = len(rows) * (array.nbytes // max(1, len(array)))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, chosen: Any) -> np.ndarray:
        return self._array[self._rows[chosen]]
