"""Intercepts of losses that couple the labels of a row, by sweeps over label and shift."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from sklearn_mlce._kernels.orders import Order, Orders
from sklearn_mlce._targets.targets import Targets

# Rows whose sums over labels are taken; the masses of labels are those of all rows.
_MAX_ROWS = 5_000
_MAX_DENSE_ENTRIES = 2**22
_MAX_SHIFT_ROWS = 1_000
_MAX_SWEEPS = 20
_SHIFTED_SWEEPS = 5
_BISECTIONS = 40
# Intercepts this near, in units of an exponent, are as good a start as the optimum.
_NEAR = 1e-3
_TINY = 1e-300
_ROUNDING = 1e-13


class _Shares:
    """Which labels of each row are on one side: 0, 1 or, where soft, between."""

    def __init__(self, matrix: Any, complement: bool) -> None:
        self._matrix = matrix  # (n, L)
        self._transposed = matrix.T.tocsr() if sp.issparse(matrix) else matrix.T
        self._squared = matrix if sp.issparse(matrix) else np.square(matrix)
        self._complement = complement  # the others than in the matrix

    def of_rows(self, of_labels: np.ndarray) -> np.ndarray:
        """Sums ``(n,)`` over the labels of each row."""
        sums = self._matrix @ of_labels
        return np.maximum(of_labels.sum() - sums, 0) if self._complement else sums

    def squares_of_rows(self, of_labels: np.ndarray) -> np.ndarray:
        """Sums ``(n,)`` over the labels of each row of the squared terms."""
        if self._complement:
            return self.of_rows(of_labels**2)
        return self._squared @ of_labels**2

    def of_labels(self, of_rows: np.ndarray) -> np.ndarray:
        """Sums ``(L,)`` over the rows of each label."""
        sums = self._transposed @ of_rows
        return np.maximum(of_rows.sum() - sums, 0) if self._complement else sums

    def beside_others(self, of_labels: np.ndarray, of_rows: np.ndarray) -> np.ndarray:
        """Sums ``(L,)`` as :meth:`of_labels`, of rows times the sum of their other labels."""
        sums = self.of_rows(of_labels)
        if self._complement:
            return np.maximum(
                self.of_labels(of_rows * sums) - of_labels * self.of_labels(of_rows), 0
            )
        # Cell by cell: where a label is alone in its row nothing may be left by rounding.
        cells = sp.coo_array(self._matrix)
        others = sums[cells.row] - cells.data * of_labels[cells.col]
        others[others < _ROUNDING * sums[cells.row]] = 0
        products = of_rows[cells.row] * cells.data * others
        return np.bincount(cells.col, weights=products, minlength=len(of_labels))


def _sides(targets: Targets) -> tuple[_Shares, _Shares]:
    if targets.positives is not None:
        matrix = targets.positives.astype(np.float64)
        return _Shares(matrix, True), _Shares(matrix, False)
    assert targets.dense is not None
    dense = targets.dense.astype(np.float64)
    return _Shares(np.nan_to_num(1 - dense), False), _Shares(np.nan_to_num(dense), False)


class _RowSums(NamedTuple):
    """Logarithms of the symmetric sums of one side of each row."""

    first: np.ndarray  # (n,)
    second: np.ndarray  # -inf of order 1

    def at(self, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both where all exponents are shifted, and the logarithm of 1 plus both."""
        first, second = self.first + shift, self.second + 2 * shift
        return first, second, np.logaddexp(0, np.logaddexp(first, second))


class CoupledSide:
    """One side of order 1 or 2 over a sample of rows.

    Parameters
    ----------
    shares : _Shares
        The labels of the side.
    order : {1, 2}
        Its order.
    weight : ndarray of shape (n,)
        Weights of the rows.
    mass : ndarray of shape (L,)
        Weight of the side's rows among all, beyond the sample too.
    """

    def __init__(self, shares: _Shares, order: Order, weight: np.ndarray, mass: np.ndarray) -> None:
        self._shares, self._order, self._weight = shares, order, weight
        self._sampled = shares.of_labels(weight)
        self._mass = mass

    def _row_sums(self, exponents: np.ndarray) -> _RowSums:
        """Symmetric sums at the exponents ``(L,)`` of the labels."""
        largest = exponents.max()
        terms = np.exp(exponents - largest)
        first = self._shares.of_rows(terms)
        second = np.zeros_like(first)
        if self._order == 2:
            second = np.maximum(first**2 - self._shares.squares_of_rows(terms), 0) / 2
        with np.errstate(divide="ignore"):  # of rows without such labels
            return _RowSums(np.log(first) + largest, np.log(second) + 2 * largest)

    def charge(self, exponents: np.ndarray) -> Callable[[float], float]:
        """Sum of the slopes of all labels, per row, as a function of a shift of exponents."""
        sums = self._row_sums(exponents)

        def at(shift: float) -> float:
            first, second, total = sums.at(shift)
            charged = np.exp(first - total) + 2 * np.exp(second - total)
            return float(self._weight @ charged / self._weight.sum())

        return at

    def log_slope(self, exponents: np.ndarray) -> np.ndarray:
        """Logarithm of the slope in each label's exponent, less that exponent."""
        first, _, total = self._row_sums(exponents).at(0.0)
        # The largest term is kept apart, or a large scale leaves nothing but zeros.
        top = np.maximum(first, 0) if self._order == 2 else 0.0
        least = (total - top).min()
        share = self._weight * np.exp(least - total)
        slope = self._shares.of_labels(share)
        if self._order == 2:
            largest = exponents.max()
            share = self._weight * np.exp(least - total + largest)
            slope += self._shares.beside_others(np.exp(exponents - largest), share)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.log(np.maximum(slope / self._sampled, _TINY)) - least
        # A label of no row of the sample: as if it were alone in its rows.
        mean = np.where(self._sampled > 0, mean, -np.logaddexp(0, exponents))
        return np.log(self._mass) + mean


