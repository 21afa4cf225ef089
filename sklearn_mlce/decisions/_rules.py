"""Rules that make labels of probabilities."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array

from sklearn_mlce._objectives.weights import checked_weight
from sklearn_mlce._targets.targets import row_blocks
from sklearn_mlce._utils.numeric_input import check_container, check_holds_numbers, without_torch
from sklearn_mlce.decisions._expected_f1 import best_label_counts

_AVERAGES = ("micro", "macro", "samples")


def maximize_f1(
    probabilities: Any, average: str = "samples", *, zero_division: float = 0.0
) -> np.ndarray:
    r"""Labels with the highest expected F1, given the probabilities.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_labels)
        Calibrated probability of each label in each row.
    average : {"samples", "micro", "macro"}, default="samples"
        Kind of F1: the mean over rows (example-F1), F1 of all cells together, or the mean over
        labels.
    zero_division : float, default=0.0
        F1 of a row that carries no label and for which none is predicted, as
        :func:`~sklearn.metrics.f1_score` is told. With 0 a row always gets a label; give 1 if rows
        without labels are to be found. Other than 0 only with ``average="samples"``.

    Returns
    -------
    ndarray of shape (n_samples, n_labels), int64
        1 for the labels predicted. A label of probability 0 never is.

    Raises
    ------
    ValueError
        If the probabilities are not a matrix of numbers from 0 to 1, or an option is unknown.

    See Also
    --------
    f1_thresholds : The thresholds of "micro" and "macro", to be kept for other rows.
    MultilabelDecisionClassifier : The same for the predictions of an estimator.

    Notes
    -----
    "samples" is exact where the labels of a row are independent given the features: it is the
    expected F1 of each set, not the F1 of expected counts. The best set of k labels then has the k
    most probable. The best k is found by an integral, which Gauss-Legendre nodes sum to 12 digits.
    The time is :math:`O(L \sqrt L)` for :math:`L` labels, where Ye et al. [1]_ take :math:`O(L^2)`.
    Each row is decided by itself.

    "micro" and "macro" are plug-in rules: they predict above the thresholds of
    :func:`f1_thresholds`, which maximise the ratio of expected counts over these rows together.

    References
    ----------
    .. [1] Ye, Chai, Lee, Chieu, "Optimizing F-measures: A Tale of Two Approaches",
       https://arxiv.org/abs/1206.4625, 2012.

    Examples
    --------
    >>> from sklearn_mlce.decisions import maximize_f1
    >>> maximize_f1([[0.9, 0.6, 0.1], [0.3, 0.05, 0.02]])
    array([[1, 1, 0],
           [1, 0, 0]])
    >>> maximize_f1([[0.9, 0.6, 0.1], [0.3, 0.05, 0.02]], zero_division=1)
    array([[1, 1, 0],
           [0, 0, 0]])
    """
    probabilities = check_probabilities(probabilities)
    _check_average(average, _AVERAGES)
    check_fraction(zero_division, "zero_division")
    if average == "samples":
        return best_f1_of_rows(probabilities, float(zero_division)).astype(np.int64)
    if zero_division != 0:
        raise ValueError(
            f"zero_division={zero_division!r} is the F1 of an empty row, and average={average!r} "
            "does not look at rows. Leave it out, or pass average='samples'"
        )
    thresholds = plug_in_thresholds(probabilities, np.ones((len(probabilities), 1)), average)
    return (probabilities > thresholds).astype(np.int64)


def f1_thresholds(
    probabilities: Any, average: str = "micro", *, sample_weight: Any = None
) -> float | np.ndarray:
    r"""Thresholds of probabilities, at half the best expected F1.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_labels)
        Calibrated probabilities of rows like those to be labelled. No labels are needed.
    average : {"micro", "macro"}, default="micro"
        F1 of all cells together, which has one threshold, or of each label.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    float or ndarray of shape (n_labels,)
        Threshold that a probability has to exceed. The expected F1 is twice the threshold.

    Raises
    ------
    ValueError
        If the probabilities are not a matrix of numbers from 0 to 1, or an option is unknown.

    See Also
    --------
    maximize_f1 : The labels themselves.
    sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV : Thresholds by the labels
        of rows, which need no calibrated probabilities.

    Notes
    -----
    Where the predictions :math:`z` maximise :math:`F = 2 \sum p z / (\sum p + \sum z)`, they are
    the cells with :math:`p > F / 2` [1]_. Started at 0, the iteration from :math:`F` to these cells
    and their :math:`F` rises to the maximum in a few steps.

    References
    ----------
    .. [1] Lipton, Elkan, Narayanaswamy, "Thresholding Classifiers to Maximize F1 Score",
       https://arxiv.org/abs/1402.1892, 2014.

    Examples
    --------
    >>> from sklearn_mlce.decisions import f1_thresholds
    >>> f1_thresholds([[0.8, 0.1], [0.4, 0.3], [0.0, 0.4]], "macro").round(2)
    array([0.38, 0.25])
    """
    probabilities = check_probabilities(probabilities)
    _check_average(average, _AVERAGES[:2])
    weight = checked_weight(sample_weight, probabilities, np.float64)
    weight = np.ones(len(probabilities)) if weight is None else weight
    thresholds = plug_in_thresholds(probabilities, weight[:, None], average)
    return float(thresholds[0]) if average == "micro" else thresholds


def best_within_budget(
    probabilities: Any, *, total: int | None = None, per_row: int | None = None
) -> np.ndarray:
    """Most probable labels within a budget, whose expected number of hits is the highest.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_labels)
        Probability of each label in each row.
    total : int, default=None
        Most labels of all rows together, such as what somebody has the time to look through. Sure
        rows then get more labels, and others none.
    per_row : int, default=None
        Most labels of each row, such as what a page has the room to show. With both budgets, each
        row's best labels compete for the total.

    Returns
    -------
    ndarray of shape (n_samples, n_labels), int64
        1 for the labels predicted; ties go to the earlier row, then to the earlier label. A label
        of probability 0 is never predicted, so that part of a budget may be left.

    Raises
    ------
    ValueError
        If neither budget is given, or one is not a number of labels, or the probabilities are not
        a matrix of numbers from 0 to 1.

    See Also
    --------
    maximize_f1 : As many labels as F1 calls for.

    Examples
    --------
    >>> from sklearn_mlce.decisions import best_within_budget
    >>> probabilities = [[0.9, 0.8, 0.7], [0.6, 0.2, 0.1]]
    >>> best_within_budget(probabilities, total=3)
    array([[1, 1, 1],
           [0, 0, 0]])
    >>> best_within_budget(probabilities, total=3, per_row=2)
    array([[1, 1, 0],
           [1, 0, 0]])
    """
    probabilities = check_probabilities(probabilities)
    if total is None and per_row is None:
        raise ValueError(
            "no budget was given; expected the number of labels of all rows together, total=..., "
            "or of each row, per_row=..., or both"
        )
    if total is not None:
        check_count(total, "total")
    if per_row is None:
        chosen = probabilities > 0
    else:
        check_count(per_row, "per_row")
        chosen = best_of_rows(probabilities, int(per_row))
    if total is not None and chosen.sum() > total:
        chosen[chosen] = _largest(probabilities[chosen], int(total))
    return chosen.astype(np.int64)


def best_and_above(probabilities: Any, threshold: float = 0.5) -> np.ndarray:
    """Best label of each row, and the next ones above a probability.

    Use it for models of one class per row where a few rows carry more. The first label is the class
    that the model predicts, and the threshold decides about further ones.

    Parameters
    ----------
    probabilities : array-like of shape (n_samples, n_labels)
        Probability of each label, or of each class, in each row.
    threshold : float, default=0.5
        Limit that the probabilities of further labels have to exceed. Probabilities of classes sum
        to one, so that a second one never exceeds one half: pass a lower threshold then.

    Returns
    -------
    ndarray of shape (n_samples, n_labels), int64
        1 for the labels predicted, one in each row at least; of equals the earlier is the best.

    Raises
    ------
    ValueError
        If the probabilities are not a matrix of numbers from 0 to 1, or the threshold is not one.

    See Also
    --------
    sklearn_mlce.inspection.describe_labels : Says whether a model of one class per row may do.

    Examples
    --------
    >>> from sklearn_mlce.decisions import best_and_above
    >>> best_and_above([[0.5, 0.4, 0.1], [0.2, 0.1, 0.1]], threshold=0.3)
    array([[1, 1, 0],
           [1, 0, 0]])
    """
    probabilities = check_probabilities(probabilities)
    check_fraction(threshold, "threshold")
    return best_and_others(probabilities, float(threshold)).astype(np.int64)


def best_f1_of_rows(probabilities: np.ndarray, zero_division: float) -> np.ndarray:
    """Mask ``(n, L)`` of the labels of each row with the highest expected F1."""
    chosen = np.zeros(probabilities.shape, dtype=bool)
    for rows in row_blocks(*probabilities.shape):
        order = np.argsort(-probabilities[rows], axis=1, kind="stable")
        ordered = np.take_along_axis(probabilities[rows], order, axis=1)
        first = np.arange(ordered.shape[1]) < best_label_counts(ordered, zero_division)[:, None]
        np.put_along_axis(chosen[rows], order, first, axis=1)
    return chosen


def best_of_rows(probabilities: np.ndarray, k: int) -> np.ndarray:
    """Mask ``(n, L)`` of the k most probable labels of each row, those of probability 0 aside."""
    chosen = probabilities > 0
    for rows in row_blocks(*probabilities.shape):
        order = np.argsort(-probabilities[rows], axis=1, kind="stable")
        np.put_along_axis(chosen[rows], order[:, k:], False, axis=1)
    return chosen


def best_and_others(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Mask ``(n, L)`` of the best label of each row and of those above a threshold."""
    chosen = probabilities > threshold
    if chosen.shape[1]:
        chosen[np.arange(len(chosen)), probabilities.argmax(axis=1)] = True
    return chosen


