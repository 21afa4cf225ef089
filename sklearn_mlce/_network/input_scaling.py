"""Scaling of the features as the first layer of the network, learned from the training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.utils import gen_batches
from torch import Tensor, nn

from sklearn_mlce._kernels.sparse_rows import CompressedRows
from sklearn_mlce._network.batches import SparseBatch
from sklearn_mlce._utils.tensors import dense_tensor

# Entries that statistics are taken from, enough of them in rows evenly spaced over X, so that
# neither the time nor the memory grows with it; and those of which quantiles are taken at a time.
_ENTRIES_OF_STATISTICS, _ENTRIES_SORTED = 2**19, 2**15
# Half the width of the values that scaled features can have.
_CLIP = 3.0
# Scaled features beyond it are where the clip has long taken them; their squares are finite.
_FAR = 1e9
# Mean sum of the absolute entries of a scaled sparse row. AdamW moves each weight equally far, and
# so a hidden unit by that times this sum: rows of ten entries or a hundred make the same steps.
_OVERALL_SUM = 32.0


def scaling_of(input_scaling: str | None, X: Any) -> str | None:
    """Resolve the estimator's `input_scaling` for X.

    Raises
    ------
    ValueError
        If "robust" is asked of sparse rows.
    """
    if input_scaling == "auto":
        return "overall" if sp.issparse(X) else "robust"
    if input_scaling == "robust" and sp.issparse(X):
        raise ValueError(
            "input_scaling='robust' subtracts medians, which would make sparse X dense. Set "
            "input_scaling='overall', which multiplies X by one number, or input_scaling=None"
        )
    return input_scaling


class Scaling(nn.Module):
    """Scaling that leaves the rows as they are; base of those that change them."""

    def forward(self, x: Tensor | SparseBatch, dtype: torch.dtype) -> Tensor | SparseBatch:
        """Scaled rows ``(n, d)`` in a precision."""
        return x.to(dtype)

    def learn(self, X: Any, weight: np.ndarray | None) -> None:
        """Learn the scaling from rows ``(n, d)`` and their weights."""


class RobustScaling(Scaling):
    r"""``z / sqrt(1 + (z / 3)^2)`` of ``z = (x - centre) * factor``, for dense rows.

    The centre is the median; the factor is one over the distance of the quartiles, or where that is
    0, two over the range, or 0. The last step draws outliers smoothly in, to 3 at most [1]_.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart, "Better by Default: Strong Pre-Tuned MLPs and Boosted
       Trees on Tabular Data", https://arxiv.org/abs/2407.04491, 2024.
    """

    centre: Tensor
    factor: Tensor

    def __init__(self, n_features: int, dtype: torch.dtype, device: torch.device | str) -> None:
        super().__init__()
        for name in ("centre", "factor"):
            self.register_buffer(name, torch.empty(n_features, dtype=dtype, device=device))

    def forward(self, x: Tensor | SparseBatch, dtype: torch.dtype) -> Tensor:
        """Scaled rows ``(n, d)`` in a precision.

        Sparse rows, which only predicting meets, become dense.
        """
        if isinstance(x, SparseBatch):
            x = x.to_dense(len(self.centre))
        scaled = (x - self.centre).mul_(self.factor).clamp_(-_FAR, _FAR).to(dtype)
        inverse = torch.addcmul(scaled.new_ones(()), scaled, scaled, value=_CLIP**-2).rsqrt_()
        return inverse.mul_(scaled) if not scaled.requires_grad else inverse * scaled

    def learn(self, X: np.ndarray, weight: np.ndarray | None) -> None:
        """Take the centre and the factor from rows ``(n, d)`` and their weights."""
        chosen = _evenly_spaced(*X.shape)
        X = np.asarray(X[chosen])
        weight = None if weight is None else weight[chosen]
        columns = gen_batches(X.shape[1], max(1, _ENTRIES_SORTED // len(X)))
        found = [weighted_quantiles(X[:, part], weight, (0.25, 0.5, 0.75)) for part in columns]
        low, centre, high = np.concatenate(found, axis=1)
        width = (high - low).astype(np.float64)
        whole = (X.max(axis=0) - X.min(axis=0)) / 2
        width = np.where(width > 0, width, whole)
        with np.errstate(over="ignore"):
            factor = np.divide(1, width, out=np.zeros_like(width), where=width > 0)
        factor = np.minimum(factor, torch.finfo(self.factor.dtype).max)
        self.centre.copy_(dense_tensor(centre))
        self.factor.copy_(dense_tensor(factor))


class OverallScaling(Scaling):
    """``x * factor`` with one factor, which makes the absolute entries of a row add up to 32.

    That is the mean over rows; those without entries do not count. Zeros stay, and so do the
    relative sizes that TF-IDF gives features. ``size`` is the root mean square of the scaled
    entries other than 0.
    """

    factor: Tensor
    size: Tensor

    def __init__(self, dtype: torch.dtype, device: torch.device | str) -> None:
        super().__init__()
        for name in ("factor", "size"):
            self.register_buffer(name, torch.empty(1, dtype=dtype, device=device))

    def forward(self, x: Tensor | SparseBatch, dtype: torch.dtype) -> Tensor | SparseBatch:
        """Scaled rows ``(n, d)`` in a precision."""
        if not isinstance(x, SparseBatch):
            return (x * self.factor).to(dtype)
        transposed = None if x.transposed is None else self._scaled(x.transposed)
        return SparseBatch(self._scaled(x.rows), transposed).to(dtype)

    def _scaled(self, rows: CompressedRows) -> CompressedRows:
        return rows._replace(values=rows.values * self.factor)

    def learn(self, X: Any, weight: np.ndarray | None) -> None:
        """Take the factor and the size from rows ``(n, d)`` and their weights."""
        width = max(1, X.nnz // X.shape[0]) if sp.issparse(X) else X.shape[1]
        chosen = _evenly_spaced(X.shape[0], width)
        X = sp.csr_array(X[chosen])
        weight = np.ones(X.shape[0]) if weight is None else weight[chosen]
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        entries = np.abs(X.data, dtype=np.float64)
        sums = np.bincount(rows, entries, minlength=X.shape[0])
        total = weight @ sums
        largest = torch.finfo(self.factor.dtype).max
        with np.errstate(over="ignore"):
            factor = _OVERALL_SUM * weight[sums > 0].sum() / total if total > 0 else 1.0
        factor = min(factor, largest)
        of_entries = weight[rows] * (entries > 0)
        squares = of_entries @ np.square(factor * entries)
        self.factor.fill_(factor)
        self.size.fill_(np.sqrt(squares / of_entries.sum()) if total > 0 else 1.0)


def make_scaling(
    kind: str | None, n_features: int, dtype: torch.dtype, device: torch.device | str
) -> Scaling:
    """Module of a kind that :func:`scaling_of` gives; its buffers are not set."""
    if kind == "robust":
        return RobustScaling(n_features, dtype, device)
    return OverallScaling(dtype, device) if kind == "overall" else Scaling()


def weighted_quantiles(
    X: np.ndarray, weight: np.ndarray | None, levels: tuple[float, ...]
) -> np.ndarray:
    """Quantiles ``(n_levels, d)`` of each column, as if each row stood there `weight` times.

    Where the level falls between two rows, it is the mean of the two.
    """
    last = len(X) - 1
    if weight is None:  # sorting values takes a fifth of the time of finding their order
        ordered, reached = np.sort(X, axis=0), np.arange(1.0, len(X) + 1)[:, None]
    else:
        order = np.argsort(X, axis=0)
        ordered = np.take_along_axis(X, order, axis=0)
        reached = np.cumsum(weight[order], axis=0, dtype=np.float64)
    found = []
    for level in levels:
        target = level * reached[-1]
        tolerance = 1e-9 * reached[-1]
        at, above = (
            np.broadcast_to(np.minimum((reached < bound).sum(axis=0), last), (1, X.shape[1]))
            for bound in (target - tolerance, target + tolerance)
        )
        pair = (np.take_along_axis(ordered, rows, axis=0)[0] for rows in (at, above))
        found.append(sum(pair) / 2)
    return np.stack(found)


def _evenly_spaced(n_rows: int, width: int) -> slice | np.ndarray:
    """Numbers of the rows, of a width, that statistics are taken from; all where there are few."""
    n_most = max(256, _ENTRIES_OF_STATISTICS // width)
    if n_rows <= n_most:
        return slice(None)
    return np.linspace(0, n_rows - 1, n_most).round().astype(np.int64)
