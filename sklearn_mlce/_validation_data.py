"""The rows that fit is given to score, encoded by the classes of those it trains on."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import column_or_1d

from sklearn_mlce._base import BaseMLCE
from sklearn_mlce._targets.encoding import encode_outputs, encode_targets, label_names_of
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.stream_classes import encode_classes
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._training.rows import Rows


def given_rows(
    estimator: BaseMLCE, X: Any, y: Any, sample_weight: Any, dtype: Any, *, used: bool
) -> Rows | None:
    """Rows of ``X_val``, ``y_val`` and ``sample_weight_val``; None where none was given.

    Parameters
    ----------
    estimator : BaseMLCE
        Which knows the features and the classes of the rows to train on.
    X, y, sample_weight : array-like or None
        As `fit` takes them.
    dtype : dtype
        Of the rows to train on.
    used : bool
        Whether the estimator stops early.

    Raises
    ------
    ValueError
        If some are missing, are of no use, or do not fit the rows to train on.
    """
    given = {"X_val": X, "y_val": y, "sample_weight_val": sample_weight}
    seen = [name for name, value in given.items() if value is not None]
    if not seen:
        return None
    if X is None or y is None:
        raise ValueError(
            f"fit was given {' and '.join(seen)} alone; expected X_val and y_val. Pass both, or "
            "neither"
        )
    if not used:
        raise ValueError(
            "fit was given X_val and y_val, which early_stopping scores, but early_stopping is "
            "False. Set early_stopping=True, or leave them out"
        )
    X, targets, weight = _validated(estimator, X, y, sample_weight)
    weight = None if weight is None else weight.astype(dtype, copy=False)
    return Rows(X.astype(dtype, copy=False), targets, weight)


def _validated(
    estimator: BaseMLCE, X: Any, y: Any, sample_weight: Any
) -> tuple[Any, Targets, np.ndarray | None]:
    known_names = estimator._target_format.label_names
    check_label_names(label_names_of(y), known_names, "y_val", "Pass y_val[y.columns]")
    classes = estimator.classes_
    if isinstance(classes, list):
        encode = partial(encode_outputs, classes=classes)
        return estimator._validate_fit(X, y, sample_weight, reset=False, encode=encode)
    if estimator._target_format.single_label:
        y = column_or_1d(y.toarray() if sp.issparse(y) else y, warn=True)
        unseen = [value for value in np.unique(y).tolist() if value not in classes]
        if unseen:
            raise ValueError(
                f"y_val holds {unseen[:5]}, which are not among the classes of y, "
                f"{classes.tolist()}. Leave these rows out of X_val and y_val"
            )
        encode = partial(encode_classes, classes=classes)
        return estimator._validate_fit(X, y, sample_weight, reset=False, encode=encode)
    encode = partial(_encode_labels, n_labels=len(classes))
    return estimator._validate_fit(X, y, sample_weight, reset=False, encode=encode)


def _encode_labels(y: Any, n_labels: int) -> Targets:
    """Targets of a matrix of labels with as many columns as that of the training rows."""
    targets = encode_targets(y)
    if targets.kind == "multioutput":
        raise ValueError(
            f"y_val holds classes of {len(targets.classes)} outputs, whole numbers of more than "
            f"two values; expected {n_labels} labels, as y. Pass a matrix of 0 and 1"
        )
    seen = 1 if targets.format.single_label else targets.n_outputs
    if targets.format.single_label or seen != n_labels:
        raise ValueError(
            f"y_val has {seen} labels; expected {n_labels}, as y. Pass the same columns"
        )
    return targets
