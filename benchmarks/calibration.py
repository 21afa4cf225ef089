"""How far the probabilities of the default options can be taken at their word."""

import numpy as np
from scipy.special import expit, xlogy

from .report import Table
from .store import Store

BINS = 20
#: Key of the samples, and what the table calls it.
MAPS = {
    "auto": {
        "": "MLCEClassifier().predict_proba",
        "_2s": "sigmoid(2 score) of the same model",
        "_base": "prevalence in the training rows",
    },
    "logistic": {"": "OneVsRest LogisticRegression"},
}


def calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Expected calibration error of all cells together.

    Parameters
    ----------
    truth : ndarray of bool of shape (n, L)
    probabilities : ndarray of shape (n, L)

    Returns
    -------
    float
        Cells are binned by their probability, in `BINS` of equal width; the mean over cells of the
        distance between their bin's mean probability and its fraction of true cells.
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1).ravel()
    expected = np.bincount(bins, probabilities.ravel(), BINS)
    seen = np.bincount(bins, truth.ravel(), BINS)
    return float(np.abs(expected - seen).sum() / truth.size)


def log_loss(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Negative log-likelihood of a row's labels taken as independent, in nats, mean over rows."""
    # float32 has nothing between one and 1 - 6e-8.
    p = np.clip(probabilities.astype(np.float64), 1e-12, 1 - 1e-12)
    return float(-(xlogy(truth, p) + xlogy(1 - truth, 1 - p)).sum() / len(truth))


def figures(dataset, scores: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Calibration on the test rows, over the labels that training rows carry.

    Parameters
    ----------
    dataset : DataSet
    scores : ndarray of shape (n_test, L)
    probabilities : ndarray of shape (n_test, L)

    Returns
    -------
    dict
        ``ece`` and ``log_loss`` of the probabilities, of ``sigmoid(2 * scores)`` (``_2s``) and of
        each label's prevalence in the training rows (``_base``); ``expected``, the mean number of
        labels that the probabilities expect in a row.
    """
    seen = ~dataset.unseen
    truth = dataset.Y_test.toarray()[:, seen]
    prevalence = np.asarray(dataset.Y_train.mean(axis=0)).ravel()[seen]
    maps = {
        "": np.asarray(probabilities)[:, seen],
        "_2s": expit(2.0 * scores[:, seen]),
        "_base": np.broadcast_to(prevalence, truth.shape),
    }
    found = {"expected": float(maps[""].sum(axis=1).mean())}
    for key, p in maps.items():
        found |= {f"ece{key}": calibration_error(truth, p), f"log_loss{key}": log_loss(truth, p)}
    return found


def table(store: Store, names) -> Table:
    """Lay out what the store of `benchmarks.linear` holds.

    Parameters
    ----------
    store : Store
    names : sequence of str
        Sets.

    Returns
    -------
    Table
    """
    columns = ("set", "probabilities", "calibration error", "log-loss per row", "labels expected")
    result = Table("Calibration on the test rows", columns)
    for name in names:
        for method, maps in MAPS.items():
            row = store.medians(name, method)
            for key, title in maps.items() if "ece" in row else ():
                error, loss = (f"{row[what + key]:.4f}" for what in ("ece", "log_loss"))
                result.add(name, title, error, loss, "" if key else f"{row['expected']:.2f}")
    result.note(
        f"Calibration error: mean over all cells, in {BINS} bins of equal width, of the distance "
        "between a bin's mean probability and its fraction of true cells. Labels that no training "
        "row carries are left out."
    )
    return result
