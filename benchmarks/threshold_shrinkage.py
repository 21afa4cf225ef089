"""How far thresholds per label should be drawn towards the global one, on held-out rows."""

from functools import partial

import numpy as np
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from . import datasets
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table
from .store import Job, Store

#: Sets, and how many of their training rows are enough.
SETS = {"yeast": None, "birds": None, "bibtex": None, "cooking": 6000, "goemotions": 15000}
#: Positives at which a label's own threshold and the global one weigh the same.
SHRINKAGES = (0, 1, 3, 10, 30, 100, 300)
GLOBAL = "global"
SCORINGS = ("micro", "macro")


def _estimators():
    svms = OneVsRestClassifier(LinearSVC(dual=True, random_state=0))
    return {"LinearSVC": svms, "MLCEClassifier()": mlce_classifier()}


def held_out_figures(name: str, estimator, rows: int | None) -> dict[str, float]:
    """Test F1 with thresholds from three folds of the training rows, at each shrinkage.

    Parameters
    ----------
    name : str
        A set.
    estimator : estimator instance
    rows : int or None
        Training rows taken, from the first; None takes all.

    Returns
    -------
    dict
        By ``"<what was tuned> <shrinkage or global> <what was measured>"``.
    """
    from sklearn_mlce.model_selection._f_measure import FMeasure
    from sklearn_mlce.model_selection._sweep import tune

    dataset = datasets.load(name)
    X, Y = dataset.X_train[:rows], dataset.Y_train[:rows]
    held_out, test_scores = held_out_and_test_scores(estimator, X, Y, dataset.X_test)
    truth, figures = dataset.Y_test.toarray(), {}
    for scoring in SCORINGS:
        choices = {GLOBAL: tune(held_out, FMeasure(scoring), "global", 0.0)[0]}
        for k in SHRINKAGES:
            choices[k] = tune(held_out, FMeasure(scoring), "per_label", 0.0, shrinkage=k)[0]
        for choice, thresholds in choices.items():
            predicted = test_scores > thresholds
            for average in SCORINGS:
                figures[f"{scoring} {choice} {average}"] = float(
                    f1_score(truth, predicted, average=average, zero_division=0)
                )
    return figures


def held_out_and_test_scores(estimator, X, Y, X_test, folds=None):
    """Out-of-fold scores of the training rows, and those of other rows by a fit of all.

    Parameters
    ----------
    estimator : estimator instance
    X, Y : array-like or sparse matrix
        Training rows, and their labels.
    X_test : array-like or sparse matrix
        The other rows.
    folds : splitter, default=None
        None makes three of shuffled rows.

    Returns
    -------
    held_out : HeldOut
    test_scores : ndarray of shape (n_test, n_labels)
        -inf for labels without a positive.
    """
    from sklearn_mlce._targets.encoding import encode_targets
    from sklearn_mlce._utils.estimator_scores import scores_of
    from sklearn_mlce.model_selection._out_of_fold import (
        held_out_of_folds,
        mask_scores,
        never_positive,
        out_of_fold,
        to_sklearn_y,
    )

    targets = encode_targets(Y)
    folds = folds or KFold(3, shuffle=True, random_state=0)
    splits = list(folds.split(X, Y))
    score = partial(scores_of, n_outputs=targets.n_outputs)
    clones = [clone(estimator) for _ in splits]
    scores, _ = out_of_fold(clones, X, to_sklearn_y(targets), splits, score, {}, None)
    held_out = held_out_of_folds(targets, splits, scores, None)
    unseen = never_positive(targets, np.arange(targets.n_rows), None)
    fitted = timed_fit(estimator, X, Y)[1]
    return held_out, mask_scores(unseen, scores_of(fitted, X_test, targets.n_outputs))


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by estimator."""
    mark = fingerprint("mlce", threads)
    return {
        title: Job(partial(held_out_figures, name, estimator, SETS[name]), 1, mark)
        for title, estimator in _estimators().items()
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds, one table for each measure that was tuned."""
    done = store.pairs(names)
    return [_table(store, done, scoring) for scoring in SCORINGS] if done else []


def _table(store, done, scoring):
    choices = (GLOBAL, *SHRINKAGES)
    columns = ("set", "method", "F1", GLOBAL, *(f"k = {k}" for k in SHRINKAGES))
    result = Table(f"{scoring.capitalize()}-F1 tuned: test F1 by shrinkage k", columns)
    for average in SCORINGS:
        grid = store.grid(done, [f"{scoring} {choice} {average}" for choice in choices])
        for (name, method), row in zip(done, grid, strict=True):
            result.add(name, method, average, *(f"{value:.3f}" for value in row))
        result.add("mean", "", average, *(f"{value:.3f}" for value in grid.mean(axis=0)))
        worst = (grid - grid[:, :1]).min(axis=0)
        result.add("least gain over global", "", average, *(f"{value:+.3f}" for value in worst))
    result.note(
        "Thresholds from three folds of the training rows; F1 on the test rows. A label with n "
        "positives gets (n t_own + k t_micro) / (n + k), where t_micro is the global threshold for "
        "micro-F1; *global* is the one for what is tuned."
    )
    return result
