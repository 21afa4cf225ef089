"""Targets of one chunk of a stream, encoded by the classes of the whole stream.

A chunk need not hold every class, nor even two, so its kind cannot be told from it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from sklearn_mlce._targets.encoding import check_y_given, encode_outputs, encode_targets
from sklearn_mlce._targets.label_sets import check_no_label_sets
from sklearn_mlce._targets.tags import as_objects, check_no_tags, sorted_tags, tag_rows
from sklearn_mlce._targets.targets import TargetFormat, Targets, same_classes
from sklearn_mlce._utils.numeric_input import check_container


def chunk_encoder(
    y: Any, classes: Any, known_format: TargetFormat | None, loss_by_first_chunk: bool = False
) -> Callable[[Any], Targets]:
    """Choose the function that encodes the y of a chunk.

    Parameters
    ----------
    y : array-like
        Labels of the chunk.
    classes : array-like or None
        As the user gave them.
    known_format : TargetFormat or None
        Of the first chunk; None where this is the first.
    loss_by_first_chunk : bool, default=False
        Whether the loss was chosen by whether the labels of the first chunk are soft.

    Raises
    ------
    ValueError
        If y is None, or `classes` are not those of the earlier chunks.
    """
    check_y_given(y, "partial_fit")
    classes = _as_listed(classes)
    first = known_format is None
    label_names = _names_of_tags(classes, known_format)
    if label_names is not None and tag_rows(y, certain=True) is not None:
        return partial(_encode_tags, label_names=label_names, known_format=known_format)
    if label_names is None and known_format is not None and not known_format.single_label:
        check_no_tags(y)
    known = None if known_format is None else known_format.classes
    if isinstance(known, list) or (first and _are_classes_of_outputs(classes)):
        of_outputs = _classes_of_outputs(classes, known)
        return partial(encode_outputs, known=known_format or of_outputs)
    single = _is_single_label(y) if known_format is None else known_format.single_label
    if classes is not None and (single or not _are_label_values(classes)):
        known = _agreed_classes(classes, known)
    if known is None:
        return encode_targets
    if single:
        return partial(encode_classes, classes=known)
    takes_soft = not loss_by_first_chunk or (known_format is not None and known_format.fractional)
    return partial(_encode_labels, labels=known, known_format=known_format, takes_soft=takes_soft)


def _as_listed(classes: Any) -> Any:
    """Classes that can be read twice.

    Raises
    ------
    TypeError
        If they are a text, a dict or an iterator.
    ValueError
        If some are missing: None or NaN.
    """
    if classes is None:
        return None
    if isinstance(classes, Set):
        classes = list(classes)  # their order does not count
    check_container(classes, "classes")
    for known in classes if _are_classes_of_outputs(classes) else (classes,):
        if any(value is None or value != value for value in np.asarray(known, object).ravel()):
            raise ValueError(
                f"classes holds None or NaN, which is no class: {list(known)[:5]}; expected all "
                "classes. Leave it out, and rows of y whose class is not known"
            )
    return classes


def _names_of_tags(classes: Any, known_format: TargetFormat | None) -> np.ndarray | None:
    """Names that the tags of a chunk are encoded by; None if the stream has none."""
    if known_format is None:
        return as_objects(sorted_tags(set(classes))) if _are_tags(classes) else None
    names = known_format.label_names
    if known_format.kind not in ("multilabel", "soft") or names is None:
        return None
    if _are_tags(classes):
        _agreed_classes(list(classes), np.unique(names))
    return names


def _are_tags(classes: Any) -> bool:
    """Whether classes are given, and all of them are text."""
    return classes is not None and all(isinstance(name, str) for name in classes)


def _encode_tags(y: Any, label_names: np.ndarray, known_format: TargetFormat | None) -> Targets:
    """Targets of a chunk of tags, by the labels of the stream."""
    targets = encode_targets(y, label_names)
    fractional = known_format is not None and known_format.fractional
    return replace(targets, format=replace(targets.format, fractional=fractional))


def _encode_labels(
    y: Any, labels: np.ndarray, known_format: TargetFormat | None, takes_soft: bool
) -> Targets:
    """Targets of a matrix that has to have the labels of the stream."""
    targets = encode_targets(y)
    if targets.kind == "multioutput":
        raise ValueError(
            "y holds classes of several outputs, but the y of the first call to "
            "partial_fit was taken for labels. Pass every class to the first call: "
            "partial_fit(X, y, classes=[classes of output 0, classes of output 1, ...]), or "
            "(y > 0).astype(int) where a label was counted twice"
        )
    if not np.array_equal(targets.classes, labels):
        first = known_format is None
        raise ValueError(_other_labels_message(targets.n_outputs, labels, first))
    if known_format is None:
        return targets
    if targets.format.fractional and not takes_soft:
        raise ValueError(
            "y holds soft labels between 0 and 1, but the first call to partial_fit had labels of "
            "0 and 1, for which loss='auto' trains a hinge, whose minimum is not at a soft label. "
            "Set loss='mlce' and start anew, or pass (y > 0.5)"
        )
    # One loss for all chunks, where it depends on whether targets are soft.
    fractional = known_format.fractional
    return replace(targets, format=replace(targets.format, fractional=fractional))


def _other_labels_message(n_labels: int, labels: np.ndarray, first: bool) -> str:
    """Message about a multi-label y of other labels than the known ones."""
    if first:
        return (
            f"classes={labels.tolist()} does not fit a multi-label y of {n_labels} columns; "
            f"expected None, np.arange({n_labels}), or [0, 1], the values of its entries. Leave "
            "classes out; labels have names where y is a DataFrame"
        )
    return (
        f"y has {n_labels} labels; expected {len(labels)}, as in the first call to partial_fit. "
        "Pass the same columns in every call"
    )


def _is_single_label(y: Any) -> bool:
    """Whether y is one class per row: of shape (n,) or (n, 1)."""
    try:
        shape = np.shape(y) if getattr(y, "shape", None) is None else y.shape
    except ValueError:  # label sets, which the encoding refuses
        return False
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def _are_label_values(classes: Any) -> bool:
    """Whether classes are 0 and 1: the entries of a label matrix, not the names of its columns."""
    return np.array_equal(np.unique(classes), [0, 1])


def _agreed_classes(classes: Any, known: np.ndarray | None) -> np.ndarray:
    """Sorted classes; ValueError if an earlier call had others."""
    classes = np.unique(classes)
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(
            f"classes={classes.tolist()} is not the same as on the first call to partial_fit, "
            f"{known.tolist()}. Leave classes out after the first call"
        )
    return classes


def _are_classes_of_outputs(classes: Any) -> bool:
    """Whether classes are those of several outputs: an array for each."""
    if isinstance(classes, np.ndarray):
        return classes.ndim == 2
    return (
        isinstance(classes, list | tuple)
        and len(classes) > 0
        and all(np.ndim(of_output) == 1 for of_output in classes)
    )


def _classes_of_outputs(classes: Any, known: list[np.ndarray] | None) -> list[np.ndarray]:
    """Sorted classes of each output; ValueError if an earlier call had others."""
    if classes is None:
        assert known is not None
        return known
    found = [np.unique(of_output) for of_output in classes]
    if known is not None and not same_classes(found, known):
        raise ValueError(
            f"classes={[c.tolist() for c in found]} are not the same as on the first call to "
            f"partial_fit, {[c.tolist() for c in known]}. Leave classes out after the first call"
        )
    return found


def encode_classes(y: Any, classes: np.ndarray) -> Targets:
    """Single-label targets of rows that need not hold every class, nor even two.

    Parameters
    ----------
    y : array-like of shape (n,) or (n, 1)
        Class of each row.
    classes : ndarray of shape (n_classes,)
        All classes, sorted.

    Raises
    ------
    ValueError
        If y holds a class that is not among `classes`.
    """
    if not sp.issparse(y):
        check_no_label_sets(y, np.asarray(y, dtype=None if hasattr(y, "dtype") else object))
    y = column_or_1d(y.toarray() if sp.issparse(y) else y, warn=True)
    unseen = [value for value in np.unique(y).tolist() if value not in classes]
    if unseen:
        raise ValueError(
            f"y holds {unseen[:5]}, which are not among the classes of the first call to "
            f"partial_fit, {classes.tolist()}. Pass every class to the first call: "
            "partial_fit(X, y, classes=all_classes)"
        )
    codes = np.searchsorted(classes, y)
    target_format = encode_targets(classes).format
    if target_format.kind == "multiclass":
        return Targets(target_format, codes=codes)
    return Targets(target_format, positives=sp.csr_array(codes[:, None].astype(np.int8)))
