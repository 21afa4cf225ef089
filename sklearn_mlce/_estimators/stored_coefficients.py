"""How a linear model stores its coefficients: dense, sparse, or as a stream moves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from sklearn_mlce._solvers.stream import LiveWeights


class StoredCoefficientsMixin:
    """``coef_`` of a linear model, which is written out of a stream where it is read."""

    coef_: np.ndarray
    n_features_in_: int
    coef_threshold: float
    _live: LiveWeights  # in the place of coef_ after a chunk, until coef_ is read

    @property
    def _is_started(self) -> bool:
        """Whether a fit or a chunk went before."""
        return "coef_" in vars(self) or "_live" in vars(self)

    def _write_coef(self) -> None:
        """Write the coefficients of a stream out of the form in which chunks move them."""
        live = self.__dict__.pop("_live", None)
        if live is not None:
            # Not a copy: they lie by features, as the next chunk, which takes one, wants them.
            self.coef_ = live.parameters()[: self.n_features_in_].T

    if not TYPE_CHECKING:  # which would take any name for an attribute

        def __getattr__(self, name):
            if name == "coef_" and "_live" in vars(self):
                self._write_coef()
                return self.coef_
            # Where a property raised AttributeError: again, with its message.
            return object.__getattribute__(self, name)

    def __getstate__(self) -> dict[str, Any]:
        self._write_coef()
        state: Any = super().__getstate__()
        return state

    def sparsify(self) -> Self:
        """Store `coef_` as a sparse array, where many coefficients are zero.

        Predictions are the same, and need the memory of the non-zero ones alone: less where more
        than half are zero. :meth:`partial_fit` needs :meth:`densify` first. `coef_threshold` makes
        a fit sparse from the start.

        Returns
        -------
        MLCEClassifier
            The estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csc_array(self.coef_)
        return self

    def densify(self) -> Self:
        """Store `coef_` as an ndarray again.

        Returns
        -------
        MLCEClassifier
            The estimator.
        """
        check_is_fitted(self)
        coefficients: Any = self.coef_
        if sp.issparse(coefficients):
            self.coef_ = coefficients.T.toarray().T  # by features, as a fit leaves them
        return self

    def _check_not_pruned(self) -> None:
        """Raise ValueError unless chunks can move every coefficient."""
        if self.coef_threshold > 0:
            raise ValueError(
                f"coef_threshold={self.coef_threshold} needs a whole fit: later chunks may change "
                "any coefficient. Set coef_threshold=0, and call sparsify() after the last chunk"
            )
        if sp.issparse(vars(self).get("coef_")):
            raise ValueError(
                "coef_ is sparse, and a chunk may change any coefficient. Call densify() first"
            )
