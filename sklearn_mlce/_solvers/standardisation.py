"""What a solver sees of the features: each of them centred, and divided by its size.

Moments are taken by blocks of rows, in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import gen_batches

from sklearn_mlce._utils.rows import rows_that_fit

# Entries of X that are looked at at a time: 32 MiB of float64.
_BLOCK_ENTRIES = 2**22
_ROUNDING = 4  # units of rounding that the entries of a constant column may differ by
_ROUNDING_OF_CENTRE = 1e-9  # of a mean of many rows, relative and with room to spare
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Standardisation:
    """Map of features to ``(x - offset) * factor``; sparse rows are only multiplied.

    Beside an intercept, which is not penalised, centring does not change the objective. The factor
    does: the penalty is then that of coefficients in units of each feature.

    Parameters
    ----------
    offset : ndarray of shape (n_features,) or None
        What is subtracted, in the features' precision; None of a model without intercepts.
    factor : ndarray of shape (n_features,) or None, default=None
        One over the features' sizes, in their precision; 0 of a feature that is left out, and None
        where all are left as they are.
    """

    offset: np.ndarray | None
    factor: np.ndarray | None = None

    @classmethod
    def of_rows(
        cls,
        X: Any,
        row_weight: np.ndarray,
        fit_intercept: bool,
        sizes: np.ndarray | None = None,
    ) -> Standardisation:
        """Centre rows at their mean, if there are intercepts, and divide columns by their sizes.

        It takes a pass over the rows.
        """
        offset = sum_of_rows(X, row_weight).astype(X.dtype) if fit_intercept else None
        return cls(offset, None if sizes is None else inverse_sizes(sizes).astype(X.dtype))

    @cached_property
    def divided_offset(self) -> np.ndarray | None:
        """The offset of the features once they are multiplied."""
        if self.offset is None or self.factor is None:
            return self.offset
        return self.offset * self.factor

    def of_dense(self, X: np.ndarray) -> np.ndarray:
        """Centred and divided rows; X itself where there is nothing to do."""
        if self.offset is None:
            return X if self.factor is None else X * self.factor
        # Centred first: features may vary little beside their mean.
        centred = X - self.offset
        return centred if self.factor is None else np.multiply(centred, self.factor, out=centred)

    def of_sparse(self, X: Any) -> Any:
        """Divided rows, CSR, with the indices of X."""
        if self.factor is None:
            return X
        divided = X.data * self.factor[X.indices]
        return sp.csr_array((divided, X.indices, X.indptr), shape=X.shape)


def multiply_coefficients_(parameters: np.ndarray, factor: np.ndarray | None) -> np.ndarray:
    """Multiply the coefficients of each feature, in place; there may be intercepts below them.

    By the features' sizes they become those of the divided features, by the inverse of these
    again those of the features as given.
    """
    if factor is not None:
        parameters[: len(factor)] *= factor.astype(parameters.dtype)[:, None]
    return parameters


def sum_of_rows(X: Any, weight: np.ndarray) -> np.ndarray:
    """Weighted sum ``(n_features,)`` of the rows, in float64.

    A block of rows at a time: the product of all would first copy X to the precision of the sum.
    """
    total = np.zeros(X.shape[1])
    for rows in _row_blocks(X):
        total += X[rows].T @ weight[rows]
    return total


def mean_squared_distance(X: Any, row_weight: np.ndarray, *, centred: bool) -> float:
    """Weighted mean of the rows' squared distance from their mean, or from zero; any weights.

    1 where it is zero, so that it can be divided by. Distances are summed, never differences of
    large squares: a feature may vary little beside its mean.

    Raises
    ------
    ValueError
        If they overflow.
    """
    weight = row_weight / row_weight.sum(dtype=np.float64)
    mean = sum_of_rows(X, weight) if centred else np.zeros(X.shape[1])
    unit = np.ones(X.shape[1])
    with np.errstate(over="ignore"):
        distance = float(_even_moments(X, weight, mean, unit, n_squarings=1).sum())
    check_squares(distance, X.dtype)
    rounding = X.shape[0] * _EPS * np.linalg.norm(mean)  # of the mean
    return distance if distance > rounding**2 else 1.0


def standard_deviations(X: Any, row_weight: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Root mean square ``(n_features,)`` of each column about a centre; weights sum to one."""
    unit = np.ones(X.shape[1])
    return np.sqrt(_even_moments(X, row_weight, centre, unit, n_squarings=1))


