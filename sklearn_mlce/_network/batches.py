"""Rows in, batches of tensors out: whole slices, never row by row.

Rows are gathered in shuffled blocks of a bounded size, and a block is cut into batches that are
views of it. So a dense batch costs no indexing, a sparse one no densifying, and an epoch never
holds a second copy of a large X.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sklearn_mlce._network.holdout import held_out_rows
from sklearn_mlce._network.sparse_layer import SparseBatch, sparse_batch
from sklearn_mlce._objectives.prepared_targets import LossTargets, TargetEncoder
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.sparse import dense_tensor

# Large enough that indexing is spread over many batches, small next to any X that matters.
_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Rows(Dataset):
    """Rows to train on or to validate on.

    Parameters
    ----------
    X : ndarray, SelectedRows or CSR matrix of shape (n, d)
        Features, float32 or float64.
    targets : Targets
        Encoded targets of the rows.
    sample_weight : ndarray of shape (n,) or None
        Positive weights.
    """

    X: Any
    targets: Targets
    sample_weight: np.ndarray | None

    def __len__(self) -> int:
        return self.targets.n_rows

    def take(self, rows: Any) -> Rows:
        """Some of the rows, by a slice or an index array."""
        weight = None if self.sample_weight is None else self.sample_weight[rows]
        return Rows(self.X[rows], self.targets.index_rows(rows), weight)

    def split(self, fraction: float, order: np.ndarray) -> tuple[Rows, Rows]:
        """The rows to train on, and those held out: about the first `fraction` of an order.

        Raises
        ------
        ValueError
            If either part would be empty.
        """
        held_out = held_out_rows(self.targets, fraction, order)
        rest = np.delete(np.arange(len(self)), held_out)
        if sp.issparse(self.X):
            return self.take(rest), self.take(held_out)
        weight = None if self.sample_weight is None else self.sample_weight[rest]
        X = SelectedRows(self.X, rest)  # X may be a memory map
        return Rows(X, self.targets.index_rows(rest), weight), self.take(held_out)


class BatchTargets(NamedTuple):
    """Targets and weights of a batch."""

    encoded: LossTargets
    sample_weight: Tensor | None  # (n,)
    total_weight: float  # sum of sample_weight, or the number of rows


Batch = tuple[Tensor | SparseBatch, BatchTargets]


def features(X: Any, device: torch.device, training: bool = False) -> Tensor | SparseBatch:
    """Dense or sparse rows as what the network takes."""
    if sp.issparse(X):
        return sparse_batch(X, device, training=training)
    return dense_tensor(X, device)


def _stored_bytes(X: Any) -> int:
    return X.data.nbytes + X.indices.nbytes if sp.issparse(X) else X.nbytes


def _take_rows(X: Any, chosen: slice | np.ndarray) -> Any:
    """Some rows; those of an array in memory by torch, in less than half of NumPy's time."""
    in_memory = type(X) is np.ndarray and X.flags.c_contiguous and X.flags.writeable
    if in_memory and isinstance(chosen, np.ndarray):
        return torch.from_numpy(X).index_select(0, torch.from_numpy(chosen)).numpy()
    return X[chosen]


class _Block:
    """Consecutive rows, to be cut into batches of tensors."""

    def __init__(
        self,
        X: Any,
        weight: np.ndarray | None,
        targets: LossTargets,
        device: torch.device,
        training: bool,
    ) -> None:
        self.n_rows = X.shape[0]
        self._device, self._training = device, training
        self._X, self._weight, self._targets = X, weight, targets

    def batch(self, start: int, stop: int) -> Batch:
        """Rows ``start`` to ``stop``, or to the last."""
        stop = min(stop, self.n_rows)
        weight, total_weight = None, float(stop - start)
        if self._weight is not None:
            total_weight = float(self._weight[start:stop].sum(dtype=np.float64))
            weight = dense_tensor(self._weight[start:stop], self._device)
        targets = BatchTargets(self._targets.cut(start, stop), weight, total_weight)
        return features(self._X[start:stop], self._device, self._training), targets


class Batches:
    """Batches of all rows, in a new order at each pass where there is a generator.

    Parameters
    ----------
    rows : Rows
        What to cut into batches.
    batch_size : int
        Rows of a batch. From the number of rows on, the only batch is made once and kept.
    device : torch.device
        Where the network computes.
    encoder : TargetEncoder
        Makes tensors of the targets.
    training : bool, default=False
        Whether gradients will be asked for.
    order : callable, default=None
        Called with the number of rows at each pass over several batches; returns their order.
        None keeps the rows' own.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        device: torch.device,
        encoder: TargetEncoder,
        training: bool = False,
        order: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self._rows, self._batch_size = rows, batch_size
        self._device, self._training, self._order = device, training, order
        self._encoder = encoder
        self._encoded: Any = None  # of all rows, where that takes little memory
        if 0 < encoder.bytes_per_row(rows.targets) * len(rows) <= _BLOCK_BYTES:
            self._encoded = encoder(rows.targets)
        self._only: Batch | None = None
        if batch_size >= len(rows):
            self._only = self._block(slice(0, len(rows))).batch(0, len(rows))

    def __len__(self) -> int:
        """Batches of a pass."""
        return -(-len(self._rows) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self._only is not None:
            yield self._only
            return
        order = None if self._order is None else self._order(len(self._rows))
        step = self._block_rows()
        for start in range(0, len(self._rows), step):
            stop = min(start + step, len(self._rows))
            block = self._block(slice(start, stop) if order is None else order[start:stop])
            for first in range(0, block.n_rows, self._batch_size):
                yield block.batch(first, first + self._batch_size)

    def _block(self, chosen: slice | np.ndarray) -> _Block:
        """Some of the rows, by a slice or an index array."""
        rows = self._rows
        if self._encoded is None:
            targets = self._encoder(rows.targets.index_rows(chosen))
        elif isinstance(chosen, slice):
            targets = self._encoded.cut(chosen.start, chosen.stop)
        else:
            targets = self._encoded.take(torch.from_numpy(chosen).to(self._device))
        weight = None if rows.sample_weight is None else rows.sample_weight[chosen]
        return _Block(_take_rows(rows.X, chosen), weight, targets, self._device, self._training)

    def _block_rows(self) -> int:
        """Rows of a block: as many whole batches as its size allows, at least one."""
        X, of_targets = self._rows.X, self._encoder.bytes_per_row(self._rows.targets)
        of_row = max(_stored_bytes(X) // X.shape[0], of_targets, 1)
        return self._batch_size * max(1, _BLOCK_BYTES // (of_row * self._batch_size))


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
    >>> from sklearn_mlce._network.batches import SelectedRows
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
