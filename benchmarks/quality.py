"""How good predictions are, the same way for every method."""

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score, label_ranking_average_precision_score


def rank_last(scores: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Put labels that no training row carries below all others.

    `OneVsRestClassifier.decision_function` gives such labels 0, above most real scores.

    Parameters
    ----------
    scores : ndarray of shape (n, L)
    unseen : ndarray of bool of shape (L,)

    Returns
    -------
    ndarray of shape (n, L)
        A copy with the columns of `unseen` one below the lowest score of the others.
    """
    scores = scores.copy()
    if unseen.any() and not unseen.all():
        scores[:, unseen] = scores[:, ~unseen].min() - 1
    return scores


def precision_at(k: int, truth: np.ndarray, scores: np.ndarray) -> float:
    """Share of true labels among the `k` best-scored labels of a row, averaged over rows.

    Parameters
    ----------
    k : int
        From 1 to L.
    truth : ndarray of shape (n, L)
        0/1 labels.
    scores : ndarray of shape (n, L)

    Returns
    -------
    float
    """
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return float(np.take_along_axis(truth, best, axis=1).mean())


def evaluate(Y: sp.csr_matrix, predicted: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """All quality figures of the tables.

    Parameters
    ----------
    Y : csr_matrix of shape (n, L)
        True 0/1 labels of the test rows.
    predicted : ndarray of bool of shape (n, L)
        Labels as the method's own `predict` gives them.
    scores : ndarray of shape (n, L)
        Its decision values.

    Returns
    -------
    dict
        ``micro``, ``macro`` and ``samples`` F1 (0 where it is 0/0; the macro mean is over all
        labels), ``lrap`` (label ranking average precision, 1 for a row without labels) and ``p1``
        (precision at 1).
    """
    truth = Y.toarray()
    figures = {
        average: float(f1_score(truth, predicted, average=average, zero_division=0))
        for average in ("micro", "macro", "samples")
    }
    figures["lrap"] = float(label_ranking_average_precision_score(truth, scores))
    figures["p1"] = precision_at(1, truth, scores)
    return figures
