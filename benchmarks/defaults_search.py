"""One candidate for the default options, judged on the training rows alone."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import KFold

from . import datasets
from .methods import mlce_classifier, timed_fit

#: Sets, and how many of their training rows are enough. asklibrarian_yso has more labels than rows.
SETS = {
    "yeast": None,
    "birds": None,
    "bibtex": None,
    "films": 6000,
    "goemotions": 6000,
    "delicious": 3000,
    "cooking": 6000,
}
#: Margin of every fit. Where intercepts are free, margins (m - d, m + d) only add d to the scores
#: of margin m, so one fit serves for all shifts d.
MARGIN = 1.0
SHIFTS = tuple(round(0.2 * step, 1) for step in range(13))
LOSSES = ("mlce", "bce")
SCALES = (1.0, 4.0, 8.0, 16.0)
#: Of C, times one over the mean squared distance of the rows from their mean.
FACTORS = (0.3, 1.0, 3.0)
#: More of them for "mlce", whose loss of a row is two logarithms and not a sum over labels.
FACTORS_OF_MLCE = (10.0, 30.0)


@dataclass(frozen=True)
class Candidate:
    """Options of a fit; `factor` is that of C."""

    loss: str
    scale: float
    factor: float

    @property
    def name(self) -> str:
        """Key of the stored samples."""
        return f"{self.loss} {self.scale:g} {self.factor:g}"


#: What the estimator has, less the shift.
KEPT = Candidate("bce", 8.0, 1.0)
KEPT_SHIFT = 0.8


def candidates() -> list[Candidate]:
    """Every two of loss, scale and C's factor crossed, the third as it was kept."""
    found = [Candidate(loss, scale, KEPT.factor) for loss in LOSSES for scale in SCALES]
    found += [Candidate(loss, KEPT.scale, factor) for loss in LOSSES for factor in FACTORS]
    found += [Candidate(KEPT.loss, scale, factor) for scale in SCALES for factor in FACTORS]
    found += [Candidate("mlce", KEPT.scale, factor) for factor in FACTORS_OF_MLCE]
    return list(dict.fromkeys(found))


@cache
def training_rows(name: str):
    """First training rows of a set, those labels that they carry, and the C of factor 1."""
    dataset, rows = datasets.load(name), SETS[name]
    X, Y = dataset.X_train[:rows].astype(np.float32), dataset.Y_train[:rows]
    Y = Y[:, np.asarray(Y.sum(axis=0)).ravel() > 0]
    return X, Y, timed_fit(mlce_classifier(max_iter=1), X, Y)[1].C_


def judge(name: str, candidate: Candidate) -> dict[str, float]:
    """Out-of-fold figures of a candidate on one set.

    Parameters
    ----------
    name : str
        A key of `SETS`.
    candidate : Candidate

    Returns
    -------
    dict
        Micro-F1 with each of `SHIFTS` added to the scores (``"shift 0.8"``), ``tuned``, that with
        the best shift for this set, and ``lrap``.
    """
    X, Y, C = training_rows(name)
    scores = np.empty(Y.shape, np.float32)
    for train, test in KFold(3, shuffle=True, random_state=0).split(X):
        model = mlce_classifier(
            C=candidate.factor * C,
            loss=candidate.loss,
            scale=candidate.scale,
            margin=MARGIN,
            random_state=0,
        )
        scores[test] = timed_fit(model, X[train], Y[train])[1].decision_function(X[test])
    truth = Y.toarray()
    found = {
        f"shift {d:g}": float(f1_score(truth, scores > -d, average="micro", zero_division=0))
        for d in SHIFTS
    }
    lrap = float(label_ranking_average_precision_score(truth, scores))
    return found | {"tuned": best_micro_f1(truth, scores), "lrap": lrap}


def best_micro_f1(truth: np.ndarray, scores: np.ndarray) -> float:
    """Highest micro-F1 that one threshold reaches.

    Parameters
    ----------
    truth, scores : ndarray of shape (n, L)

    Returns
    -------
    float
    """
    order = np.argsort(-scores, axis=None)
    ordered = scores.ravel()[order]
    hits = np.cumsum(truth.ravel()[order])
    last_of_its_score = np.append(ordered[1:] != ordered[:-1], True)
    predicted = np.arange(1, len(hits) + 1)
    return float((2 * hits / (predicted + hits[-1]))[last_of_its_score].max())
