"""One candidate for the defaults of MLCEMLP, judged on the training rows alone."""

from functools import cache

import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import KFold

from . import datasets
from .defaults_search import best_micro_f1
from .methods import timed_fit

#: Sets, and how many of their training rows are enough.
SETS = {
    "yeast": None,
    "birds": None,
    "bibtex": 3000,
    "films": 3000,
    "goemotions": 6000,
    "delicious": 3000,
}
#: What is kept, and one change of it at a time, by the parameters of the estimator.
KEPT = "kept"
CANDIDATES = {
    KEPT: {},
    "hidden 64": {"hidden_layer_sizes": (64,)},
    "hidden 512": {"hidden_layer_sizes": (512,)},
    "hidden 256-256": {"hidden_layer_sizes": (256, 256)},
    "relu": {"activation": "relu"},
    "dropout 0": {"dropout": 0.0},
    "dropout 0.3": {"dropout": 0.3},
    "no input scaling": {"input_scaling": None},
    "weight decay 0": {"alpha": 0.0},
    "weight decay 0.1": {"alpha": 0.1},
    "batches of 64": {"batch_size": 64},
    "batches of 256": {"batch_size": 256},
    "step 0.001": {"learning_rate_init": 0.001},
    "step 0.01": {"learning_rate_init": 0.01},
    "constant step": {"learning_rate": "constant"},
    "10 epochs": {"max_epochs": 10},
    "40 epochs": {"max_epochs": 40},
    "published loss": {"order": 1},
    "binary cross-entropy": {"order": "all"},
    "order 1, scale 8, margin 1": {"order": 1, "scale": 8.0, "margin": (0.2, 1.8)},
    "scale 4": {"order": "all", "scale": 4.0, "margin": (0.2, 1.8)},
    "scale 1": {"order": "all", "scale": 1.0, "margin": (0.2, 1.8)},
    "equal margins": {"order": "all", "scale": 8.0, "margin": 1.0},
}


@cache
def training_rows(name: str):
    """First training rows of a set, and those labels that they carry."""
    dataset, rows = datasets.load(name), SETS[name]
    X, Y = dataset.X_train[:rows].astype(np.float32), dataset.Y_train[:rows]
    return X, Y[:, np.asarray(Y.sum(axis=0)).ravel() > 0]


def judge(name: str, candidate: str, seed: int = 0) -> dict[str, float]:
    """Out-of-fold figures of a candidate on one set.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    candidate : str
        A key of `CANDIDATES`.
    seed : int, default=0
        Of the three folds, and of the network.

    Returns
    -------
    dict
        ``micro`` and ``macro`` F1 at the threshold zero, ``tuned``, the micro-F1 at the best
        threshold, ``lrap``, and ``fit_s``, the seconds of the three fits.
    """
    from sklearn_mlce import MLCEMLP

    X, Y = training_rows(name)
    scores, seconds = np.empty(Y.shape, np.float32), 0.0
    for train, test in KFold(3, shuffle=True, random_state=seed).split(X):
        model = MLCEMLP(random_state=seed, **CANDIDATES[candidate])
        fit_s, model, _ = timed_fit(model, X[train], Y[train])
        seconds += fit_s
        scores[test] = model.decision_function(X[test])
    truth = Y.toarray()
    found = {
        average: float(f1_score(truth, scores > 0, average=average, zero_division=0))
        for average in ("micro", "macro")
    }
    lrap = float(label_ranking_average_precision_score(truth, scores))
    return found | {"tuned": best_micro_f1(truth, scores), "lrap": lrap, "fit_s": seconds}
