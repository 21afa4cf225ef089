"""How a network estimator is trained: its fit and partial_fit."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils.metaestimators import available_if

from sklearn_mlce._base import FitMonitor, fitted_state_kept, warn_unknown_labels
from sklearn_mlce._compat import with_callbacks
from sklearn_mlce._network import NetworkMLCE
from sklearn_mlce._targets import fixed_scores
from sklearn_mlce._training.batches import Rows
from sklearn_mlce._training.engine import net_weights, train


def _holds_no_rows_out(estimator: NetworkMLCE) -> bool:
    if estimator.early_stopping:
        raise AttributeError(
            "partial_fit makes one epoch over the rows it is given and holds none out, but "
            "early_stopping is True. Set early_stopping=False and score rows of your own after "
            "each call"
        )
    return True


class TrainableNetwork(NetworkMLCE):
    """The methods that train a network estimator."""

    # The parameters that are read here.
    max_epochs: int
    warm_start: bool

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features; float32 and float64 are kept, others become float64.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row: 0/1, soft in [0, 1], or NaN where unknown.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEMLP
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a weight or a parameter is not usable, or the loss becomes infinite or
            NaN. An earlier fit is then kept, as it is when the fit is interrupted.
        """
        with fitted_state_kept(self):
            monitor = FitMonitor(self, X, y, sample_weight)
            rows = Rows(*self._validate_fit(X, y, sample_weight))
            warn_unknown_labels(rows.targets)
            monitor.open("epoch", self.max_epochs)
            plan = self._plan(rows, self.max_epochs, keep_optimizer=self.warm_start)
            start = self._start(plan, rows.targets.format, go_on=self.warm_start)
            rows, held_out = self._split(rows, start.seed)
            self._set_target_format(rows.targets.format)
            self._fixed_scores = fixed_scores(rows.targets)
            self._architecture = plan.architecture
            monitor.attributes_of = lambda net: {"state_dict_": net_weights(net)}
            self._keep(train(plan, start, rows, held_out, monitor), start)
            monitor.close()
        return self

    @available_if(_holds_no_rows_out)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Make one epoch over a chunk of rows, going on from the last call or fit.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features of the chunk.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row; the first call fixes which, and how many labels.
        classes : array-like of shape (n_classes,), default=None
            All classes of a 1-D `y`, on the first call; None takes those of its chunk. With a
            multi-label `y`, None, ``np.arange(n_labels)``, or ``[0, 1]``, the values of its
            entries, which :func:`~sklearn.model_selection.learning_curve` passes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEMLP
            The estimator, trained further.

        Raises
        ------
        ValueError
            If X, y, a weight or a parameter is not usable or does not fit the earlier calls.
            The state before the call is then kept.
        AttributeError
            If `early_stopping` is set: a chunk holds no rows out.
        """
        with fitted_state_kept(self):
            first = not hasattr(self, "state_dict_")
            rows = Rows(*self._validate_chunk(X, y, classes, sample_weight, first))
            plan = self._plan(rows, 1, keep_optimizer=True)
            start = self._start(plan, rows.targets.format, go_on=True)
            fixed = fixed_scores(rows.targets)
            if first:
                self._set_target_format(rows.targets.format)
                self._fixed_scores = fixed
            self._fixed_scores = np.where(fixed == self._fixed_scores, fixed, np.nan)
            self._architecture = plan.architecture
            self._keep(train(plan, start, rows), start)
        return self
