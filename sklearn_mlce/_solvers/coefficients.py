"""Coefficients and intercepts of a linear model, put together from those of blocks of labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import gen_batches

from sklearn_mlce._utils.rows import rows_that_fit

_MOVED_ENTRIES = 2**20  # at a time, within one array


class Pruning(NamedTuple):
    """What is taken out of coefficients: those that hardly move a score."""

    threshold: float  # in scores
    root_mean_squares: np.ndarray  # (n_features,)
    means: np.ndarray  # (n_features,), zero of a model without intercepts

    def apply(self, parameters: np.ndarray, n_features: int) -> tuple[sp.csr_array, np.ndarray]:
        """Return coefficients ``(n_features, L)`` without the small ones, and their mean score.

        A coefficient is small where its magnitude times the root mean square of its feature is
        below the threshold. What the small ones add to the score of a mean row is returned with
        shape (L,), so that the intercept can take it over.
        """
        coefficients = parameters[:n_features]
        limits = np.divide(
            self.threshold,
            self.root_mean_squares,
            out=np.full(n_features, np.inf),
            where=self.root_mean_squares > 0,
        ).astype(parameters.dtype)
        parts, taken = [], np.zeros(parameters.shape[1])
        for rows in gen_batches(n_features, rows_that_fit(parameters.shape[1], _MOVED_ENTRIES)):
            part = coefficients[rows]
            small = np.abs(part) < limits[rows, None]
            taken += self.means[rows] @ np.where(small, part, 0)
            parts.append(sp.csr_array(np.where(small, 0, part)))
        return sp.vstack(parts, format="csr"), taken


class WarmStart(NamedTuple):
    """Coefficients and intercepts that a fit starts from."""

    coefficients: Any  # (L, n_features), ndarray or sparse
    intercepts: np.ndarray  # (L,), 0 of a label that was not trained

    def of_outputs(self, places: np.ndarray) -> WarmStart:
        """Those of some labels, a view where they are all."""
        if len(places) == len(self.intercepts):
            return self
        return WarmStart(self.coefficients[places], self.intercepts[places])

    def write(self, parameters: np.ndarray) -> None:
        """Write them over ``(n_features, L)``, or that and a row of intercepts."""
        n_features = self.coefficients.shape[1]
        for part in gen_batches(parameters.shape[1], rows_that_fit(n_features, _MOVED_ENTRIES)):
            chosen = self.coefficients[part]
            parameters[:n_features, part] = (chosen.toarray() if sp.issparse(chosen) else chosen).T
        if len(parameters) > n_features:
            parameters[-1] = self.intercepts


class Coefficients:
    """Coefficients of all outputs, which blocks of trained ones are written into.

    They lie by features: transposing a large array takes as long as fitting it, and a sparse
    product would have to transpose it back.

    Parameters
    ----------
    n_features : int
        Number of features.
    fixed : ndarray of shape (n_outputs,)
        Score of each output that is not trained, NaN for the others.
    dtype : dtype
        Of the coefficients.
    sparse : bool
        Whether blocks come in compressed rows, and are left so.
    """

    def __init__(self, n_features: int, fixed: np.ndarray, dtype: np.dtype, sparse: bool) -> None:
        self._shape, self._dtype, self._is_sparse = (n_features, len(fixed)), dtype, sparse
        self._is_trained = np.isnan(fixed)
        self._intercepts = np.where(self._is_trained, 0, fixed).astype(dtype)
        self._memory: np.ndarray | None = None  # flat
        self._dense: np.ndarray | None = None
        self._blocks: list[tuple[np.ndarray, sp.csr_array]] = []

    def reserve(self, n_parameters: int, places: np.ndarray) -> np.ndarray:
        """Zeros ``(n_parameters, len(places))`` to train one block of all outputs in.

        They lie in the memory of all outputs, so that there is no second array of that size.
        """
        if self._is_sparse:
            return np.zeros((n_parameters, len(places)), self._dtype)
        self._memory = np.zeros(n_parameters * self._shape[1], self._dtype)
        return self._memory[: n_parameters * len(places)].reshape(n_parameters, len(places))

    def put(self, places: np.ndarray, coefficients: Any, intercepts: np.ndarray | None) -> None:
        """Write those of some outputs.

        Parameters
        ----------
        places : ndarray of int of shape (n,)
            Numbers of the outputs, ascending; those that are not trained are left out.
        coefficients : ndarray or CSR array of shape (n_features, n)
            Their coefficients, which may be taken over.
        intercepts : ndarray of shape (n,) or None
            Their intercepts.
        """
        is_trained = self._is_trained[places]
        if not is_trained.all():  # of a loss that takes all outputs
            places, coefficients = places[is_trained], coefficients[:, is_trained]
            intercepts = None if intercepts is None else intercepts[is_trained]
        if intercepts is not None:
            self._intercepts[places] = intercepts
        if self._is_sparse:
            self._blocks.append((places, coefficients))
        elif len(places) == self._shape[1]:
            self._dense = coefficients
        elif self._memory is not None and np.may_share_memory(coefficients, self._memory):
            n_entries = self._shape[0] * self._shape[1]
            self._dense = spread_columns_(self._memory[:n_entries], coefficients, places)
        else:
            if self._dense is None:
                self._memory = None  # the solver has made its own
                self._dense = np.zeros(self._shape, self._dtype)
            write_columns(self._dense, places, coefficients)

    def put_intercepts(self, places: np.ndarray, intercepts: np.ndarray) -> None:
        """Write intercepts of outputs whose coefficients are zero."""
        self._intercepts[places] = intercepts

    def with_block(
        self, places: np.ndarray, coefficients: Any, intercepts: np.ndarray | None
    ) -> dict[str, Any]:
        """Values of the attributes with a block that is not kept."""
        fixed = np.where(self._is_trained, np.nan, self._intercepts)
        other = Coefficients(self._shape[0], fixed, self._dtype, self._is_sparse)
        other.put(places, coefficients, intercepts)
        return other.attributes()

    def attributes(self, copy: bool = False) -> dict[str, Any]:
        """Values of ``coef_`` and ``intercept_``, which share this memory or are copies."""
        intercepts = self._intercepts.copy() if copy else self._intercepts
        if self._is_sparse:
            return {"coef_": self._joined(), "intercept_": intercepts}
        dense = np.zeros(self._shape, self._dtype) if self._dense is None else self._dense
        return {"coef_": (dense.copy() if copy else dense).T, "intercept_": intercepts}

    def _joined(self) -> sp.csc_array:
        """Return the sparse coefficients ``(n_outputs, n_features)``.

        In compressed columns, whose transpose has the rows that a product with sparse X needs.
        """
        if not self._blocks:
            return sp.csc_array(self._shape[::-1], dtype=self._dtype)
        places = np.concatenate([places for places, _ in self._blocks])
        stacked = sp.hstack([block for _, block in self._blocks], format="csr")
        # Blocks, and the places in a block, ascend, so that the indices stay sorted.
        columns = places[stacked.indices].astype(stacked.indices.dtype)
        by_features = sp.csr_array((stacked.data, columns, stacked.indptr), shape=self._shape)
        return by_features.T


def spread_columns_(memory: np.ndarray, packed: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Move columns to their places in a wider array that begins at the same memory.

    Rows are moved from the last to the first: each goes to where it, or one before it, no longer
    is.

    Parameters
    ----------
    memory : ndarray of shape (n_rows * n_columns,)
        Its first entries are those of `packed`. It is overwritten.
    packed : ndarray of shape (n_rows, len(places))
        The columns.
    places : ndarray of int of shape (n,)
        Their places among ``n_columns``.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        Zero but for the columns; it is the memory.
    """
    n_rows = len(packed)
    wide = memory.reshape(n_rows, -1)
    for rows in reversed(list(gen_batches(n_rows, rows_that_fit(wide.shape[1], _MOVED_ENTRIES)))):
        moved = packed[rows].copy()
        wide[rows] = 0
        write_columns(wide[rows], places, moved)
    return wide


def write_columns(wide: np.ndarray, places: np.ndarray, columns: np.ndarray) -> None:
    """Assign ``wide[:, places] = columns``, which NumPy does in a tenth of the speed."""
    import torch  # here, since models that answer without torch need this module

    torch.from_numpy(wide).index_copy_(1, torch.from_numpy(places), torch.from_numpy(columns))
