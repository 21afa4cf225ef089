"""The networks that are compared, and how one of them is run once."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from sklearn.base import clone
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from .datasets import DataSet
from .methods import mlce_classifier, timed_fit
from .quality import evaluate, rank_last

AVERAGES = ("micro", "macro", "samples")
#: Sets on which thresholds are tuned by three folds; elsewhere on one held-out fifth.
FOLDED = ("yeast", "birds")
HELD_OUT = 0.2
#: Epochs of MLPClassifier where one takes 20 seconds; elsewhere its own 200 at most.
FEW_EPOCHS = {"films": 5, "goemotions": 5}
GRID = {
    "hidden_layer_sizes": ((100,), (256,), (256, 256)),
    "alpha": (1e-4, 1e-2),
    "early_stopping": (False, True),
}


@dataclass(frozen=True)
class Network:
    """One way of learning labels.

    Attributes
    ----------
    name : str
        Key in the stored samples.
    title : str
        What the tables call it.
    kind : {"network mlce", "network sklearn"}
        Whose it is.
    candidates : callable
        Gives unfitted models, of a set's name and a seed. Where there is more than one, the one
        with the highest micro-F1 on a held-out fifth of the training rows is taken, and is then
        fitted on all of them.
    """

    name: str
    title: str
    kind: str
    candidates: Callable[[str, int], list]

    def run(self, dataset: DataSet, seed: int) -> dict[str, float]:
        """Fit on the training rows and judge on the test rows.

        Parameters
        ----------
        dataset : DataSet
        seed : int
            Of what the model draws, and of the held-out rows.

        Returns
        -------
        dict
            ``fit_s`` and ``epochs`` of the one fit on all training rows; ``candidate``, the
            number of the one that was taken; F1 at the threshold zero (``micro_zero`` and so on);
            the figures of `quality.evaluate` with one tuned threshold, and that threshold.
        """
        X_train, X_test = (X.astype(np.float32) for X in (dataset.X_train, dataset.X_test))
        Y_train = dataset.Y_train.toarray()
        models = self.candidates(dataset.name, seed)
        chosen = _best_of(models, X_train, Y_train, seed) if len(models) > 1 else 0
        fit_s, model, _ = timed_fit(clone(models[chosen]), X_train, Y_train)
        scores = rank_last(_scores(model, X_test), dataset.unseen)
        threshold = _tuned_threshold(models[chosen], dataset.name, X_train, Y_train, seed)
        return {
            "fit_s": fit_s,
            "epochs": float(np.max(model.n_iter_)),
            "candidate": float(chosen),
            **_at_zero(dataset, scores),
            **evaluate(dataset.Y_test, scores > threshold, scores),
            "threshold": threshold,
        }


def _scores(model, X):
    """Scores whose zero is what the model's own predict decides by."""
    if hasattr(model, "decision_function"):
        return model.decision_function(X)
    return model.predict_proba(X) - 0.5


def _at_zero(dataset, scores):
    truth = dataset.Y_test.toarray()
    return {
        f"{average}_zero": float(f1_score(truth, scores > 0, average=average, zero_division=0))
        for average in AVERAGES
    }


def _best_of(models, X, Y, seed):
    train, held_out = train_test_split(
        np.arange(len(Y)), test_size=HELD_OUT, random_state=seed, shuffle=True
    )
    found = []
    for model in models:
        _, fitted, _ = timed_fit(clone(model), X[train], Y[train])
        predicted = _scores(fitted, X[held_out]) > 0
        found.append(f1_score(Y[held_out], predicted, average="micro", zero_division=0))
    return int(np.argmax(found))


def _tuned_threshold(model, name, X, Y, seed):
    """The threshold of the highest micro-F1 on rows that the scored model did not see."""
    from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

    tuner = MultilabelTunedThresholdClassifierCV(
        clone(model),
        scoring="f1_micro",
        thresholds="global",
        cv=3 if name in FOLDED else HELD_OUT,
        refit=name in FOLDED,
        random_state=seed,
    )
    _, tuner, _ = timed_fit(tuner, X, Y)
    thresholds = np.asarray(tuner.best_thresholds_, dtype=float)
    threshold = float(thresholds[np.isfinite(thresholds)].mean())
    return threshold if hasattr(model, "decision_function") else threshold - 0.5


def _sklearn(name, seed, **parameters):
    return MLPClassifier(max_iter=FEW_EPOCHS.get(name, 200), random_state=seed, **parameters)


def _grid(name, seed):
    choices = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
    return [_sklearn(name, seed, **choice) for choice in choices]


def _ours(name, seed):
    from sklearn_mlce import MLCEMLP

    return [MLCEMLP(random_state=seed)]


METHODS = (
    Network("ours", "MLCEMLP()", "network mlce", _ours),
    Network(
        "linear",
        "MLCEClassifier()",
        "network mlce",
        lambda _, seed: [mlce_classifier(random_state=seed)],
    ),
    Network(
        "sklearn", "MLPClassifier()", "network sklearn", lambda name, seed: [_sklearn(name, seed)]
    ),
    Network("sklearn_grid", "MLPClassifier, best of 12", "network sklearn", _grid),
)