def column_moments(
    X: Any, row_weight: np.ndarray, *, centred: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Second moment and kurtosis ``(n_features,)`` of columns about their mean, or about zero.

    They are 0 and 1 of a column that is constant up to the rounding of its mean.
    """
    row_weight = row_weight / row_weight.sum(dtype=np.float64)
    mean = sum_of_rows(X, row_weight) if centred else np.zeros(X.shape[1])
    second = _even_moments(X, row_weight, mean, np.ones(X.shape[1]), n_squarings=1)
    varies = second > (_ROUNDING_OF_CENTRE * mean) ** 2
    unit = np.sqrt(np.where(varies, second, 1.0))
    kurtosis = _even_moments(X, row_weight, mean, unit, n_squarings=2)
    # At least 1, up to rounding.
    return np.where(varies, second, 0.0), np.where(varies, np.maximum(kurtosis, 1.0), 1.0)


def column_sizes(X: Any, row_weight: np.ndarray, *, centred: bool) -> np.ndarray:
    r"""Size of each column: the fourth root of its fourth moment about its mean, or about zero.

    Like a standard deviation, but larger the rarer the rows are in which a column is far from its
    mean: it grows as :math:`p^{1/4}` with the share p of ones in a column of 0 and 1, not as
    :math:`p^{1/2}`.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_rows, n_features)
        Features.
    row_weight : ndarray of shape (n_rows,)
        Non-negative weights.
    centred : bool
        Whether moments are about the mean.

    Returns
    -------
    ndarray of shape (n_features,)
        Float64; 0 of a column that is constant, or zero where moments are about zero.
    """
    if not row_weight.all():
        X, row_weight = X[row_weight > 0], row_weight[row_weight > 0]
    weight = row_weight / row_weight.sum(dtype=np.float64)
    smallest, largest = _ends_of_columns(X)
    if not centred:
        return _sizes(X, weight, np.zeros(X.shape[1]), np.maximum(-smallest, largest))
    rounding = _ROUNDING * float(np.finfo(X.dtype).eps) * np.maximum(-smallest, largest)
    spread = largest / 2 - smallest / 2  # halves do not overflow
    return _sizes(X, weight, sum_of_rows(X, weight), np.where(spread > rounding, spread, 0.0))


def sizes_of_new_columns(X: Any, row_weight: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Sizes, as :func:`column_sizes` gives them, of columns that were constant at their centre.

    0 of those that still are, up to the rounding of the centre.
    """
    smallest, largest = _ends_of_columns(X)
    away = np.maximum(np.abs(smallest / 2 - centre / 2), np.abs(largest / 2 - centre / 2))
    away[away <= _ROUNDING_OF_CENTRE * np.abs(centre)] = 0.0
    return _sizes(X, row_weight / row_weight.sum(dtype=np.float64), centre, away)