def coupled_intercepts(
    targets: Targets,
    weight: np.ndarray,
    balance: LabelBalance,
    orders: Orders,
    start: np.ndarray,
) -> np.ndarray:
    """Intercepts of orders that couple labels, from a start.

    Parameters
    ----------
    targets : Targets
        Encoded multi-label targets.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    balance : LabelBalance
        The condition of each label.
    orders : pair
        Orders of the two sides, not both "all".
    start : ndarray of shape (n_outputs,)
        First intercepts.

    Returns
    -------
    ndarray of shape (n_outputs,)
        The intercepts.
    """
    sides = _coupled_sides(targets, weight, balance, orders, _sample_size(targets))
    shifted = _coupled_sides(targets, weight, balance, orders, _MAX_SHIFT_ROWS)
    # Beside products of pairs a label's terms grow twice as fast: half the step.
    damping = 1 / 2 if 2 in orders else 1.0
    intercepts = start
    for sweep in range(_MAX_SWEEPS):
        if sweep < _SHIFTED_SWEEPS:  # rows of another sample would not let it settle
            intercepts = intercepts + _common_shift(intercepts, shifted, balance)
        slopes = [
            None if side is None else side.log_slope(balance.exponents(intercepts, sign))
            for side, sign in zip(sides, (1, -1), strict=True)
        ]
        change = damping * (balance.solve(*slopes) - intercepts)
        intercepts = intercepts + change
        if np.abs(change).max() * balance.scale < _NEAR:
            break
    return intercepts


def _sample_size(targets: Targets) -> int:
    if targets.positives is not None:
        return _MAX_ROWS
    return min(_MAX_ROWS, max(1, _MAX_DENSE_ENTRIES // targets.n_outputs))


def _coupled_sides(
    targets: Targets, weight: np.ndarray, balance: LabelBalance, orders: Orders, n_rows: int
) -> list[CoupledSide | None]:
    """The two sides over evenly spaced rows; None for a side that couples nothing."""
    rows = np.linspace(0, targets.n_rows - 1, min(n_rows, targets.n_rows)).astype(np.intp)
    masses = (balance.negative, balance.positive)
    return [
        None if order == "all" else CoupledSide(shares, order, weight[rows], mass)
        for shares, order, mass in zip(
            _sides(targets.index_rows(rows)), orders, masses, strict=True
        )
    ]


def _common_shift(
    intercepts: np.ndarray, sides: list[CoupledSide | None], balance: LabelBalance
) -> float:
    """The shift of all intercepts that balances the sums of both sides' slopes."""
    charges = [
        balance.charge(sign, intercepts) if side is None else side.charge(exponents)
        for side, sign in zip(sides, (1, -1), strict=True)
        for exponents in [balance.exponents(intercepts, sign)]
    ]
    low, high = -balance.reach, balance.reach
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        falls = charges[0](balance.scale * middle) < charges[1](-balance.scale * middle)
        low, high = (middle, high) if falls else (low, middle)
    return (low + high) / 2


_LABEL_BISECTIONS = 50


class LabelBalance(NamedTuple):
    """Where the slope of a label's negatives is that of its positives."""

    scale: float
    margins: tuple[float, float]
    log_weight: np.ndarray  # (L,)
    positive: np.ndarray  # (L,), weight of the rows where a label is positive
    negative: np.ndarray
    total: float  # weight of all rows

    @property
    def reach(self) -> float:
        """Bound of the intercepts."""
        ratio = np.log(self.positive) - np.log(self.negative)
        return 2 * max(map(abs, self.margins)) + (100 + float(np.abs(ratio).max())) / self.scale

    def exponents(self, intercepts: np.ndarray, sign: int) -> np.ndarray:
        """Exponents ``(L,)`` on the negatives' (+1) or the positives' (-1) side."""
        margin = self.margins[0 if sign > 0 else 1]
        return sign * self.scale * (intercepts + sign * margin) + self.log_weight

    def charge(self, sign: int, intercepts: np.ndarray) -> Callable[[float], float]:
        """Sum over labels of a side's slope of order "all", per row, as a function of a shift."""
        exponents = self.exponents(intercepts, sign)
        mass = self.negative if sign > 0 else self.positive
        return lambda shift: float(mass @ expit(exponents + shift) / self.total)

    def solve(self, log_negative: np.ndarray | None, log_positive: np.ndarray | None) -> np.ndarray:
        """Intercepts ``(L,)`` of balance.

        The slope of a side is ``exp(exponent + log_...)`` with these held fixed, or, where they
        are None, that of order "all": the rows' weight times the sigmoid of the exponent.
        """
        if log_negative is not None and log_positive is not None:
            return (log_positive - log_negative) / (2 * self.scale)
        low = np.full_like(self.positive, -self.reach)
        high = -low
        for _ in range(_LABEL_BISECTIONS):
            middle = (low + high) / 2
            falls = self._log_slope(middle, 1, log_negative) < self._log_slope(
                middle, -1, log_positive
            )
            low, high = np.where(falls, middle, low), np.where(falls, high, middle)
        return (low + high) / 2

    def _log_slope(
        self, intercepts: np.ndarray, sign: int, coupled: np.ndarray | None
    ) -> np.ndarray:
        exponents = self.exponents(intercepts, sign)
        if coupled is not None:
            return exponents + coupled
        mass = self.negative if sign > 0 else self.positive
        return np.log(mass) - np.logaddexp(0, -exponents)
