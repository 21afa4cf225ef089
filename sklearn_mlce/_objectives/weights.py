"""The weights of rows and of labels, as users give them."""

from __future__ import annotations

import warnings
from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import _check_sample_weight

from sklearn_mlce._objectives.module import ModuleObjective
from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._targets.label_names import in_label_order
from sklearn_mlce._targets.targets import Targets, weighted_label_counts
from sklearn_mlce._utils.numeric_input import check_container, check_holds_numbers, without_torch

# Of the largest weight of a row: its square, times a million rows, is in range of float32.
_LARGEST_WEIGHT = 1e15


def checked_weight(sample_weight: Any, X: Any, dtype: Any) -> np.ndarray | None:
    """Weights of the rows as an array ``(n,)``, or None.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If they are not one non-negative finite number per row, one of them positive, or all are
        beyond what sums and squares of them may reach.
    """
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Real):
        check_container(sample_weight, "sample_weight")
        sample_weight = without_torch(sample_weight, "sample_weight")
        check_holds_numbers(sample_weight, "sample_weight")
    weight = _check_sample_weight(sample_weight, X, dtype=dtype, ensure_non_negative=True)
    largest = weight.max(initial=0)
    if largest == 0:
        raise ValueError(
            "Sample weights must contain at least one non-zero number: sample_weight is zero for "
            "every row; expected a positive weight. Pass None to weigh all rows alike"
        )
    if not 1 / _LARGEST_WEIGHT <= largest <= _LARGEST_WEIGHT:
        raise ValueError(
            f"sample_weight is {largest:g} at most; expected weights around 1, the largest between "
            f"{1 / _LARGEST_WEIGHT:g} and {_LARGEST_WEIGHT:g}. Pass sample_weight / "
            "sample_weight.max()"
        )
    return weight


def check_takes_weight(objective: Objective) -> None:
    """Raise ValueError where rows have weights and the loss is a module that takes none."""
    if not isinstance(objective, ModuleObjective) or objective.takes_sample_weight:
        return
    if getattr(objective.module, "reduction", None) != "none":
        raise ValueError(
            f"sample_weight is given, but {objective.described}.forward takes no "
            "sample_weight and its reduction is not 'none'. Make it with reduction='none', or pass "
            "sample_weight=None"
        )


def check_label_weight(
    label_weight: Any,
    targets: Targets,
    objective: Objective,
    sample_weight: np.ndarray | None = None,
) -> np.ndarray | None:
    """Weights ``(n_labels,)`` as float64, or None.

    Raises
    ------
    ValueError
        If y is 1-D, the loss is a module, or the weights are not one positive finite number per
        label, a dict of some labels' or "balanced".
    """
    if label_weight is None:
        return None
    if targets.kind not in ("multilabel", "soft"):
        raise ValueError(
            f"label_weight weighs the labels of a multi-label y, but y is {targets.kind}. "
            "Set label_weight=None and pass sample_weight to fit"
        )
    if objective.is_module:
        raise ValueError(
            "label_weight is given, but a loss that is a module is used as it is. Set "
            "label_weight=None and give the weights to the module"
        )
    if isinstance(label_weight, str):  # "balanced", the only one that the parameter may be
        return _balanced(targets, sample_weight)
    if isinstance(label_weight, dict):
        weight: Any = _in_order(label_weight, targets)
    else:
        weight = in_label_order(label_weight, targets.label_names, "label_weight")
    try:
        weight = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"label_weight={label_weight!r} does not hold numbers; expected one for each label, "
            "a dict of numbers by label, or 'balanced'"
        ) from error
    if weight.shape != (targets.n_outputs,):
        raise ValueError(
            f"label_weight has shape {weight.shape}; expected one number for each of the "
            f"{targets.n_outputs} labels, shape ({targets.n_outputs},)"
        )
    if not (np.isfinite(weight) & (weight > 0)).all():
        raise ValueError(
            "label_weight must hold positive finite numbers, got values from "
            f"{weight.min()} to {weight.max()}. Leave a label out by dropping its column of y"
        )
    return weight


def _balanced(targets: Targets, sample_weight: np.ndarray | None) -> np.ndarray:
    """The mean number of positives of a label over its own; 1 where it has none."""
    rows = np.ones(targets.n_rows) if sample_weight is None else sample_weight.astype(np.float64)
    positive, _ = weighted_label_counts(targets, rows)
    seen = positive > 0
    weight = np.ones(targets.n_outputs)
    weight[seen] = positive[seen].mean() / positive[seen]
    return weight


def _in_order(weights: dict, targets: Targets) -> list:
    """Weights of labels by their column names, or numbers where y has none; 1 of the others."""
    names = (targets.classes if targets.label_names is None else targets.label_names).tolist()
    places = set(names)
    unknown = [name for name in weights if name not in places]
    if unknown:
        known = "column numbers of y" if targets.label_names is None else "column names of y"
        raise ValueError(
            f"label_weight has the keys {unknown[:5]}, which are no {known}; expected some of "
            f"{names[:5]} and so on"
        )
    return [weights.get(name, 1.0) for name in names]


def warn_unknown_labels(targets: Targets) -> None:
    """Warn of labels, or outputs, that are unknown in every row.

    Raises
    ------
    ValueError
        If nothing is known at all.
    """
    if targets.kind == "multioutput":
        _warn_unknown_outputs(targets)
        return
    if targets.dense is None:
        return
    unknown = np.flatnonzero(np.isnan(targets.dense).all(axis=0))
    if len(unknown) == targets.n_outputs:
        raise ValueError(
            "y holds only NaN, in all rows with a positive weight; expected 0 or 1 in one cell at "
            "least. Pass 0 where a label is known not to apply"
        )
    if len(unknown):
        warnings.warn(
            f"labels {unknown[:10].tolist()} are unknown (NaN) in every row; they are treated as "
            "labels without a positive and never predicted",
            UserWarning,
            stacklevel=3,
        )


def _warn_unknown_outputs(targets: Targets) -> None:
    """Warn of outputs of which no row of a positive weight knows the class."""
    positive, _ = weighted_label_counts(targets, np.ones(targets.n_rows))
    known = [part.any() for part in targets.format.split(positive)]
    unknown = np.flatnonzero(~np.array(known))
    if len(unknown):
        warnings.warn(
            f"outputs {unknown[:10].tolist()} are unknown in every row with a positive weight; "
            "their first class is always predicted",
            UserWarning,
            stacklevel=4,
        )
