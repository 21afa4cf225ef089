"""Label sets given as y that are no tags as `fit` takes them: what to type instead.

`fit` takes collections of text (:mod:`sklearn_mlce._targets.tags`). Collections of numbers, columns
of several and strings of labels may mean something else, and are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Any

import numpy as np

from sklearn_mlce._targets.containers import container_of

_COLLECTIONS = (set, frozenset, list, tuple, np.ndarray)

# What may stand between the labels of a string.
_SEPARATORS = ",;|"

# What stands around them where Python wrote a list or a set into a string.
_AROUND = " \t[](){}'\""


def check_no_label_sets(y: Any, array: np.ndarray) -> None:
    """Raise ValueError if the entries of y are collections of labels.

    Parameters
    ----------
    y : array-like
        As it was given: its array is a matrix where all collections have as many labels, but a
        list of tuples of text, and a Series, are label sets.
    array : ndarray
        The array of y.
    """
    if array.ndim == 0:
        return
    if array.dtype.kind == "O":
        is_collection = [isinstance(entry, _COLLECTIONS) for entry in array.flat]
        if any(is_collection):
            table = array.reshape(len(array), -1)
            column = is_collection.index(True) % table.shape[1]
            raise label_sets_error(y, table[:, column], column, table.shape[1])
    is_list = isinstance(y, list | tuple)
    if array.shape[1:] == (0,) and is_list:  # all of them are empty
        raise label_sets_error(y, y)
    if array.ndim == 2 and array.dtype.kind in "OUT":
        has_text = any(isinstance(entry, str) for entry in array[:1].ravel().tolist())
        of_tuples = is_list and all(isinstance(row, tuple) for row in y)
        of_series = len(getattr(y, "shape", ())) == 1
        if has_text and (of_tuples or of_series):
            raise label_sets_error(y, y)


def label_sets_error(y: Any, rows: Any, column: int = 0, n_columns: int = 1) -> ValueError:
    """Error about a y of which some rows, all or a column of several, are label sets."""
    if container_of(y) == "polars":  # whose arrays of lists hide the missing ones
        rows = (y[:, column] if len(y.shape) == 2 else y).to_list()
    sets = [row for row in rows if isinstance(row, Iterable)]
    filled = (row for row in sets if isinstance(row, Sized) and len(row))
    example = next(filled, sets[0] if sets else ())
    if isinstance(example, np.ndarray):
        example = example.tolist()
    tags, what = _rows_of_column(y, column), "y"
    if n_columns > 1:
        what = f"column {_name(y, column)!r} of y"
    elif _are_rows_of_a_matrix(rows):
        return ValueError(
            f"y is a collection of rows of a matrix such as {example!r}; expected the matrix. Pass "
            f"np.array([*{tags}])"
        )
    note = ""
    if len(sets) < len(rows):
        tags += ', missing="empty"'
        note = ", with no label for a missing set (drop these rows if their labels are unknown)"
    return ValueError(
        f"{what} is a collection of label sets such as {example!r}; expected lists of text, or a "
        "matrix of 0 and 1 of shape (n_samples, n_labels), which tags_to_y of "
        f"sklearn_mlce.labels makes{note}. Type\n{_line(tags)}"
    )


def check_no_sets_in_matrix(y: Any, array: np.ndarray) -> None:
    """Raise ValueError if a list of lists of text, all as long, looks like sets of tags.

    A matrix of text is the classes of several outputs. Sets of as many tags by chance have the
    same tag now in one column, now in another, and next to none has a tag twice.

    Parameters
    ----------
    y : array-like
        As it was given; an array or a table is a matrix.
    array : ndarray of shape (n, m)
        Its array.
    """
    if not isinstance(y, list | tuple) or array.shape[1] < 2:
        return
    table = array.tolist()
    if 10 * sum(len(set(row)) < len(row) for row in table) > len(table):
        return
    columns_of: dict[Any, set[int]] = {}
    for row in table:
        for column, value in enumerate(row):
            columns_of.setdefault(value, set()).add(column)
    n_moving = sum(len(columns) > 1 for columns in columns_of.values())
    if len(columns_of) < 3 or 2 * n_moving < len(columns_of):
        return
    raise ValueError(
        f"y is a list of lists of {array.shape[1]} texts each, such as {table[0]!r}; expected "
        f"the classes of as many outputs, but {n_moving} of {len(columns_of)} texts stand in more "
        "than one place, as tags do. Pass [set(row) for row in y] for tags, np.array(y) "
        "for several outputs"
    )


def _are_rows_of_a_matrix(rows: Any) -> bool:
    """Whether rows that may be label sets hold as many entries each, all of them 0 or 1."""
    try:
        matrix = np.array([*rows])
    except ValueError:
        return False
    is_matrix = matrix.ndim == 2 and matrix.shape[1] > 1 and matrix.dtype.kind in "biuf"
    return is_matrix and bool(((matrix == 0) | (matrix == 1)).all())


def _name(y: Any, column: int) -> Any:
    names = getattr(y, "columns", None)
    return column if names is None else list(names)[column]


def _rows_of_column(y: Any, column: int) -> str:
    """Expression of the rows of a column of y, which is y itself where it has one dimension."""
    container, is_matrix = container_of(y), len(getattr(y, "shape", ())) == 2
    if container == "pyarrow":
        return f"y.column({column}).to_pylist()" if is_matrix else "y.to_pylist()"
    if not is_matrix:
        return "y"
    return f"y.iloc[:, {column}]" if container == "pandas" else f"y[:, {column}]"


def _line(tags: str) -> str:
    """The line that makes a DataFrame with the names of the labels."""
    return f"    y = tags_to_y({tags})"


def check_no_joined_labels(y: Any, array: np.ndarray) -> None:
    """Raise ValueError if the classes of a 1-D y are label sets joined into strings.

    They are if splitting makes fewer different parts of them, at least half of which stand now
    here and now there in their strings: the parts of other names keep their places, as in
    "Paris, France".

    Parameters
    ----------
    y : array-like
        As it was given, for what to type.
    array : ndarray of shape (n,) or (n, 1)
        Its array.
    """
    if array.dtype.kind not in "OUT":
        return
    entries = array.ravel().tolist()
    strings = {entry for entry in entries if isinstance(entry, str)}
    for separator in _SEPARATORS:
        labels = _joined_labels(strings, separator)
        if labels:
            break
    else:
        return
    example = max(strings, key=lambda string: (string.count(separator) == 1, string))
    raise ValueError(
        f"y holds strings of several labels such as {example!r}: {len(strings):,} different ones "
        f"are made of {len(labels):,} labels by {separator!r}; expected lists of text, or a matrix "
        "of 0 and 1 of shape (n_samples, n_labels), which tags_to_y of sklearn_mlce.labels makes. "
        f"Type\n{_line(_split(y, array, separator))}\nIf each string is a class by itself, "
        f"write it without {separator!r}"
    )


def _joined_labels(strings: set[str], separator: str) -> set[str]:
    """The labels that strings are made of; none if they are classes by themselves."""
    places: dict[str, set[int]] = {}
    for string in strings:
        for place, part in enumerate(string.split(separator)):
            places.setdefault(part.strip(_AROUND), set()).add(place)
    places.pop("", None)
    n_moving = sum(len(seen) > 1 for seen in places.values())
    return set(places) if len(places) < len(strings) and 2 * n_moving >= len(places) else set()


def _split(y: Any, array: np.ndarray, separator: str) -> str:
    """Arguments of `tags_to_y` that split strings of labels."""
    entries = array.ravel().tolist()
    strings = [entry for entry in entries if isinstance(entry, str) and entry]
    if all(string[0] in "[({" and string[-1] in "])}" for string in strings):
        rows = _rows_of_column(y, 0)
        return f"[ast.literal_eval(row) if isinstance(row, str) else () for row in {rows}]"
    missing = ', missing="empty"' if any(not isinstance(entry, str) for entry in entries) else ""
    return f'{_rows_of_column(y, 0)}, delimiter="{separator}"{missing}'
