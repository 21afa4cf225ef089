"""Parts of the rows in each of which every label is about as frequent as in all."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._targets.row_exchanges import RowExchanges
from sklearn_mlce._targets.targets import Targets

# Mass of a label from which on it places a row; smaller ones of soft targets only count.
_PLACING_MASS = 0.5


def label_masses(targets: Targets) -> sp.csr_array:
    """Mass ``(n, n_labels)`` of each label or class in each row; 0 where it is unknown."""
    if targets.dense is not None:
        return sp.csr_array(np.nan_to_num(targets.dense), dtype=np.float64)
    positives: Any = targets.one_hot().positives
    if targets.kind == "binary":
        positive = positives.toarray().astype(bool)
        positives = np.hstack([~positive, positive])
    return sp.csr_array(positives, dtype=np.float64)


def stratified_parts(
    masses: sp.csr_array, sizes: Any, rng: Any = None, group_sizes: np.ndarray | None = None
) -> np.ndarray:
    """Part of each row, so that parts share each label in proportion to their sizes.

    By iterative stratification [1]_: the label that the fewest of the rows left carry is next, and
    each of these rows goes to the part that lacks the most of the label, of several to the one
    with the most room. A full part takes no more rows. :class:`RowExchanges` then exchange rows, or
    groups, where a part lacks a label that it could have, or is short of a rare one.

    Parameters
    ----------
    masses : csr_array of shape (n, n_labels), float64
        Of :func:`label_masses`.
    sizes : array-like of int, of shape (n_parts,)
        Rows of each part, which add up to n.
    rng : Generator, RandomState or None, default=None
        Draws the order of rows and of equally rare labels; None takes them as they come.
    group_sizes : ndarray of int, of shape (n,), default=None
        Rows that each row stands for, where it is a group; `sizes` then add up to their sum. A
        part exceeds its size by less than one group.

    Returns
    -------
    ndarray of int, of shape (n,)

    References
    ----------
    .. [1] Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-label Data",
       https://doi.org/10.1007/978-3-642-23808-6_10, 2011.
    """
    sizes = np.asarray(sizes)
    row_sizes = np.ones(masses.shape[0], dtype=int) if group_sizes is None else group_sizes
    parts = _Allocation(masses, sizes, rng, group_sizes).place()
    RowExchanges(masses, parts, sizes, row_sizes).mend()
    return parts


class _Allocation:
    """Rows that were placed, what parts still lack of each label, and their room.

    Parameters are those of :func:`stratified_parts`.
    """

    def __init__(
        self, masses: sp.csr_array, sizes: np.ndarray, rng: Any, group_sizes: np.ndarray | None
    ) -> None:
        n_rows, n_labels = masses.shape
        totals = masses.sum(axis=0)
        # As a fraction of each label's mass: rare labels count as much as frequent ones.
        scale = sp.diags_array(1 / np.where(totals > 0, totals, 1))
        self.fractions = sp.csr_array(masses @ scale)
        self.ends = self.fractions.indptr.tolist()
        self.lacking = np.outer(np.ones(n_labels), sizes / sizes.sum())  # (n_labels, n_parts)
        self.room = sizes.tolist()
        self.parts = np.full(n_rows, -1)
        self.order = np.arange(n_rows) if rng is None else rng.permutation(n_rows)
        self.rank = np.arange(n_labels) if rng is None else rng.permutation(n_labels)
        self.row_sizes = [1] * n_rows if group_sizes is None else group_sizes.tolist()
        if group_sizes is not None:  # small groups fill the gaps that large ones leave
            self.order = self.order[np.argsort(-group_sizes[self.order], kind="stable")]
        self.placing = masses[self.order]
        if (self.placing.data < _PLACING_MASS).any():
            self.placing.data[self.placing.data < _PLACING_MASS] = 0
            self.placing.eliminate_zeros()

    def place(self) -> np.ndarray:
        """Return the part of each row: those of the rarest label first, those of none last."""
        by_label = self.placing.tocsc()
        n_left = np.diff(by_label.indptr)
        heap = self._waiting(np.flatnonzero(n_left), n_left)
        heapify(heap)
        while heap:
            n, _, label = heappop(heap)
            if n != n_left[label]:
                continue  # some of its rows were placed since; it is in the heap again
            positions = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
            positions = positions[self.parts[self.order[positions]] < 0]
            for row in self.order[positions].tolist():
                self._place(row, label)
            labels = self.placing[positions].indices
            n_left -= np.bincount(labels, minlength=len(n_left))
            for waiting in self._waiting(np.unique(labels[n_left[labels] > 0]), n_left):
                heappush(heap, waiting)
        for row in self.order[self.parts[self.order] < 0].tolist():
            self._place(row, None)
        return self.parts

    def _waiting(self, labels: np.ndarray, n_left: np.ndarray) -> list[tuple[int, int, int]]:
        """Return labels with their keys, the fewest rows left first."""
        keys = n_left[labels].tolist(), self.rank[labels].tolist(), labels.tolist()
        return list(zip(*keys, strict=True))

    def _place(self, row: int, label: int | None) -> None:
        """Place a row where its label, then all of its labels, then rows are lacking most."""
        entries = slice(self.ends[row], self.ends[row + 1])
        labels, fractions = self.fractions.indices[entries], self.fractions.data[entries]
        of_labels = self.lacking[labels]
        # Not by BLAS, which on some processors rounds equal columns differently: they would no
        # longer tie, and folds would hang on the machine.
        of_all = (fractions[:, None] * of_labels).sum(axis=0).tolist()
        lacking = of_all if label is None else self.lacking[label].tolist()
        room, size = self.room, self.row_sizes[row]
        free = [part for part, left in enumerate(room) if left >= size]
        if free:
            part = max(free, key=lambda j: (lacking[j], of_all[j], room[j]))
        else:  # for a whole group
            part = room.index(max(room))
        of_labels[:, part] -= fractions
        self.lacking[labels] = of_labels
        room[part] -= size
        self.parts[row] = part
