"""Checks of a y of one class a row: what was seen, what was expected, and what to type."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import type_of_target

from sklearn_mlce._targets.output_classes import missing_entries


def check_of_one_type(y: Any, array: np.ndarray) -> None:
    """Raise ValueError if the classes of a y are missing, text and numbers, or none at all.

    NumPy would make text of both in a list.

    Parameters
    ----------
    y : array-like
        As it was given.
    array : ndarray of shape (n,) or (n, 1)
        Its array, of no numbers.
    """
    if array.dtype.kind == "c":
        raise ValueError(
            f"y holds complex numbers (dtype {array.dtype}); expected classes. Complex data not "
            "supported: pass y.real"
        )
    if array.dtype.kind == "V":
        raise ValueError(
            f"y is a structured array of dtype {array.dtype}; expected classes. Pass one of its "
            f"fields, such as y[{(array.dtype.names or ('name',))[0]!r}]"
        )
    if array.dtype.kind in "US" and hasattr(y, "dtype"):
        return
    entries = np.asarray(array if hasattr(y, "dtype") else y, dtype=object).ravel()
    missing = missing_entries(entries)
    if missing.any():
        raise _missing_error(missing)
    is_text = [isinstance(entry, str | bytes) for entry in entries]
    if any(is_text) and not all(is_text):
        seen = [entries[is_text.index(True)], entries[is_text.index(False)]]
        raise ValueError(
            f"y holds text and other things, such as {seen}; expected classes of one type. Pass "
            "y.astype(str) of an array, or [str(label) for label in y]"
        )


def check_are_classes(y: np.ndarray) -> None:
    """Raise ValueError unless the entries of a y, of shape (n,), may be classes."""
    if y.dtype.kind == "f" and np.isnan(y).any():
        raise _missing_error(np.isnan(y))
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    kind = type_of_target(y, input_name="y")
    if kind == "continuous":
        broken = y[y != np.round(y)][0].item()
        raise ValueError(
            f"Unknown label type: continuous, such as {broken:g} in y; expected classes, whole "
            "numbers or text. Cut numbers into classes, as by np.digitize(y, edges); soft labels "
            "are a matrix"
        )
    if kind == "unknown":
        entry = y[0]
        raise ValueError(
            f"Unknown label type: y holds {entry!r:.60}, of type {type(entry).__name__}; expected "
            "classes, whole numbers or text. Pass [str(label) for label in y]"
        )


def _missing_error(missing: np.ndarray) -> ValueError:
    return ValueError(
        f"Input y contains NaN or None in {np.count_nonzero(missing)} of {len(missing)} rows; "
        "expected a class in each. Leave these rows out, X[known] and y[known] with "
        "known = ~pandas.isna(y)"
    )
