"""Numbers as users give them: what holds none, or is no container of rows, is refused."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator, Mapping, Set
from numbers import Number, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils._missing import is_pandas_na

from sklearn_mlce._utils.sparse_format import check_sparse

# What NumPy would cast. pandas' Timestamp and Timedelta are among them.
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "dates": (datetime.date, np.datetime64),
    "durations": (datetime.timedelta, np.timedelta64),
    "complex numbers": (complex, np.complexfloating),
}
_NO_NUMBERS = sum(_KINDS.values(), ())
_INSTEAD_OF_TEXT = {
    "X": "a list of texts to a pipeline that begins with TfidfVectorizer",
    "y": "a list with the class, or the tags, of each row",
    "sample_weight": "sklearn.utils.class_weight.compute_sample_weight(...) for balanced weights",
}
_LARGEST = int(np.finfo(np.float64).max)


def check_X(X: Any) -> None:
    """Raise an error if X has no rows that could be picked; texts and the like pass."""
    if X is None:
        raise ValueError(
            "X is None; expected the features of each row, of shape (n_samples, n_features)"
        )
    check_sparse(X, "X")
    if isinstance(X, np.ndarray):
        check_not_masked(X, "X")
    elif not (sp.issparse(X) or isinstance(X, list | tuple)):
        check_container(X, "X")


def check_container(values: Any, name: str) -> None:
    """Raise TypeError if values are a text, a dict, an iterator or else no container of rows."""
    if isinstance(values, str | bytes):
        what, instead = f"the text {values[:20]!r}", _INSTEAD_OF_TEXT.get(name, "an array")
    elif isinstance(values, Mapping):
        what, instead = "a dict", f"pandas.DataFrame({name}) of its columns"
    elif isinstance(values, Iterator):
        what, instead = f"an iterator ({type(values).__name__})", f"list({name})"
    elif isinstance(values, Set):
        what, instead = f"a {type(values).__name__}, which has no order", f"sorted({name})"
    elif isinstance(values, memoryview):
        what, instead = "a memoryview", f"numpy.asarray({name})"
    elif hasattr(values, "collect_schema") and not hasattr(values, "height"):
        what, instead = "a LazyFrame, which holds no rows yet", f"{name}.collect()"
    elif not any(hasattr(values, name) for name in ("__len__", "shape", "__array__")):
        what, instead = f"of type {type(values).__name__}, {values!r:.60}", "an array"
    else:
        _check_layout(values, name)
        return
    raise TypeError(
        f"{name} is {what}; expected an array, a sparse matrix, a DataFrame or a list, with an "
        f"entry for each row. Pass {instead}"
    )


def check_not_masked(array: np.ndarray, name: str) -> None:
    """Raise ValueError if cells of an array are masked, which NumPy would unmask."""
    if not isinstance(array, np.ma.MaskedArray) or not np.ma.is_masked(array):
        return
    raise ValueError(
        f"{name} is a masked array of which {np.ma.count_masked(array)} cells are masked; expected "
        f"numbers that are all known. Pass {name}.filled(value), or impute "
        f"{name}.astype(float).filled(numpy.nan) by SimpleImputer"
    )


def _is_tensor(values: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def _check_layout(values: Any, name: str) -> None:
    """Raise TypeError for a sparse tensor, of which not even torch can pick rows."""
    if _is_tensor(values) and values.layout != sys.modules["torch"].strided:
        raise TypeError(
            f"{name} is a tensor of layout {values.layout}; expected a dense one. Pass "
            f"{name}.to_dense(), or a sparse matrix of scipy"
        )


def without_torch(values: Any, name: str) -> Any:
    """Values themselves, or the array that shares a tensor's memory; what comes out is NumPy's.

    Raises
    ------
    TypeError
        If they are a tensor of another device or layout, or with a gradient.
    """
    if not _is_tensor(values):
        return values
    _check_layout(values, name)
    if values.device.type != "cpu" or values.requires_grad:
        what = f"on {values.device}" if values.device.type != "cpu" else "that requires grad"
        stay = ", or stay in torch with the module that to_torch() makes" if name == "X" else ""
        raise TypeError(
            f"{name} is a tensor {what}; expected rows in memory, as predictions are made with "
            f"NumPy. Pass {name}.detach().cpu(){stay}"
        )
    return (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()


def check_holds_numbers(values: Any, name: str) -> list[Any]:
    """Raise TypeError for what is no number; return the dtype of an array, or those of columns."""
    if sp.issparse(values):
        _check_not_complex(values.dtype, name)
        return [values.dtype]
    if hasattr(values, "columns") and hasattr(values, "dtypes"):
        dtypes = list(values.dtypes)
        _check_different_names(list(values.columns), name)
        for number, (column_name, dtype) in enumerate(zip(values.columns, dtypes, strict=True)):
            if not _is_numeric(dtype):
                of_pandas = hasattr(values, "iloc")
                column = values.iloc[:, number] if of_pandas else values[:, number]
                _check_entries(column, values, repr(column_name), dtype, name)
        return dtypes
    array = values if isinstance(values, np.ndarray) else _plain_array(values, name)
    _check_not_complex(array.dtype, name)
    if array.dtype.kind == "V":
        raise TypeError(
            f"{name} is a structured array of dtype {array.dtype}; expected a matrix of numbers. "
            f"Pass numpy.lib.recfunctions.structured_to_unstructured({name})"
        )
    if array.dtype.kind in "mMUSTO":
        columns = array.T if array.ndim == 2 else [array.ravel()]
        for number, column in enumerate(columns):
            _check_entries(column, values, str(number), array.dtype, name)
    return [array.dtype]


def array_of_numbers(values: Any, name: str) -> np.ndarray:
    """An array of numbers, in the dtype that they have.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If they are None, masked, or of rows of different lengths.
    """
    if values is None:
        raise ValueError(f"{name} is None; expected numbers. Pass an array of them")
    values = without_torch(values, name)
    if isinstance(values, Real):
        return np.asarray(values)
    if isinstance(values, np.ndarray):
        check_not_masked(values, name)
    else:
        check_container(values, name)
    check_holds_numbers(values, name)
    array = np.asarray(values)
    return array.astype(np.float64) if array.dtype.kind == "O" else array


def _check_not_complex(dtype: Any, name: str) -> None:
    if dtype.kind == "c":
        raise ValueError(
            f"{name} holds complex numbers (dtype {dtype}); expected real numbers. Complex data "
            f"not supported: pass {name}.real, {name}.imag or abs({name}), side by side as columns "
            "where all of them count"
        )


def _check_different_names(names: list[Any], name: str) -> None:
    if len(set(names)) < len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise ValueError(
            f"{name} has {names.count(twice)} columns of the name {twice!r}; expected each name "
            f"once. Pass {name}.loc[:, ~{name}.columns.duplicated()], or rename them"
        )


def _is_numeric(dtype: Any) -> bool:
    """Whether a column of a DataFrame of pandas or polars needs no look at its entries."""
    if hasattr(dtype, "is_numeric"):
        return dtype.is_numeric() or str(dtype) in ("Boolean", "Null")
    return dtype.kind in "biuf"


def _plain_array(values: Any, name: str) -> np.ndarray:
    """An array of a list or the like, whose numbers are not made text by the text among them."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        rows = [hasattr(row, "__len__") for row in values]
        if not all(rows) and any(rows):
            raise ValueError(
                f"{name} holds rows and single values side by side; expected rows of as many "
                "entries each. Write a row of one entry as [value]"
            ) from error
        lengths = {len(row) for row in values if hasattr(row, "__len__")}
        if len(lengths) < 2:
            return np.empty((0, 0))  # scikit-learn has a message for it
        raise ValueError(
            f"{name} holds rows of {min(lengths)} to {max(lengths)} entries; expected as many in "
            "each row. Fill up the short ones, or encode lists of names by MultiLabelBinarizer"
        ) from error
    except TypeError:
        return np.empty((0, 0))
    return np.asarray(values, dtype=object) if array.dtype.kind in "US" else array


