"""Chunks of a stream: whether an estimator learns from them, and their validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_mlce._estimators.base import BaseMLCE
from sklearn_mlce._network.architecture import Architecture
from sklearn_mlce._objectives.objective import is_module
from sklearn_mlce._objectives.registry import AUTO, OBJECTIVES
from sklearn_mlce._targets.encoding import label_names_of
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.stream_classes import chunk_encoder
from sklearn_mlce._targets.targets import TargetFormat, Targets, same_classes

# Entries of the curve of a stream, which has no end.
LONGEST_CURVE = 1000


def learns_from_chunks(estimator: Any) -> bool:
    """Whether chunks can tell what `fit` reads from all labels.

    Raises
    ------
    AttributeError
        If they cannot, so that the estimator has no partial_fit.
    """
    # A name that is none is refused with the other parameters.
    named = None if is_module(estimator.loss) else OBJECTIVES.get(estimator.loss)
    if named is not None and named.needs_label_counts:
        raise AttributeError(
            f"loss={estimator.loss!r} needs the label counts of all rows, which a chunk does not "
            "have. Call fit, or pass the loss as a module of sklearn_mlce.losses, with the "
            "label_counts of the whole stream"
        )
    if isinstance(estimator.label_weight, str):
        raise AttributeError(
            f"label_weight={estimator.label_weight!r} needs the labels of all rows, which a chunk "
            "does not have. Call fit, or pass an array of weights"
        )
    return True


def network_learns_from_chunks(estimator: Any) -> bool:
    """Whether chunks can tell what a network's `fit` reads from all rows.

    Raises
    ------
    AttributeError
        If they cannot, so that the estimator has no partial_fit.
    """
    if estimator.n_members > 1:
        raise AttributeError(
            f"partial_fit trains one network, but n_members is {estimator.n_members}. Set "
            "n_members=1"
        )
    if estimator.early_stopping:
        raise AttributeError(
            "partial_fit makes one epoch over the rows it is given and holds none out, but "
            "early_stopping is True. Set early_stopping=False and score rows of your own after "
            "each call"
        )
    return learns_from_chunks(estimator)


def validate_chunk(
    estimator: BaseMLCE, X: Any, y: Any, classes: Any, sample_weight: Any, *, first: bool
) -> tuple[Any, Targets, np.ndarray | None]:
    """Validate a chunk by the features and classes of the first call of `partial_fit`.

    Parameters
    ----------
    estimator : BaseMLCE
        Fitted, unless this is its first chunk.
    X, y, classes, sample_weight : array-like
        As `partial_fit` takes them.
    first : bool
        Whether this is the first chunk.

    Returns
    -------
    X : ndarray or CSR matrix of shape (n, d)
    targets : Targets
    sample_weight : ndarray of shape (n,) or None
        Without the rows of weight 0.

    Raises
    ------
    ValueError
        If any is not usable or does not fit the first call.
    """
    known_format = None if first else estimator._target_format
    if known_format is not None:
        check_label_names(
            label_names_of(y),
            known_format.label_names,
            "y",
            "Pass y[list(model.label_names_)], or call fit to start anew",
        )
    by_first_chunk = not is_module(estimator.loss) and estimator.loss == AUTO
    encode = chunk_encoder(y, classes, known_format, by_first_chunk)
    return estimator._validate_fit(X, y, sample_weight, reset=first, encode=encode)


def in_precision(
    dtype: np.dtype, X: Any, sample_weight: np.ndarray | None
) -> tuple[Any, np.ndarray | None]:
    """Cast a later chunk to the precision of the first."""
    if sample_weight is not None:
        sample_weight = sample_weight.astype(dtype, copy=False)
    return X.astype(dtype, copy=False), sample_weight


def check_goes_on(estimator: Any, now: Architecture, target_format: TargetFormat) -> None:
    """Raise ValueError unless training can go on with the network of the last call."""
    last = Architecture(**estimator._architecture)
    if (
        last != now
        or estimator._target_format.single_label != target_format.single_label
        or not same_classes(estimator.classes_, target_format.classes)
    ):
        raise ValueError(
            f"training cannot go on: the network has {last.described} and was trained on "
            f"{estimator._target_format.kind} y of classes {estimator.classes_}, got "
            f"{now.described}, {target_format.kind} and {target_format.classes}. Set "
            "warm_start=False and call fit to start anew"
        )
    check_label_names(
        target_format.label_names,
        estimator._target_format.label_names,
        "y",
        "Pass y[list(model.label_names_)], or set warm_start=False to start anew",
    )
