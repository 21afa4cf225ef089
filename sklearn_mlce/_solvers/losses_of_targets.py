"""The row loss of encoded targets."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernel import Affine, Cells, cells_from_indices
from sklearn_mlce._loss_options import LossOptions
from sklearn_mlce._solvers.pointwise_rows import PointwiseRows
from sklearn_mlce._solvers.row_losses import HardRows, RowLoss, SoftmaxRows, SoftRows
from sklearn_mlce._sparse import dense_tensor
from sklearn_mlce._targets import Targets


def row_loss_of(
    targets: Targets,
    outputs: np.ndarray,
    weight: Tensor,
    options: LossOptions,
    label_weight: Tensor | None = None,
) -> RowLoss:
    """The loss of some outputs (a mask) of encoded targets.

    ``weight`` (n,) sums to one; ``label_weight`` has an entry for each of these outputs.
    """
    weight = weight.clamp(min=torch.finfo(weight.dtype).tiny)  # it is divided by
    codes = None
    if targets.codes is not None:
        codes = dense_tensor((np.cumsum(outputs) - 1)[targets.codes], weight.device)
    if options.loss != "mlce":
        n_outputs = int(outputs.sum())
        encoded = (
            _encoded(targets, outputs, weight) if codes is None else _one_hot(codes, n_outputs)
        )
        return PointwiseRows(options.loss, encoded, weight, label_weight)
    log_weight = None if label_weight is None else label_weight.log()
    affine = Affine(options.scale, options.margin, log_weight)
    if codes is not None:
        return SoftmaxRows(codes, weight, affine)
    encoded = _encoded(targets, outputs, weight)
    if isinstance(encoded, Cells):
        return HardRows(encoded, weight, affine, options.orders)
    return SoftRows(encoded, weight, affine, options.orders)


def _encoded(targets: Targets, outputs: np.ndarray, weight: Tensor) -> Cells | Tensor:
    """Cells of hard targets, a matrix of soft ones, on the device and in the dtype of weights."""
    if targets.positives is None:
        assert targets.dense is not None
        return dense_tensor(targets.dense[:, outputs], weight.device).to(weight.dtype)
    positives = targets.positives if outputs.all() else targets.positives[:, outputs]
    indptr, indices = (
        dense_tensor(part.astype(np.int64), weight.device)
        for part in (positives.indptr, positives.indices)
    )
    return cells_from_indices(indptr, indices, positives.shape[1])


def _one_hot(codes: Tensor, n_classes: int) -> Cells:
    """Class codes as one positive a row."""
    row_ends = torch.arange(len(codes) + 1, device=codes.device)
    return cells_from_indices(row_ends, codes, n_classes)