def plug_in_thresholds(
    probabilities: np.ndarray, cell_weight: np.ndarray, average: str
) -> np.ndarray:
    """Half the best expected F1: of all cells ``(1,)`` for "micro", or of each label ``(L,)``.

    Parameters
    ----------
    probabilities : ndarray of shape (n, L)
    cell_weight : ndarray of shape (n, L) or (n, 1)
        Non-negative; 0 leaves a cell out.
    average : {"micro", "macro"}

    Returns
    -------
    ndarray of shape (1,) or (L,)
        0 where there is no positive probability.
    """
    n_rows, n_labels = probabilities.shape
    n_groups = 1 if average == "micro" else n_labels
    expected, n_cells = np.zeros(n_groups), np.zeros(n_groups)
    blocks = row_blocks(n_rows, n_labels)
    for rows in blocks:
        p, weight = probabilities[rows], cell_weight[rows]
        expected += (weight * p).sum(axis=0 if n_groups > 1 else None)
        n_cells += (weight * (p > 0)).sum(axis=0 if n_groups > 1 else None)
    best = _f1(expected, expected, n_cells)
    # Thresholds only rise: what lies below the first is looked at no more.
    parts = [_cells_above(probabilities[rows], cell_weight[rows], best / 2) for rows in blocks]
    p, weight, group = map(np.concatenate, zip(*parts, strict=True))
    while True:
        above = p > best[group] / 2
        p, weight, group = p[above], weight[above], group[above]
        hits = np.bincount(group, weight * p, minlength=n_groups)
        n_predicted = np.bincount(group, weight, minlength=n_groups)
        reached = _f1(hits, expected, n_predicted)
        if not (reached > best).any():
            return best / 2
        best = np.maximum(best, reached)


