"""Tags: a y whose rows are lists, tuples or sets of text, encoded as a matrix of named labels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import accuracy_score
from sklearn.utils._missing import is_pandas_na
from sklearn.utils.validation import check_consistent_length

from sklearn_mlce._targets.containers import container_of
from sklearn_mlce._targets.targets import TargetFormat, Targets

_COLLECTIONS = (list, tuple, set, frozenset, np.ndarray)


def entries_of(y: Any) -> list[Any] | None:
    """Entries of a list, a column or a table of one column; None of anything else."""
    container = container_of(y)
    if container == "numpy":
        is_column = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
        return y.ravel().tolist() if is_column else None
    if container == "other":
        return list(y) if isinstance(y, list | tuple) else None
    if len(getattr(y, "shape", (0,))) == 2:
        if y.shape[1] != 1:
            return None
        y = {
            "pandas": lambda: y.iloc[:, 0],
            "polars": lambda: y[:, 0],
            "pyarrow": lambda: y.column(0),
        }[container]()
    to_list = {"pandas": "tolist", "polars": "to_list", "pyarrow": "to_pylist"}[container]
    return getattr(y, to_list)() if hasattr(y, to_list) else None


def is_missing(entry: Any) -> bool:
    """Whether an entry is None, NaN or pandas' NA."""
    return entry is None or (isinstance(entry, float) and math.isnan(entry)) or is_pandas_na(entry)


def tag_rows(y: Any, *, certain: bool = False) -> list[Any] | None:
    """Rows of a y of tags; None if y is something else, or may be.

    Parameters
    ----------
    y : array-like
        Tags if each row is a list, tuple or set of text, or missing. A list of lists that are
        all as long is a matrix of text, the classes of several outputs.
    certain : bool, default=False
        Whether y can be nothing but labels, so that such a list, and rows that are all empty, are
        tags as well.

    Raises
    ------
    ValueError
        If y is tags, and a row is missing.
    """
    if isinstance(y, np.ndarray) and y.dtype.kind != "O":
        return None
    rows = entries_of(y)
    if not rows or not _are_tags(rows, certain):
        return None
    if not certain and isinstance(y, list | tuple) and _is_matrix(rows):
        return None
    n_missing = sum(not isinstance(row, _COLLECTIONS) for row in rows)
    if n_missing:
        raise ValueError(
            f"{n_missing} of {len(rows)} rows of y are missing; expected the tags of each. Type "
            'tags_to_y(y, missing="empty") of sklearn_mlce.labels if they carry no tag, or leave '
            "these rows out if their tags are unknown"
        )
    return rows


def _are_tags(rows: list[Any], certain: bool) -> bool:
    """Whether all rows are collections of text, or missing; one at least holds a tag."""
    n_tags = 0
    for row in rows:
        if isinstance(row, _COLLECTIONS):
            if not all(isinstance(tag, str) for tag in row):
                return False
            n_tags += len(row)
        elif not is_missing(row):
            return False
    return n_tags > 0 or (certain and any(isinstance(row, _COLLECTIONS) for row in rows))


def _is_matrix(rows: list[Any]) -> bool:
    """Whether rows are lists of one length: the classes of several outputs."""
    return all(isinstance(row, list) for row in rows) and len(set(map(len, rows))) == 1


@dataclass(frozen=True)
class TagMatrix:
    """Rows of tags as a matrix."""

    positives: sp.csr_array  # (n, L), canonical, int8, a 1 for each tag of a row
    labels: np.ndarray  # (L,), object: the tag of each column
    n_unseen: np.ndarray  # (n,): how many tags of each row are no column

    @classmethod
    def of(cls, rows: Iterable[Any], labels: np.ndarray | None = None) -> TagMatrix:
        """Matrix of rows of tags, which are sorted; or of the labels given, in their order."""
        rows = [set(row.tolist() if isinstance(row, np.ndarray) else row) for row in rows]
        if labels is None:
            labels = as_objects(sorted_tags(set().union(*rows)))
        column_of = {tag: column for column, tag in enumerate(labels.tolist())}
        columns: list[int] = []
        row_ends, n_unseen = [0], []
        for row in rows:
            known = sorted(column_of[tag] for tag in row if tag in column_of)
            columns += known
            row_ends.append(len(columns))
            n_unseen.append(len(row) - len(known))
        ones = np.ones(len(columns), dtype=np.int8)
        positives = sp.csr_array(
            (ones, np.array(columns, dtype=np.int32), np.array(row_ends)),
            shape=(len(rows), len(labels)),
        )
        return cls(positives, labels, np.array(n_unseen))


