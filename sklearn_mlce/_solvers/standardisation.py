"""What a solver sees of the features: each of them centred, and divided by its size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._solvers.moments import inverse_sizes, sum_of_rows


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
        """Centre rows at their mean, if there are intercepts, and divide columns by their sizes."""
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
