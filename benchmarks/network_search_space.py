"""One candidate for the defaults of MLCEMLP, judged on the training rows alone."""

from functools import cache

import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import KFold

from . import datasets
from .defaults_search import best_micro_f1
from .methods import timed_fit
from .network_variants import MeanOfNetworks, SmoothedLabels, WithConstants, piecewise_linear

#: Sets, and how many of their training rows are enough.
SETS = {
    "yeast": None,
    "birds": None,
    "bibtex": 3000,
    "films": 2000,
    "goemotions": 4000,
    "delicious": 3000,
    "cooking": 3000,
}
DENSE = ("yeast", "birds")
PIECEWISE = "features in 4 linear pieces"
OF_SPARSE = (
    "sparse rows add up to 16",
    "sparse rows add up to 64",
    "eps a third",
    "eps three times",
)
#: The kept loss, spelled out.
KEPT_LOSS = {"loss": "bce", "scale": 8.0, "margin": (0.2, 1.8)}
KEPT = "kept"
#: One change at a time of what is kept, by the parameters of the estimator.
CHANGES = {
    KEPT: {},
    "no hidden layer": {"hidden_layer_sizes": ()},
    "hidden 64": {"hidden_layer_sizes": (64,)},
    "hidden 512": {"hidden_layer_sizes": (512,)},
    "hidden 256-256": {"hidden_layer_sizes": (256, 256)},
    "relu": {"activation": "relu"},
    "dropout 0": {"dropout": 0.0},
    "dropout 0.3": {"dropout": 0.3},
    "dropout 0.7": {"dropout": 0.7},
    "no input scaling": {"input_scaling": None},
    "weight decay 0": {"alpha": 0.0},
    "weight decay 0.01": {"alpha": 0.01},
    "weight decay 0.3": {"alpha": 0.3},
    "weight decay 1": {"alpha": 1.0},
    "weight decay 3": {"alpha": 3.0},
    "batches of 64": {"batch_size": 64},
    "batches of 256": {"batch_size": 256},
    "step 0.001": {"learning_rate_init": 0.001},
    "step 0.01": {"learning_rate_init": 0.01},
    "constant step": {"learning_rate": "constant"},
    "10 epochs": {"max_epochs": 10},
    "40 epochs": {"max_epochs": 40},
    "published loss": {"loss": "mlce"},
    "binary cross-entropy": {"loss": "bce"},
    "published loss, kept scale and margins": KEPT_LOSS | {"loss": "mlce"},
    "scale 4": KEPT_LOSS | {"scale": 4.0},
    "scale 1": KEPT_LOSS | {"scale": 1.0},
    "equal margins": KEPT_LOSS | {"margin": 1.0},
}
#: What no parameter offers, as a function of the seed.
VARIANTS = {
    "mean of 4 networks": lambda seed: MeanOfNetworks(4, seed),
    "labels smoothed by 0.01": lambda seed: SmoothedLabels(_network(seed, **KEPT_LOSS), 0.01),
    "published loss, smoothed by 0.02": lambda seed: SmoothedLabels(
        _network(seed, loss="mlce"), 0.02
    ),
    "sparse rows add up to 16": lambda seed: WithConstants(_network(seed), row_sum=16.0),
    "sparse rows add up to 64": lambda seed: WithConstants(_network(seed), row_sum=64.0),
    "eps a third": lambda seed: WithConstants(_network(seed), eps=3e-4),
    "eps three times": lambda seed: WithConstants(_network(seed), eps=3e-3),
    PIECEWISE: lambda seed: piecewise_linear(4, seed),
}
CANDIDATES = (*CHANGES, *VARIANTS)


def candidates(name: str) -> tuple[str, ...]:
    """Those that a set can be judged by: pieces are for dense rows, constants for sparse ones.

    Parameters
    ----------
    name : str
        A key of `SETS`.

    Returns
    -------
    tuple of str
    """
    dense = name in DENSE
    return tuple(
        candidate
        for candidate in CANDIDATES
        if not ((candidate == PIECEWISE and not dense) or (candidate in OF_SPARSE and dense))
    )


@cache
def training_rows(name: str):
    """First training rows of a set, and those features and labels that one of them has."""
    dataset, rows = datasets.load(name), SETS[name]
    X, Y = dataset.X_train[:rows].astype(np.float32), dataset.Y_train[:rows]
    used, carried = (np.asarray(abs(entries).sum(axis=0)).ravel() > 0 for entries in (X, Y))
    return X[:, used], Y[:, carried]


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
    X, Y = training_rows(name)
    scores, seconds = np.empty(Y.shape, np.float32), 0.0
    for train, test in KFold(3, shuffle=True, random_state=seed).split(X):
        fit_s, model, _ = timed_fit(_make(candidate, seed), X[train], Y[train])
        seconds += fit_s
        scores[test] = model.decision_function(X[test])
    truth = Y.toarray()
    found = {
        average: float(f1_score(truth, scores > 0, average=average, zero_division=0))
        for average in ("micro", "macro")
    }
    lrap = float(label_ranking_average_precision_score(truth, scores))
    return found | {"tuned": best_micro_f1(truth, scores), "lrap": lrap, "fit_s": seconds}


def _make(candidate, seed):
    if candidate in VARIANTS:
        return VARIANTS[candidate](seed)
    return _network(seed, **CHANGES[candidate])


def _network(seed, **parameters):
    from sklearn_mlce import MLCEMLP

    return MLCEMLP(random_state=seed, **parameters)
