"""Scores that somebody already has, checked beside the labels of their rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.encoding import label_names_of
from sklearn_mlce._targets.label_names import check_column_order, check_label_names
from sklearn_mlce._targets.tags import as_objects, tag_rows
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.estimator_scores import finite_scores, to_dense
from sklearn_mlce._utils.numeric_input import array_of_numbers
from sklearn_mlce._utils.sparse_format import check_sparse
from sklearn_mlce.labels._tags import check_names
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._out_of_fold import held_out_of
from sklearn_mlce.model_selection._wrapper import encode_thresholded


class GivenScores(NamedTuple):
    """Scores of rows, their targets, and the weights of the rows."""

    targets: Targets
    scores: np.ndarray  # (n, n_outputs), finite
    sample_weight: np.ndarray | None  # (n,)

    def held_out(self) -> HeldOut:
        """Scores beside the targets of their rows, as thresholds are found on them."""
        rows = np.arange(self.targets.n_rows)
        return held_out_of(self.targets, rows, self.scores, self.sample_weight)


def given_scores(
    y_true: Any, y_score: Any, sample_weight: Any, label_names: Any = None
) -> GivenScores:
    """Encode labels, and check scores and weights of the same rows.

    Names of the columns of the scores, which are given or those of a DataFrame, say which label
    each column is of.

    Raises
    ------
    ValueError
        If the labels have no thresholds, or the others do not go with them.
    """
    if y_true is None:
        raise ValueError("y_true is None; expected the labels of the rows of y_score")
    columns = label_names_of(y_score)
    if columns is not None and columns.tolist() == list(range(len(columns))):
        columns = None  # numbers that pandas gives where there are no names
    names = columns if label_names is None else as_objects(label_names)
    check_label_names(columns, names, "y_score", "Pass y_score[list(label_names)]")
    if names is None and tag_rows(y_true, certain=True) is not None:
        raise ValueError(
            "y_true holds tags, but nothing says which tag each column of y_score is of. Pass "
            "label_names=model.label_names_, the names of the columns in order"
        )
    targets = encode_thresholded(y_true, label_names=names)
    check_label_names(targets.label_names, names, "y_true", "Pass y_true[list(label_names)]")
    if names is not None and targets.kind != "binary":
        check_names(names, targets.n_outputs, "label_names")
    scores = checked_scores(y_score, targets)
    return GivenScores(targets, scores, checked_weight(sample_weight, scores, np.float64))


def checked_scores(y_score: Any, targets: Targets) -> np.ndarray:
    """Scores ``(n, n_outputs)`` of the rows of some targets, finite and floating.

    Raises
    ------
    ValueError
        If they have another shape, or order of the columns, or are NaN.
    """
    check_sparse(y_score, "y_score")
    scores = array_of_numbers(to_dense(y_score), "y_score")
    shape = (targets.n_rows, targets.n_outputs)
    if targets.kind == "binary" and scores.shape == shape[:1]:
        scores = scores[:, None]
    if scores.shape != shape or scores.dtype.kind not in "biuf":
        raise ValueError(
            f"y_score must hold a number for each of {shape[0]} rows and {shape[1]} labels, got "
            f"shape {scores.shape} of dtype {scores.dtype}. For a list of probabilities, as "
            "forests return, pass np.column_stack([part[:, 1] for part in probabilities])"
        )
    check_column_order(label_names_of(y_score), targets.label_names, "y_score")
    return finite_scores(scores, "y_score holds")
