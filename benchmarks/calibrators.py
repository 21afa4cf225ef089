"""Probabilities before and after calibration, and how far maps should be drawn together."""

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.special import expit, log_expit
from sklearn.model_selection import KFold

from . import datasets
from .calibration import calibration_error, log_loss
from .environment import fingerprint
from .methods import linear_svc, logistic, mlce_classifier, timed_fit
from .report import Table
from .store import Job, Store

SETS = ("yeast", "birds", "bibtex", "films", "goemotions", "delicious")
FOLDS = 5
#: What the tables call an estimator, and how it is made.
ESTIMATORS = {
    "MLCEClassifier()": mlce_classifier,
    'MLCEClassifier(loss="mlce")': partial(mlce_classifier, loss="mlce"),
    "OneVsRest LogisticRegression": logistic,
    "OneVsRest LinearSVC": linear_svc,
}
#: Where only our own estimators are measured: six times 983 one-vs-rest fits take too long.
OURS_ALONE = ("delicious",)
BEFORE = "before"
#: Maps, and whether each fold has its own.
MAPS = {
    "scale": ("scale", False),
    "sigmoid": ("sigmoid", False),
    "isotonic": ("isotonic", False),
    "sigmoid, ensemble": ("sigmoid", True),
}
#: Positives at which a label's own map and what it is drawn to weigh the same.
SHRINKAGES = (1, 3, 10, 30, 100, 300, 1000)
SWEPT = ("sigmoid", "isotonic")


def figures(name: str, make) -> dict[str, float]:
    """Calibration error and log-loss on the test rows, and the sweep on the training rows.

    Parameters
    ----------
    name : str
        A set.
    make : callable
        Gives an unfitted estimator.

    Returns
    -------
    dict
        By ``"<map> ece"`` and ``"<map> log_loss"``, and what `sweep` returns.
    """
    from sklearn_mlce._targets.encoding import encode_targets
    from sklearn_mlce._utils.callbacks import FitMonitor
    from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
    from sklearn_mlce.calibration._members import (
        calibrate,
        calibration_parts,
        held_out_scores,
        learned_by_any,
        learned_labels,
        mean_log_odds,
    )
    from sklearn_mlce.model_selection._wrapper import FitArguments

    dataset = datasets.load(name)
    X, Y = dataset.X_train, dataset.Y_train
    monitor = FitMonitor(MultilabelCalibratedClassifierCV(make()), X, Y, None)
    arguments = FitArguments(X, encode_targets(Y), None, {}, {}, monitor, make())
    splits = list(KFold(FOLDS, shuffle=True, random_state=0).split(X))
    folds = arguments.score_folds(make(), splits, None, keep=True)
    parts = calibration_parts(folds, arguments)
    are_probabilities = folds.default_threshold != 0
    whole = timed_fit(make(), X, Y)[1]
    learned = learned_labels(arguments.targets, arguments.all_rows, None)
    probabilities = {BEFORE: _before(whole, dataset.X_test)}
    of_folds = [
        (model, [part], part.learned) for model, part in zip(folds.estimators, parts, strict=True)
    ]
    of_all = [(whole, [*parts], learned)]
    for title, (method, ensemble) in MAPS.items():
        members = [  # which empty the list that they are given
            calibrate(model, method, [*held], known, arguments, probabilities=are_probabilities)
            for model, held, known in (of_folds if ensemble else of_all)
        ]
        p = expit(mean_log_odds(members, dataset.X_test))
        probabilities[title] = np.where(learned_by_any(members), p, 0.5 / (X.shape[0] + 1))
    truth, found = dataset.Y_test.toarray()[:, ~dataset.unseen], {}
    for title, p in probabilities.items():
        found[f"{title} ece"] = calibration_error(truth, p[:, ~dataset.unseen])
        found[f"{title} log_loss"] = log_loss(truth, p[:, ~dataset.unseen])
    held_out = held_out_scores([*parts], arguments.targets, None)
    return found | sweep(held_out, parts[0].prevalence)


