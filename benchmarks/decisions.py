"""What rules that serve a measure buy over one half and over tuned thresholds, once calibrated."""

from functools import partial

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from . import datasets
from .environment import fingerprint
from .methods import logistic, mlce_classifier, timed_fit
from .report import Table
from .store import Job, Store

SETS = ("yeast", "birds", "films", "goemotions", "bibtex", "delicious")
FOLDS = 3
#: What the tables call an estimator, and how it is made.
ESTIMATORS = {
    "MLCEClassifier()": mlce_classifier,
    "OneVsRest LogisticRegression": logistic,
}
#: Where only our own estimator is measured: 16 times 983 one-vs-rest fits take too long.
OURS_ALONE = ("delicious",)
#: What is measured: the average of F1, what an empty row counts if left empty, and its title.
MEASURES = {
    "samples": ("samples", 0, "Example-F1 (mean over rows)"),
    "samples, empty right": ("samples", 1, "Example-F1 where an empty row left empty counts as 1"),
    "micro": ("micro", 0, "Micro-F1"),
    "macro": ("macro", 0, "Macro-F1"),
}
PLAIN, HALF, TUNED, TUNED_EACH = "own predict", "above .5", "tuned", "tuned per label"
EMPTY = "f1_samples, zero_division=1"
RULES = ("f1_samples", EMPTY, "f1_micro", "f1_macro", "best_and_above")
COLUMNS = (PLAIN, HALF, TUNED, TUNED_EACH, *RULES)


def figures(name: str, make) -> dict[str, float]:
    """F1 on the test rows by each way of deciding.

    Parameters
    ----------
    name : str
        A set.
    make : callable
        Gives an unfitted estimator.

    Returns
    -------
    dict
        By ``"<column> <measure>"``.
    """
    from sklearn_mlce._targets.encoding import encode_targets
    from sklearn_mlce._utils.callbacks import FitMonitor
    from sklearn_mlce._utils.estimator_scores import checked_probabilities
    from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
    from sklearn_mlce.decisions import best_and_above, f1_thresholds, maximize_f1
    from sklearn_mlce.model_selection._out_of_fold import held_out_of_folds, never_positive
    from sklearn_mlce.model_selection._wrapper import FitArguments

    dataset = datasets.load(name)
    X, Y, n_labels = dataset.X_train, dataset.Y_train, dataset.Y_train.shape[1]
    calibrated = MultilabelCalibratedClassifierCV(make(), cv=FOLDS, random_state=0)
    monitor = FitMonitor(calibrated, X, Y, None)
    arguments = FitArguments(X, encode_targets(Y), None, {}, {}, monitor, calibrated)
    splits = list(KFold(FOLDS, shuffle=True, random_state=1).split(X))
    folds = arguments.score_folds(calibrated, splits, None, checked_probabilities)
    seen = np.concatenate(folds.scores)
    held_out = held_out_of_folds(arguments.targets, splits, folds.scores, None)
    fitted = timed_fit(calibrated, X, Y)[1]
    able = ~never_positive(arguments.targets, arguments.all_rows, None)
    p = np.where(able, checked_probabilities(fitted, dataset.X_test, n_labels), 0.0)
    (member,) = fitted.calibrated_classifiers_
    plain = member.estimator.predict(dataset.X_test)
    decided = {
        PLAIN: plain.toarray() if hasattr(plain, "toarray") else plain,
        HALF: p > 0.5,
        "f1_samples": maximize_f1(p),
        EMPTY: maximize_f1(p, zero_division=1),
        "f1_micro": p > f1_thresholds(seen, "micro"),
        "f1_macro": (p > f1_thresholds(seen, "macro")) & able,
        "best_and_above": best_and_above(p),
    }
    truth, found = dataset.Y_test.toarray(), {}
    for key, (average, zero_division, _) in MEASURES.items():
        for title, labels in (decided | _tuned(held_out, p, average)).items():
            score = f1_score(truth, labels, average=average, zero_division=zero_division)
            found[f"{title} {key}"] = float(score)
    return found


def _tuned(held_out, p, average):
    """Labels above thresholds tuned, on the labels of held-out rows, for an average."""
    from sklearn_mlce.model_selection._f_measure import FMeasure
    from sklearn_mlce.model_selection._sweep import resolve_shrinkage, tune

    measure_of = FMeasure(average)
    found = {TUNED: p > tune(held_out, measure_of, "global", 0.5)[0]}
    if average != "samples":
        shrinkage = resolve_shrinkage("auto", "per_label", measure_of)
        found[TUNED_EACH] = p > tune(held_out, measure_of, "per_label", 0.5, shrinkage)[0]
    return found


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by estimator."""
    mark = fingerprint("mlce", threads)
    return {
        title: Job(partial(figures, name, make), 1, mark)
        for title, make in ESTIMATORS.items()
        if name not in OURS_ALONE or title.startswith("MLCE")
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds, a table for each F1."""
    done = store.pairs(names)
    return [_table(store, done, key) for key in MEASURES] if done else []


def _table(store, done, key):
    average, _, title = MEASURES[key]
    columns = [column for column in COLUMNS if average != "samples" or column != TUNED_EACH]
    result = Table(f"{title}, on the test rows", ("set", "estimator", *columns))
    grid = store.grid(done, [f"{column} {key}" for column in columns])
    for (name, method), row in zip(done, grid, strict=True):
        result.add(name, method, *(f"{value:.3f}" for value in row))
    result.add("mean", "", *(f"{value:.3f}" for value in grid.mean(axis=0)))
    gains = grid - grid[:, [columns.index(TUNED)]]
    result.add("least gain over tuned", "", *(f"{value:+.3f}" for value in gains.min(axis=0)))
    result.note(
        f"*{PLAIN}* is the estimator without a calibrator. All else is of its probabilities after "
        f"`MultilabelCalibratedClassifierCV(cv={FOLDS})`: *{HALF}* the calibrator's own predict, "
        f"*{TUNED}* one threshold and *{TUNED_EACH}* one for each label, tuned for this F1 on the "
        f"labels of {FOLDS} held-out folds, empty rows as 0; the last five the rules of "
        "`decisions`, of which f1_micro and f1_macro have their thresholds from the probabilities "
        "of these folds, and best_and_above its default of one half."
    )
    return result
