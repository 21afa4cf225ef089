"""The linear methods that are compared, and how one of them is run once."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from . import calibration, peers
from .datasets import DataSet
from .quality import evaluate, rank_last


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
        Gives an unfitted estimator, of a seed and a number of threads; None for a peer.
    function : str
        The peer's training function.
    slow_on : frozenset of str
        Sets on which it runs only with ``--full``.
    single_thread : bool
        Whether a peer gets one thread, where more of them slow it down.
    calibrated : bool
        Whether its `predict_proba` is judged too.
    """

    name: str
    title: str
    kind: str
    make: Callable[[int, int], object] | None = None
    function: str = ""
    slow_on: frozenset = frozenset()
    single_thread: bool = False
    calibrated: bool = False

    def run(self, dataset: DataSet, threads: int = 1, seed: int = 0) -> dict[str, float]:
        """Fit on the training rows, predict the test rows, and judge.

        Parameters
        ----------
        dataset : DataSet
        threads : int, default=1
            That it may use.
        seed : int, default=0
            Of what it draws at random, if it does.

        Returns
        -------
        dict
            Seconds (``fit_s``, ``predict_s``), ``unconverged`` (how many of its models are), the
            figures of `quality.evaluate`, and where asked for those of `calibration.figures`.
        """
        if self.kind == "peer":
            given = 1 if self.single_thread else threads
            fit_s, predict_s, predicted, scores = peers.run(dataset, self.function, given, seed)
            extra = {"unconverged": 0.0}
        else:
            fit_s, predict_s, predicted, scores, extra = self._run_estimator(dataset, threads, seed)
        if self.kind != "mlce":
            scores = rank_last(scores, dataset.unseen)
        figures = evaluate(dataset.Y_test, predicted, scores)
        return {"fit_s": fit_s, "predict_s": predict_s, **figures, **extra}

    def _run_estimator(self, dataset, threads, seed):
        X_train, X_test = (self.own_dtype(X) for X in (dataset.X_train, dataset.X_test))
        model = self.make(seed, threads)
        if self.kind == "sklearn":
            _start_workers(model)
        fit_s, model, unconverged = timed_fit(model, X_train, dataset.Y_train)
        predict_s, predicted = timed_predict(model, X_test)
        if sp.issparse(predicted):
            predicted = predicted.toarray()
        scores = model.decision_function(X_test)
        extra = {"unconverged": float(unconverged)}
        if self.calibrated:
            extra |= calibration.figures(dataset, scores, model.predict_proba(X_test))
        return fit_s, predict_s, predicted.astype(bool), scores, extra

    def own_dtype(self, X):
        """Features in the precision that the method computes in, so that nobody pays for a cast."""
        return X.astype(np.float32) if self.kind == "mlce" else X


def _start_workers(model):
    """Let other processes be up and have imported what they need before the clock runs."""
    X = np.random.default_rng(0).normal(size=(8, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clone(model).fit(X, (X > 0).astype(np.int64))


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
        How many of its models stopped at their iteration limit.
    """
    # Other processes would print theirs; their models say as much.
    apart = any(value for key, value in model.get_params().items() if key.endswith("n_jobs"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore" if apart else "always")
        start = time.perf_counter()
        model.fit(X, Y)
        seconds = time.perf_counter() - start
    parts = [part for part in getattr(model, "estimators_", []) if hasattr(part, "n_iter_")]
    stopped = sum(bool(np.max(part.n_iter_) >= part.max_iter) for part in parts)
    warned = sum(issubclass(w.category, ConvergenceWarning) for w in caught)
    return seconds, model, max(stopped, warned)


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


def mlce_classifier(**parameters):
    """Make an `MLCEClassifier`; imported late, so that the peers can be measured without it."""
    from sklearn_mlce import MLCEClassifier

    return MLCEClassifier(**parameters)


def logistic(n_jobs=None):
    """Make the usual choice: one liblinear logistic regression per label."""
    return OneVsRestClassifier(LogisticRegression(solver="liblinear"), n_jobs=n_jobs)


def linear_svc(n_jobs=None, C=1.0, seed=0):
    """Make one linear support vector machine per label."""
    return OneVsRestClassifier(LinearSVC(C=C, random_state=seed), n_jobs=n_jobs)


def _ours(**parameters):
    return lambda seed, threads: mlce_classifier(random_state=seed, **parameters)


_LARGE = frozenset({"delicious", "cooking", "cellcycle_go", "asklibrarian_yso"})
# Half a minute to half an hour each; the part "tuned" has them once and for all.
_SLOW_FOR_PEERS = _LARGE | {"goemotions", "films"}

METHODS = (
    Method("auto", "MLCEClassifier()", "mlce", _ours(), calibrated=True),
    Method("auto_sgd", 'MLCEClassifier(solver="sgd")', "mlce", _ours(solver="sgd")),
    Method(
        "auto_newton",
        'MLCEClassifier(solver="newton-cg")',
        "mlce",
        _ours(solver="newton-cg"),
        slow_on=_LARGE,
    ),
    Method("mlce", 'MLCEClassifier(loss="mlce")', "mlce", _ours(loss="mlce")),
    # At the C of the one-vs-rest models of the same loss, so that their times can be compared.
    Method("bce", 'MLCEClassifier(C=1, loss="bce")', "mlce", _ours(C=1, loss="bce")),
    Method(
        "squared_hinge",
        'MLCEClassifier(C=1, loss="squared_hinge")',
        "mlce",
        _ours(C=1, loss="squared_hinge"),
    ),
    Method(
        "logistic",
        "OneVsRest LogisticRegression(liblinear)",
        "sklearn",
        lambda seed, threads: logistic(threads),
        calibrated=True,
    ),
    Method(
        "linear_svc",
        "OneVsRest LinearSVC",
        "sklearn",
        lambda seed, threads: linear_svc(threads, seed=seed),
    ),
    Method("lml_1vsrest", "LibMultiLabel 1vsrest", "peer", function="train_1vsrest"),
    Method(
        "lml_thresholding",
        "LibMultiLabel thresholding",
        "peer",
        function="train_thresholding",
        slow_on=_SLOW_FOR_PEERS,
        single_thread=True,
    ),
    Method(
        "lml_thresholding_m",
        "LibMultiLabel thresholding, -m of all threads",
        "peer",
        function="train_thresholding",
        slow_on=_SLOW_FOR_PEERS | {"bibtex"},
    ),
    Method(
        "lml_cost_sensitive",
        "LibMultiLabel cost-sensitive",
        "peer",
        function="train_cost_sensitive",
        slow_on=_SLOW_FOR_PEERS,
        single_thread=True,
    ),
)
