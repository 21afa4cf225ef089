"""Counts of a label matrix, put into a description."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce.inspection._counts import (
    carried_labels,
    count_distinct_sets,
    imbalance_ratios,
    row_fractions,
    strongest_pairs,
)
from sklearn_mlce.inspection._description import LabelDescription


def describe_labels(y: Any, *, n_pairs: int = 10, min_pair_samples: int = 5) -> LabelDescription:
    r"""Count what decides how hard a multi-label problem is, and say what follows.

    Parameters
    ----------
    y : {array-like, sparse matrix} of shape (n_samples,) or (n_samples, n_labels)
        Labels of each row, in any form that the estimators take: 0/1, soft in [0, 1], or NaN where
        unknown; or one class per row. Sparse labels stay sparse. A DataFrame names its labels.
    n_pairs : int, default=10
        How many pairs of labels to keep, the most strongly bound first.
    min_pair_samples : int, default=5
        Pairs that fewer rows carry together are left out: what is rare is bound by chance.

    Returns
    -------
    LabelDescription
        The counts, as attributes, and `hints`, the sentences that follow from them.

    Raises
    ------
    ValueError
        If `y` is of a kind that the estimators do not take, or has no rows.

    See Also
    --------
    sklearn_mlce.metrics.f1_by_label_frequency : F1 of frequent and rare labels by themselves.

    Notes
    -----
    Pairs are ranked by their Jaccard index :math:`n_{ab} / (n_a + n_b - n_{ab})`; their lift is
    :math:`n_{ab} n / (n_a n_b)`. The imbalance ratios are IRLbl and MeanIR of the reference.

    References
    ----------
    .. [1] Charte, Rivera, del Jesus, Herrera, "Addressing imbalance in multilabel classification:
       Measures and random resampling algorithms", https://doi.org/10.1016/j.neucom.2014.08.091,
       2015.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sklearn_mlce.inspection import describe_labels
    >>> _, Y = make_multilabel_classification(
    ...     n_samples=1000, n_classes=6, n_labels=2, random_state=0
    ... )
    >>> describe_labels(Y, n_pairs=2)
    Multi-label y: 1,000 rows, 6 labels
      labels per row       1.97 on average, 6 at most (density 0.328)
      rows by labels       none: 14.5%, 1: 26.7%, 2: 26.4%, more: 32.4%
      distinct label sets  64
      rows per label       265 to 363, median 334
      imbalance ratio      1.1 on average, 1.4 at most
      never positive       no label
      strongest pairs
        1 + 5  160 rows, Jaccard 0.28, lift 1.2
        2 + 3  146 rows, Jaccard 0.28, lift 1.3
    - Genuinely multi-label: 58.8% of the rows carry two labels or more, and one label per
      row would find at most 43.5% of all labels.
    """
    _check_count(n_pairs, "n_pairs")
    _check_count(min_pair_samples, "min_pair_samples")
    targets = encode_targets(y)
    if targets.kind == "multioutput":
        raise ValueError(
            "y holds the classes of several outputs, not labels; expected 0, 1, a number between, "
            "or NaN. Describe one output at a time: describe_labels(y[:, 0])"
        )
    carried = carried_labels(targets)
    n_samples, n_labels = carried.shape
    if n_samples == 0:
        raise ValueError("y has no rows; expected one at least")
    names = targets.classes if targets.label_names is None else targets.label_names
    counts = np.bincount(carried.indices, minlength=n_labels)
    n_carried = np.diff(carried.indptr)
    ratios = imbalance_ratios(counts)
    finite = ratios[counts > 0]
    n_known, n_soft = _known_and_soft(targets, n_samples * n_labels)
    return LabelDescription(
        kind="multilabel" if targets.kind == "soft" else targets.kind,
        n_samples=n_samples,
        n_labels=n_labels,
        label_names=_frozen(names),
        label_counts=_frozen(counts),
        cardinality=carried.nnz / n_samples,
        density=carried.nnz / max(n_known, 1),
        max_labels=int(n_carried.max()),
        n_distinct_sets=count_distinct_sets(carried),
        row_shares=row_fractions(n_carried),
        imbalance_ratios=_frozen(ratios),
        mean_imbalance_ratio=float(finite.mean()) if len(finite) else float("nan"),
        max_imbalance_ratio=float(finite.max()) if len(finite) else float("nan"),
        never_positive=_frozen(np.flatnonzero(counts == 0)),
        top_pairs=strongest_pairs(carried, names, int(n_pairs), int(min_pair_samples)),
        unknown_share=1 - n_known / (n_samples * n_labels),
        soft_share=n_soft / max(n_known, 1),
    )


def _check_count(value: Any, name: str) -> None:
    if not isinstance(value, Integral) or int(value) < 0:
        raise ValueError(f"{name} must be a non-negative integer, got {value!r}")


def _known_and_soft(targets: Targets, n_cells: int) -> tuple[int, int]:
    """Numbers of the cells that are not NaN, and of those strictly between 0 and 1."""
    if targets.dense is None:
        return n_cells, 0
    soft = (targets.dense > 0) & (targets.dense < 1)
    return int(n_cells - np.isnan(targets.dense).sum()), int(soft.sum())


def _frozen(array: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to."""
    array = array.copy()
    array.setflags(write=False)
    return array
