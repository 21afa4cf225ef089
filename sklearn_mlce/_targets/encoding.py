"""Recognise the kind of y as users give it, check it, and encode it for training.

scikit-learn's own recognition takes -1/1 and 1/2 matrices for multi-label targets and refuses
soft and unknown ones, so the package has its own. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from sklearn_mlce._targets.class_probabilities import (
    encode_probabilities,
    is_list_of_outputs,
)
from sklearn_mlce._targets.containers import container_of
from sklearn_mlce._targets.label_sets import (
    check_no_joined_labels,
    check_no_label_sets,
    check_no_sets_in_matrix,
    label_sets_error,
)
from sklearn_mlce._targets.output_classes import encode_columns, holds_text, missing_entries
from sklearn_mlce._targets.single_classes import check_are_classes, check_of_one_type
from sklearn_mlce._targets.stray_values import check_no_stray_values
from sklearn_mlce._targets.tags import as_objects, encode_tags, tag_rows
from sklearn_mlce._targets.targets import TargetFormat, Targets
from sklearn_mlce._utils.numeric_input import check_container, check_not_masked, without_torch
from sklearn_mlce._utils.sparse_format import check_sparse


def encode_targets(y: Any, label_names: np.ndarray | None = None) -> Targets:
    """Recognise, check and encode y.

    Parameters
    ----------
    y : array-like
        In any form that `fit` takes.
    label_names : ndarray of shape (n_labels,), default=None
        Labels that tags are encoded by; None takes the tags of y.

    Raises
    ------
    ValueError
        If y is of a kind that cannot be trained on; the message says what to type instead.
    """
    check_y_given(y)
    y = without_torch(y, "y")
    if sp.issparse(y):
        if y.ndim == 1 or y.shape[1] == 1:
            return _encode_single(y.toarray())
        _check_is_matrix(y.shape)
        return _encode_sparse(y)
    if isinstance(y, np.ndarray) and y.dtype.kind in "biuf":  # no tags, no text, no names
        return _encode_array(y, None, y)
    if is_list_of_outputs(y):
        return encode_probabilities(y)
    rows = tag_rows(y, certain=label_names is not None)
    if rows is not None:
        return encode_tags(rows, label_names)
    label_names = label_names_of(y)
    if _is_sparse_frame(y):
        return _encode_sparse_frame(y, label_names)
    targets = _encode_array(_as_array(y), label_names, y)
    if targets.kind in ("binary", "multiclass"):
        return targets
    # Rows of a pyarrow Table cannot be picked as those of a matrix are.
    is_frame = label_names is not None and container_of(y) != "pyarrow"
    return replace(targets, frame=type(y)) if is_frame else targets


def _encode_array(array: np.ndarray, label_names: np.ndarray | None, y: Any) -> Targets:
    """Encode the array of a y, which is given for what to type."""
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        if array.dtype.kind not in "biuf":
            check_no_joined_labels(y, array)
            check_of_one_type(y, array)
        return _encode_single(array)
    if array.ndim == 3:
        return encode_probabilities(_as_numeric(array))
    _check_is_matrix(array.shape)
    return _encode_dense(array, label_names, y)


def encode_argument(y: Any, name: str, label_names: np.ndarray | None = None) -> Targets:
    """Encode a y that users know by another name, which an error then begins with."""
    try:
        return encode_targets(y, label_names)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def check_y_given(y: Any, method: str = "fit") -> None:
    """Raise ValueError if y is None, in scikit-learn's words, or sparse and damaged."""
    if y is None:
        raise ValueError(
            f"{method} requires y to be passed, but the target y is None; expected the labels of "
            f"each row. Type {method}(X, y)"
        )
    check_sparse(y, "y")
    if isinstance(y, np.ndarray):
        check_not_masked(y, "y")
    elif not (sp.issparse(y) or isinstance(y, list | tuple)):
        check_container(y, "y")


def _check_is_matrix(shape: tuple[int, ...]) -> None:
    """Raise ValueError unless y is a matrix of one label at least."""
    if len(shape) != 2 or shape[1] == 0:
        raise ValueError(
            "y must have shape (n_samples,), (n_samples, n_outputs, n_classes) for probabilities, "
            f"or (n_samples, n_labels), with one label at least, got shape {shape}"
        )


def label_names_of(y: Any) -> np.ndarray | None:
    """Column names of a DataFrame or pyarrow Table y; None of others, and of a column of tags."""
    if getattr(y, "ndim", 2) != 2 or not hasattr(y, "columns"):
        return None
    columns = list(getattr(y, "column_names", y.columns))  # those of a pyarrow Table hold the data
    if len(columns) == 1 and tag_rows(y, certain=True) is not None:
        return None
    return as_objects(columns)