def sorted_tags(tags: Iterable[Any]) -> list[Any]:
    """Tags in order; those of several types, which have none, by type first."""
    return sorted(tags, key=lambda tag: (not isinstance(tag, str), type(tag).__name__, tag))


def as_objects(values: Iterable[Any]) -> np.ndarray:
    """Values as an array of objects, of which tuples are no second dimension."""
    values = list(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def encode_tags(rows: list[Any], labels: np.ndarray | None = None) -> Targets:
    """Targets of rows of tags, as of a DataFrame of 0 and 1 with a column for each tag.

    Parameters
    ----------
    rows : list of collection of str
        Tags of each row.
    labels : ndarray of shape (n_labels,), default=None
        Those to encode by; None takes the tags of the rows, sorted.

    Raises
    ------
    ValueError
        If a tag is not among `labels`.
    """
    matrix = TagMatrix.of(rows, labels)
    if matrix.n_unseen.any():
        number = int(matrix.n_unseen.argmax())
        unseen = sorted(set(rows[number]) - set(matrix.labels.tolist()))
        raise ValueError(
            f"y holds tags such as {unseen[0]!r} that are none of the {len(matrix.labels)} labels "
            "that the model learns, in label_names_. For partial_fit, pass every tag to the first "
            "call, partial_fit(X, y, classes=all_tags); otherwise leave these tags out by "
            "tags_to_y(y, labels=model.label_names_) of sklearn_mlce.labels"
        )
    # int64, since scikit-learn's metrics and permutations take it as it is.
    classes, dtype = np.arange(len(matrix.labels)), np.dtype(np.int64)
    target_format = TargetFormat("multilabel", classes, dtype, None, matrix.labels)
    return Targets(target_format, positives=matrix.positives, frame=_data_frame(), tags=True)


def without_tags(y: Any) -> Any:
    """A y as it is, or a matrix of 0 and 1 where it is tags, which metrics cannot read."""
    rows = tag_rows(y)
    return y if rows is None else TagMatrix.of(rows).positives.toarray()


def _data_frame() -> type | None:
    """The class of a table by which other estimators learn names, if it is installed."""
    try:
        import pandas as pd
    except ImportError:
        return None
    return pd.DataFrame


def check_no_tags(y: Any, name: str = "y") -> None:
    """Raise ValueError if a y is tags, where the labels that a model has learned have no names."""
    if tag_rows(y, certain=True) is not None:
        raise nameless_error(name)


def nameless_error(name: str) -> ValueError:
    """Error about tags for a model whose labels have no names."""
    return ValueError(
        f"{name} holds tags, but the model was fitted on labels without names; expected a matrix "
        "of 0 and 1. Fit the model on tags or on a DataFrame, or pass such a matrix, "
        f"tags_to_y({name}, labels=names_of_the_columns) of sklearn_mlce.labels"
    )


def tag_accuracy(
    rows: list[Any], predicted: Any, labels: np.ndarray | None, sample_weight: Any
) -> float:
    """Fraction of the rows of tags that are predicted right; tags that are no label are missed.

    Parameters
    ----------
    rows : list of collection of str
        Tags of each row.
    predicted : {ndarray, sparse matrix} of shape (n, L)
        Predicted labels, 0 and 1.
    labels : ndarray of shape (L,) or None
        Names of the columns.
    sample_weight : array-like of shape (n,) or None
        Weights of the rows.

    Raises
    ------
    ValueError
        If columns have no names, or there are tags and none of them is a label.
    """
    if labels is None:
        raise nameless_error("y")
    check_consistent_length(rows, predicted)
    matrix = TagMatrix.of(rows, labels)
    if matrix.n_unseen.any() and not matrix.positives.nnz:
        example = next(iter(rows[int(matrix.n_unseen.argmax())]))
        raise ValueError(
            f"no tag of y, such as {example!r}, is among the labels that the model learned, such "
            f"as {labels[0]!r}; expected some of label_names_. Spell the tags as in fit"
        )
    wrong = sp.csr_array(matrix.positives != sp.csr_array(predicted)).sum(axis=1)
    wrong = (wrong > 0) | (matrix.n_unseen > 0)
    return float(accuracy_score(np.zeros(len(rows)), wrong, sample_weight=sample_weight))
