"""Batches of tensors, dense or sparse, cut from rows in whole slices.

Rows are gathered in shuffled blocks of a bounded size, and a block is cut into batches that are
views of it. So a dense batch costs no indexing, a sparse one no densifying, and an epoch never
holds a second copy of a large X. A sparse batch is multiplied by a dense weight matrix; the
gradient is a product of sparse rows, the transposed ones, with a dense matrix too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import gen_batches
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.data import Dataset

from sklearn_mlce._kernels.sparse_rows import CompressedRows
from sklearn_mlce._network.holdout import held_out_rows
from sklearn_mlce._network.process_group import ALONE, ProcessGroup, Share, SingleProcess
from sklearn_mlce._objectives.prepared_targets import PreparedTargets, TargetPreparer
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.tensors import dense_tensor

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

    def index_rows(self, rows: Any) -> Rows:
        """Rows of a slice or an index array."""
        weight = None if self.sample_weight is None else self.sample_weight[rows]
        return Rows(self.X[rows], self.targets.index_rows(rows), weight)

    def split(self, fraction: float, seed: int) -> tuple[Rows, Rows]:
        """Rows to train on, and a fraction held out, by :func:`held_out_rows`.

        Raises
        ------
        ValueError
            If either part would be empty.
        """
        held_out = held_out_rows(self.targets, fraction, seed)
        rest = np.delete(np.arange(len(self)), held_out)
        if sp.issparse(self.X):
            return self.index_rows(rest), self.index_rows(held_out)
        weight = None if self.sample_weight is None else self.sample_weight[rest]
        X = SelectedRows(self.X, rest)  # X may be a memory map
        return Rows(X, self.targets.index_rows(rest), weight), self.index_rows(held_out)


class SparseBatch(NamedTuple):
    """Sparse rows ``(n, d)`` of a batch and, for training, the same rows transposed."""

    rows: CompressedRows
    transposed: CompressedRows | None

    def to(self, dtype: torch.dtype) -> SparseBatch:
        """Return the rows with values of another precision."""
        if self.rows.values.dtype == dtype:
            return self
        transposed = None if self.transposed is None else self.transposed.to(dtype)
        return SparseBatch(self.rows.to(dtype), transposed)

    def to_dense(self, n_columns: int) -> Tensor:
        """The rows ``(n, d)`` as a dense matrix."""
        rows = self.rows
        n_rows = len(rows.offsets) - 1
        dense = rows.values.new_zeros(n_rows, n_columns)
        numbers = torch.repeat_interleave(
            torch.arange(n_rows, device=dense.device), rows.offsets.diff().long()
        )
        return dense.index_put_((numbers, rows.columns.long()), rows.values, accumulate=True)

    def matmul(self, weight: Tensor) -> Tensor:
        """Product ``(n, width)`` with a dense weight ``(d, width)``, differentiable in it."""
        if self.transposed is None:
            return self.rows.matmul(weight)
        return _SparseProduct.apply(weight, self.rows, self.transposed)


class _SparseProduct(torch.autograd.Function):
    """Sparse rows times a dense weight; the gradient is the transposed rows times a dense one."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, rows: CompressedRows, transposed: CompressedRows
    ) -> Tensor:
        ctx.transposed = transposed
        return rows.matmul(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed.matmul(grad_output.contiguous()), None, None


def sparse_batch(matrix: Any, device: torch.device, *, training: bool) -> SparseBatch:
    """Make a batch of the rows of a scipy CSR matrix or array.

    Parameters
    ----------
    matrix : csr_matrix or csr_array of shape (n, d)
        Rows; their values have the dtype of the network's weights.
    device : torch.device
        Where the network computes.
    training : bool
        Whether a gradient will be asked for, which needs the transposed rows too.

    Returns
    -------
    SparseBatch
        The rows as tensors on `device`.
    """
    rows = _compressed_rows(matrix, device)
    # The CSC form of a matrix is the CSR form of its transpose.
    return SparseBatch(rows, _compressed_rows(matrix.tocsc(), device) if training else None)


def _compressed_rows(matrix: Any, device: torch.device) -> CompressedRows:
    columns = dense_tensor(matrix.indices, device)
    offsets = dense_tensor(matrix.indptr, device).to(columns.dtype)
    return CompressedRows(offsets, columns, dense_tensor(matrix.data, device))


class BatchTargets(NamedTuple):
    """Targets and weights of a batch."""

    encoded: PreparedTargets
    sample_weight: Tensor | None  # (n,)
    # Sum of sample_weight, or the number of rows; of the whole batch over the number of processes
    # where each has a share, as these average what they compute.
    total_weight: float
    share: Share | None = None


Batch = tuple[Tensor | SparseBatch, BatchTargets]


def features(X: Any, device: torch.device, training: bool = False) -> Tensor | SparseBatch:
    """Tensors of dense or sparse rows, as the network takes them."""
    if sp.issparse(X):
        return sparse_batch(X, device, training=training)
    return dense_tensor(X, device)


def _stored_bytes(X: Any) -> int:
    return X.data.nbytes + X.indices.nbytes if sp.issparse(X) else X.nbytes


def _index_rows(X: Any, chosen: slice | np.ndarray) -> Any:
    """Rows of X, taken by torch where X is in memory: NumPy needs more than twice the time."""
    in_memory = type(X) is np.ndarray and X.flags.c_contiguous and X.flags.writeable
    if in_memory and isinstance(chosen, np.ndarray):
        return torch.from_numpy(X).index_select(0, torch.from_numpy(chosen)).numpy()
    return X[chosen]


def _total_weight(weight: np.ndarray | None, rows: slice | np.ndarray) -> float:
    """Sum of the weights of rows of a slice or an index array, or their number."""
    if weight is not None:
        return float(weight[rows].sum(dtype=np.float64))
    return float(rows.stop - rows.start if isinstance(rows, slice) else len(rows))


class _Block:
    """Rows in memory, of which batches of tensors are views."""

    def __init__(
        self,
        X: Any,
        weight: np.ndarray | None,
        targets: PreparedTargets,
        device: torch.device,
        training: bool,
    ) -> None:
        self.n_rows = X.shape[0]
        self._device, self._training = device, training
        self._X, self._weight, self._targets = X, weight, targets

    def batch(self, rows: slice) -> Batch:
        """Tensors of some of the rows."""
        weight = None if self._weight is None else dense_tensor(self._weight[rows], self._device)
        total_weight = _total_weight(self._weight, rows)
        targets = BatchTargets(
            self._targets.slice_rows(rows.start, rows.stop), weight, total_weight
        )
        return features(self._X[rows], self._device, self._training), targets


class Batches:
    """Batches of all rows, in a new order at each pass where `order` is given.

    Parameters
    ----------
    rows : Rows
        All rows.
    batch_size : int
        Rows of a batch. From the number of rows on, the only batch is made once and kept.
    device : torch.device
        Where the network computes.
    encoder : TargetPreparer
        Makes tensors of the targets.
    training : bool, default=False
        Whether gradients will be asked for.
    order : callable, default=None
        Called with the number of rows at each pass over several batches; returns a permutation.
        None keeps the order of the rows.
    fewest_rows : int, default=1
        Of a batch, `batch_size` at most: a last one that would have fewer is joined to the one
        before.
    processes : SingleProcess, default=ALONE
        Processes that divide each batch between them; the batches are this one's shares.
    member_weight : ndarray of shape (n_members, n), default=None
        Weight of each row in the loss of each member. The targets of a batch are then those of
        its rows once for each member, one member after the other.
    """

    def __init__(
        self,
        rows: Rows,
        batch_size: int,
        device: torch.device,
        encoder: TargetPreparer,
        training: bool = False,
        order: Callable[[int], np.ndarray] | None = None,
        fewest_rows: int = 1,
        processes: SingleProcess = ALONE,
        member_weight: np.ndarray | None = None,
    ) -> None:
        self._rows, self._batch_size = rows, batch_size
        self._processes, self._member_weight = processes, member_weight
        self._fewest_rows = min(fewest_rows, batch_size)
        self._device, self._training, self._order = device, training, order
        self._encoder = encoder
        self._encoded: Any = None  # of all rows, where that takes little memory
        bytes_of_targets = encoder.bytes_per_row(rows.targets)
        if 0 < bytes_of_targets * len(rows) <= _BLOCK_BYTES:
            self._encoded = encoder(rows.targets)
        # As many whole batches as the size of a block allows, at least one.
        bytes_per_row = max(_stored_bytes(rows.X) // len(rows), bytes_of_targets, 1)
        self._block_rows = batch_size * max(1, _BLOCK_BYTES // (bytes_per_row * batch_size))
        self._only: Batch | None = None
        if batch_size >= len(rows):
            (self._only,) = self._cut(slice(0, len(rows)), [slice(0, len(rows))])

    def __len__(self) -> int:
        """Batches of a pass."""
        n_whole, n_left = divmod(len(self._rows), self._batch_size)
        return max(1, n_whole + (n_left >= self._fewest_rows))

    def __iter__(self) -> Iterator[Batch]:
        if self._only is not None:
            yield self._only
            return
        order = None if self._order is None else self._order(len(self._rows))
        for chosen in gen_batches(
            len(self._rows), self._block_rows, min_batch_size=self._fewest_rows
        ):
            n_rows = chosen.stop - chosen.start
            parts = gen_batches(n_rows, self._batch_size, min_batch_size=self._fewest_rows)
            yield from self._cut(chosen if order is None else order[chosen], list(parts))

    def _cut(self, chosen: slice | np.ndarray, parts: list[slice]) -> Iterator[Batch]:
        """Batches of parts of the rows of a slice or an index array, or this process's shares."""
        if isinstance(self._processes, ProcessGroup):
            yield from self._shares(np.arange(len(self._rows))[chosen], parts, self._processes)
            return
        if self._member_weight is not None:
            numbers = np.arange(len(self._rows))[chosen]
            for part in parts:
                yield self._of_members(numbers[part], self._member_weight[:, numbers[part]])
            return
        block = self._block(chosen)
        yield from map(block.batch, parts)

    def _of_members(self, numbers: np.ndarray, weight: np.ndarray) -> Batch:
        """Batch of some rows, with their targets and weights for each member."""
        targets = BatchTargets(
            self._targets(np.tile(numbers, len(weight))),
            dense_tensor(weight.ravel(), self._device),
            float(weight.sum(dtype=np.float64)),
        )
        rows = _index_rows(self._rows.X, numbers)
        return features(rows, self._device, self._training), targets

    def _shares(
        self, numbers: np.ndarray, parts: list[slice], processes: ProcessGroup
    ) -> Iterator[Batch]:
        """Share of this process in each part of some rows; it holds no other rows."""
        batches = [numbers[part] for part in parts]
        shares = [processes.share(len(batch), self._fewest_rows) for batch in batches]
        mine = [batch[share.rows] for batch, share in zip(batches, shares, strict=True)]
        block, stop = self._block(np.concatenate(mine)), 0
        for batch, share, rows in zip(batches, shares, mine, strict=True):
            start, stop = stop, stop + len(rows)
            x, targets = block.batch(slice(start, stop))
            total = _total_weight(self._rows.sample_weight, batch) / processes.size
            yield x, targets._replace(total_weight=total, share=share)

    def _block(self, chosen: slice | np.ndarray) -> _Block:
        """Rows of a slice or an index array."""
        rows = self._rows
        weight = None if rows.sample_weight is None else rows.sample_weight[chosen]
        targets = self._targets(chosen)
        return _Block(_index_rows(rows.X, chosen), weight, targets, self._device, self._training)

    def _targets(self, chosen: slice | np.ndarray) -> PreparedTargets:
        """Targets of the rows of a slice or an index array."""
        if self._encoded is None:
            return self._encoder(self._rows.targets.index_rows(chosen))
        if isinstance(chosen, slice):
            return self._encoded.slice_rows(chosen.start, chosen.stop)
        return self._encoded.index_rows(torch.from_numpy(chosen).to(self._device))


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
