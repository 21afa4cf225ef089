"""Choose the rows that are held out of training, to score it on."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._targets.targets import Targets


def split_order(seed: int, n_rows: int) -> np.ndarray:
    """Order of rows from which a held-out part is cut."""
    return np.random.default_rng(seed).permutation(n_rows)


def held_out_rows(targets: Targets, fraction: float, order: np.ndarray) -> np.ndarray:
    """Numbers of the rows to hold out, ascending: the first `fraction` of an order, but for a few.

    A label whose positive rows all came first would be lost to training. So one of them goes
    back, in exchange for the next row of the order that can be spared, where there is one.

    Raises
    ------
    ValueError
        If no row or every row would be held out.
    """
    n_rows = targets.n_rows
    n_held_out = round(fraction * n_rows)
    if not 0 < n_held_out < n_rows:
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction:g} holds out "
            f"{n_held_out} of {n_rows} rows with a positive weight; expected at least one "
            "row to hold out and one to train on. Set another validation_fraction, pass more "
            "rows, or set early_stopping=False"
        )
    chosen = order[:n_held_out]
    kept = _without_lost_labels(_positives(targets), chosen, order[n_held_out:])
    return np.sort(kept if len(kept) else chosen)


def _positives(targets: Targets) -> sp.csr_array:
    """Matrix with a column for each label or class, 1 in the rows that have it."""
    if targets.dense is not None:
        return sp.csr_array(targets.dense > 0)
    if targets.codes is not None:
        codes, n_rows = targets.codes, targets.n_rows
        offsets = np.arange(n_rows + 1)
        return sp.csr_array((np.ones(n_rows), codes, offsets), shape=(n_rows, targets.n_outputs))
    assert targets.positives is not None
    if targets.kind != "binary":
        return targets.positives
    positive = targets.positives.toarray().astype(bool)
    return sp.csr_array(np.hstack([~positive, positive]))


def _without_lost_labels(
    positives: sp.csr_array, chosen: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Exchange the chosen rows that training needs for as many others that it can spare."""
    total = np.bincount(positives.indices, minlength=positives.shape[1])
    held_out = positives[chosen]
    left = total - np.bincount(held_out.indices, minlength=positives.shape[1])
    if not ((left == 0) & (total > 0)).any():
        return chosen
    returned = np.zeros(len(chosen), dtype=bool)
    by_label = held_out.tocsc()
    for label in np.flatnonzero((left == 0) & (total > 0)):
        if left[label] == 0:  # no row that went back has it
            row = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]].min()
            returned[row] = True
            left[_columns(held_out, row)] += 1
    spared = _spared(positives, others, left, int(returned.sum()))
    return np.concatenate([chosen[~returned], np.array(spared, dtype=chosen.dtype)])


def _spared(
    positives: sp.csr_array, others: np.ndarray, left: np.ndarray, n_wanted: int
) -> list[int]:
    """First rows whose labels training has in other rows too."""
    spared: list[int] = []
    for row in others:
        if len(spared) == n_wanted:
            break
        labels = _columns(positives, row)
        if (left[labels] > 1).all():
            left[labels] -= 1
            spared.append(row)
    return spared


def _columns(matrix: sp.csr_array, row: int) -> np.ndarray:
    return matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