def _before(model, X):
    """What users have without a calibrator; for a support vector machine sigmoids of its scores."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(X))
    return expit(model.decision_function(X))


def sweep(held_out, prevalence) -> dict[str, float]:
    """Log-loss of each half of out-of-fold rows by maps of the other half, by shrinkage.

    Parameters
    ----------
    held_out : HeldOut
        Scores of the training rows.
    prevalence : ndarray
        What stands for the targets of some labels; NaN of the others.

    Returns
    -------
    dict
        By ``"<map> <shrinkage> all"`` and ``"... rare"``, of the quarter of the labels that have
        the fewest positives: nats per row.
    """
    from sklearn_mlce.calibration._calibration_data import calibration_data
    from sklearn_mlce.calibration._maps import ISOTONIC_SHRINKAGE, fit_isotonic, fit_sigmoids

    n_rows = len(held_out.scores)
    counts = np.asarray(held_out.positives.sum(axis=0)).ravel()
    carried = np.flatnonzero(counts)
    rare = carried[counts[carried].argsort(kind="stable")][: max(len(carried) // 4, 1)]
    order = np.random.default_rng(0).permutation(n_rows)
    halves = [_rows(held_out, np.sort(half)) for half in np.array_split(order, 2)]
    found = {}
    for fitted, judged in (halves, halves[::-1]):
        data = calibration_data(fitted, prevalence=prevalence)
        isotonic = fit_isotonic(data)
        weight = isotonic.isotonic_weight
        n_positives = ISOTONIC_SHRINKAGE * weight / (1 - weight)
        for k in SHRINKAGES:
            maps = {
                "sigmoid": fit_sigmoids(data, k),
                "isotonic": replace(isotonic, isotonic_weight=n_positives / (n_positives + k)),
            }
            for title, calibrator in maps.items():
                losses = _losses(judged, prevalence, calibrator) / n_rows
                for group, total in (("all", losses.sum()), ("rare", losses[rare].sum())):
                    key = f"{title} {k} {group}"
                    found[key] = found.get(key, 0.0) + float(total)
    return found


def _rows(held_out, rows):
    return replace(held_out, scores=held_out.scores[rows], positives=held_out.positives[rows])


def _losses(held_out, prevalence, calibrator):
    """Log-loss of each label, summed over its cells that take part."""
    from sklearn_mlce.calibration._calibration_data import CalibrationData

    targets = CalibrationData(held_out, None, prevalence).targets_of_rows(slice(None))
    taken = np.isfinite(held_out.scores)
    log_odds = calibrator.log_odds(np.where(taken, held_out.scores, 0.0).astype(np.float64))
    loss = -log_expit(-log_odds) - targets * log_odds
    return (loss * taken).sum(axis=0)


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by estimator."""
    mark = fingerprint("calibrators", threads)
    return {
        title: Job(partial(figures, name, make), 1, mark)
        for title, make in ESTIMATORS.items()
        if name not in OURS_ALONE or title.startswith("MLCE")
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: the test rows, and a table for each sweep."""
    done = store.pairs(names)
    if not done:
        return []
    return [_test_table(store, done), *(_sweep_table(store, done, what) for what in SWEPT)]


def _test_table(store, done):
    columns = ("set", "estimator", "figure", BEFORE, *MAPS)
    result = Table("On the test rows", columns)
    for name, title in done:
        row = store.medians(name, title)
        for what, heading in (("ece", "calibration error"), ("log_loss", "log-loss per row")):
            values = (f"{row[f'{column} {what}']:.4f}" for column in columns[3:])
            result.add(name, title, heading, *values)
    result.note(
        f"Maps of {FOLDS} folds of the training rows. Calibration error as in `calibration.md`. "
        "*before* is `predict_proba`, of LinearSVC the sigmoid of its scores. Labels that no "
        "training row carries are left out."
    )
    return result


def _sweep_table(store, done, what):
    columns = ("set", "estimator", "labels", *(f"k = {k}" for k in SHRINKAGES))
    result = Table(f"{what.capitalize()}: log-loss by shrinkage k", columns)
    for group in ("all", "rare"):
        grid = store.grid(done, [f"{what} {k} {group}" for k in SHRINKAGES])
        for (name, title), row in zip(done, grid, strict=True):
            result.add(name, title, group, *(f"{value:.4f}" for value in row))
        excess = grid / grid.min(axis=1, keepdims=True) - 1
        for heading, values in (("mean", excess.mean(axis=0)), ("most", excess.max(axis=0))):
            cells = (f"{100 * value:.2f}%" for value in values)
            result.add(f"{heading} above the best k", "", group, *cells)
    result.note(
        "On training rows alone: each half of the out-of-fold scores judged by maps of the other "
        "half, nats per row. *rare* is the quarter of the labels with the fewest positives."
    )
    return result
