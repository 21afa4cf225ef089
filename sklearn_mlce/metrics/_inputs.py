"""Checks of labels, scores and weights that all measures share."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_array
from sklearn.utils.validation import _num_samples

from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.encoding import encode_argument, label_names_of
from sklearn_mlce._targets.label_names import check_column_order
from sklearn_mlce._targets.tags import tag_rows
from sklearn_mlce._targets.targets import Targets, row_blocks
from sklearn_mlce._targets.top_k import largest_scores
from sklearn_mlce._utils.numeric_input import check_container, check_holds_numbers, without_torch


def labels_of(y: Any, name: str) -> Targets:
    """The encoded label matrix.

    Raises
    ------
    ValueError
        If y is not a matrix with two label columns or more.
    """
    if y is None:
        raise ValueError(
            f"{name} is None; expected a matrix of labels of shape (n_samples, n_labels)"
        )
    y = without_torch(y, name)
    if not (sp.issparse(y) or isinstance(y, np.ndarray)):
        check_container(y, name)
    if tag_rows(y, certain=True) is not None:
        raise ValueError(
            f"{name} holds tags; expected a matrix of labels. Pass tags_to_y({name}, "
            "labels=model.label_names_), of sklearn_mlce.labels"
        )
    try:
        shape = y.shape if hasattr(y, "shape") else np.shape(y)
    except ValueError as error:
        raise ValueError(
            f"{name} holds rows of different lengths; expected a matrix of labels, with a column "
            "for each. Pass tags_to_y of sklearn_mlce.labels if they are sets of labels"
        ) from error
    if len(shape) != 2 or shape[1] < 2:
        raise ValueError(
            f"{name} must be a matrix with a column for each of two labels or more, got shape "
            f"{tuple(shape)}. For one label or one class per row use sklearn.metrics, such as "
            "f1_score or top_k_accuracy_score"
        )
    targets = encode_argument(y, name)
    if targets.kind not in ("multilabel", "soft"):
        raise ValueError(f"{name} must be a matrix of 0 and 1, got a {targets.kind} target")
    return targets


def hard_labels_of(y: Any, name: str) -> sp.csr_array:
    """Positives ``(n, L)`` of labels that are all 0 or 1.

    Raises
    ------
    ValueError
        If one is unknown or soft.
    """
    positives = labels_of(y, name).positives
    if positives is None:
        raise ValueError(
            f"{name} must hold only 0 and 1 here, got soft (between 0 and 1) or unknown (NaN) "
            "labels. masked_label_ranking_average_precision_score and masked_f1_score leave out "
            "unknown ones; sklearn.metrics.ndcg_score takes soft ones"
        )
    return positives


def scores_of(y_score: Any, shape: tuple[int, int], names: np.ndarray | None = None) -> np.ndarray:
    """Scores as a float array of the shape of the labels, which may have names.

    Raises
    ------
    TypeError
        If they are no numbers, such as text.
    ValueError
        If they are None, sparse, not finite, or of another shape or order of the columns.
    """
    if y_score is None:
        raise ValueError(f"y_score is None; expected the scores of y_true, of shape {shape}")
    if sp.issparse(y_score):
        raise ValueError(
            "y_score must be dense: a score that is not stored cannot be ranked among the others. "
            "Pass y_score.toarray() if they are zero"
        )
    y_score = without_torch(y_score, "y_score")
    if not isinstance(y_score, np.ndarray):
        check_container(y_score, "y_score")
    check_holds_numbers(y_score, "y_score")
    scores = check_array(y_score, dtype=[np.float64, np.float32], input_name="y_score")
    check_same_shape(scores.shape, shape, "y_score")
    check_column_order(label_names_of(y_score), names, "y_score")
    return scores


def check_same_shape(seen: tuple[int, ...], shape: tuple[int, int], name: str) -> None:
    """Raise ValueError if predictions have not the shape of the labels."""
    if seen != shape:
        raise ValueError(f"{name} must have the shape of y_true, {shape}, got {seen}")


def check_zero_division(zero_division: Any) -> float:
    """The value of 0/0.

    Raises
    ------
    ValueError
        If it is none of 0, 1 and NaN.
    """
    if isinstance(zero_division, Real):
        value = float(zero_division)
        if value in (0.0, 1.0) or np.isnan(value):
            return value
    raise ValueError(f"zero_division must be 0.0, 1.0 or np.nan, got {zero_division!r}")


def weights_of(sample_weight: Any, y_true: Any) -> np.ndarray:
    """Weights ``(n,)`` of the rows, of one where none were given."""
    weight = checked_weight(sample_weight, y_true, np.float64)
    return np.ones(_num_samples(y_true)) if weight is None else weight


def hits_at_k(positives: sp.csr_array, scores: np.ndarray, k: int) -> tuple[Any, Any]:
    """The k best labels of each row ``(n, k)``, and whether the row carries them ``(n, k)``."""
    ranked, hits = [], []
    for rows in row_blocks(*scores.shape):
        columns, _ = largest_scores(scores[rows], k)
        ranked.append(columns)
        hits.append(np.take_along_axis(positives[rows].toarray() != 0, columns, axis=1))
    return np.concatenate(ranked), np.concatenate(hits)


def mean_of_defined(values: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Weighted mean of the values that are not NaN; NaN where there is none."""
    weight = np.where(np.isnan(values), 0.0, 1.0 if weight is None else weight)
    if not weight.any():
        return float("nan")
    return float(np.average(np.nan_to_num(values), weights=weight))
