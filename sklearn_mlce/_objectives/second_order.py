"""The row loss of encoded targets."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from sklearn_mlce._kernels.hard_targets import Cells, cells_from_indices
from sklearn_mlce._kernels.row_blocks import Affine
from sklearn_mlce._objectives.mlce import HardRows, RowLoss, SoftmaxRows, SoftRows
from sklearn_mlce._objectives.multioutput import MultioutputRows
from sklearn_mlce._objectives.options import LossOptions
from sklearn_mlce._objectives.pairwise import PairwiseRows
from sklearn_mlce._objectives.pointwise import PointwiseRows
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.sparse import dense_tensor


def row_loss_of(
    targets: Targets,
    outputs: np.ndarray,
    weight: Tensor,
    options: LossOptions,
    label_weight: Tensor | None = None,
) -> RowLoss:
    """The loss of some outputs (their numbers, ascending) of encoded targets.

    ``weight`` (n,) sums to one; ``label_weight`` has an entry for each of these outputs.
    """
    weight = weight.clamp(min=torch.finfo(weight.dtype).tiny)  # it is divided by
    log_weight = None if label_weight is None else label_weight.log()
    affine = Affine(options.scale, options.margins, log_weight)
    if options.loss == "softmax":
        assert targets.codes is not None
        codes = dense_tensor(np.searchsorted(outputs, targets.codes), weight.device)
        return SoftmaxRows(codes, weight, affine)
    encoded = _encoded(targets, outputs, weight)
    if options.loss == "multioutput":
        assert isinstance(encoded, Cells)
        kept = np.isin(np.arange(targets.n_outputs), outputs)
        return MultioutputRows(encoded.columns, weight, targets.select_outputs(kept).format.sizes)
    if options.loss == "pairwise":
        affine = affine._replace(margins=(options.margins[0], 0.0))
        return PairwiseRows(encoded, weight, affine)
    if options.loss != "mlce":
        return PointwiseRows(options.loss, encoded, weight, label_weight)
    if isinstance(encoded, Cells):
        return HardRows(encoded, weight, affine, options.orders)
    return SoftRows(encoded, weight, affine, options.orders)


def _encoded(targets: Targets, outputs: np.ndarray, weight: Tensor) -> Cells | Tensor:
    """Cells of hard targets, a matrix of soft ones, on the device and in the dtype of weights."""
    if targets.dense is not None:
        return dense_tensor(targets.dense[:, outputs], weight.device).to(weight.dtype)
    positives = _one_hot(targets) if targets.positives is None else targets.positives
    if len(outputs) < positives.shape[1]:
        positives = positives[:, outputs]
    indptr, indices = (
        dense_tensor(part.astype(np.int64), weight.device)
        for part in (positives.indptr, positives.indices)
    )
    return cells_from_indices(indptr, indices, positives.shape[1])


def _one_hot(targets: Targets) -> sp.csr_array:
    """Class codes as one positive a row."""
    codes = targets.codes
    assert codes is not None
    ones, row_ends = np.ones(len(codes), dtype=np.int8), np.arange(len(codes) + 1)
    return sp.csr_array((ones, codes, row_ends), shape=(len(codes), targets.n_outputs))
