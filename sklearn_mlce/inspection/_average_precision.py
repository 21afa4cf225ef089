"""Average precision of scores, of each label, of each row, or of all cells."""

from __future__ import annotations

import numpy as np

from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._sweep import global_candidates


def average_precisions(groups: HeldOut, item_weight: np.ndarray) -> np.ndarray:
    """Average precision of each row of `groups`, whose columns have weights.

    It is the sum over the positives of the precision where the threshold is the positive's own
    score, over their number; NaN without a positive. A positive of score -inf is never predicted.
    """
    values = np.full(len(groups.scores), np.nan)
    for block in groups.row_blocks():
        scores = groups.scores[block]
        order = np.argsort(-scores, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        target = groups.positives[block].toarray() * item_weight
        target = np.take_along_axis(target, order, axis=1)
        predicted, hits = item_weight[order].cumsum(axis=1), target.cumsum(axis=1)
        end = _last_of_equal(scores)
        hits, predicted = (np.take_along_axis(part, end, axis=1) for part in (hits, predicted))
        counted = (scores > -np.inf) & (predicted > 0)
        precision = np.divide(hits, predicted, out=np.zeros(hits.shape), where=counted)
        total = target.sum(axis=1)
        found = (target * precision).sum(axis=1)
        values[block] = np.divide(found, total, out=values[block], where=total > 0)
    return values


def _last_of_equal(ordered: np.ndarray) -> np.ndarray:
    """Position of the last of the scores that equal each, in rows of descending scores."""
    n_columns = ordered.shape[1]
    is_last = np.ones(ordered.shape, dtype=bool)
    is_last[:, :-1] = ordered[:, :-1] != ordered[:, 1:]
    places = np.where(is_last, np.arange(n_columns), n_columns - 1)
    return np.minimum.accumulate(places[:, ::-1], axis=1)[:, ::-1]


def pooled_average_precision(held_out: HeldOut) -> float:
    """Average precision of all cells together; NaN without a positive."""
    table = global_candidates(held_out)
    gained = table.hits - np.append(table.hits[1:], 0.0)[: len(table.hits)]
    rows, _, _, target = held_out.cells()
    total = (target * held_out.row_weight()[rows]).sum()
    if total == 0:
        return float("nan")
    counted = table.predicted > 0
    return float((gained[counted] * table.hits[counted] / table.predicted[counted]).sum() / total)