def _f1(hits: np.ndarray, expected: np.ndarray, n_predicted: np.ndarray) -> np.ndarray:
    """F1 of expected counts; 0 for 0/0."""
    total = expected + n_predicted
    return np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)


def _cells_above(
    probabilities: np.ndarray, cell_weight: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, weights and numbers of the threshold of the cells above it."""
    above = probabilities > thresholds
    weight = np.broadcast_to(cell_weight, above.shape)[above]
    group = np.nonzero(above)[1] if len(thresholds) > 1 else np.zeros(len(weight), dtype=np.intp)
    return probabilities[above].astype(np.float64, copy=False), weight, group


def _largest(values: np.ndarray, number: int) -> np.ndarray:
    """Mask of so many largest values, which are fewer than all; ties by position."""
    chosen = np.zeros(len(values), dtype=bool)
    if number:
        last = np.partition(values, len(values) - number)[len(values) - number]
        chosen = values > last
        chosen[np.flatnonzero(values == last)[: number - int(chosen.sum())]] = True
    return chosen


def check_probabilities(probabilities: Any) -> np.ndarray:
    """Matrix of probabilities in floating point.

    Raises
    ------
    ValueError
        If it is not a matrix of numbers from 0 to 1.
    """
    if isinstance(probabilities, list) and probabilities and np.ndim(probabilities[0]) == 2:
        raise ValueError(
            f"probabilities are a list of {len(probabilities)} matrices, one for each label, as "
            "forests give them; expected one matrix with a column for each label. Pass "
            "np.column_stack([p[:, 1] for p in probabilities]), or wrap the estimator in "
            "MultilabelDecisionClassifier"
        )
    probabilities = without_torch(probabilities, "probabilities")
    if not (sp.issparse(probabilities) or isinstance(probabilities, np.ndarray)):
        check_container(probabilities, "probabilities")
    check_holds_numbers(probabilities, "probabilities")
    matrix = check_array(probabilities, dtype=[np.float64, np.float32], input_name="probabilities")
    if not (matrix.min() >= 0 and matrix.max() <= 1):
        raise ValueError(
            f"probabilities reach from {matrix.min():g} to {matrix.max():g}; expected numbers from "
            "0 to 1. Scores are calibrated by sklearn_mlce.calibration."
            "MultilabelCalibratedClassifierCV"
        )
    return matrix


def check_count(value: Any, name: str) -> None:
    """Raise ValueError if a value is not a number of labels."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < 0:
        raise ValueError(
            f"{name} must be a non-negative integer, a number of labels; got {value!r}"
        )


def check_fraction(value: Any, name: str) -> None:
    """Raise ValueError if a value is not a number from 0 to 1."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must be a number from 0 to 1, got {value!r}")


def _check_average(average: Any, known: tuple[str, ...]) -> None:
    if average not in known:
        names = ", ".join(map(repr, known))
        raise ValueError(f"average={average!r} is not known here; expected one of {names}")