def _check_entries(column: Any, values: Any, column_name: str, dtype: Any, name: str) -> None:
    """Raise TypeError if an entry of a column is no number."""
    entry = next((entry for entry in column if not _is_number(entry)), None)
    if entry is None:
        return
    kinds = [kind for kind, types in _KINDS.items() if isinstance(entry, types)]
    kind = kinds[0] if kinds else f"entries of type {type(entry).__name__}"
    where = "" if np.ndim(values) == 1 else f" in column {column_name}"
    example = entry.item() if isinstance(entry, np.str_ | np.bytes_) else entry
    if isinstance(entry, int):
        kind, example = "numbers beyond those of float64", f"{str(entry)[:9]}..."
    # scikit-learn's checks look for Python's own words about objects.
    why = "" if kinds else ", as a float() argument must be a string or a real number"
    raise TypeError(
        f"{name} holds {kind}{where} (dtype {dtype}, such as {example!r:.80}); expected "
        f"numbers{why}. {_to_type(kind, values, column_name, name)}"
    )


def _is_number(entry: Any) -> bool:
    """Whether an entry of a column of objects is a number, or missing."""
    if isinstance(entry, float) or entry is None:
        return True
    if isinstance(entry, _NO_NUMBERS):
        return False
    if isinstance(entry, int):
        return abs(entry) <= _LARGEST
    return isinstance(entry, Number | np.bool_) or is_pandas_na(entry) or _is_scalar(entry)


def _is_scalar(entry: Any) -> bool:
    """Whether an entry is an array or tensor of one number."""
    return getattr(entry, "shape", None) == () and hasattr(entry, "__float__")


def _to_type(kind: str, values: Any, column_name: str, name: str) -> str:
    """What makes numbers of a column."""
    if kind.startswith(("entries", "complex")):
        if "dict" in kind:
            return f"Pass DictVectorizer().fit_transform({name}), or make it the first step"
        return "Put a number in its place, or make columns of numbers of it"
    if kind.startswith("numbers"):
        return "Divide them, or take their logarithms"
    if name != "X" and kind != "text":
        return f"Pass numbers in the place of {name}"
    if name != "X":
        return f"Pass {name}.astype(float) of numbers that are written as text"
    if np.ndim(values) == 1:
        return (
            "Pass TfidfVectorizer().fit_transform(X), or make it the first step of a pipeline"
            if kind == "text"
            else "Pass a matrix with a column of numbers for each feature"
        )
    if kind == "text":
        cast = "cast(pl.Float64)" if hasattr(values, "with_columns") else "astype(float)"
        return (
            f"Cast numbers that are written as text by X.{cast}, and encode categories by "
            "OneHotEncoder in a ColumnTransformer"
        )
    column = f"X[{column_name}]" if hasattr(values, "columns") else f"X[:, {column_name}]"
    if isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        since = f"({column} - np.datetime64(0, 's'))" if kind == "dates" else column
        numbers = f"{since} / np.timedelta64(1, 's')"
    else:
        method = "toordinal" if kind == "dates" else "total_seconds"
        numbers = f"[entry.{method}() for entry in {column}]"
    return f"Put numbers in their place, such as {numbers}"
