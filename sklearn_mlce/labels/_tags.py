"""Tags to a matrix of labels, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp

from sklearn_mlce._targets.containers import container_of
from sklearn_mlce._targets.encoding import label_names_of
from sklearn_mlce._targets.tags import TagMatrix, as_objects, entries_of, is_missing, sorted_tags
from sklearn_mlce._targets.targets import row_blocks
from sklearn_mlce._utils.numeric_input import check_container, check_not_masked, without_torch
from sklearn_mlce._utils.optional import pandas_for
from sklearn_mlce._utils.sparse_format import check_sparse

_MISSING = ("error", "empty", "unknown")


def tags_to_y(
    tags: Any,
    *,
    delimiter: str | None = None,
    labels: Any = None,
    min_count: int = 1,
    missing: str = "error",
    sparse: bool = False,
) -> Any:
    """DataFrame of 0 and 1 with a row for each row of tags and a column for each tag.

    Parameters
    ----------
    tags : list, tuple, ndarray, or Series or column of pandas, polars or pyarrow
        Tags of each row: a list, tuple, set or array of them, empty where there are none, or with
        a `delimiter` a string.
    delimiter : str, default=None
        Text between the tags of a string. Blanks around a tag are cut off, and an empty string has
        no tags.
    labels : array-like of shape (n_labels,), default=None
        Tags to take, in this order; others are left out. None takes all, sorted. Pass
        ``y_train.columns`` or ``model.label_names_`` for the rows of a test set.
    min_count : int, default=1
        Tags that fewer rows carry are left out.
    missing : {"error", "empty", "unknown"}, default="error"
        Meaning of a row of None or NaN: an error, a row without tags, or a row of unknown tags,
        which becomes a row of NaN.
    sparse : bool, default=False
        Whether the columns are sparse columns of pandas, which store the ones alone. Our estimators
        then predict a CSR matrix. ``y.sparse.to_coo().tocsr()`` makes one of `y`.

    Returns
    -------
    DataFrame of shape (n_samples, n_labels)
        0 and 1 of int64, or of float64 where rows are unknown. The index is that of a Series of
        pandas.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If a row is no collection of tags, or missing, or no tag is left, or a parameter is not
        usable.

    See Also
    --------
    y_to_tags : The way back.
    sklearn.preprocessing.MultiLabelBinarizer : The same for arrays, as a transformer.

    Examples
    --------
    >>> from sklearn_mlce.labels import tags_to_y
    >>> tags_to_y([["sea", "sun"], ["sky"], []])
       sea  sky  sun
    0    1    0    1
    1    0    1    0
    2    0    0    0
    >>> tags_to_y(["sea, sun", "sea"], delimiter=",", min_count=2)
       sea
    0    1
    1    1
    """
    pd = pandas_for("tags_to_y")
    _check_parameters(delimiter, min_count, missing, sparse)
    rows, is_unknown = _rows_of(tags, delimiter, missing)
    matrix = TagMatrix.of(rows, _columns_of(rows, labels, min_count))
    if not len(matrix.labels):
        raise ValueError(
            f"no tag is left of {len(rows):,} rows with min_count={min_count}; expected one label "
            "at least. Lower min_count, or check the tags"
        )
    index = getattr(tags, "index", None) if container_of(tags) == "pandas" else None
    if sparse:
        values = sp.csr_matrix(matrix.positives, dtype=np.int64)
        return pd.DataFrame.sparse.from_spmatrix(values, index=index, columns=matrix.labels)
    values = matrix.positives.astype(np.int64).toarray()
    if is_unknown.any():
        values = np.where(is_unknown[:, None], np.nan, values)
    return pd.DataFrame(values, index=index, columns=matrix.labels)


def _check_parameters(delimiter: Any, min_count: Any, missing: Any, sparse: bool) -> None:
    """Raise ValueError for values that `tags_to_y` does not know."""
    if delimiter is not None and (not isinstance(delimiter, str) or not delimiter):
        raise ValueError(f"delimiter must be None or text such as ',', got {delimiter!r}")
    if not isinstance(min_count, Integral) or min_count < 1:
        raise ValueError(f"min_count must be a whole number from 1 on, got {min_count!r}")
    if missing not in _MISSING:
        raise ValueError(f"missing must be one of {list(_MISSING)}, got {missing!r}")
    if sparse and missing == "unknown":
        raise ValueError(
            'missing="unknown" makes rows of NaN, which would fill sparse columns. Pass '
            'sparse=False, or missing="empty"'
        )


def _rows_of(tags: Any, delimiter: str | None, missing: str) -> tuple[list[Any], np.ndarray]:
    """Tags of each row as a collection, and a mask of the rows that are unknown."""
    entries = entries_of(tags)
    if entries is None:
        raise ValueError(
            f"tags is a {type(tags).__name__} of shape {np.shape(tags)}; expected a list or a "
            "column with the tags of each row. Pass one column; a matrix of labels needs no "
            "tags_to_y"
        )
    is_absent = np.array([is_missing(entry) for entry in entries], dtype=bool)
    if missing == "error" and is_absent.any():
        raise ValueError(
            f"{is_absent.sum():,} of {len(entries):,} rows of tags are missing. Pass "
            'missing="empty" if they carry no tag, or missing="unknown" if nobody knows their tags'
        )
    rows = [
        () if absent else _tags_of(entry, delimiter)
        for entry, absent in zip(entries, is_absent.tolist(), strict=True)
    ]
    return rows, is_absent & (missing == "unknown")


def _tags_of(entry: Any, delimiter: str | None) -> list[Any]:
    """Tags of one row."""
    if delimiter is not None:
        if not isinstance(entry, str):
            raise ValueError(
                f"a row of tags is {entry!r}; expected a string of tags with {delimiter!r} between "
                "them. Leave delimiter out for lists of tags"
            )
        return [tag for part in entry.split(delimiter) if (tag := part.strip())]
    if isinstance(entry, str | bytes) or not isinstance(entry, Iterable):
        raise ValueError(
            f"a row of tags is {entry!r}; expected a list, tuple or set of tags. Pass "
            'delimiter="," if strings hold several tags, or [[tag] for tag in tags] if each row '
            "is one tag"
        )
    row = entry.tolist() if isinstance(entry, np.ndarray) else list(entry)
    strange = [tag for tag in row if is_missing(tag) or not isinstance(tag, Hashable)]
    if strange:
        raise ValueError(f"a row of tags holds {strange[0]!r}, which is not a tag: {row!r}")
    return row


def _columns_of(rows: list[Any], labels: Any, min_count: int) -> np.ndarray:
    """Tags that become columns, in order."""
    wanted = None if labels is None else list(labels)
    if wanted is not None and len(set(wanted)) < len(wanted):
        twice = next(tag for tag, count in Counter(wanted).items() if count > 1)
        raise ValueError(f"labels holds {twice!r} more than once; expected each label once")
    counts = Counter(tag for row in rows for tag in set(row))
    if wanted is None:
        wanted = sorted_tags(counts)
    return as_objects(tag for tag in wanted if min_count == 1 or counts[tag] >= min_count)


def y_to_tags(y: Any, labels: Any = None) -> list[tuple[Any, ...] | None]:
    """Tags of each row of a matrix of labels.

    Parameters
    ----------
    y : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_labels)
        0 and 1, as `predict` returns them; NaN where unknown.
    labels : array-like of shape (n_labels,), default=None
        Names of the columns. None takes those of a DataFrame, numbers otherwise.

    Returns
    -------
    list of tuple
        Names of the labels of each row, in the order of the columns. None for a row of which all
        is unknown.

    Raises
    ------
    ValueError
        If y is no such matrix, or `labels` are not as many as its columns.

    See Also
    --------
    tags_to_y : The way back.

    Examples
    --------
    >>> from sklearn_mlce.labels import y_to_tags
    >>> y_to_tags([[1, 0, 1], [0, 1, 0], [0, 0, 0]], labels=["sea", "sky", "sun"])
    [('sea', 'sun'), ('sky',), ()]
    """
    check_sparse(y, "y")
    y = without_torch(y, "y")
    if labels is not None:
        check_container(labels, "labels")
    names = label_names_of(y) if labels is None else as_objects(labels)
    if container_of(y) == "pandas" and y.ndim == 2 and _is_sparse(y):
        y = y.sparse.to_coo()
    try:
        matrix = y.tocsr() if sp.issparse(y) else np.asarray(y)
    except ValueError as error:
        raise ValueError(
            "y holds rows of different lengths; expected a matrix of 0 and 1. Pass tags as they "
            "are: only a matrix needs y_to_tags"
        ) from error
    check_not_masked(y, "y")
    if matrix.dtype.kind == "c":
        raise ValueError("y holds complex numbers; expected 0 and 1. Pass y.real")
    if matrix.ndim != 2:
        raise ValueError(
            f"y has shape {matrix.shape}; expected a matrix of 0 and 1 of shape (n_samples, "
            "n_labels)"
        )
    names = as_objects(range(matrix.shape[1])) if names is None else names
    check_names(names, matrix.shape[1])
    found: list[tuple[Any, ...] | None] = []
    for rows in row_blocks(*matrix.shape) if matrix.shape[0] else ():
        found += _tags_of_block(matrix[rows], names)
    return found


def _is_sparse(y: Any) -> bool:
    return len(y.dtypes) > 0 and all(hasattr(dtype, "subtype") for dtype in y.dtypes)


def _tags_of_block(block: Any, names: np.ndarray) -> list[tuple[Any, ...] | None]:
    """Tags of some rows, dense or CSR."""
    if sp.issparse(block):
        block.sum_duplicates()
        values, columns, counts = block.data, block.indices, np.diff(block.indptr)
        columns, counts = _of_ones(values, columns, counts)
        unknown = np.zeros(len(counts), dtype=bool)
    else:
        try:
            block = block.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"y holds {block.item(0)!r}; expected 0 and 1. Classes of text need no y_to_tags"
            ) from error
        is_nan = np.isnan(block)
        _check_are_labels(block[~is_nan])
        unknown = is_nan.all(axis=1)
        ones = np.where(is_nan, 0, block) == 1
        columns, counts = np.nonzero(ones)[1], ones.sum(axis=1)
    parts = np.split(names[columns], np.cumsum(counts)[:-1])
    return [
        None if absent else tuple(part.tolist())
        for part, absent in zip(parts, unknown.tolist(), strict=True)
    ]


def _of_ones(
    values: np.ndarray, columns: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Columns of the entries that are 1, and how many of them each row has."""
    _check_are_labels(values)
    is_one = values == 1
    rows = np.repeat(np.arange(len(counts)), counts)[is_one]
    return columns[is_one], np.bincount(rows, minlength=len(counts))


def _check_are_labels(values: np.ndarray) -> None:
    """Raise ValueError for values other than 0 and 1."""
    other = values[(values != 0) & (values != 1)]
    if len(other):
        raise ValueError(
            f"y holds {other[0].item()!r}; expected 0 and 1. Pass y > 0.5 for probabilities, "
            "y > 0 for scores"
        )


def check_names(names: np.ndarray, n_labels: int, what: str = "labels") -> None:
    """Raise ValueError unless there is a name for each label; `what` is the argument's name."""
    if len(names) != n_labels:
        raise ValueError(
            f"{what} has {len(names)} names; expected {n_labels}, one for each column of y"
        )
