"""The losses that are compared, and how a model is trained with one of them once."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV

from .calibration import calibration_error
from .datasets import DataSet
from .methods import timed_fit
from .quality import evaluate, rank_last

#: What the estimators are given, by the name of a row of the tables.
LOSSES = {
    "auto": {},
    "mlce": {"loss": "mlce"},
    "auto, learned threshold": {"learn_threshold": True},
    "auto, balanced label weights": {"label_weight": "balanced"},
    "pairwise": {"loss": "pairwise"},
    "bce": {"loss": "bce"},
    "squared_hinge": {"loss": "squared_hinge"},
    "focal": {"loss": "focal"},
    "class_balanced_focal": {"loss": "class_balanced_focal"},
    "distribution_balanced": {"loss": "distribution_balanced"},
    "asymmetric": {"loss": "asymmetric"},
}
AVERAGES = ("micro", "macro", "samples")
#: What the linear model does not have.
OF_NETWORKS = ("auto, learned threshold",)
#: Values of C, as factors of the default one for `AROUND_DEFAULT`, by itself for other losses.
AROUND_DEFAULT = ("auto", "mlce")
FACTORS = (0.1, 1.0, 10.0)
CS = (0.1, 1.0, 10.0, 100.0)
#: Epochs of a network at most where an epoch takes long.
MOST_EPOCHS = {"cooking": 10, "delicious": 10}
HELD_OUT = 0.2


@dataclass(frozen=True)
class Recipe:
    """One loss in one of the two models.

    Attributes
    ----------
    model : {"linear", "network"}
    loss : str
        A key of `LOSSES`.
    """

    model: str
    loss: str

    @property
    def name(self) -> str:
        """Key of its samples."""
        return f"{self.model}: {self.loss}"

    def run(self, dataset: DataSet, seed: int) -> dict[str, float]:
        """Fit on the training rows and judge on the test rows.

        Parameters
        ----------
        dataset : DataSet
        seed : int
            Of folds and of what the model draws.

        Returns
        -------
        dict
            ``fit_s`` of one fit on all training rows; F1 at the threshold zero (``micro_zero``
            and so on), and, with one tuned threshold, the figures of `quality.evaluate` and F1 of
            head, medium and tail labels; ``ece`` where there are probabilities.
        """
        make = partial(MODELS[self.model], dataset, seed, **parameters(self.loss, dataset))
        X_train, X_test = (X.astype(np.float32) for X in (dataset.X_train, dataset.X_test))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model, threshold = make(X_train)
            fit_s, model, _ = timed_fit(model, X_train, dataset.Y_train)
        scores = rank_last(model.decision_function(X_test), dataset.unseen)
        found = {"fit_s": fit_s, "C": float(getattr(model, "C_", np.nan)), "threshold": threshold}
        found |= _at_zero(dataset, scores) | evaluate(dataset.Y_test, scores > threshold, scores)
        return (
            found
            | _by_frequency(dataset, scores > threshold)
            | _calibration(dataset, model, X_test)
        )


def parameters(loss: str, dataset: DataSet) -> dict:
    """Parameters of an estimator for a loss on a set.

    Parameters
    ----------
    loss : str
        A key of `LOSSES`.
    dataset : DataSet

    Returns
    -------
    dict
        With ``n_labels_per_row``, the rounded mean of the training rows, for "pairwise".
    """
    given = dict(LOSSES[loss])
    if loss == "pairwise":
        mean = dataset.Y_train.sum() / dataset.Y_train.shape[0]
        given["n_labels_per_row"] = max(1, round(mean))
    return given


def _linear(dataset, seed, X, **given):
    """An unfitted linear model of the best C on three folds, and its best threshold on them."""
    from sklearn_mlce import MLCEClassifier, MLCEClassifierCV

    if "n_labels_per_row" in given:
        search = GridSearchCV(
            MLCEClassifier(random_state=seed, **given), {"C": CS}, scoring="f1_micro", cv=3
        )
        search.fit(X, dataset.Y_train)
        return MLCEClassifier(random_state=seed, **given, **search.best_params_), 0.0
    Cs = len(FACTORS) if given.get("loss", "auto") in AROUND_DEFAULT else CS
    search = MLCEClassifierCV(Cs, random_state=seed, **given).fit(X, dataset.Y_train)
    chosen = {"C": search.C_, "input_scaling": search.input_scaling_}
    return MLCEClassifier(random_state=seed, **given, **chosen), float(search.thresholds_)


def _network(dataset, seed, X, **given):
    """An unfitted network, and its best threshold on a held-out fifth."""
    from sklearn_mlce import MLCEMLP
    from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

    epochs = MOST_EPOCHS.get(dataset.name, "auto")
    model = MLCEMLP(max_epochs=epochs, random_state=seed, **given)
    if "n_labels_per_row" in given:
        return model, 0.0
    tuner = MultilabelTunedThresholdClassifierCV(
        model, scoring="f1_micro", cv=HELD_OUT, refit=False, random_state=seed
    )
    thresholds = np.asarray(tuner.fit(X, dataset.Y_train).best_thresholds_, dtype=float)
    return model, float(thresholds[np.isfinite(thresholds)].mean())


MODELS: dict[str, Callable] = {"linear": _linear, "network": _network}
RECIPES = tuple(
    Recipe(model, loss)
    for model in MODELS
    for loss in LOSSES
    if model == "network" or loss not in OF_NETWORKS
)


def _at_zero(dataset, scores):
    truth = dataset.Y_test.toarray()
    return {
        f"{average}_zero": float(f1_score(truth, scores > 0, average=average, zero_division=0))
        for average in AVERAGES
    }


def _by_frequency(dataset, predicted):
    from sklearn_mlce.metrics import f1_by_label_frequency

    counts = np.asarray(dataset.Y_train.sum(axis=0)).ravel()
    groups = f1_by_label_frequency(dataset.Y_test, predicted.astype(int), label_counts=counts)
    return {group: float(value) for group, value in groups.items()}


def _calibration(dataset, model, X):
    if not hasattr(model, "predict_proba"):
        return {}
    seen = ~dataset.unseen
    truth = dataset.Y_test.toarray()[:, seen]
    return {"ece": calibration_error(truth, model.predict_proba(X)[:, seen])}