def _as_array(y: Any) -> np.ndarray:
    """An array of y."""
    if hasattr(y, "columns") and hasattr(y, "convert_dtypes"):
        array = _of_pandas(y)
    else:
        try:
            array = np.asarray(y)
        except ValueError as error:  # rows of several lengths
            raise label_sets_error(y, y) from error
    check_no_label_sets(y, array)
    if array.ndim == 2 and array.dtype.kind in "US" and not hasattr(y, "dtype"):
        array = np.asarray(y, dtype=object)  # of lists, whose NaN would become "nan"
    return array


def _is_sparse_frame(y: Any) -> bool:
    """Whether y is a DataFrame of pandas of several columns, each stored by its ones."""
    if container_of(y) != "pandas" or getattr(y, "ndim", 1) != 2 or y.shape[1] < 2:
        return False
    return all(hasattr(dtype, "subtype") and dtype.fill_value == 0 for dtype in y.dtypes)


def _encode_sparse_frame(y: Any, label_names: np.ndarray | None) -> Targets:
    """Targets of a DataFrame whose columns are sparse; predictions are a CSR matrix."""
    targets = _encode_sparse(y.sparse.to_coo().tocsr())
    target_format = replace(targets.format, label_names=label_names)
    return replace(targets, format=target_format, frame=type(y))


def _of_pandas(y: Any) -> np.ndarray:
    """An array of a DataFrame; missing entries of nullable columns become NaN."""
    dtypes = set(y.dtypes)
    if all(isinstance(dtype, np.dtype) for dtype in dtypes):
        return y.to_numpy()
    if any(dtype.kind not in "biuf" for dtype in dtypes):  # categories may be text or numbers
        return y.to_numpy(dtype=object, na_value=np.nan)
    if y.isna().any(axis=None):
        return y.to_numpy(dtype=float, na_value=np.nan)
    # NumPy's dtype of a nullable column, and of the entries of a sparse one.
    plain = [getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype)) for dtype in dtypes]
    return y.to_numpy(dtype=np.result_type(*plain))


