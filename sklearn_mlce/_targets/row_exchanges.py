"""Exchanges of rows between parts, so that no part lacks a label that it could have."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

# Cost of a missing label, in units of deviations from the shares, all of which it outweighs; and
# of a missing one of fewer rows than parts, which some part lacks in any case.
_PER_MISSING = 1e6
_PER_MISSING_RARE = 1e3
# Rows of the label that are tried in each step, the most promising first.
_TRIED_ROWS = 4
# Steps of the search for which exchanged rows stay, and those without success that end it.
_STAY = 4
_PATIENCE = 100
# Labels are balanced that at most so many rows carry per part, by so many sweeps over them.
_FEW_ROWS_PER_PART = 4
_SWEEPS = 2
# Entries that all steps together may look at: some seconds.
_MOST_ENTRIES = 3 * 10**8
_ROUNDING = 1e-9


class Exchange(NamedTuple):
    """Two rows that change places, and the gain of it."""

    gain: float
    fetched: int
    given: int


class RowExchanges:
    """Parts of rows, changed by exchanges of two rows.

    A part is short of a label if a row of it, moved there from another part, would bring both
    nearer to their shares. The label is missing if the part has no row of it at all.

    Parameters
    ----------
    masses : csr_array of shape (n, n_labels), float64
        Mass of each label in each row, or in each group of rows; without explicit zeros.
    parts : ndarray of int, of shape (n,)
        Changed in place.
    sizes : ndarray of int, of shape (n_parts,)
        Rows that each part should have.
    row_sizes : ndarray of int, of shape (n,)
        Rows that each row stands for: more than 1 where it is a group. No part becomes larger or
        smaller, compared to its size, than the extreme parts are before.
    """

    def __init__(
        self, masses: sp.csr_array, parts: np.ndarray, sizes: np.ndarray, row_sizes: np.ndarray
    ) -> None:
        n_parts = len(sizes)
        self.masses, self.parts, self.row_sizes = masses, parts, row_sizes
        self.carried = masses
        if (masses.data != 1).any():
            ones = np.ones(masses.nnz)
            self.carried = sp.csr_array((ones, masses.indices, masses.indptr), shape=masses.shape)
        self.by_label = self.carried.tocsc()
        n_carrying, totals = np.diff(self.by_label.indptr), masses.sum(axis=0)
        # Sizes that differ by a row make equal shares: which part has one more is all the same.
        equal = np.ptp(sizes) <= 1
        fractions = np.full(n_parts, 1 / n_parts) if equal else sizes / sizes.sum()
        self.shares = np.outer(fractions, n_carrying)  # in rows that carry the label
        self.for_all = n_carrying >= np.count_nonzero(sizes)
        self.few = n_carrying <= _FEW_ROWS_PER_PART * n_parts
        self.per_missing = np.where(self.for_all, _PER_MISSING, _PER_MISSING_RARE)
        self.per_mass = 1 / np.where(totals > 0, totals, 1)
        self.mass_squares = masses.power(2) @ self.per_mass  # of each row
        cells = np.repeat(parts, np.diff(masses.indptr)), masses.indices
        shape = n_parts, masses.shape[1]
        self.counts = sp.coo_array((self.carried.data, cells), shape=shape).toarray()
        mass = sp.coo_array((masses.data, cells), shape=shape).toarray()
        self.excess = mass - np.outer(fractions, totals)
        self.most = (self.counts - self.shares).max(axis=0)
        self.room = sizes - np.bincount(parts, row_sizes, minlength=n_parts)
        self.least_room, self.most_room = self.room.min(), self.room.max()
        self.n_steps_left = _MOST_ENTRIES // (masses.nnz + self.counts.size + 1)

    def mend(self) -> None:
        """Bring missing labels to the parts, then rare labels nearer to their shares."""
        self._search()
        self._balance()

    def _search(self) -> None:
        """Exchange rows for one missing label after another, even where that costs something.

        Tabu search: exchanged rows stay where they are for some steps, so that no exchange is
        undone by the next; in the end the best parts that were met are restored.
        """
        stays_until = np.zeros(len(self.parts), dtype=int)
        least, best, best_step, step = (np.inf, np.inf), self.parts.copy(), 0, 0
        while True:
            missing = self._short() & (self.counts == 0)
            cost = missing[:, self.for_all].sum(), missing.sum()
            if cost < least:
                least, best, best_step = cost, self.parts.copy(), step
            pairs = np.argwhere(missing & self.for_all if cost[0] else missing)
            if not len(pairs) or step - best_step > _PATIENCE or not self.n_steps_left:
                break
            part, label = pairs[step % len(pairs)].tolist()
            pair = self._best(part, label, stays_until <= step)
            if pair is not None:
                self._exchange(pair)
                stays_until[[pair.fetched, pair.given]] = step + _STAY
            step += 1
        for row in np.flatnonzero(self.parts != best).tolist():
            self._move(row, int(best[row]))

    def _balance(self) -> None:
        """Make exchanges that gain something for labels of few rows that a part is short of."""
        everywhere = np.ones(len(self.parts), dtype=bool)
        for _ in range(_SWEEPS):
            for part, label in np.argwhere(self._short() & self.few).tolist():
                if not self.n_steps_left:
                    return
                if not self._short(label)[part]:
                    continue  # since an exchange of this sweep
                pair = self._best(part, label, everywhere)
                if pair is not None and pair.gain > _ROUNDING:
                    self._exchange(pair)

    def _short(self, labels: Any = np.s_[:]) -> np.ndarray:
        """Mask ``(n_parts, n_labels)`` of the labels that parts are short of."""
        shares = self.shares[:, labels]
        differences = self.most[labels] - (self.counts[:, labels] - shares)
        return (differences > 1 + _ROUNDING) & (shares > 0)  # a part may have no room at all

    def _best(self, part: int, label: int, free: np.ndarray) -> Exchange | None:
        """Return the best exchange of free rows that brings a label to a part, if there is any."""
        self.n_steps_left -= 1
        rows = self.by_label.indices[self.by_label.indptr[label] : self.by_label.indptr[label + 1]]
        rows = rows[free[rows] & (self.parts[rows] != part)]
        theirs = np.flatnonzero(free & (self.parts == part))
        if not len(rows) or not len(theirs):
            return None
        carried = self.carried[theirs]
        masses = carried if self.carried is self.masses else self.masses[theirs]
        gains, best = np.array([self._gain(row, part) for row in rows]), None
        for position in np.argsort(-gains, kind="stable")[:_TRIED_ROWS]:
            row = rows[position]
            per_row, per_mass = self._gains_in_return(row, part)
            returned = carried @ per_row + masses @ per_mass - self.mass_squares[theirs]
            returned[~self._fits(row, part, theirs)] = -np.inf
            given = returned.argmax()
            gain = gains[position] + returned[given]
            if gain > (-np.inf if best is None else best.gain):
                best = Exchange(gain, row, theirs[given])
        return best

    def _gain(self, row: int, part: int) -> float:
        """Gain of moving a row to a part: missing labels, and squares of deviations from shares."""
        labels, masses = self._entries(row)
        source = self.parts[row]
        nearer = self.excess[source, labels] - self.excess[part, labels]
        # Not by BLAS, which rounds as the processor has it.
        nearer = (masses * nearer * self.per_mass[labels]).sum() - self.mass_squares[row]
        return self._found_less_lost(labels, source, part).sum() + nearer

    def _gains_in_return(self, row: int, part: int) -> tuple[np.ndarray, np.ndarray]:
        """Gains ``(n_labels,)``, per row and per mass, of giving each label for a row."""
        labels, masses = self._entries(row)
        source = self.parts[row]
        per_row = self._found_less_lost(np.s_[:], part, source)
        per_mass = (self.excess[part] - self.excess[source]) * self.per_mass
        # A label of both rows stays where it is, but for the difference of its masses.
        per_row[labels] = -self._found_less_lost(labels, source, part)
        per_mass[labels] += 2 * masses * self.per_mass[labels]
        return per_row, per_mass

    def _found_less_lost(self, labels: Any, source: int, target: int) -> np.ndarray:
        """Gain of moving a row of each of some labels: missing labels found, less those lost."""
        here, there = self.counts[source, labels], self.counts[target, labels]
        due_here, due_there = self.shares[source, labels], self.shares[target, labels]
        most = np.maximum(self.most[labels], there + 1 - due_there)
        lost = (here == 1) & (most + due_here > 1 + _ROUNDING)
        found = (there == 0) & (most + due_there > 1 + _ROUNDING)
        return (found * 1.0 - lost) * self.per_missing[labels]

    def _fits(self, row: int, part: int, others: np.ndarray) -> np.ndarray:
        """Mask of the rows of a part whose exchange for a row keeps to the sizes."""
        change = self.row_sizes[others] - self.row_sizes[row]
        here, there = self.room[part] + change, self.room[self.parts[row]] - change
        least, most = np.minimum(here, there), np.maximum(here, there)
        return (least >= self.least_room) & (most <= self.most_room)

    def _entries(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the labels of a row and their masses."""
        entries = slice(self.masses.indptr[row], self.masses.indptr[row + 1])
        return self.masses.indices[entries], self.masses.data[entries]

    def _exchange(self, pair: Exchange) -> None:
        here, there = self.parts[pair.given], self.parts[pair.fetched]
        self._move(pair.fetched, here)
        self._move(pair.given, there)

    def _move(self, row: int, part: int) -> None:
        labels, masses = self._entries(row)
        for changed, sign in ((self.parts[row], -1), (part, 1)):
            self.counts[changed, labels] += sign
            self.excess[changed, labels] += sign * masses
            self.room[changed] -= sign * self.row_sizes[row]
        self.most[labels] = (self.counts[:, labels] - self.shares[:, labels]).max(axis=0)
        self.parts[row] = part
