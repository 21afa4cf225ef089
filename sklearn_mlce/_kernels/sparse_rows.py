"""Products of sparse rows with a dense matrix.

They are sums of a few weighted rows of the dense matrix, which is what torch's ``embedding_bag``
computes: in float32 it takes half the time of a product with a torch CSR tensor, and it has no beta
warning to silence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


class CompressedRows(NamedTuple):
    """Rows in compressed form: row r has ``values[offsets[r]:offsets[r + 1]]``, and so on."""

    offsets: Tensor  # (n_rows + 1,), of the dtype of columns
    columns: Tensor  # (nnz,)
    values: Tensor  # (nnz,)

    def to(self, dtype: torch.dtype) -> CompressedRows:
        """The same rows with values of another precision."""
        return self._replace(values=self.values.to(dtype))

    def part(self, start: int, stop: int) -> CompressedRows:
        """Some of the rows."""
        if start == 0 and stop >= len(self.offsets) - 1:
            return self
        offsets = self.offsets[start : stop + 1]
        first, last = int(offsets[0]), int(offsets[-1])
        return CompressedRows(offsets - first, self.columns[first:last], self.values[first:last])

    def matmul(self, dense: Tensor) -> Tensor:
        """Product ``(n_rows, width)`` with a dense matrix ``(n_columns, width)``."""
        return embedding_bag(
            self.columns,
            dense,
            self.offsets,
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )
