"""What a penalty that is weaker for the words of a label is worth, on out-of-fold training rows.

Before a label is fitted, each feature is multiplied by a power of the magnitude of its log-count
ratio. The ratio is far from zero where the feature is more frequent, or less, in rows of the label
than in the others. NB-SVM [1]_ takes the power 1. A larger feature has a weaker penalty. Each label
is a fit of its own, of a model whose penalty is the same for all features. The package has taken
the statistic of association instead (see ``association.md``), which is better and needs no counts.

References
----------
.. [1] Wang, Manning, "Baselines and Bigrams: Simple, Good Sentiment and Topic Classification",
   https://aclanthology.org/P12-2018, 2012.
"""

from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.model_selection import KFold

from .defaults_search import training_rows
from .environment import fingerprint
from .label_weight import FIGURES, figures, gains
from .methods import mlce_classifier
from .report import Table
from .store import Job, Store

SETS = ("bibtex", "films", "goemotions", "delicious", "cooking")
POWERS = (0.0, 0.35, 0.5, 1.0)
#: Labels of a set that are judged, drawn by a fixed seed; each is a fit of its own.
N_LABELS = 100
#: Added to the counts.
PRIOR = 1.0


def log_count_ratios(present: sp.csr_array, labels: np.ndarray) -> np.ndarray:
    """Log of a feature's share in the rows of a label over its share in the others.

    Parameters
    ----------
    present : csr_array of shape (n_rows, n_features)
        1 where a row has a feature.
    labels : ndarray of shape (n_rows,)
        0 and 1.

    Returns
    -------
    ndarray of shape (n_features,)
    """
    inside = present.T @ labels.astype(float)
    outside = present.sum(axis=0) - inside
    shares = [(counts + PRIOR) / (counts + PRIOR).sum() for counts in (inside, outside)]
    return np.log(shares[0] / shares[1])


def out_of_fold(X: sp.csr_array, y: np.ndarray, power: float) -> np.ndarray:
    """Scores of one label on rows that its fits did not see.

    Parameters
    ----------
    X : csr_array of shape (n_rows, n_features)
    y : ndarray of shape (n_rows,)
    power : float
        Of the magnitudes of the ratios; 0 leaves features as they are.

    Returns
    -------
    ndarray of shape (n_rows,)
        -1e9 where the label has no positive in a fold's training rows.
    """
    scores = np.full(len(y), -1e9, np.float32)
    for train, test in KFold(3, shuffle=True, random_state=0).split(X):
        if not y[train].any():
            continue
        present = X[train].astype(bool).astype(np.float64)
        factor = np.abs(log_count_ratios(present, y[train])) ** power
        scaled = X @ sp.diags_array(factor.astype(X.dtype))
        # Two equal columns: one label alone is taken for two classes.
        twice = np.column_stack([y, y])
        model = mlce_classifier(solver="newton-cg", input_scaling=None)
        model.fit(scaled[train], twice[train])
        scores[test] = model.decision_function(scaled[test])[:, 0]
    return scores


def judge(name: str, power: float) -> dict[str, float]:
    """Out-of-fold figures of a power on one set, with the same penalty for all features.

    Parameters
    ----------
    name : str
        One of `SETS`.
    power : float

    Returns
    -------
    dict
        The keys of `label_weight.FIGURES`.
    """
    X, Y, _ = training_rows(name)
    X, Y = sp.csr_array(X), Y.toarray()
    drawn = np.random.default_rng(0).permutation(Y.shape[1])[:N_LABELS]
    truth = Y[:, drawn]
    scores = np.column_stack([out_of_fold(X, y, power) for y in truth.T])
    return figures(truth, scores, ranked=truth.any(axis=1))


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by the name of each of `POWERS`."""
    mark = fingerprint("label ratios", threads)
    return {_key(power): Job(partial(judge, name, power), 1, mark) for power in POWERS}


def _key(power):
    return f"power {power:g}"


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds, one table for each figure."""
    done = store.complete(names, [_key(power) for power in POWERS])
    return [_table(store, done, figure) for figure in FIGURES] if done else []


def _table(store, done, figure):
    result = gains(store, done, figure, [_key(power) for power in POWERS])
    result.note(
        "Three folds of the training rows, pooled; no test row was used. Features of a label are "
        "multiplied by the power of the magnitude of their log-count ratio, and C is one over the "
        f"squared distance of these rows. At most {N_LABELS} labels of a set, drawn at random; "
        "LRAP is that of rows with one of them."
    )
    return result