def _sizes(X: Any, weight: np.ndarray, centre: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Sizes about a centre; 0 where the unit is, in which fourth powers do not overflow."""
    varies = unit > np.finfo(X.dtype).tiny
    unit = np.where(varies, unit, 1.0)
    fourth = _even_moments(X, weight, centre, unit, n_squarings=2)
    return np.where(varies, unit * fourth**0.25, 0.0)


def name_of_scaling(sizes: np.ndarray | None) -> str | None:
    """Return the name that the estimators have for sizes of columns, or for none."""
    return None if sizes is None else "columns"


def inverse_sizes(sizes: np.ndarray) -> np.ndarray:
    """What columns are multiplied by to divide them by their sizes; 0 where the size is."""
    return np.divide(1, sizes, out=np.zeros_like(sizes), where=sizes > 0)


def typical_squared_distance(
    X: Any, row_weight: np.ndarray, sizes: np.ndarray, *, centred: bool
) -> float:
    """Squared distance of a typical row, columns being divided by their sizes, from the mean.

    It is the fourth power of the weighted mean of the distances' square roots, which the few rows
    that are far away hardly move. 1 where it is zero.
    """
    weight = row_weight / row_weight.sum(dtype=np.float64)
    factor = inverse_sizes(sizes)
    mean = sum_of_rows(X, weight) if centred else np.zeros(X.shape[1])
    root = 0.0
    for rows in _row_blocks(X):
        root += float(weight[rows] @ _squared_distances(X[rows], mean, factor) ** 0.25)
    return root**4 or 1.0


def check_squares(largest: float, dtype: np.dtype) -> None:
    """Raise ValueError where squares of features overflow: no step would have a length.

    Parameters
    ----------
    largest : float
        The largest square, or sum of squares.
    dtype : dtype
        Of the features.
    """
    if np.isfinite(largest):
        return
    wider = "" if dtype == np.float64 else ", or pass X as float64"
    raise ValueError(
        f"the rows of X are so long that their squared norms overflow {dtype}; expected features "
        "of ordinary size. Set input_scaling='columns', or scale them, as "
        f"sklearn.preprocessing.MaxAbsScaler does{wider}"
    )


def _row_blocks(X: Any) -> Iterator[slice]:
    entries_per_row = (X.nnz if sp.issparse(X) else X.size) // max(X.shape[0], 1)
    return gen_batches(X.shape[0], rows_that_fit(entries_per_row, _BLOCK_ENTRIES))


def _even_moments(
    X: Any, weight: np.ndarray, centre: np.ndarray, unit: np.ndarray, *, n_squarings: int
) -> np.ndarray:
    """Moments ``(n_features,)`` of columns about a centre, in units: the second, or the fourth."""
    moments = _sparse_moments if sp.issparse(X) else _dense_moments
    return moments(X, weight, centre, unit, n_squarings)


def _dense_moments(
    X: np.ndarray, weight: np.ndarray, centre: np.ndarray, unit: np.ndarray, n_squarings: int
) -> np.ndarray:
    total = np.zeros(X.shape[1])
    for rows in _row_blocks(X):
        powers = X[rows] - centre
        powers /= unit
        for _ in range(n_squarings):
            np.square(powers, out=powers)
        total += weight[rows] @ powers
    return total


def _sparse_moments(
    X: Any, weight: np.ndarray, centre: np.ndarray, unit: np.ndarray, n_squarings: int
) -> np.ndarray:
    """Sum the entries that are stored, and the zeros that are not."""
    n_features = X.shape[1]
    total, stored = np.zeros(n_features), np.zeros(n_features)
    n_stored = np.zeros(n_features, dtype=np.intp)
    of_zero = (centre / unit) ** (2 * n_squarings)
    for rows in _row_blocks(X):
        block = X[rows]
        of_entries = np.repeat(weight[rows], np.diff(block.indptr))
        powers = (block.data - centre[block.indices]) / unit[block.indices]
        for _ in range(n_squarings):
            np.square(powers, out=powers)
        total += np.bincount(block.indices, weights=of_entries * powers, minlength=n_features)
        stored += np.bincount(block.indices, weights=of_entries, minlength=n_features)
        n_stored += np.bincount(block.indices, minlength=n_features)
    # Of the weight; the difference may round to less than zero.
    left = np.where(n_stored == X.shape[0], 0.0, np.maximum(1 - stored, 0.0))
    return total + left * of_zero


def _ends_of_columns(X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest entry ``(n_features,)`` of each column."""
    if sp.issparse(X):
        X = X.tocsc()  # once, for both
        ends = [end.toarray().ravel() for end in (X.min(axis=0), X.max(axis=0))]
    else:
        ends = [X.min(axis=0), X.max(axis=0)]
    return ends[0].astype(np.float64), ends[1].astype(np.float64)


def _squared_distances(X: Any, centre: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Squared distances ``(n_rows,)`` from a centre, columns being multiplied by factors."""
    if not sp.issparse(X):
        distances = (X - centre) * factor
        return np.einsum("ij,ij->i", distances, distances)
    at_zero = np.square(centre * factor)
    moved = np.square((X.data - centre[X.indices]) * factor[X.indices]) - at_zero[X.indices]
    sums = np.add.reduceat(np.append(moved, 0), X.indptr[:-1]) * (np.diff(X.indptr) > 0)
    return np.maximum(sums + at_zero.sum(), 0)
