"""Graphs of ONNX of what fitted estimators compute, by way of their torch modules."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

ROWS = "rows"


class AllOutputs(nn.Module):
    """Labels, scores and probabilities of rows, whose scores are computed once.

    Parameters
    ----------
    models : sequence of Module
        What `to_torch` made of one estimator, each for another output.
    """

    def __init__(self, models: list[Any]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """All outputs of rows ``(n, n_features)``; those of several outputs one after another."""
        first: Any = self.models[0]
        scores = first.scores(x)
        found: list[Tensor] = []
        model: Any
        for model in self.models:
            # Thresholds do not shift probabilities: these are those of the model within.
            shares_scores = type(model) is type(first)
            returned = model.returned(scores) if shares_scores else model(x)
            found += returned if isinstance(returned, tuple) else [returned]
        return tuple(found)


def graph_of(module: nn.Module, n_features: int, dtype: torch.dtype, opset: int) -> Any:
    """Export a module that takes any number of rows.

    Parameters
    ----------
    module : Module
        Of one tensor ``(n, n_features)``.
    n_features : int
        Columns of its rows.
    dtype : torch.dtype
        Of its rows.
    opset : int
        Version of ONNX's operators.

    Returns
    -------
    onnx.ModelProto
        The model; its input is called :data:`ROWS`.
    """
    rows = torch.zeros(3, n_features, dtype=dtype)
    with warnings.catch_warnings():  # of onnxscript, about itself
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (rows,),
            input_names=[ROWS],
            dynamic_shapes=({0: torch.export.Dim("n_rows")},),
            opset_version=opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto
