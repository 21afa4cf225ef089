"""The linear estimator's fit, by solver or by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils.extmath import safe_sparse_dot
from sklearn.utils.metaestimators import available_if

from sklearn_mlce._estimators.streaming import StreamingMLCE, in_precision, learns_from_chunks
from sklearn_mlce._objectives.options import FOR_LABELS, LossOptions, resolve_loss
from sklearn_mlce._objectives.weights import check_label_weight
from sklearn_mlce._solvers.design import mean_squared_distance
from sklearn_mlce._solvers.fit import SolverOptions, resolve_solver
from sklearn_mlce._solvers.problem import LinearProblem
from sklearn_mlce._solvers.stream import StreamState, learn_chunk
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.targets import FIXED_SCORE, TargetFormat, Targets, placed, same_classes
from sklearn_mlce._utils.callbacks import fitted_state_kept
from sklearn_mlce._utils.device import resolve_device
from sklearn_mlce._utils.random import draw_seed

# Without a margin threshold zero is good where scores are large: of 1, 10, 100 and 1000 this was
# the best or next to it at every order.
_C_WITHOUT_MARGIN = 100.0


class LinearMLCE(StreamingMLCE):
    """Base of the linear estimator, whose parameters are those of :class:`MLCEClassifier`."""

    coef_: np.ndarray
    intercept_: np.ndarray
    C_: float
    loss_curve_: list[float]
    _stream: StreamState

    # The parameters that are read here.
    C: float | None
    fit_intercept: bool
    label_weight: Any
    solver: str
    max_iter: int | None
    tol: float
    warm_start: bool
    device: str
    random_state: Any

    @available_if(learns_from_chunks)
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        r"""Pass once over a chunk of rows in mini-batches, going on from the last call or fit.

        Each chunk is read once, whatever `solver` says but for "newton-cg", and `max_iter`
        plays no part. The penalty is that of all rows seen so far, those of an earlier `fit`
        included, so that `C` means what it means in a fit of them together; a row passed twice
        counts twice. The steps fall with their number t as :math:`1 / \sqrt{1 + t / 50}`, so
        that the stream may end anywhere. Memory is that of X, y and three times `coef_`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Features of the chunk. The first chunk should be a fair sample of a few hundred rows
            at least: it sets the size of the steps.
        y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
            Classes, or the labels of each row; the first call fixes which, and how many labels.
            A label is trained from the first chunk on by which it has been seen both ways.
        classes : array-like of shape (n_classes,), default=None
            All classes of a 1-D `y`, or a list of those of each output, on the first call; None
            takes those of its chunk. With a
            multi-label `y`, None, ``np.arange(n_labels)``, or ``[0, 1]``, the values of its
            entries, which :func:`~sklearn.model_selection.learning_curve` passes.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weight of each row.

        Returns
        -------
        MLCEClassifier
            The estimator, trained further.

        Raises
        ------
        ValueError
            If X, y, a weight or a parameter is not usable or does not fit the earlier calls, or
            if ``solver="newton-cg"``, which needs all rows at once. The state before the call is
            then kept.
        AttributeError
            If `loss` or `label_weight` needs the labels of all rows.
        """
        if self.solver == "newton-cg":
            raise ValueError(
                "solver='newton-cg' needs all rows at once and cannot learn from chunks; "
                "set solver='auto' or solver='sgd', or call fit"
            )
        with fitted_state_kept(self):
            first = not hasattr(self, "coef_")
            X, targets, sample_weight = self._validate_chunk(X, y, classes, sample_weight, first)
            if first:
                self._remember(targets)
            else:
                self._remember_loss(targets)
                X, sample_weight = in_precision(self.coef_.dtype, X, sample_weight)
            state = self._stream_state(targets, first)
            problem = self._problem(X, targets, sample_weight, np.isnan(state.fixed))
            if self.C is None and not first:  # of the first chunk, or of an earlier fit
                problem = problem._replace(C=self.C_)
            self.C_ = problem.C
            parameters = self._stream_parameters(X, targets, first)
            parameters, self._stream, objective = learn_chunk(problem, state, parameters)
            self._keep_stream(parameters, X.shape[1], objective, first)
        return self

    def _stream_state(self, targets: Targets, first: bool) -> StreamState:
        if first:
            seen_neither_way = np.full(targets.n_outputs, -FIXED_SCORE)
            return StreamState(draw_seed(self.random_state), 0.0, seen_neither_way)
        state = self._stream
        if state.batch_size and self.fit_intercept != (state.offset is not None):
            raise ValueError(
                f"fit_intercept={self.fit_intercept} differs from the earlier calls of "
                "partial_fit. Set it as it was, or call fit to start anew"
            )
        return state

    def _stream_parameters(self, X: Any, targets: Targets, first: bool) -> np.ndarray:
        """A copy of the parameters, ``(n_features + fit_intercept, n_outputs)``."""
        n_features = X.shape[1]
        shape = (n_features + bool(self.fit_intercept), targets.n_outputs)
        parameters = np.zeros(shape, X.dtype if first else self.coef_.dtype)
        if not first:
            parameters[:n_features] = self.coef_.T
            if self.fit_intercept:
                parameters[-1] = np.where(placed(self.intercept_), self.intercept_, 0)
        return parameters

    def _keep_stream(
        self, parameters: np.ndarray, n_features: int, objective: float, first: bool
    ) -> None:
        fixed = self._stream.fixed
        learned = parameters[n_features] if self.fit_intercept else 0
        # Not a copy of all coefficients: they lie by features, as the next chunk wants them.
        self.coef_ = parameters[:n_features].T
        self.intercept_ = np.where(np.isnan(fixed), learned, fixed).astype(parameters.dtype)
        self.loss_curve_ = [objective] if first else [*self.loss_curve_, objective]
        self.n_iter_ = len(self.loss_curve_)

    def _problem(
        self,
        X: Any,
        targets: Targets,
        sample_weight: np.ndarray | None,
        trained: np.ndarray,
    ) -> LinearProblem:
        options = self._options_for(targets)
        return LinearProblem(
            X=X,
            targets=targets,
            # A module may know its labels by their places, so that none can be left out.
            trained=np.ones_like(trained) if options.module is not None else trained,
            sample_weight=sample_weight,
            options=options,
            label_weight=check_label_weight(self.label_weight, targets, options, sample_weight),
            C=(
                self._default_C(X, sample_weight, targets.format)
                if self.C is None
                else float(self.C)
            ),
            fit_intercept=bool(self.fit_intercept),
            device=resolve_device(self.device),
        )

    def _solver_options(self, problem: LinearProblem) -> SolverOptions:
        seed = draw_seed(self.random_state)
        return resolve_solver(problem, self.solver, self.max_iter, self.tol, seed)

    def _start(self, X: Any, targets: Targets) -> np.ndarray | None:
        """First parameters ``(n_features + 1, n_outputs)`` of a warm start."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        shape = (X.shape[1] + 1, targets.n_outputs)
        last = np.vstack([self.coef_.T, self.intercept_]).astype(X.dtype, copy=False)
        if last.shape != shape or not same_classes(self.classes_, targets.classes):
            raise ValueError(
                f"warm_start=True continues a fit of {last.shape[0] - 1} features and classes "
                f"{self.classes_}, got {shape[0] - 1} features and classes {targets.classes}. "
                "Set warm_start=False to start anew"
            )
        check_label_names(
            targets.label_names,
            self._target_format.label_names,
            "y",
            "Pass y[list(model.label_names_)], or set warm_start=False to start anew",
        )
        # A label without a positive in the last fit has no place to go on from.
        last[-1, ~placed(last[-1])] = 0
        return last

    def _loss_options(self, target_format: TargetFormat) -> LossOptions:
        return resolve_loss(
            target_format.kind,
            loss=self.loss,
            scale=self.scale,
            margin=self.margin,
            order=self.order,
            for_labels=FOR_LABELS,
        )

    def _default_C(
        self, X: Any, sample_weight: np.ndarray | None, target_format: TargetFormat
    ) -> float:
        """C of rows for which none is given."""
        options = self._loss_options(target_format)
        if options.loss != "mlce" or target_format.single_label:
            return 1.0
        weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
        factor = 1.0 if sum(options.margins) > 0 else _C_WITHOUT_MARGIN
        return factor / mean_squared_distance(X, weight, centred=bool(self.fit_intercept))

    def _scores(self, X: Any) -> np.ndarray:
        scores = safe_sparse_dot(X, self.coef_.T, dense_output=True)
        if scores.dtype == self.intercept_.dtype:
            return np.add(scores, self.intercept_, out=scores)
        return scores + self.intercept_
