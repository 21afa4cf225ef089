"""Values in a matrix of labels that are neither labels nor soft ones: refused, with what to type.

Whole numbers of more than two values are the classes of several outputs. A matrix of 0 and 1 with
a few exceptions has them too, and would silently be trained as something else than labels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._targets.containers import container_of

# The classes of outputs have more values than these besides 0, 1 and a code for unknown labels,
# or have them in this fraction of the known cells at least.
_MOST_VALUES = 2
_LEAST_FRACTION = 0.01


def check_no_stray_values(numeric: np.ndarray, y: Any, label_names: np.ndarray | None) -> None:
    """Raise ValueError if a matrix of labels, hard or soft, has a few exceptions.

    Exceptions to 0 and 1 are, in any number of cells, -1 or else the one whole number below zero,
    which usually stands for unknown; and besides at most two values, together in less than one
    per cent of the known cells. Of soft labels, only the code for unknown is an exception.

    Parameters
    ----------
    numeric : ndarray of shape (n, L)
        The numbers of y, NaN where unknown.
    y : array-like
        As it was given, for what to type.
    label_names : ndarray of shape (L,) or None
        Names of the columns.
    """
    values, counts = np.unique(numeric[(numeric < 0) | (numeric > 1)], return_counts=True)
    if not len(values) or not np.isfinite(values).all():
        return
    code = _code_of_unknown(values)
    others = values != code
    is_unknown = np.isnan(numeric) if numeric.dtype.kind == "f" else np.zeros(1, dtype=bool)
    n_known = numeric.size - np.count_nonzero(is_unknown)
    is_soft = bool(((numeric > 0) & (numeric < 1)).any())
    if is_soft:
        has_exceptions = not others.any()
    else:
        few = others.sum() <= _MOST_VALUES and counts[others].sum() < _LEAST_FRACTION * n_known
        # Labels of a few rows may all be 0; 1 and -1 alone are another code for labels.
        has_positive = not np.isnan(code) or bool((numeric == 1).any())
        has_exceptions = few and has_positive and bool((numeric == 0).any())
    if has_exceptions:
        seen = " and ".join(_described(numeric, value, label_names) for value in values)
        raise ValueError(
            f"y is a matrix of labels but for {seen}; expected 0, 1, a number between, or NaN "
            f"where unknown. Pass {_to_type(values, y, keep=is_soft or bool(is_unknown.any()))}"
        )


def _code_of_unknown(values: np.ndarray) -> float:
    """The value that may stand for unknown labels; NaN, which equals nothing, if there is none."""
    below = values[values < 0]
    if -1 in below:
        return -1
    return float(below[0]) if len(below) == 1 and below[0] == np.round(below[0]) else np.nan


def _described(numeric: np.ndarray, value: Any, label_names: np.ndarray | None) -> str:
    """A value with the number of its cells and their columns, such as "2 in 1 cell (column 3)"."""
    cells = numeric == value
    columns = np.flatnonzero(cells.any(axis=0))
    names = columns if label_names is None else label_names[columns]
    listed = ", ".join([*map(repr, names[:3].tolist()), *["..."] * (len(names) > 3)])
    n_cells = int(np.count_nonzero(cells))
    where = f"column{'s' if len(columns) > 1 else ''} {listed}"
    return f"{_digits(value)} in {n_cells:,} cell{'s' if n_cells > 1 else ''} ({where})"


def _digits(value: Any) -> str:
    """A number as it is typed, a whole one without the point of its dtype."""
    return f"{value:.0f}" if value == np.round(value) and abs(value) < 1e15 else repr(value.item())


def _to_type(values: np.ndarray, y: Any, *, keep: bool) -> str:
    """Expressions that make labels of y; `keep` those that are soft, or unknown already."""
    container = container_of(y)
    array = {"other": "np.asarray(y)", "pyarrow": "y.to_pandas()"}.get(container, "y")
    if keep and (container == "other" or (container == "numpy" and y.dtype.kind == "O")):
        array = "np.asarray(y, dtype=float)"  # of None too
    whole, text = "astype(int)", "astype(str)"
    if container == "polars":
        whole, text = "cast(pl.Int64)", "cast(pl.String)"
    positives = f"({array} > 0).{whole}"
    classes = f"{array}.{text} for the classes of several outputs"
    codes, has_above = values[values < 0], bool((values > 1).any())
    if not len(codes):
        labels = _cleaned(container, array, None, capped=True) if keep else positives
        return f"{labels} where a label was counted twice, or {classes}"
    listed = ", ".join(map(_digits, codes))
    code = listed if len(codes) == 1 else f"[{listed}]"
    known = _cleaned(container, array, code, capped=has_above)
    no_label = "" if keep else f", {positives} where it means no label"
    return f"{known} where {code} means unknown{no_label}, or {classes}"


def _cleaned(container: str, array: str, code: str | None, *, capped: bool) -> str:
    """Expression of y with codes replaced by missing ones, and with 1 for what is above it."""
    if container == "polars":
        expression = "pl.all()" + ".clip(upper_bound=1)" * capped
        return f"y.select({expression}{'' if code is None else f'.replace({code}, None)'})"
    if container in ("pandas", "pyarrow"):
        expression = array + ".clip(upper=1)" * capped
        return expression if code is None else f"{expression}.replace({code}, np.nan)"
    numbers = f"np.minimum({array}, 1)" if capped else array
    if code is None:
        return numbers
    condition = f"np.isin({array}, {code})" if code.startswith("[") else f"{array} == {code}"
    return f"np.where({condition}, np.nan, {numbers})"
