"""The ways of learning labels with their thresholds that are compared, and how one is run once."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import f1_score

from .datasets import DataSet
from .methods import linear_svc, mlce_classifier, timed_fit
from .quality import evaluate, rank_last

#: C of the models that have a best one.
SVC_CS = (0.1, 0.3, 1.0)
AVERAGES = ("micro", "macro", "samples")


@dataclass(frozen=True)
class Recipe:
    """A model, or the best of some, that tunes its thresholds on out-of-fold scores.

    Attributes
    ----------
    name : str
        Key on the command line and in the stored samples.
    title : str
        What the tables call it.
    kind : {"mlce", "sklearn"}
        Whose the model is.
    candidates : callable
        Gives unfitted models, of a seed and a number of threads. Where there is more than one,
        the one of the highest `best_score_` is taken, and all of them are paid for.
    slow_on : frozenset of str
        Sets on which it runs only with ``--full``.
    """

    name: str
    title: str
    kind: str
    candidates: Callable[[int, int], list]
    slow_on: frozenset = frozenset()

    def run(self, dataset: DataSet, threads: int, seed: int) -> dict[str, float]:
        """Fit on the training rows, tuning included, and judge on the test rows.

        Parameters
        ----------
        dataset : DataSet
        threads : int
            That it may use.
        seed : int
            Of the folds, and of what the model draws.

        Returns
        -------
        dict
            ``fit_s`` (of all candidates), ``C``, ``threshold`` (the mean one), the figures of
            `quality.evaluate`, and F1 at the threshold zero (``micro_zero`` and so on).
        """
        X_train, X_test = dataset.X_train, dataset.X_test
        if self.kind == "mlce":
            X_train, X_test = X_train.astype(np.float32), X_test.astype(np.float32)
        fit_s, model = 0.0, None
        for candidate in self.candidates(seed, threads):
            seconds, candidate, _ = timed_fit(candidate, X_train, dataset.Y_train)
            fit_s += seconds
            if model is None or candidate.best_score_ > model.best_score_:
                model = candidate
        scores = rank_last(model.decision_function(X_test), dataset.unseen)
        found = evaluate(dataset.Y_test, scores > 0, scores)
        return {"fit_s": fit_s, **_choices(model), **found, **_at_zero(model, dataset, X_test)}


def _choices(model):
    """C and the thresholds, by the names that each kind of model gives them."""
    if hasattr(model, "best_thresholds_"):
        fitted, thresholds = model.estimator_, model.best_thresholds_
        C = getattr(fitted, "C_", None) or fitted.estimator.C
    else:
        C, thresholds = model.C_, model.thresholds_
    thresholds = np.asarray(thresholds, dtype=float)
    return {"C": float(C), "threshold": float(thresholds[np.isfinite(thresholds)].mean())}


def _at_zero(model, dataset, X):
    """F1 of the same coefficients without their thresholds."""
    if hasattr(model, "best_thresholds_"):
        scores = model.estimator_.decision_function(X)
    else:
        scores = model.decision_function(X) + model.thresholds_
    predicted = rank_last(scores, dataset.unseen) > 0
    predicted[:, dataset.unseen] = False
    truth = dataset.Y_test.toarray()
    return {
        f"{average}_zero": float(f1_score(truth, predicted, average=average, zero_division=0))
        for average in AVERAGES
    }


def _tuned(estimator, seed, thresholds="global", scoring="f1_micro"):
    from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

    return MultilabelTunedThresholdClassifierCV(
        estimator, scoring=scoring, thresholds=thresholds, cv=3, random_state=seed
    )


def _ours(*choices):
    return lambda seed, threads: [_tuned(mlce_classifier(random_state=seed), seed, *choices)]


def _ours_cv(**parameters):
    def candidates(seed, threads):
        from sklearn_mlce import MLCEClassifierCV

        return [MLCEClassifierCV(thresholds="global", random_state=seed, **parameters)]

    return candidates


def _squared_hinges(seed, threads):
    models = [mlce_classifier(C=C, loss="squared_hinge", random_state=seed) for C in SVC_CS]
    return [_tuned(model, seed) for model in models]


def _svcs(seed, threads):
    return [_tuned(linear_svc(threads, C, seed), seed) for C in SVC_CS]


_LARGE = frozenset({"delicious", "cooking", "asklibrarian_yso"})

RECIPES = (
    Recipe("auto_global", "MLCEClassifier(), one threshold", "mlce", _ours()),
    Recipe("auto_per_label", "MLCEClassifier(), thresholds per label", "mlce", _ours("per_label")),
    Recipe(
        "auto_macro",
        "MLCEClassifier(), thresholds per label for macro-F1",
        "mlce",
        _ours("per_label", "f1_macro"),
    ),
    Recipe("auto_cv_3", "MLCEClassifierCV(Cs=3)", "mlce", _ours_cv(Cs=3)),
    Recipe("auto_cv", "MLCEClassifierCV()", "mlce", _ours_cv(), slow_on=_LARGE),
    Recipe(
        "squared_hinge",
        'MLCEClassifier(loss="squared_hinge"), best C, one threshold',
        "mlce",
        _squared_hinges,
    ),
    Recipe("linear_svc", "OneVsRest LinearSVC, best C, one threshold", "sklearn", _svcs),
)
