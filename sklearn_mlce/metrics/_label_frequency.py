"""F1 of frequent and of rare labels by themselves."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np

from sklearn_mlce._targets.label_names import in_label_order
from sklearn_mlce._targets.targets import weighted_label_counts
from sklearn_mlce._utils.numeric_input import array_of_numbers
from sklearn_mlce.metrics._inputs import check_zero_division, labels_of, weights_of
from sklearn_mlce.metrics._known_labels import f1_of, predictions_of

GROUPS = ("head", "medium", "tail")


def label_frequency_groups(
    label_counts: Any, *, cuts: tuple[float, float] = (20, 100)
) -> np.ndarray:
    """Group of each label by how many training rows carry it: head, medium or tail.

    Parameters
    ----------
    label_counts : array-like of shape (n_labels,)
        How many training rows carry each label; ``y_train.sum(axis=0)`` will do, dense or sparse.
    cuts : tuple of two numbers, default=(20, 100)
        Labels of fewer rows than the first are tail, of more than the second head, the others
        medium. The default is that of the long-tailed image sets of the reference.

    Returns
    -------
    ndarray of shape (n_labels,), str
        "head", "medium" or "tail".

    Raises
    ------
    ValueError
        If the counts or the cuts are not usable.

    See Also
    --------
    f1_by_label_frequency : F1 of each group.

    References
    ----------
    .. [1] Wu, Huang, Liu, Wang, Lin, "Distribution-Balanced Loss for Multi-Label Classification in
       Long-Tailed Datasets", https://arxiv.org/abs/2007.09654, 2020.

    Examples
    --------
    >>> from sklearn_mlce.metrics import label_frequency_groups
    >>> label_frequency_groups([500, 100, 20, 19, 0]).tolist()
    ['head', 'medium', 'medium', 'tail', 'tail']
    """
    counts = array_of_numbers(label_counts, "label_counts").astype(np.float64)
    if counts.size != max(counts.shape, default=0) or not (counts >= 0).all():
        raise ValueError(
            "label_counts must hold a non-negative number for each label, got shape "
            f"{counts.shape} with values such as {counts.ravel()[:3].tolist()}"
        )
    pair = isinstance(cuts, tuple | list | np.ndarray) and len(cuts) == 2
    if not (pair and all(isinstance(cut, Real) for cut in cuts) and 0 <= cuts[0] <= cuts[1]):
        raise ValueError(
            f"cuts must be two ascending numbers of rows, such as (20, 100), got {cuts!r}"
        )
    counts = counts.ravel()  # the sums of a sparse matrix are a row of a matrix
    return np.select([counts > cuts[1], counts >= cuts[0]], GROUPS[:2], GROUPS[2])


def f1_by_label_frequency(
    y_true: Any,
    y_pred: Any,
    *,
    label_counts: Any = None,
    cuts: tuple[float, float] = (20, 100),
    group: str | None = None,
    average: str = "macro",
    sample_weight: Any = None,
    zero_division: float = 0.0,
) -> float | dict[str, float]:
    """F1 of the head, the medium and the tail of the labels, by how many rows carry each.

    Parameters
    ----------
    y_true : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Labels of each row: 0, 1, or NaN where unknown, which are left out.
    y_pred : {array-like, sparse matrix} of shape (n_samples, n_labels)
        Predicted labels, 0 or 1.
    label_counts : array-like of shape (n_labels,), default=None
        Number of training rows that carry each label, by which the labels are grouped;
        ``y_train.sum(axis=0)`` will do, dense or sparse. A Series goes by its index. None counts
        the rows of `y_true`, which may be few, and whose groups change from fold to fold.
    cuts : tuple of two numbers, default=(20, 100)
        Labels of fewer rows than the first are tail, of more than the second head, the others
        medium. A label that no row carries is tail.
    group : {"head", "medium", "tail"}, default=None
        Group whose F1 is returned, as a scorer needs it. None returns all three.
    average : {"macro", "micro"}, default="macro"
        Mean of F1 over the labels of a group, or F1 of all their cells together.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weight of each row in F1; groups do not depend on it.
    zero_division : {0.0, 1.0, np.nan}, default=0.0
        F1 of a label that is neither carried nor predicted. With NaN it is left out of the mean.

    Returns
    -------
    float or dict of str to float
        F1 of the group, or of "head", "medium" and "tail". NaN for a group without labels.

    Raises
    ------
    ValueError
        If `y_true` is not a matrix of labels, or the others do not go with it.

    See Also
    --------
    label_frequency_groups : The group of each label.
    masked_f1_score : F1 of all labels.

    References
    ----------
    .. [1] Wu, Huang, Liu, Wang, Lin, "Distribution-Balanced Loss for Multi-Label Classification in
       Long-Tailed Datasets", https://arxiv.org/abs/2007.09654, 2020 (the cuts).

    Examples
    --------
    >>> from sklearn_mlce.metrics import f1_by_label_frequency
    >>> y_true = [[1, 1, 0], [1, 0, 0], [1, 0, 1]]
    >>> y_pred = [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    >>> f1 = f1_by_label_frequency(y_true, y_pred, label_counts=[500, 40, 8])
    >>> {name: round(value, 2) for name, value in f1.items()}
    {'head': 1.0, 'medium': 0.67, 'tail': 0.0}
    >>> f1_by_label_frequency(y_true, y_pred, label_counts=[500, 40, 8], group="tail")
    0.0
    """
    if average not in ("macro", "micro"):
        raise ValueError(f"average must be 'macro' or 'micro', got {average!r}")
    if group is not None and group not in GROUPS:
        raise ValueError(f"group must be 'head', 'medium', 'tail' or None, got {group!r}")
    targets = labels_of(y_true, "y_true")
    weight = weights_of(sample_weight, y_true)
    counts = in_label_order(label_counts, targets.label_names, "label_counts")
    if counts is None:
        counts, _ = weighted_label_counts(targets, np.ones(targets.n_rows))
    groups = label_frequency_groups(counts, cuts=cuts)
    if len(groups) != targets.n_outputs:
        raise ValueError(
            f"label_counts must have one entry for each of the {targets.n_outputs} labels of "
            f"y_true, got {len(groups)}"
        )
    predicted = predictions_of(y_pred, targets)
    zero_division = check_zero_division(zero_division)
    f1: dict[str, float] = {}
    for name in GROUPS if group is None else (group,):
        labels = np.flatnonzero(groups == name)
        f1[name] = (
            float(f1_of(targets, predicted, average, weight, zero_division, labels))
            if len(labels)
            else float("nan")
        )
    return f1 if group is None else f1[group]
