"""Classes of several outputs, a column for each: numbers or text, unknown where missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.utils._missing import is_pandas_na, is_scalar_nan

from sklearn_mlce._targets.targets import TargetFormat, Targets


def holds_text(array: np.ndarray) -> bool:
    """Whether some entry is text."""
    if array.dtype.kind == "O":
        return any(isinstance(entry, str | bytes) for entry in array.flat)
    return array.dtype.kind in "UST"


def missing_entries(array: np.ndarray) -> np.ndarray:
    """Mask of the entries that are None, NaN or pandas' NA."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind != "O":
        return np.zeros(array.shape, dtype=bool)
    found = (  # most entries are text or whole numbers, which take no closer look
        not isinstance(entry, str | int)
        and (entry is None or is_scalar_nan(entry) or is_pandas_na(entry))
        for entry in array.flat
    )
    return np.fromiter(found, dtype=bool, count=array.size).reshape(array.shape)


def encode_columns(
    array: np.ndarray, classes: Sequence[np.ndarray] | None, label_names: np.ndarray | None
) -> Targets:
    """Targets of outputs, one a column of an array; those of the classes, if they are given.

    Raises
    ------
    ValueError
        If a column has no known entry, is of numbers and text at once, or holds what is not
        among the classes of its output.
    """
    if array.ndim != 2 or (classes is not None and array.shape[1] != len(classes)):
        n_outputs = "some" if classes is None else str(len(classes))
        raise ValueError(
            f"y has shape {array.shape}; expected a column for each of {n_outputs} outputs"
        )
    if array.dtype.kind == "T":  # NumPy's text of any length
        array = array.astype(object)
    is_known = ~missing_entries(array)
    codes = np.full(array.shape, -1, dtype=np.intp)
    found = []
    for number, known in enumerate(is_known.T):
        column = _of_one_type(array[known, number], _named(number, label_names))
        values, inverse = _unique(column)
        if classes is None:
            _check_are_classes(values, _named(number, label_names))
        else:
            of_values = _positions(values, classes[number], _named(number, label_names))
            values, inverse = classes[number], of_values[inverse]
        found.append(values)
        codes[known, number] = inverse
    target_format = TargetFormat("multioutput", found, _common_dtype(found), None, label_names)
    return Targets(target_format, positives=_one_per_output(codes, target_format))


def _named(number: int, label_names: np.ndarray | None) -> str:
    """What messages call an output."""
    return f"output {number}" + ("" if label_names is None else f" ({label_names[number]!r})")


def _of_one_type(column: np.ndarray, name: str) -> np.ndarray:
    """Known entries ``(n,)`` as text or as numbers, in the dtype of numbers."""
    if column.dtype.kind in "biufUS":
        return column
    entries = column.tolist()
    for text in (str, bytes):
        if entries and all(isinstance(entry, text) for entry in entries):
            return column
    texts = [entry for entry in entries if isinstance(entry, str | bytes)]
    if texts:
        others = [entry for entry in entries if not isinstance(entry, str | bytes)]
        seen = [texts[0], *others[:1]]
        raise ValueError(
            f"{name} of y holds text and other things, such as {seen}; expected classes of one "
            "type. Pass y.astype(str), with None where a class is unknown"
        )
    numbers = np.array(entries or [0])
    if numbers.ndim != 1 or numbers.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} of y holds {entries[0]!r}, of type {type(entries[0]).__name__}; expected "
            "whole numbers or text. Pass y.astype(str)"
        )
    return numbers[: len(entries)]


def _unique(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted values of a column, and the index of each entry among them."""
    if column.dtype.kind != "O":
        return np.unique(column, return_inverse=True)
    entries = column.tolist()  # to sort them all takes ten times as long
    values = np.empty(len(set(entries)), dtype=object)
    values[:] = sorted(set(entries))
    index = {value: number for number, value in enumerate(values)}
    inverse = np.fromiter(map(index.__getitem__, entries), np.intp, len(entries))
    return values, inverse


def _check_are_classes(values: np.ndarray, name: str) -> None:
    """Raise ValueError unless these may be all classes of an output."""
    if not len(values):
        raise ValueError(
            f"{name} of y is unknown (NaN or None) in every row, so that its classes are not "
            "known. Leave the column out, or name the classes of each output: "
            "partial_fit(X, y, classes=[classes of output 0, classes of output 1, ...])"
        )
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.round(values))).all():
        broken = values[values != np.round(values)].tolist() or values[-1:].tolist()
        raise ValueError(
            f"{name} of y holds {broken[:3]}; expected classes, which are whole numbers or text. "
            "Cut numbers into classes, as in np.digitize(column, edges)"
        )


def _positions(values: np.ndarray, classes: np.ndarray, name: str) -> np.ndarray:
    """Index of each value among the classes of its output."""
    # A dict tells text from numbers, which NumPy would compare as text.
    of_classes = {value: index for index, value in enumerate(classes.tolist())}
    unseen = [value for value in values.tolist() if value not in of_classes]
    if unseen:
        raise ValueError(
            f"{name} of y holds {unseen[:5]}, which are not among its classes, "
            f"{classes.tolist()}. Pass every class to the first call: "
            "partial_fit(X, y, classes=[classes of output 0, classes of output 1, ...])"
        )
    return np.array([of_classes[value] for value in values.tolist()], dtype=np.intp)


def _common_dtype(classes: Sequence[np.ndarray]) -> np.dtype:
    """Dtype of predictions: object where columns of text stand beside columns of numbers."""
    kinds = {"n" if of_one.dtype.kind in "biuf" else of_one.dtype.kind for of_one in classes}
    if len(kinds) > 1 or "O" in kinds:
        return np.dtype(object)
    return np.result_type(*classes)


def _one_per_output(codes: np.ndarray, target_format: TargetFormat) -> sp.csr_array:
    """A 1 at the class of each known output; codes ``(n, n_outputs)`` are -1 where unknown."""
    sizes = target_format.sizes
    known = codes >= 0
    indices = (codes + np.cumsum((0, *sizes[:-1])))[known]
    ends = np.append(0, known.sum(axis=1).cumsum())
    positives = (np.ones(len(indices), dtype=np.int8), indices, ends)
    return sp.csr_array(positives, shape=(len(codes), target_format.n_outputs))
