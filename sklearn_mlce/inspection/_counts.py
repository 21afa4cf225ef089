"""Counts of a label matrix, which stays sparse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._targets.targets import Targets

# Entries that a block of the matrix of co-occurrences may have: 48 MiB with its column numbers.
_PAIRS_PER_BLOCK = 2**22


class LabelPair(NamedTuple):
    """Two labels, the number of rows that carry both, and measures of their dependence."""

    first: Any
    second: Any
    n_samples: int
    jaccard: float
    lift: float


def carried_labels(targets: Targets) -> sp.csr_array:
    """Labels of each row ``(n, L)``; of soft ones those above one half.

    The classes of a 1-D y are labels, of which each row carries one. Not for several outputs.
    """
    if targets.dense is not None:
        return sp.csr_array((targets.dense > 0.5).astype(np.int8))
    if targets.kind == "multilabel":
        assert targets.positives is not None
        return targets.positives
    codes = targets.codes
    if targets.kind == "binary":
        assert targets.positives is not None
        codes = np.diff(targets.positives.indptr)
    ones = np.ones(targets.n_rows, dtype=np.int8)
    shape = (targets.n_rows, len(targets.classes))
    return sp.csr_array((ones, codes, np.arange(targets.n_rows + 1)), shape=shape)


def row_fractions(n_carried: np.ndarray) -> tuple[float, float, float, float]:
    """Fractions of the rows that carry 0, 1, 2, and more labels."""
    counts = np.bincount(n_carried.clip(max=3), minlength=4)
    none, one, two, more = (counts / len(n_carried)).tolist()
    return none, one, two, more


def count_distinct_sets(carried: sp.csr_array) -> int:
    """Number of different rows; column numbers are sorted within each."""
    return len({carried.indices[a:b].tobytes() for a, b in pairwise(carried.indptr)})


def imbalance_ratios(counts: np.ndarray) -> np.ndarray:
    """Largest count over each label's ``(L,)``; infinite for a label that no row carries."""
    ratios = np.full(len(counts), np.inf)
    return np.divide(counts.max(), counts, out=ratios, where=counts > 0)


def strongest_pairs(
    carried: sp.csr_array, names: np.ndarray, n_pairs: int, min_samples: int
) -> tuple[LabelPair, ...]:
    """Pairs of the highest Jaccard index, among those that `min_samples` rows carry together."""
    counts = np.bincount(carried.indices, minlength=carried.shape[1])
    best = np.empty((0, 3), dtype=np.int64)  # first, second, rows with both
    for block in _pair_blocks(carried, min_samples):
        best = np.concatenate([best, block])
        jaccard = _jaccard(best, counts)
        best = best[np.lexsort((best[:, 1], best[:, 0], -best[:, 2], -jaccard))[:n_pairs]]
    first, second, both = best.T
    lift = both * carried.shape[0] / (counts[first] * counts[second])
    columns = (names[first], names[second], both, _jaccard(best, counts), lift)
    return tuple(map(LabelPair, *(column.tolist() for column in columns)))


def _jaccard(pairs: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Rows with both labels over rows with either."""
    return pairs[:, 2] / (counts[pairs[:, 0]] + counts[pairs[:, 1]] - pairs[:, 2])


def _pair_blocks(carried: sp.csr_array, min_samples: int) -> Iterator[np.ndarray]:
    """Pairs ``(first, second, rows with both)``, first < second, a block of first labels a time."""
    by_row = carried.astype(np.int64)
    by_label = by_row.T.tocsr()
    # A label meets no more others than there are, nor than its rows carry.
    n_carried = np.diff(by_row.indptr)
    met = np.minimum(by_label @ n_carried, by_row.shape[1])
    block_of_label = np.cumsum(met) // _PAIRS_PER_BLOCK
    starts = np.flatnonzero(np.diff(block_of_label, prepend=-1))
    for start, stop in pairwise([*starts.tolist(), by_row.shape[1]]):
        pairs = (by_label[start:stop] @ by_row).tocoo()
        first, second = pairs.row + start, pairs.col
        wanted = (first < second) & (pairs.data >= min_samples)
        yield np.column_stack([first[wanted], second[wanted], pairs.data[wanted]])
