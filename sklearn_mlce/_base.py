"""What both estimators share: validation, tags, and the family of predict methods."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import expit, log_expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from sklearn_mlce._compat import CallbackSupportMixin
from sklearn_mlce._loss_options import LossOptions, resolve_loss
from sklearn_mlce._targets import TargetFormat, Targets, encode_targets

# Scores that a sparse prediction holds at a time: 32 MiB of float64.
_SCORES_PER_BLOCK = 2**22


def _has_probabilities(estimator: BaseMLCE) -> bool:
    loss = getattr(estimator, "loss", "mlce")
    if loss == "squared_hinge":
        raise AttributeError(
            f"loss={loss!r} gives no probabilities. Use decision_function, wrap the estimator in "
            "a calibrator, or set loss='mlce' or loss='bce'"
        )
    return True


class BaseMLCE(CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """Base of the estimators: a subclass fits, and gives the scores of validated X."""

    _target_format: TargetFormat
    classes_: np.ndarray

    # The parameters that are read here.
    scale: float | None
    margin: Any
    order: Any

    @abstractmethod
    def _scores(self, X: Any) -> np.ndarray:
        """Scores ``(n, n_outputs)`` of validated X."""

    def _loss_options(self, kind: str) -> LossOptions:
        """The loss for a kind of y."""
        return resolve_loss(kind, scale=self.scale, margin=self.margin, order=self.order)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.input_tags.sparse = True
        return tags

    def _validate_fit(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool = True
    ) -> tuple[Any, Targets, np.ndarray | None]:
        """Validated X, encoded targets and weights, without the rows of weight 0."""
        targets = encode_targets(y)
        X = validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), order="C", reset=reset
        )
        if X.shape[0] != targets.n_rows:
            check_consistent_length(X, np.empty(targets.n_rows))
        sample_weight = checked_weight(sample_weight, X, X.dtype)
        if sample_weight is None or sample_weight.all():
            return X, targets, sample_weight
        kept = sample_weight > 0
        return X[kept], targets.take(kept), sample_weight[kept]

    def _set_target_format(self, target_format: TargetFormat) -> None:
        self._target_format = target_format
        self.classes_ = target_format.classes
        if target_format.label_names is not None:
            self.label_names_ = target_format.label_names
        elif hasattr(self, "label_names_"):
            del self.label_names_

    def _validate_predict(self, X: Any) -> Any:
        check_is_fitted(self)
        return validate_data(
            self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False
        )

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores of each label; above zero is what :meth:`predict` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            One score per row for binary y, per label for multi-label y, per class for
            multiclass y, whose prediction is the class of the largest score.
        """
        scores = self._scores(self._validate_predict(X))
        return scores[:, 0] if self._target_format.kind == "binary" else scores

    def predict(self, X: Any) -> Any:
        """Labels of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples,) or (n_samples, n_labels)
            In the form of the y that the estimator was fitted on: class labels for 1-D y, 0/1
            in its dtype for a matrix, sparse for sparse y. int64 for soft or unknown targets.
        """
        X = self._validate_predict(X)
        step = max(1, _SCORES_PER_BLOCK // len(self.classes_))
        if self._target_format.sparse_container is None or X.shape[0] <= step:
            return self._target_format.decode(self._scores(X))
        blocks = range(0, X.shape[0], step)
        labels = [self._target_format.decode(self._scores(X[i : i + step])) for i in blocks]
        return sp.vstack(labels, format="csr")

    def predict_topk(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` labels or classes of each row with the highest scores.

        Scores are made for a block of rows at a time.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.
        k : int
            How many, from 1 to the number of labels.

        Returns
        -------
        indices : ndarray of shape (n_samples, k), int64
            Column numbers, the best first; of equal scores the lower number first. They index
            `classes_`, and `label_names_` where there is one.
        scores : ndarray of shape (n_samples, k)
            Their scores, as :meth:`decision_function` gives them.

        Raises
        ------
        ValueError
            If `k` is not such a number, or y was binary.
        """
        X = self._validate_predict(X)
        if self._target_format.kind == "binary":
            raise ValueError("predict_topk ranks labels or classes, but y was binary. Use predict")
        n_outputs = len(self.classes_)
        if not 1 <= k <= n_outputs or k != int(k):
            raise ValueError(f"k must be an integer from 1 to {n_outputs}, got {k!r}")
        step = max(1, _SCORES_PER_BLOCK // n_outputs)
        blocks = range(0, max(X.shape[0], 1), step)
        best = [largest_scores(self._scores(X[i : i + step]), int(k)) for i in blocks]
        indices, scores = zip(*best, strict=True)
        return np.concatenate(indices), np.concatenate(scores)

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Scores mapped into (0, 1) by a fixed increasing function.

        For 1-D y these are the probabilities of logistic and softmax regression, and of
        ``loss="bce"`` with multiclass y the sigmoids divided by their sum. For multi-label y the
        map is a sigmoid: of ``scale * score`` for order "all" and ``loss="bce"``, of
        ``2 * scale * score`` for order 1 (which soft targets satisfy at the minimum of the loss);
        with a margin it is less steep, and is centred where labels are as likely as not. Scores of
        0, where :meth:`predict` decides, then have probabilities below one half: a label is worth
        predicting, as the F-measure counts, where it is about half as likely as the F-measure is
        high. No fixed map is calibrated on all data. ``loss="squared_hinge"`` has none.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples, n_labels), float64
            Never exactly 0 or 1. Two columns for binary y.
        """
        scores = self._scores(self._validate_predict(X)).astype(np.float64, copy=False)
        kind = self._target_format.kind
        probabilities = _probabilities(scores, kind, self._loss_options(kind))
        return np.clip(probabilities, np.finfo(np.float64).tiny, np.nextafter(1.0, 0.0))


def _probabilities(scores: np.ndarray, kind: str, options: LossOptions) -> np.ndarray:
    """Probabilities of scores by the kind of y and the loss."""
    if kind == "binary":
        logits = options.scale * scores
        return expit(np.hstack([-logits, logits]))
    if kind == "multiclass":
        logits = options.scale * scores
        return softmax(log_expit(logits) if options.loss == "bce" else logits, axis=1)
    slope, centre = _probability_map(options)
    return expit(slope * (scores - centre))


def _probability_map(options: LossOptions) -> tuple[float, float]:
    """Slope and centre of the sigmoid that makes probabilities of a multi-label y's scores.

    Without margins the slope is the loss's own: at the minimum of order "all" it is the scale,
    at that of order 1 twice the scale. Margins m make the scores of regularised models gather
    between -m and m; that the slope falls to 5 / m then, and how far the centre follows a
    difference between the margins, was chosen on the data sets of the benchmarks.
    """
    slope = options.scale if options.orders == ("all", "all") else 2 * options.scale
    slope = 1.0 if options.loss == "bce" else slope
    margin = max(sum(options.margins) / 2, 0.0)
    return slope / (1 + slope * margin / 5), 0.3 * (options.margins[1] - options.margins[0])


def largest_scores(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns ``(n, k)`` and values of the largest scores of each row, ties by column."""
    n_rows, n_columns = scores.shape
    last = np.partition(scores, n_columns - k, axis=1)[:, n_columns - k, None]
    above, level = scores > last, scores == last
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (level & (np.cumsum(level, axis=1) <= room))
    indices = np.nonzero(chosen)[1].reshape(n_rows, k)
    values = np.take_along_axis(scores, indices, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(values, order, axis=1)


def checked_weight(sample_weight: Any, X: Any, dtype: Any) -> np.ndarray | None:
    """Weights of the rows as an array ``(n,)``, or None.

    Raises
    ------
    ValueError
        If they are not one non-negative finite number per row, one of them positive.
    """
    if sample_weight is None:
        return None
    weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    if not weight.any():
        raise ValueError("sample_weight is zero for every row; expected a positive weight")
    return weight


def check_label_weight(label_weight: Any, targets: Targets) -> np.ndarray | None:
    """Weights ``(n_labels,)`` as float64, or None.

    Raises
    ------
    ValueError
        If y is 1-D, or the weights are not one positive finite number per label.
    """
    if label_weight is None:
        return None
    if targets.kind in ("binary", "multiclass"):
        raise ValueError(
            f"label_weight weighs the labels of a multi-label y, but y is {targets.kind}. "
            "Set label_weight=None and pass sample_weight to fit"
        )
    weight = np.asarray(label_weight, dtype=np.float64)
    if weight.shape != (targets.n_outputs,):
        raise ValueError(
            f"label_weight has shape {weight.shape}; expected one number for each of the "
            f"{targets.n_outputs} labels, shape ({targets.n_outputs},)"
        )
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise ValueError(
            "label_weight must hold positive finite numbers, got values from "
            f"{weight.min()} to {weight.max()}. Leave a label out by dropping its column of y"
        )
    return weight


def warn_unknown_labels(targets: Targets) -> None:
    """Warn of labels that are unknown in every row."""
    if targets.dense is None:
        return
    unknown = np.flatnonzero(np.isnan(targets.dense).all(axis=0))
    if len(unknown):
        warnings.warn(
            f"labels {unknown[:10].tolist()} are unknown (NaN) in every row; they are treated as "
            "labels without a positive and never predicted",
            UserWarning,
            stacklevel=3,
        )


class FitMonitor:
    """Tells scikit-learn's callbacks of a fit and of each of its iterations.

    Parameters
    ----------
    estimator : BaseMLCE
        The estimator being fitted.
    X, y, sample_weight : array-like
        What `fit` was given, which callbacks may score the estimator on.
    """

    # Fitted attributes at the state that an iteration hands over, None where it makes no model
    # that could predict; set before the first one.
    attributes_of: Callable[[Any], dict[str, Any] | None]

    def __init__(self, estimator: BaseMLCE, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._hook_arguments = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._context = estimator._init_callback_context(max_subtasks=None)
        self.stopped = False

    def open(self, task_name: str, max_iter: int | None) -> None:
        """The fit begins: its arguments are valid, and tell its iterations' name and number."""
        self._task_name = task_name
        self._context.max_subtasks = max_iter
        self._context.call_on_fit_task_begin(**self._hook_arguments)

    def begin(self) -> None:
        """An iteration begins."""
        self._iteration = self._context.subcontext(task_name=self._task_name)
        self._iteration.call_on_fit_task_begin(**self._hook_arguments)

    def end(self, state: Any) -> bool:
        """It ended in this state; whether a callback asks the fit to stop."""
        self.stopped = self._iteration.call_on_fit_task_end(
            **self._hook_arguments, reconstruction_attributes=lambda: self.attributes_of(state)
        )
        return self.stopped

    def close(self) -> None:
        """The fit ended, and the estimator holds its fitted attributes."""
        self._context.call_on_fit_task_end(**self._hook_arguments, reconstruction_attributes={})


@contextmanager
def fitted_state_kept(estimator: BaseEstimator) -> Iterator[None]:
    """Give an estimator back its attributes if the block fails, so that an earlier fit survives.

    What belongs to scikit-learn's callbacks is left to scikit-learn.
    """
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        state = vars(estimator)
        for name in [name for name in state if name not in before and "callback" not in name]:
            del state[name]
        state.update((name, value) for name, value in before.items() if "callback" not in name)
        raise
