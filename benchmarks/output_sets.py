"""Sets of several outputs: of labels, of scikit-learn's small sets, and invented tickets."""

from collections.abc import Callable
from functools import cache

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler

from . import datasets

MOST_ROWS = 3000
#: Words that an invented ticket has in the mean, and the classes of its queue, type and so on.
_TICKET_WORDS, _TICKET_CLASSES, _VOCABULARY = 30, (10, 5, 4, 3), 4000


def _labels(name: str, n_labels: int | None = None) -> tuple[object, np.ndarray]:
    """Features and 0/1 labels of training rows, of the most frequent labels where not of all."""
    dataset = datasets.load(name)
    rows = np.random.default_rng(0).permutation(dataset.X_train.shape[0])[:MOST_ROWS]
    Y = dataset.Y_train[rows].toarray()
    most = np.argsort(-Y.sum(axis=0), kind="stable")[:n_labels]
    return dataset.X_train[rows], Y[:, np.sort(most)]


def label_sets(Y: np.ndarray, size: int) -> np.ndarray:
    """Outputs of `size` labels each, whose classes are the sets of them; others are left out."""
    n_outputs = Y.shape[1] // size
    groups = Y[:, : n_outputs * size].reshape(len(Y), n_outputs, size)
    return groups @ 2 ** np.arange(size)


def first_labels(Y: np.ndarray, size: int) -> np.ndarray:
    """Outputs of `size` labels each, whose class is the first that a row carries; 0 is none."""
    n_outputs = Y.shape[1] // size
    groups = Y[:, : n_outputs * size].reshape(len(Y), n_outputs, size)
    return np.where(groups.any(axis=2), 1 + groups.argmax(axis=2), 0)


def _of_labels(name, outputs, size, n_labels=None):
    def load():
        X, Y = _labels(name, n_labels)
        return X, outputs(Y, size)

    return load


def _thirds(column: np.ndarray) -> np.ndarray:
    return np.digitize(column, np.quantile(column, (1 / 3, 2 / 3)))


def _digits():
    X, digit = load_digits(return_X_y=True)
    return StandardScaler().fit_transform(X), np.column_stack([digit, digit % 2, digit % 3])


def _flowers():
    X, species = load_iris(return_X_y=True)
    outputs = np.column_stack([species, _thirds(X[:, 2]), _thirds(X[:, 0])])
    return StandardScaler().fit_transform(X[:, [1, 3]]), outputs


def _wines():
    X, cultivar = load_wine(return_X_y=True)
    binned = (0, 4, 12)  # alcohol, magnesium and proline, which are then no features
    outputs = np.column_stack([cultivar, *(_thirds(X[:, i]) for i in binned)])
    return StandardScaler().fit_transform(np.delete(X, binned, axis=1)), outputs


def _patients():
    X, progress = load_diabetes(return_X_y=True)
    outputs = np.column_stack([_thirds(progress), _thirds(X[:, 2]), _thirds(X[:, 3])])
    return StandardScaler().fit_transform(np.delete(X, (2, 3), axis=1)), outputs


def _tickets(n_rows, overlap):
    """Texts whose words hint at four classes each; the larger the overlap, the less clearly."""

    def load():
        rng = np.random.default_rng(0)
        frequencies = 1 / np.arange(10, 10 + _VOCABULARY)
        shares = [rng.dirichlet(np.full(m, 1.5)) for m in _TICKET_CLASSES]
        outputs = np.column_stack([rng.choice(len(p), n_rows, p=p) for p in shares])
        # A class has its own share of the words, more of it where words are rare.
        topics = [
            frequencies * rng.choice([1, 40], (m, _VOCABULARY), p=[0.97, 0.03])
            for m in _TICKET_CLASSES
        ]
        counts = np.zeros((n_rows, _VOCABULARY))
        for row, codes in enumerate(outputs):
            words = overlap * frequencies / frequencies.sum()
            for topic, code in zip(topics, codes, strict=True):
                words = words + (1 - overlap) / 4 * topic[code] / topic[code].sum()
            counts[row] = rng.multinomial(rng.poisson(_TICKET_WORDS) + 1, words / words.sum())
        return TfidfTransformer(sublinear_tf=True).fit_transform(sp.csr_matrix(counts)), outputs

    return load


#: Of features and class codes ``(n, n_outputs)``, by the name of the set.
SETS: dict[str, Callable] = {
    "digits": _digits,
    "iris": _flowers,
    "wine": _wines,
    "diabetes": _patients,
    "yeast, pairs": _of_labels("yeast", label_sets, 2),
    "yeast, triples": _of_labels("yeast", label_sets, 3),
    "birds, pairs": _of_labels("birds", label_sets, 2, 10),
    "flags, pairs": _of_labels("flags", label_sets, 2),
    "foodtruck, triples": _of_labels("foodtruck", label_sets, 3),
    "bibtex, triples": _of_labels("bibtex", label_sets, 3, 12),
    "bibtex, first of 6": _of_labels("bibtex", first_labels, 6, 24),
    "cooking, first of 6": _of_labels("cooking", first_labels, 6, 24),
    "goemotions, triples": _of_labels("goemotions", label_sets, 3, 12),
    "goemotions, first of 9": _of_labels("goemotions", first_labels, 9, 27),
    "600 tickets": _tickets(600, 0.2),
    "2000 tickets": _tickets(2000, 0.4),
}
#: The same of outputs of two values, which could be labels.
TWO_VALUED: dict[str, Callable] = {
    name: _of_labels(name, label_sets, 1, n_labels)
    for name, n_labels in (
        ("yeast", None),
        ("birds", 10),
        ("flags", None),
        ("foodtruck", None),
        ("bibtex", 20),
        ("goemotions", 10),
    )
}


@cache
def load(name: str) -> tuple[object, np.ndarray]:
    """Load one set and keep it in memory.

    Parameters
    ----------
    name : str
        A key of `SETS` or `TWO_VALUED`.

    Returns
    -------
    X : ndarray or csr_matrix of shape (n, d)
        Standardised where dense, rows of unit norm where sparse.
    Y : ndarray of shape (n, n_outputs)
        Class of each output, as text, so that no part of it looks like labels.
    """
    X, codes = (SETS | TWO_VALUED)[name]()
    return X, codes.astype(str)
