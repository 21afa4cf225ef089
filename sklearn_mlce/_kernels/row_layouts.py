"""Where the exponents of a row lie: along a row of a matrix, or in a list of cells.

The formulas of :mod:`sklearn_mlce._kernels.orders` are written once, over a layout that sums
entries to their rows and spreads values of rows to their entries.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_mlce._kernels.elementwise import exp_, need_no_shift


class Layout(Protocol):
    """How entries belong to rows."""

    def sum(self, entries: Tensor) -> Tensor:
        """Sums ``(n,)`` of the entries of each row."""

    def sum_squares(self, entries: Tensor) -> Tensor:
        """Sums ``(n,)`` of the squared entries of each row."""

    def spread(self, row_values: Tensor) -> Tensor:
        """Values ``(n,)`` of rows, in a shape that broadcasts to the entries."""

    def largest(self, exponents: Tensor) -> Tensor:
        """Largest entry ``(n,)`` of each row, -inf where it has none."""

    def take_largest(self, exponents: Tensor) -> tuple[Tensor, Any]:
        """Take the first largest entry of each row out, leaving -inf.

        Returns
        -------
        largest : Tensor of shape (n,)
            The entries taken; -inf for a row without entries.
        places : object
            Where they were, for :meth:`put` and :meth:`pick`.
        """

    def put(self, entries: Tensor, places: Any, row_values: Tensor) -> None:
        """Write values of rows at the places."""

    def pick(self, entries: Tensor, places: Any) -> Tensor:
        """Entries ``(n,)`` at the places; 0 for a row without entries."""


class MatrixRows:
    """Entries are a matrix ``(n, L)``, L > 0."""

    def sum(self, entries: Tensor) -> Tensor:
        return entries.sum(dim=1)

    def sum_squares(self, entries: Tensor) -> Tensor:
        return torch.linalg.vector_norm(entries, dim=1).square_()  # without a squared copy

    def spread(self, row_values: Tensor) -> Tensor:
        return row_values[:, None]

    def largest(self, exponents: Tensor) -> Tensor:
        return exponents.amax(dim=1)

    def take_largest(self, exponents: Tensor) -> tuple[Tensor, Tensor]:
        if exponents.device.type != "cpu":
            places = exponents.argmax(dim=1, keepdim=True)
        else:  # NumPy's takes a tenth of torch's time
            places = torch.from_numpy(exponents.numpy().argmax(axis=1))[:, None]
        largest = exponents.gather(1, places).squeeze(1)
        exponents.scatter_(1, places, -torch.inf)
        return largest, places

    def put(self, entries: Tensor, places: Tensor, row_values: Tensor) -> None:
        entries.scatter_(1, places, row_values[:, None])

    def pick(self, entries: Tensor, places: Tensor) -> Tensor:
        return entries.gather(1, places).squeeze(1)


class _CellPlaces(NamedTuple):
    cells: Tensor  # index into the list of cells, one for each row that has a cell
    rows: Tensor  # and its row


class CellRows:
    """Entries are a list of cells ``(n_cells,)`` in ascending order of their rows."""

    def __init__(self, rows: Tensor, n_rows: int) -> None:
        self._rows = rows
        self._n_rows = n_rows

    def sum(self, entries: Tensor) -> Tensor:
        return entries.new_zeros(self._n_rows).index_add_(0, self._rows, entries)

    def sum_squares(self, entries: Tensor) -> Tensor:
        return self.sum(entries.square())

    def spread(self, row_values: Tensor) -> Tensor:
        return row_values.index_select(0, self._rows)  # half the time of indexing

    def largest(self, exponents: Tensor) -> Tensor:
        largest = exponents.new_full((self._n_rows,), -torch.inf)
        return largest.scatter_reduce_(0, self._rows, exponents, "amax")

    def take_largest(self, exponents: Tensor) -> tuple[Tensor, _CellPlaces]:
        largest = self.largest(exponents)
        cells = (exponents == self.spread(largest)).nonzero().squeeze(1)
        rows = self._rows[cells]
        first = torch.ones_like(rows, dtype=torch.bool)
        torch.ne(rows[1:], rows[:-1], out=first[1:])
        places = _CellPlaces(cells[first], rows[first])
        exponents.index_fill_(0, places.cells, -torch.inf)
        return largest, places

    def put(self, entries: Tensor, places: _CellPlaces, row_values: Tensor) -> None:
        entries.index_copy_(0, places.cells, row_values[places.rows])

    def pick(self, entries: Tensor, places: _CellPlaces) -> Tensor:
        picked = entries.new_zeros(self._n_rows)
        return picked.index_copy_(0, places.rows, entries[places.cells])


def exponentials_(exponents: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Replace exponents by ``exp(exponents - shift)``, with a shift of their row.

    Returns
    -------
    shift : Tensor of shape (n,)
        -inf for a row without exponents.
    sums : Tensor of shape (n,)
        Of the exponentials of each row, above zero; 1 for a row without.
    """
    largest = layout.largest(exponents)
    if need_no_shift(largest):
        exp_(exponents)
        return largest.zero_(), layout.sum(exponents)
    # Infinite less infinite would be NaN.
    finite = torch.finfo(largest.dtype)
    shift = largest.clamp(min=finite.min, max=finite.max)
    exp_(exponents.sub_(layout.spread(shift)))
    return largest, layout.sum(exponents).clamp_(min=1.0)


def softmax_(exponents: Tensor, layout: Layout) -> Tensor:
    """Replace exponents by their softmax within each row; their log-sum-exp ``(n,)``."""
    shift, sums = exponentials_(exponents, layout)
    exponents.div_(layout.spread(sums))
    return shift.add_(sums.log_())
