"""Made sparse data of any size, row by row the same whatever the chunks they are made in."""

import numpy as np
import scipy.sparse as sp

NON_ZEROS = 60
LABELS_PER_ROW = 3
#: Rows that are drawn together, so that what is drawn takes little memory.
BLOCK = 10_000
_NOISE = 0.1


def make_rows(first: int, n_rows: int, d: int, n_labels: int, seed: int = 0):
    """Make consecutive rows of one endless data set.

    A row has `NON_ZEROS` features, low numbers more often than high ones: their density falls as
    the square root of the number. Values are positive and rows have unit norm. Each feature stands
    for a label, and a row carries those of its three heaviest features, a tenth of them replaced at
    random.

    Parameters
    ----------
    first : int
        Number of the first row, a multiple of `BLOCK`.
    n_rows : int
    d, n_labels : int
        Features, 1000 at least, and labels.
    seed : int, default=0

    Returns
    -------
    X : csr_matrix of shape (n_rows, d), float32
    Y : csr_matrix of shape (n_rows, n_labels), int64

    Raises
    ------
    ValueError
        If the first row is none that a block begins with.
    """
    if first % BLOCK:
        raise ValueError(f"first={first} is no multiple of {BLOCK}, where a block of rows begins")
    label_of = _skewed(np.random.default_rng(seed), n_labels, d)
    columns = np.empty(n_rows * NON_ZEROS, np.int32)
    values = np.empty(n_rows * NON_ZEROS, np.float32)
    labels = np.empty(n_rows * LABELS_PER_ROW, np.int32)
    ends, filled = np.zeros(n_rows + 1, np.int32), 0
    for start in range(0, n_rows, BLOCK):
        stop = min(start + BLOCK, n_rows)
        rng = np.random.default_rng([seed, first + start])
        block_columns, block_values = _features(rng, d)
        block_labels, counts = _labels(rng, block_columns, block_values, label_of, stop - start)
        cells = slice(start * NON_ZEROS, stop * NON_ZEROS)
        columns[cells] = block_columns[: stop - start].ravel()
        values[cells] = block_values[: stop - start].ravel()
        labels[filled : filled + len(block_labels)] = block_labels
        ends[start + 1 : stop + 1] = filled + np.cumsum(counts)
        filled += len(block_labels)
    X_ends = np.arange(n_rows + 1, dtype=np.int32) * NON_ZEROS
    X = sp.csr_matrix((values, columns, X_ends), shape=(n_rows, d), copy=False)
    ones = np.ones(filled, np.int64)
    Y = sp.csr_matrix((ones, labels[:filled], ends), shape=(n_rows, n_labels), copy=False)
    return X, Y


def _skewed(rng, size, n):
    """Numbers below `size`, the low ones more often."""
    return (size * rng.random(n) ** 2).astype(np.int32)


def _features(rng, d):
    """Columns, ascending and distinct in each row, and values of a block."""
    strata = (np.arange(NON_ZEROS) + rng.random((BLOCK, NON_ZEROS))) / NON_ZEROS
    columns = (d * strata**2).astype(np.int64)
    step = np.arange(NON_ZEROS)
    columns = np.maximum.accumulate(columns - step, axis=1) + step
    values = rng.lognormal(size=columns.shape)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return columns, values


def _labels(rng, columns, values, label_of, n_rows):
    """Labels of the first rows of a block, one row after another, and how many each has."""
    heaviest = np.argpartition(-values, LABELS_PER_ROW, axis=1)[:, :LABELS_PER_ROW]
    labels = label_of[np.take_along_axis(columns, heaviest, axis=1)]
    replaced = rng.random(labels.shape) < _NOISE
    labels[replaced] = rng.choice(label_of, replaced.sum())
    labels = np.sort(labels[:n_rows], axis=1)
    distinct = np.ones(labels.shape, dtype=bool)
    distinct[:, 1:] = labels[:, 1:] != labels[:, :-1]
    return labels[distinct], distinct.sum(axis=1)
