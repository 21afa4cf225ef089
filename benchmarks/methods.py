"""The linear methods that are compared, and how one of them is run once."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from . import objective, peers
from .datasets import DataSet
from .quality import evaluate, rank_last

# An intercept (-B 1), as all others have one; one thread inside LIBLINEAR, which is where it is
# fastest. train_1vsrest spreads the labels over the physical cores by itself.
PEER_OPTIONS = "-s 1 -c 1 -B 1 -m 1"


@dataclass(frozen=True)
class Method:
    """One way of learning labels.

    Attributes
    ----------
    name : str
        Key on the command line and in the stored samples.
    title : str
        What the tables call it.
    kind : {"mlce", "sklearn", "peer"}
        Whose it is.
    make : callable or None
        Gives an unfitted estimator; None for a peer.
    function : str
        The peer's training function.
    slow_on : frozenset of str
        Sets on which it runs only with ``--full``.
    """

    name: str
    title: str
    kind: str
    make: Callable[[], object] | None = None
    function: str = ""
    slow_on: frozenset = frozenset()

    def run(self, dataset: DataSet) -> dict[str, float]:
        """Fit on the training rows, predict the test rows, and judge.

        Parameters
        ----------
        dataset : DataSet

        Returns
        -------
        dict
            Seconds (``fit_s``, ``predict_s``), ``unconverged`` (warnings of that kind), the figures
            of `quality.evaluate`, and for our own ``objective`` too.
        """
        if self.kind == "peer":
            fit_s, predict_s, predicted, scores = peers.run(dataset, self.function, PEER_OPTIONS)
            extra = {"unconverged": 0.0}
        else:
            fit_s, predict_s, predicted, scores, extra = self._run_estimator(dataset)
        if self.kind != "mlce":
            scores = rank_last(scores, dataset.unseen)
        figures = evaluate(dataset.Y_test, predicted, scores)
        return {"fit_s": fit_s, "predict_s": predict_s, **figures, **extra}

    def _run_estimator(self, dataset):
        X_train, X_test = (self.own_dtype(X) for X in (dataset.X_train, dataset.X_test))
        fit_s, model, unconverged = timed_fit(self.make(), X_train, dataset.Y_train)
        predict_s, predicted = timed_predict(model, X_test)
        if sp.issparse(predicted):
            predicted = predicted.toarray()
        extra = {"unconverged": float(unconverged)}
        if self.kind == "mlce":
            extra["objective"] = objective.of_model(model, dataset)
        return fit_s, predict_s, predicted.astype(bool), model.decision_function(X_test), extra

    def own_dtype(self, X):
        """Features in the precision that the method computes in, so that nobody pays for a cast."""
        return X.astype(np.float32) if self.kind == "mlce" else X


def timed_fit(model, X, Y):
    """Fit once.

    Parameters
    ----------
    model : estimator
    X : ndarray or csr_matrix of shape (n, d)
    Y : csr_matrix of shape (n, L)

    Returns
    -------
    seconds : float
    model : estimator
        The fitted one.
    unconverged : int
        How many convergence warnings it gave.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(X, Y)
        seconds = time.perf_counter() - start
    return seconds, model, sum(issubclass(w.category, ConvergenceWarning) for w in caught)


def timed_predict(model, X):
    """Predict three times: the first call after another process's turn pays for waking the threads.

    Parameters
    ----------
    model : estimator
        A fitted one.
    X : ndarray or csr_matrix of shape (n, d)

    Returns
    -------
    seconds : float
        Median.
    predicted : ndarray or csr_matrix of shape (n, L)
    """
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        predicted = model.predict(X)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), predicted


def mlce(**parameters):
    """Make an `MLCEClassifier`; imported late, so that the peers can be measured without it."""
    from sklearn_mlce import MLCEClassifier

    return MLCEClassifier(**parameters)


def logistic(n_jobs=None):
    """Make the usual choice: one liblinear logistic regression per label."""
    return OneVsRestClassifier(LogisticRegression(solver="liblinear"), n_jobs=n_jobs)


def linear_svc():
    """Make one linear support vector machine per label."""
    return OneVsRestClassifier(LinearSVC())


_BIG = frozenset({"delicious", "cooking", "cellcycle_go", "asklibrarian_yso"})

METHODS = (
    Method("mlce", "MLCEClassifier(C=1)", "mlce", lambda: mlce(C=1.0)),
    Method("mlce_c10", "MLCEClassifier(C=10)", "mlce", lambda: mlce(C=10.0)),
    Method("mlce_c100", "MLCEClassifier(C=100)", "mlce", lambda: mlce(C=100.0)),
    Method(
        "logistic",
        "OneVsRest LogisticRegression(liblinear)",
        "sklearn",
        logistic,
        slow_on=frozenset({"asklibrarian_yso"}),
    ),
    Method("linear_svc", "OneVsRest LinearSVC", "sklearn", linear_svc),
    Method("lml_1vsrest", "LibMultiLabel 1vsrest", "peer", function="train_1vsrest"),
    Method(
        "lml_thresholding",
        "LibMultiLabel thresholding",
        "peer",
        function="train_thresholding",
        slow_on=_BIG,
    ),
    Method(
        "lml_cost_sensitive",
        "LibMultiLabel cost-sensitive",
        "peer",
        function="train_cost_sensitive",
        slow_on=_BIG,
    ),
)
