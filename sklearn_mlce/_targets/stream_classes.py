"""Classes of one chunk of a stream, encoded by the classes of the whole stream.

A chunk need not hold every class, nor even two, so it cannot be recognised for what it is by
itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import Targets, same_classes


def is_single_label(y: Any) -> bool:
    """Whether y is one class per row: of shape (n,) or (n, 1)."""
    shape = np.shape(y) if getattr(y, "shape", None) is None else y.shape
    return len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)


def are_label_values(classes: Any) -> bool:
    """Whether classes are 0 and 1: the entries of a label matrix, not the names of its columns."""
    return np.array_equal(np.unique(classes), [0, 1])


def agreed_classes(classes: Any, known: np.ndarray | None) -> np.ndarray:
    """Sorted classes; ValueError if an earlier call had others."""
    classes = np.unique(classes)
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(
            f"classes={classes.tolist()} is not the same as on the first call to partial_fit, "
            f"{known.tolist()}. Leave classes out after the first call"
        )
    return classes


def are_classes_of_outputs(classes: Any) -> bool:
    """Whether classes are those of several outputs: an array for each."""
    if isinstance(classes, np.ndarray):
        return classes.ndim == 2
    return (
        isinstance(classes, list | tuple)
        and len(classes) > 0
        and all(np.ndim(of_output) == 1 for of_output in classes)
    )


def classes_of_outputs(classes: Any, known: list[np.ndarray] | None) -> list[np.ndarray]:
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
