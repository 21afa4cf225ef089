"""The k labels of a row with the highest scores."""

from __future__ import annotations

import numpy as np

from sklearn_mlce._targets.targets import is_trainable, row_blocks


def largest_scores(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns ``(n, k)`` and values of the largest scores of each row, ties by column."""
    n_rows, n_columns = scores.shape
    last = np.partition(scores, n_columns - k, axis=1)[:, n_columns - k, None]
    chosen = scores >= last
    tied = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)
    if len(tied):  # of the scores equal to the k-th, those in the first columns
        above, level = scores[tied] > last[tied], scores[tied] == last[tied]
        room = k - above.sum(axis=1, keepdims=True)
        chosen[tied] = above | (level & (np.cumsum(level, axis=1) <= room))
    # One dimension is searched faster than two.
    indices = (np.flatnonzero(chosen) % n_columns).reshape(n_rows, k)
    values = np.take_along_axis(scores, indices, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(indices, order, axis=1), np.take_along_axis(values, order, axis=1)


def shifted_to_best(scores: np.ndarray, k: int) -> np.ndarray:
    """Scores ``(n, L)`` less a number per row, so that the `k` largest alone are above zero.

    The number is the midpoint of the k-th and the next score, or one beside the nearer where the
    other is missing or that of a constant label. Where the two are equal, or too near to have a
    midpoint, ties go to the lower column, whose score becomes the smallest positive number.
    """
    shifted = np.empty_like(scores)
    for rows in row_blocks(*scores.shape):
        shifted[rows] = _shifted_rows(scores[rows], k)
    return shifted


def _shifted_rows(scores: np.ndarray, k: int) -> np.ndarray:
    chosen = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(chosen, largest_scores(scores, k)[0], True, axis=1)
    near = is_trainable(scores)  # beside the others the scores would be rounded away
    last = np.min(scores, axis=1, where=chosen & near, initial=np.inf)
    following = np.max(scores, axis=1, where=~chosen & near, initial=-np.inf)
    with np.errstate(invalid="ignore"):  # infinity less infinity, where neither is there
        middle = last / 2 + following / 2
    middle = np.where(np.isinf(following), last - 1, middle)
    middle = np.where(np.isinf(last), following + 1, middle)
    shifted = scores - np.where(np.isinf(middle), 0, middle)[:, None].astype(scores.dtype)
    shifted[chosen & (shifted <= 0)] = np.finfo(shifted.dtype).tiny
    shifted[~chosen & (shifted > 0)] = 0
    return shifted
