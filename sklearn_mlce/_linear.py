"""The linear estimator."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.extmath import safe_sparse_dot
from torch import Tensor

from sklearn_mlce._base import (
    BaseMLCE,
    FitMonitor,
    check_label_weight,
    fitted_state_kept,
    warn_unknown_labels,
)
from sklearn_mlce._compat import with_callbacks
from sklearn_mlce._loss_options import LossOptions, resolve_loss
from sklearn_mlce._solvers.design import Design
from sklearn_mlce._solvers.losses_of_targets import row_loss_of
from sklearn_mlce._solvers.newton_cg import LinearObjective, SolverResult, newton_cg
from sklearn_mlce._sparse import dense_tensor
from sklearn_mlce._targets import FIXED_SCORE, Targets, fixed_scores
from sklearn_mlce._training.device import resolve_device


class MLCEClassifier(BaseMLCE):
    r"""Linear multi-label classifier, fitted exactly by a truncated Newton method.

    Minimises, over coefficients :math:`W` and intercepts :math:`b`, the multi-label softmax
    cross-entropy (MLCE) of the scores :math:`s = W x + b`,

    .. math::

        \frac{1}{2} \|W\|_F^2 + \frac{C}{\gamma} \sum_r v_r \Bigl[
        \log\bigl(1 + \sum_{i \in N_r} w_i e^{\gamma (s_{ri} + m)}\bigr)
        + \log\bigl(1 + \sum_{j \in P_r} w_j e^{-\gamma (s_{rj} - m)}\bigr) \Bigr],

    where row :math:`r` has sample weight :math:`v_r`, positive labels :math:`P_r` and negative
    ones :math:`N_r`, :math:`w` are label weights, :math:`\gamma` is the scale and :math:`m` the
    margin. A label is predicted where its score is above zero. With a 1-D `y` this is logistic
    regression (two classes) or softmax regression (more).

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the L2 penalty, as in
        :class:`~sklearn.linear_model.LogisticRegression`. The intercepts are not penalised.
    loss : {"mlce", "bce", "squared_hinge"}, default="mlce"
        "mlce" is the loss above. The others stand in its place, for comparison, as sums over the
        labels: "bce" of logistic losses, "squared_hinge" of
        :math:`\max(0, 1 - y_{ri} s_{ri})^2` with :math:`y_{ri} = \pm 1`, the objective of
        :class:`~sklearn.svm.LinearSVC` but for its penalty of the intercept. A multiclass `y` is
        then fitted one class against the rest. They take no scale, margin or order;
        `label_weight` multiplies a label's loss.
    fit_intercept : bool, default=True
        Whether scores have an intercept.
    label_weight : array-like of shape (n_labels,), default=None
        Positive weight of each label of a multi-label `y`, inside the logarithms of "mlce".
    scale : float, default=None
        Scale :math:`\gamma` of the scores in the loss, which is divided by it; None is 1.
    margin : float, default=None
        Margin :math:`m` by which scores are asked to clear the threshold; None is 0. For a
        multiclass `y`, by which the score of the true class is asked to exceed the others.
    order : {1, 2, "all"} or pair of these, default=None
        How many mistakes a row of a multi-label `y` is charged for, among its negatives and
        among its positives, or for each side in a pair: 1 is the formula above, with 2 the
        products :math:`x_i x_j` of each two terms stand in the logarithm as well, with "all"
        those of any number of terms, which makes it a sum of logistic losses. None is 1.
    tol : float, default=1e-4
        The solver stops when no entry of the gradient of the mean objective - the formula
        above divided by :math:`C \sum_r v_r` - is larger than this in absolute value. The
        gradient grows with the features, so tol is to be read on their scale.
    max_iter : int, default=100
        Newton iterations at most.
    warm_start : bool, default=False
        Whether `fit` starts from the coefficients of the last fit, whose classes or labels and
        number of features must be the same.
    device : {"cpu", "cuda", "auto"}, default="cpu"
        Where to fit. "auto" is "cuda" where torch finds a GPU, else "cpu". Predictions are
        made with NumPy.
    random_state : int, RandomState instance or None, default=None
        Not used: the solver has no randomness. Present so that code which sets it on every
        estimator of a search works.

    Attributes
    ----------
    coef_ : ndarray of shape (n_outputs, n_features)
        Coefficients; one row for a binary `y`, else one per label or class. Float32 where X
        was float32, otherwise float64.
    intercept_ : ndarray of shape (n_outputs,)
        Intercepts. A label that was positive in no training row has coefficients 0 and
        intercept -1e9, below all others, and is never predicted; one that was negative in none
        has intercept 1e9.
    classes_ : ndarray
        Classes of a 1-D `y`; ``np.arange(n_labels)`` of a multi-label one.
    label_names_ : ndarray of shape (n_labels,)
        Column names of `y`. Only where `y` was a DataFrame.
    n_iter_ : int
        Newton iterations made.
    loss_curve_ : list of float
        Mean objective after each iteration.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features. Only where X had string column names.

    See Also
    --------
    MLCEMLP : Multi-layer perceptron with the same loss.
    sklearn_mlce.losses.mlce_loss : The loss, for torch.

    Notes
    -----
    `y` may be a 0/1 matrix, dense or sparse; a matrix of soft targets in [0, 1], or with NaN
    for unknown labels; or 1-D classes. `score` is scikit-learn's: subset accuracy for a
    multi-label `y`. Pass ``scoring="f1_micro"`` to searches instead.

    Newton's linear systems are solved by conjugate gradients, preconditioned by the Hessian's
    diagonal. A Hessian-vector product takes one product with X and one with its transpose; the
    scores of all rows and labels are kept in memory, `y` as the list of its positives.

    References
    ----------
    .. [1] Su, Zhu, Murtadha, Pan, Wen, Liu, "ZLPR: A Novel Loss for Multi-label
       Classification", https://arxiv.org/abs/2208.02955, 2022.
    .. [2] Lin, Weng, Keerthi, "Trust Region Newton Method for Large-Scale Logistic
       Regression", https://www.jmlr.org/papers/v9/lin08b.html, 2008 (Newton methods for
       regularised linear classifiers).

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn.metrics import f1_score
    >>> from sklearn_mlce import MLCEClassifier
    >>> X, Y = make_multilabel_classification(
    ...     n_samples=600, n_classes=6, n_labels=3, random_state=0
    ... )
    >>> classifier = MLCEClassifier().fit(X[:400], Y[:400])
    >>> classifier.decision_function(X[400:]).shape
    (200, 6)
    >>> round(f1_score(Y[400:], classifier.predict(X[400:]), average="micro"), 2)
    0.67
    """

    _parameter_constraints: ClassVar[dict] = {
        "C": [Interval(Real, 0, None, closed="neither")],
        "loss": [StrOptions({"mlce", "bce", "squared_hinge"})],
        "fit_intercept": ["boolean"],
        "label_weight": ["array-like", None],
        "scale": [Interval(Real, 0, None, closed="neither"), None],
        "margin": [Interval(Real, 0, None, closed="left"), None],
        "order": [
            Options(Integral, {1, 2}),
            StrOptions({"all"}),
            tuple,
            list,
            None,
        ],
        "tol": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "warm_start": ["boolean"],
        "device": [StrOptions({"cpu", "cuda", "auto"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        C: float = 1.0,
        *,
        loss: str = "mlce",
        fit_intercept: bool = True,
        label_weight: Any = None,
        scale: float | None = None,
        margin: float | None = None,
        order: Any = None,
        tol: float = 1e-4,
        max_iter: int = 100,
        warm_start: bool = False,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.label_weight = label_weight
        self.scale = scale
        self.margin = margin
        self.order = order
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start
        self.device = device
        self.random_state = random_state

    @with_callbacks
    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLCEClassifier:
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
        MLCEClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y, a weight or a parameter is not usable. An earlier fit is then kept.

        Warns
        -----
        ConvergenceWarning
            If the solver did not reach `tol`.
        """
        with fitted_state_kept(self):
            device = resolve_device(self.device)
            monitor = FitMonitor(self, X, y, sample_weight, "newton-iter", self.max_iter)
            X, targets, sample_weight = self._validate_fit(X, y, sample_weight)
            warn_unknown_labels(targets)
            start = self._start(X, targets)
            self._set_target_format(targets.format)
            result = self._solve(X, targets, sample_weight, start, device, monitor)
            for name, value in result.items():
                setattr(self, name, value)
            monitor.close()
        return self

    def _start(self, X: Any, targets: Targets) -> np.ndarray:
        """First parameters ``(n_features + 1, n_outputs)``: zero, or those of the last fit."""
        shape = (X.shape[1] + 1, targets.n_outputs)
        if not (self.warm_start and hasattr(self, "coef_")):
            return np.zeros(shape, dtype=X.dtype)
        last = np.vstack([self.coef_.T, self.intercept_]).astype(X.dtype)
        if last.shape != shape or not np.array_equal(self.classes_, targets.classes):
            raise ValueError(
                f"warm_start=True continues a fit of {last.shape[0] - 1} features and classes "
                f"{self.classes_}, got {shape[0] - 1} features and classes {targets.classes}. "
                "Set warm_start=False to start anew"
            )
        # A label without a positive in the last fit has no place to go on from.
        last[-1, np.abs(last[-1]) == FIXED_SCORE] = 0
        return last

    def _solve(
        self,
        X: Any,
        targets: Targets,
        sample_weight: np.ndarray | None,
        start: np.ndarray,
        device: torch.device,
        monitor: FitMonitor,
    ) -> dict[str, Any]:
        """Fitted attributes at the optimum."""
        fixed = fixed_scores(targets)
        trained = np.isnan(fixed)
        options = self._loss_options(targets.kind)
        label_weight = self._label_weight(targets, trained, X.dtype, device)
        n_parameters = X.shape[1] + bool(self.fit_intercept)

        def attributes(parameters: Tensor) -> dict[str, np.ndarray]:
            return _coefficients(parameters.cpu().numpy(), X.shape[1], fixed)

        monitor.attributes_of = attributes
        first = dense_tensor(start[:n_parameters, trained], device)
        if not trained.any():
            return {**attributes(first), "n_iter_": 0, "loss_curve_": []}
        row_weight, total = _row_weights(X, sample_weight)
        row_loss = row_loss_of(
            targets, trained, dense_tensor(row_weight, device), options, label_weight
        )
        design = Design(X, row_weight, bool(self.fit_intercept), device)
        objective = LinearObjective(design, row_loss, l2=1 / (self.C * total))
        result = newton_cg(objective, first, tol=self.tol, max_iter=self.max_iter, monitor=monitor)
        if not (result.converged or monitor.stopped):
            self._warn_not_converged(result)
        return {
            **attributes(result.parameters),
            "n_iter_": result.n_iter,
            "loss_curve_": result.loss_curve,
        }

    def _loss_options(self, kind: str) -> LossOptions:
        return resolve_loss(
            kind, loss=self.loss, scale=self.scale, margin=self.margin, order=self.order
        )

    def _label_weight(
        self, targets: Targets, trained: np.ndarray, dtype: np.dtype, device: torch.device
    ) -> Tensor | None:
        """Weights of the trained labels."""
        weight = check_label_weight(self.label_weight, targets)
        return None if weight is None else dense_tensor(weight[trained].astype(dtype), device)

    def _warn_not_converged(self, result: SolverResult) -> None:
        if result.n_iter < self.max_iter:
            advice = (
                f"The objective cannot be told apart further in {result.parameters.dtype}: "
                "raise tol, scale the features, or pass X as float64"
            )
        else:
            advice = "Raise max_iter or tol, or scale the features"
        warnings.warn(
            f"MLCEClassifier stopped after {result.n_iter} iterations with a gradient entry of "
            f"{result.gradient_max:.1e}, above tol={self.tol:g}. {advice}.",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _scores(self, X: Any) -> np.ndarray:
        return safe_sparse_dot(X, self.coef_.T, dense_output=True) + self.intercept_


def _row_weights(X: Any, sample_weight: np.ndarray | None) -> tuple[np.ndarray, float]:
    """Weights of the rows that sum to one, and what they were divided by."""
    weight = np.ones(X.shape[0], dtype=X.dtype) if sample_weight is None else sample_weight
    total = float(weight.sum(dtype=np.float64))
    return weight / X.dtype.type(total), total


def _coefficients(parameters: np.ndarray, n_features: int, fixed: np.ndarray) -> dict[str, Any]:
    """``coef_`` and ``intercept_`` of parameters of the trained outputs."""
    trained = np.isnan(fixed)
    coef = np.zeros((len(fixed), n_features), dtype=parameters.dtype)
    coef[trained] = parameters[:n_features].T
    intercept = np.where(trained, 0, fixed).astype(parameters.dtype)
    if len(parameters) > n_features:
        intercept[trained] = parameters[-1]
    return {"coef_": coef, "intercept_": intercept}
