"""Scores that somebody already has, checked beside the labels of their rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.tags import tag_rows
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.estimator_scores import finite_scores, to_dense
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


def given_scores(y_true: Any, y_score: Any, sample_weight: Any) -> GivenScores:
    """Encode labels, and check scores and weights of the same rows.

    Raises
    ------
    ValueError
        If the labels have no thresholds, or the others do not go with them.
    """
    if y_true is None:
        raise ValueError("y_true is None; expected the labels of the rows of y_score")
    if tag_rows(y_true, certain=True) is not None:
        raise ValueError(
            "y_true holds tags, but y_score does not say which column is of which tag; expected a "
            "matrix of 0 and 1 with the columns of y_score. Pass tags_to_y(y_true, labels=names), "
            "of sklearn_mlce.labels, with the names of these columns"
        )
    targets = encode_thresholded(y_true)
    scores = checked_scores(y_score, targets)
    return GivenScores(targets, scores, checked_weight(sample_weight, scores, np.float64))


def checked_scores(y_score: Any, targets: Targets) -> np.ndarray:
    """Scores ``(n, n_outputs)`` of the rows of some targets, finite and floating.

    Raises
    ------
    ValueError
        If they have another shape, or are NaN.
    """
    scores = np.asarray(to_dense(y_score))
    shape = (targets.n_rows, targets.n_outputs)
    if targets.kind == "binary" and scores.shape == shape[:1]:
        scores = scores[:, None]
    if scores.shape != shape or scores.dtype.kind not in "biuf":
        raise ValueError(
            f"y_score must hold a number for each of {shape[0]} rows and {shape[1]} labels, got "
            f"shape {scores.shape} of dtype {scores.dtype}. Of a list of probabilities, as forests "
            "give, pass np.column_stack([part[:, 1] for part in probabilities])"
        )
    return finite_scores(scores, "y_score holds")