def _encode_single(array: np.ndarray) -> Targets:
    y = column_or_1d(array, warn=True)
    check_are_classes(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has only 1 class, {classes.tolist()}; expected at least two classes")
    kind = "binary" if len(classes) == 2 else "multiclass"
    target_format = TargetFormat(kind, classes, classes.dtype, None, None)
    if kind == "multiclass":
        return Targets(target_format, codes=codes)
    return Targets(target_format, positives=_ones(sp.csr_array(codes[:, None])))


def _ones(matrix: Any) -> sp.csr_array:
    """The non-zero pattern of a matrix without stored zeros, as a canonical CSR array."""
    data = np.ones(len(matrix.indices), dtype=np.int8)
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _encode_sparse(y: Any) -> Targets:
    matrix = y.tocsr(copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    wrong = matrix.data[matrix.data != 1]
    if len(wrong):
        raise ValueError(
            f"sparse y must hold only 0 and 1, got {np.unique(wrong)[:5].tolist()}. Pass "
            "(y > 0).astype(int) if every other entry is a negative label, y.toarray() for soft "
            "(between 0 and 1) or unknown (NaN) targets"
        )
    container = sp.csr_array if isinstance(y, sp.sparray) else sp.csr_matrix
    target_format = TargetFormat("multilabel", np.arange(y.shape[1]), matrix.dtype, container, None)
    return Targets(target_format, positives=_ones(matrix))


def _encode_dense(array: np.ndarray, label_names: np.ndarray | None, y: Any) -> Targets:
    if array.dtype.kind not in "biuf" and holds_text(array):
        check_no_sets_in_matrix(y, array)
        return encode_columns(array, None, label_names)
    classes = np.arange(array.shape[1])
    numeric = _as_numeric(array)
    known = numeric[~np.isnan(numeric)] if numeric.dtype.kind == "f" else numeric
    hard = bool(((known == 0) | (known == 1)).all())
    if hard and known.size == numeric.size:
        target_format = TargetFormat("multilabel", classes, numeric.dtype, None, label_names)
        return Targets(target_format, positives=_ones(sp.csr_array(numeric != 0)))
    if not hard:
        check_no_stray_values(numeric, y, label_names)
    if not hard and _are_codes(known):
        return encode_columns(array, None, label_names)
    if not hard:
        _refuse_other_codes(known)
    dense = numeric.astype(np.result_type(numeric.dtype, np.float32), copy=False)
    target_format = TargetFormat(
        "soft", classes, np.dtype(np.int64), None, label_names, fractional=not hard
    )
    return Targets(target_format, dense=dense)


def _are_codes(known: np.ndarray) -> bool:
    """Whether these are whole numbers of more than two values, classes of several outputs."""
    whole = known.dtype.kind != "f" or bool((np.isfinite(known) & (known == np.round(known))).all())
    return whole and len(np.unique(known)) > 2


def encode_outputs(y: Any, known: TargetFormat | Sequence[np.ndarray]) -> Targets:
    """Targets of several outputs, by the classes or the format of those before.

    Raises
    ------
    ValueError
        If y has other outputs, an entry that is not among the classes of its output, or, beside a
        format, classes in place of probabilities or the other way round.
    """
    known_format = known if isinstance(known, TargetFormat) else None
    classes: Any = known if known_format is None else known_format.classes
    soft = _probabilities_of(y)
    if soft is None:
        if known_format is not None and known_format.fractional:
            raise ValueError(
                "y holds classes of several outputs, but the y of the first rows held their "
                "probabilities; expected probabilities. Pass one-hot ones, as "
                "np.eye(n_classes)[y]"
            )
        return encode_columns(_as_array(y), classes, label_names_of(y))
    if known_format is not None and not known_format.fractional:
        raise ValueError(
            "y holds probabilities of classes, but the y of the first rows held classes of several "
            "outputs; expected classes. Pass y.argmax(axis=2), or begin with probabilities"
        )
    _check_sizes(soft, tuple(map(len, classes)))
    return soft


def _probabilities_of(y: Any) -> Targets | None:
    """Targets of probabilities of the classes of several outputs; None of anything else."""
    if is_list_of_outputs(y):
        return encode_probabilities(y)
    if isinstance(y, np.ndarray) and y.ndim != 3:
        return None
    array = _as_array(y)
    return encode_probabilities(_as_numeric(array)) if array.ndim == 3 else None


def _check_sizes(targets: Targets, sizes: tuple[int, ...]) -> None:
    """Raise ValueError unless probabilities are of so many classes."""
    if targets.format.sizes != sizes:
        raise ValueError(
            f"y holds probabilities of outputs of {list(targets.format.sizes)} classes; expected "
            f"{list(sizes)}, as the model has. Pass as many probabilities of each output"
        )


def known_entries(y: Any, target_format: TargetFormat) -> tuple[np.ndarray, np.ndarray]:
    """The y of several outputs as an array of classes, and a mask of the entries that are known.

    Of probabilities it is the most probable class of each output.
    """
    soft = _probabilities_of(y)
    if soft is not None:
        _check_sizes(soft, target_format.sizes)
        assert soft.dense is not None
        return target_format.decode(np.nan_to_num(soft.dense)), soft.output_codes() >= 0
    array = _as_array(y)
    missing = missing_entries(array)
    if array.dtype.kind == "O":  # pandas' NA can be compared with nothing
        array = array.copy()
        array[missing] = None
    return array, ~missing


def _as_numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "O":
        with suppress(TypeError, ValueError):
            return np.where(missing_entries(array), np.nan, array).astype(np.float64)
    raise ValueError(
        f"y must hold numbers or text, got dtype {array.dtype} with entries such as "
        f"{array.item(0)!r}. Pass a 0/1 matrix of labels, or y.astype(str) for classes of several "
        "outputs"
    )


def _refuse_other_codes(known: np.ndarray) -> None:
    """Raise ValueError for values that are neither 0/1 nor soft targets."""
    low, high = known.min(), known.max()
    if low >= 0 and high <= 1:
        return
    values = np.unique(known)
    seen = values[:5].tolist()
    if not np.isfinite([low, high]).all():
        raise ValueError("Input y contains infinity; expected 0, 1, a number between, or NaN")
    if len(values) <= 2:
        raise ValueError(
            f"y is a matrix coded as {seen}; expected 0 and 1. "
            f"Pass (y == {seen[-1]!r}).astype(int)"  # all digits, or nothing equals it
        )
    raise ValueError(
        f"Unknown label type: continuous-multioutput, with values from {low.item()!r} to "
        f"{high.item()!r}; expected 0 and 1, soft targets in [0, 1], or NaN for unknown. Pass "
        "y.clip(0, 1) where rounding alone put them beyond"
    )
