"""Predictions of an estimator whose scores are moved so that zero is the threshold."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE, TargetFormatMixin, Targets
from sklearn_mlce.model_selection._out_of_fold import scores_of


def _estimator_has(method: str) -> Callable[[Any], bool]:
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), method)


class BaseWrapper(TargetFormatMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """What wraps an estimator and predicts where scores of its own are above zero."""

    estimator: Any
    classes_: np.ndarray

    @abstractmethod
    def _zero_scores(self, X: Any) -> np.ndarray:
        """Scores ``(n, n_outputs)`` whose threshold is zero, float64."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.classifier_tags.multi_class = False
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_label = inner.classifier_tags.multi_label
        return tags

    def predict(self, X: Any) -> Any:
        """Labels of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to label.

        Returns
        -------
        ndarray or CSR matrix of shape (n_samples,) or (n_samples, n_labels)
            In the form of the y of `fit`: classes for 1-D y, 0/1 in its dtype for a matrix,
            sparse for sparse y. int64 for soft or unknown targets.
        """
        check_is_fitted(self)
        return self._target_format.decode_by_blocks(X, self._zero_scores)

    def _set_optional_attributes(self, **attributes: Any) -> None:
        """Set those that are not None; an earlier fit may have left the others."""
        for name, value in attributes.items():
            if value is not None:
                setattr(self, name, value)
            elif name in vars(self):
                delattr(self, name)


class BaseThresholded(BaseWrapper):
    """Shifts scores by thresholds; a subclass sets ``estimator_`` and ``best_thresholds_``."""

    estimator_: Any
    best_thresholds_: Any
    _never_predicted: np.ndarray  # (n_outputs,) mask of the labels that have no threshold

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores less their thresholds; above zero is what :meth:`predict` returns.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), float64
            Scores of the estimator, shifted; -1e9 for labels that are never predicted. One
            threshold for all labels keeps their order, one for each need not.
        """
        check_is_fitted(self)
        scores = self._zero_scores(X)
        return scores[:, 0] if self._target_format.kind == "binary" else scores

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Probabilities as the estimator gives them, which no threshold shifts.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Rows to score.

        Returns
        -------
        ndarray or list of ndarray
            What the estimator's `predict_proba` returns. :meth:`predict` does not follow from
            it by a threshold of one half.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def _zero_scores(self, X: Any) -> np.ndarray:
        """Scores less thresholds, ``(n, n_outputs)``, in float64 as the thresholds are."""
        scores = scores_of(self.estimator_, X, len(self._never_predicted))
        thresholds = np.where(self._never_predicted, 0.0, self.best_thresholds_)
        shifted = np.subtract(scores, thresholds, dtype=np.float64)
        shifted[:, self._never_predicted] = -CONSTANT_LABEL_SCORE
        return shifted


def encode_thresholded(y: Any, for_classes: str | None = None) -> Targets:
    """Encode a y that is predicted by thresholds; `for_classes` names what takes more classes.

    Raises
    ------
    ValueError
        If y has more than two classes or several outputs, or cannot be trained on at all.
    """
    targets = encode_targets(y)
    if targets.kind == "multioutput":
        raise ValueError(
            "y is multiclass-multioutput: the best class of each output is predicted, and no "
            "threshold plays a part; expected a matrix of labels, or two classes"
        )
    if targets.kind == "multiclass":
        instead = f". For more classes use {for_classes}" if for_classes else ""
        raise ValueError(
            f"Only binary classification is supported. y has the {len(targets.classes)} classes "
            f"{targets.classes[:5].tolist()}, of which the highest score is predicted, so that no "
            f"threshold plays a part; expected a matrix of labels, or two classes{instead}"
        )
    return targets
