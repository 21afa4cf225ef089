"""A fitted estimator that answers for some of its labels alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_mlce._utils.typing import available_if


class LabelSubset(ClassifierMixin, BaseEstimator):
    """Answers of a multi-label estimator for some labels, in the form that scorers know.

    Parameters
    ----------
    estimator : estimator instance
        Fitted on a matrix of labels.
    labels : ndarray of int
        Column numbers, one at least. The answers for one are those for a binary y.
    """

    def __init__(self, estimator: Any, labels: np.ndarray) -> None:
        self.estimator = estimator
        self.labels = labels

    @property
    def classes_(self) -> Any:
        """Classes of each label, which scikit-learn's scorers cannot take for those of one."""
        of_one = np.arange(2)
        return of_one if len(self.labels) == 1 else [of_one] * len(self.labels)

    def columns(self, matrix: Any) -> Any:
        """The labels' columns of a matrix ``(n, L)``; a vector of one."""
        taken = matrix[:, self.labels]
        if len(self.labels) > 1:
            return taken
        return np.asarray(taken.toarray() if hasattr(taken, "toarray") else taken).ravel()

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores of the labels."""
        return self.columns(self.estimator.decision_function(X))

    def predict(self, X: Any) -> Any:
        """Predictions of the labels."""
        return self.columns(self.estimator.predict(X))

    @available_if(lambda self: hasattr(self.estimator, "predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the labels; of both classes of one."""
        probabilities = self.columns(self.estimator.predict_proba(X))
        if probabilities.ndim == 2:
            return probabilities
        return np.column_stack([1 - probabilities, probabilities])
