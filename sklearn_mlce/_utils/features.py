"""Features as estimators take them: validated, as floats, and nothing cast that is no number."""

from __future__ import annotations

import datetime
import sys
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import validate_data

from sklearn_mlce._utils.sparse_format import check_sparse

# What NumPy would cast. pandas' Timestamp and Timedelta are among them.
_KINDS: dict[str, tuple[type, ...]] = {
    "text": (str, bytes),
    "dates": (datetime.date, np.datetime64),
    "durations": (datetime.timedelta, np.timedelta64),
}
_NO_NUMBERS = sum(_KINDS.values(), ())


def validated_features(estimator: Any, X: Any, *, reset: bool, order: str | None = None) -> Any:
    """Validate X and set, or check, what an estimator knows of its features.

    Parameters
    ----------
    estimator : estimator
        Which is fitted on X, or was on others of the same features.
    X : {array-like, sparse matrix} of shape (n, d)
        Numbers.
    reset : bool
        Whether X sets `n_features_in_` and `feature_names_in_`; they are checked otherwise.
    order : {"C", None}, default=None
        Memory layout of a dense result; None leaves it.

    Returns
    -------
    ndarray or CSR matrix of shape (n, d)
        float32 of float32 and float16, else float64.

    Raises
    ------
    TypeError
        If X holds text, dates or durations, which NumPy would cast, or is a tensor of another
        device or with a gradient.
    ValueError
        If X is None, or otherwise not usable.
    """
    check_X(X)
    X = _without_torch(X)
    dtypes = _check_holds_numbers(X)
    # scikit-learn makes float64 of these but for float32 that it knows to be such.
    narrow = bool(dtypes) and {str(dtype).lower() for dtype in dtypes} <= {"float16", "float32"}
    return validate_data(
        estimator,
        X,
        accept_sparse="csr",
        dtype=np.float32 if narrow else (np.float64, np.float32),
        order=order,
        reset=reset,
    )


def check_X(X: Any) -> None:
    """Raise ValueError if X is None, or sparse and damaged; rows of any kind pass."""
    if X is None:
        raise ValueError(
            "X is None; expected the features of each row, of shape (n_samples, n_features)"
        )
    check_sparse(X, "X")


def _without_torch(X: Any) -> Any:
    """X itself, or the array that shares a tensor's memory; what comes out is NumPy's."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(X, torch.Tensor):
        return X
    if X.device.type != "cpu" or X.requires_grad:
        what = f"on {X.device}" if X.device.type != "cpu" else "that requires grad"
        raise TypeError(
            f"X is a tensor {what}; expected rows in memory, as predictions are made with NumPy. "
            "Pass X.detach().cpu(), or stay in torch with the module that to_torch() makes"
        )
    return X.numpy()


def _check_holds_numbers(X: Any) -> list[Any]:
    """Raise TypeError for what is no number; return the dtype of X, or those of its columns."""
    if sp.issparse(X):
        return [X.dtype]
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        dtypes = list(X.dtypes)
        for number, (name, dtype) in enumerate(zip(X.columns, dtypes, strict=True)):
            if not _is_numeric(dtype):
                column = X.iloc[:, number] if hasattr(X, "iloc") else X[:, number]
                _check_entries(column, X, repr(name), dtype)
        return dtypes
    array = X if isinstance(X, np.ndarray) else _plain_array(X)
    if array.dtype.kind in "mMUSTO":
        columns = array.T if array.ndim == 2 else [array.ravel()]
        for number, column in enumerate(columns):
            _check_entries(column, X, str(number), array.dtype)
    return [array.dtype]


def _is_numeric(dtype: Any) -> bool:
    """Whether a column of a DataFrame of pandas or polars needs no look at its entries."""
    if hasattr(dtype, "is_numeric"):
        return dtype.is_numeric() or str(dtype) in ("Boolean", "Null")
    return dtype.kind in "biufc"


def _plain_array(X: Any) -> np.ndarray:
    """An array of a list or the like, whose numbers are not made text by the text among them."""
    try:
        array = np.asarray(X)
    except (TypeError, ValueError):  # scikit-learn has a message for it
        return np.empty((0, 0))
    return np.asarray(X, dtype=object) if array.dtype.kind in "US" else array


def _check_entries(column: Any, X: Any, name: str, dtype: Any) -> None:
    """Raise TypeError if an entry of a column is no number."""
    entry = next((entry for entry in column if isinstance(entry, _NO_NUMBERS)), None)
    if entry is None:
        return
    kind = next(kind for kind, types in _KINDS.items() if isinstance(entry, types))
    where = "" if np.ndim(X) == 1 else f" in column {name}"
    example = entry.item() if isinstance(entry, np.str_ | np.bytes_) else entry
    raise TypeError(
        f"X holds {kind}{where} (dtype {dtype}, such as {example!r}); expected numbers. "
        f"{_to_type(kind, X, name)}"
    )


def _to_type(kind: str, X: Any, name: str) -> str:
    """What makes numbers of a column."""
    if np.ndim(X) == 1:
        return (
            "Pass TfidfVectorizer().fit_transform(X), or make it the first step of a pipeline"
            if kind == "text"
            else "Pass a matrix with a column of numbers for each feature"
        )
    if kind == "text":
        cast = "cast(pl.Float64)" if hasattr(X, "with_columns") else "astype(float)"  # of polars
        return (
            f"Cast numbers that are written as text by X.{cast}, and encode categories by "
            "OneHotEncoder in a ColumnTransformer"
        )
    column = f"X[{name}]" if hasattr(X, "columns") else f"X[:, {name}]"
    if isinstance(X, np.ndarray) and X.dtype.kind in "mM":
        since = f"({column} - np.datetime64(0, 's'))" if kind == "dates" else column
        numbers = f"{since} / np.timedelta64(1, 's')"
    else:
        method = "toordinal" if kind == "dates" else "total_seconds"
        numbers = f"[entry.{method}() for entry in {column}]"
    return f"Put numbers in their place, such as {numbers}"
