"""What the estimators that learn from a stream of chunks share."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from sklearn_mlce._estimators.base import BaseMLCE
from sklearn_mlce._objectives.module import is_module
from sklearn_mlce._objectives.table import AUTO, OBJECTIVES
from sklearn_mlce._targets.encoding import encode_outputs, label_names_of
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.stream_classes import (
    agreed_classes,
    are_classes_of_outputs,
    are_label_values,
    classes_of_outputs,
    encode_classes,
    is_single_label,
)
from sklearn_mlce._targets.targets import Targets


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
            f"loss={estimator.loss!r} weighs labels by how many of all rows carry them, which a "
            "chunk does not know. Call fit, or pass the loss as a module of sklearn_mlce.losses, "
            "with the label_counts of the whole stream"
        )
    if isinstance(estimator.label_weight, str):
        raise AttributeError(
            f"label_weight={estimator.label_weight!r} needs the labels of all rows, which a chunk "
            "does not know. Call fit, or pass an array of weights"
        )
    return True


def in_precision(
    dtype: np.dtype, X: Any, sample_weight: np.ndarray | None
) -> tuple[Any, np.ndarray | None]:
    """A later chunk in the precision of the first."""
    if sample_weight is not None:
        sample_weight = sample_weight.astype(dtype, copy=False)
    return X.astype(dtype, copy=False), sample_weight


class StreamingMLCE(BaseMLCE):
    """Base of the estimators that have partial_fit."""

    def _validate_chunk(
        self, X: Any, y: Any, classes: Any, sample_weight: Any, first: bool
    ) -> tuple[Any, Targets, np.ndarray | None]:
        """Like :meth:`_validate_fit`, by the classes of the first call."""
        if not first:
            check_label_names(
                label_names_of(y),
                self._target_format.label_names,
                "y",
                "Pass y[list(model.label_names_)], or call fit to start anew",
            )
        known: Any = None if first else self.classes_
        several = isinstance(known, list) or (first and are_classes_of_outputs(classes))
        if several:
            encode = partial(encode_outputs, classes=classes_of_outputs(classes, known))
            return self._validate_fit(X, y, sample_weight, reset=first, encode=encode)
        single = is_single_label(y) if first else self._target_format.single_label
        if classes is not None and (single or not are_label_values(classes)):
            known = agreed_classes(classes, known)
        if single and known is not None:
            encode = partial(encode_classes, classes=known)
            return self._validate_fit(X, y, sample_weight, reset=first, encode=encode)
        X, targets, weight = self._validate_fit(X, y, sample_weight, reset=first)
        if known is not None and targets.kind == "multioutput":
            raise ValueError(
                "y holds classes of several outputs, but that of the first call to partial_fit "
                "was taken for labels. Pass every class to the first call: "
                "partial_fit(X, y, classes=[classes of output 0, classes of output 1, ...])"
            )
        if known is not None and not np.array_equal(targets.classes, known):
            raise ValueError(_other_labels_message(targets.n_outputs, known, first))
        if not first:  # one loss for all chunks, where it hangs on whether targets are soft
            fractional = self._target_format.fractional
            _check_chunk_is_soft_as_the_first(self.loss, fractional, targets)
            targets = replace(targets, format=replace(targets.format, fractional=fractional))
        return X, targets, weight


def _other_labels_message(n_labels: int, known: np.ndarray, first: bool) -> str:
    """What is wrong with a multi-label y that has not the labels that are known."""
    if first:
        return (
            f"classes={known.tolist()} does not fit a multi-label y of {n_labels} columns; "
            f"expected None, np.arange({n_labels}), or [0, 1], the values of its entries. Leave "
            "classes out; labels have names where y is a DataFrame"
        )
    return (
        f"y has {n_labels} labels; expected {len(known)}, as in the first call to partial_fit. "
        "Pass the same columns in every call"
    )


def _check_chunk_is_soft_as_the_first(loss: Any, fractional: bool, targets: Targets) -> None:
    """Raise ValueError where "auto" has chosen its loss for 0/1 labels and these are soft."""
    labels = targets.kind == "soft" and not is_module(loss) and loss == AUTO
    if labels and targets.format.fractional and not fractional:
        raise ValueError(
            "y holds soft labels between 0 and 1, but the first call to partial_fit had labels of "
            "0 and 1, for which loss='auto' trains a hinge, whose minimum is not at a soft label. "
            "Set loss='mlce' and start anew, or pass (y > 0.5)"
        )
