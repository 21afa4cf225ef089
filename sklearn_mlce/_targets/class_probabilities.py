"""Probabilities of the classes of several outputs, the soft targets of a multiclass-multioutput y.

They are one array ``(n, n_outputs, n_classes)``, or, where outputs have different classes, a list
with an array ``(n, n_classes)`` for each output, as trees and forests predict them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_mlce._targets.targets import TargetFormat, Targets

# By how much the probabilities of an output may miss 1: rounding, half precision included.
_TOLERANCE = 2e-3


def is_list_of_outputs(y: Any) -> bool:
    """Whether y is a list or tuple of matrices of numbers, which are the outputs."""
    return (
        isinstance(y, list | tuple)
        and len(y) > 0
        and all(isinstance(part, np.ndarray) and part.ndim == 2 for part in y)
        and all(part.dtype.kind in "biuf" for part in y)
    )


def check_rows_of_outputs(y: Any, n_rows: int) -> None:
    """Raise ValueError if a list of matrices has one for each of the rows, not of the outputs."""
    if is_list_of_outputs(y) and len(y) == n_rows != len(y[0]):
        raise ValueError(
            f"y is a list of {len(y)} matrices of shape {y[0].shape}, one for each row of X, but a "
            "list holds the outputs, each a matrix of shape (n_samples, n_classes). Pass "
            "np.stack(y), of shape (n_samples, n_outputs, n_classes)"
        )


def encode_probabilities(y: np.ndarray | Sequence[np.ndarray]) -> Targets:
    """Targets of an array ``(n, n_outputs, n_classes)``, or of matrices ``(n, n_classes)``.

    The classes are numbered from 0. All targets are soft, be they 0 and 1: a part of the rows is
    trained as the whole is.

    Raises
    ------
    ValueError
        If an output has no class, or in some row has probabilities that are none, or do not add
        up to 1, or is unknown (NaN) in part.
    """
    sizes = _sizes(y)
    matrix = y.reshape(len(y), sum(sizes)) if isinstance(y, np.ndarray) else np.hstack(y)
    matrix = matrix.astype(np.result_type(matrix.dtype, np.float32), copy=False)
    classes = [np.arange(size) for size in sizes]
    target_format = TargetFormat(
        "multioutput", classes, np.dtype(np.int64), None, None, fractional=True
    )
    _check_range(matrix, y)
    for number, part in enumerate(target_format.split(matrix)):
        _check_output(part, number, y)
    return Targets(target_format, dense=matrix)


def _sizes(y: np.ndarray | Sequence[np.ndarray]) -> tuple[int, ...]:
    """Number of classes of each output."""
    if isinstance(y, np.ndarray):
        sizes, shown = (y.shape[2],) * y.shape[1], f"shape {y.shape}"
    else:
        lengths = [len(part) for part in y]
        if len(set(lengths)) > 1:
            other = next(number for number, n in enumerate(lengths) if n != lengths[0])
            raise ValueError(
                f"output 0 of y has {lengths[0]} rows, output {other} has {lengths[other]}; "
                "expected a list of matrices with a row for each row of X"
            )
        sizes = tuple(part.shape[1] for part in y)
        shown = f"outputs of shapes {[part.shape for part in y]}"
    if not sizes or min(sizes) == 0:
        raise ValueError(
            f"y has {shown}; expected probabilities (n_samples, n_outputs, n_classes), or a list "
            "of (n_samples, n_classes), with one output and one class at least"
        )
    return sizes


def _check_range(matrix: np.ndarray, y: Any) -> None:
    """Raise ValueError unless all numbers are in [0, 1] or NaN."""
    outside = (matrix < 0) | (matrix > 1)
    if outside.any():
        seen = np.unique(matrix[outside])[:3].tolist()
        raise ValueError(
            f"y is read as probabilities of the classes of several outputs, but holds {seen}; "
            "expected numbers from 0 to 1, or NaN where an output is unknown. For scores pass "
            f"{_to_type(y, 'softmax({}, axis={})')}, of scipy.special"
        )


def _check_output(part: np.ndarray, number: int, y: Any) -> None:
    """Raise ValueError unless an output is known or unknown, and its classes add up to 1."""
    unknown = np.isnan(part)
    mixed = unknown.any(axis=1) & ~unknown.all(axis=1)
    if mixed.any():
        raise ValueError(
            f"output {number} of y is NaN for some of its classes in row {int(mixed.argmax())}: "
            f"{part[mixed][0].tolist()}; expected NaN for all of them, where it is unknown, or for "
            "none. Pass 0 for a class that is ruled out"
        )
    sums = part.sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > _TOLERANCE  # not where they are NaN
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"the probabilities of output {number} of y add up to {sums[row]:.6g} in row {row}; "
            f"expected 1. Pass {_to_type(y, '{0} / {0}.sum(axis={1}, keepdims=True)')}"
        )


def _to_type(y: Any, expression: str) -> str:
    """Expression of y, or of each part of a list; its places are the array and its axis."""
    if isinstance(y, np.ndarray):
        return expression.format("y", 2)
    return f"[{expression.format('part', 1)} for part in y]"
