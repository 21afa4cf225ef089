"""The losses by their names, and what each trains on a kind of y."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from sklearn_mlce._objectives.focal import (
    Asymmetric,
    ClassBalancedFocal,
    DistributionBalanced,
    Focal,
)
from sklearn_mlce._objectives.mlce import MLCE
from sklearn_mlce._objectives.module import ModuleObjective
from sklearn_mlce._objectives.objective import Objective, is_module
from sklearn_mlce._objectives.pairwise import Pairwise
from sklearn_mlce._objectives.pointwise import BinaryCrossEntropy, SquaredHinge
from sklearn_mlce._targets.targets import TargetFormat, Targets
from sklearn_mlce._utils.numbers import check_margin, check_number

OBJECTIVES: dict[str, type[Objective]] = {
    objective.name: objective
    for objective in (
        MLCE,
        BinaryCrossEntropy,
        Pairwise,
        SquaredHinge,
        Focal,
        ClassBalancedFocal,
        DistributionBalanced,
        Asymmetric,
    )
}
AUTO = "auto"
#: What the estimators' ``loss`` may be called.
LOSSES = (AUTO, *OBJECTIVES)
#: Those whose scores are compared with a threshold.
THRESHOLDED_LOSSES = (AUTO, *(name for name, o in OBJECTIVES.items() if not o.needs_n_labels))
# The same for type checkers, which read no dict.
LossName = Literal[
    "auto",
    "mlce",
    "bce",
    "pairwise",
    "squared_hinge",
    "focal",
    "class_balanced_focal",
    "distribution_balanced",
    "asymmetric",
]
ThresholdedLossName = Literal[
    "auto",
    "mlce",
    "bce",
    "squared_hinge",
    "focal",
    "class_balanced_focal",
    "distribution_balanced",
    "asymmetric",
]
# A smooth hinge, chosen over all data sets of the benchmarks: threshold zero then needs no tuning.
_LARGEST_SCALE = 1e6  # which is a hinge long before
_HINGE_SCALE, _HINGE_MARGINS = 8.0, (0.2, 1.8)


def resolve_objective(loss: Any, scale: Any, margin: Any, target_format: TargetFormat) -> Objective:
    """The objective that an estimator's parameters ask for, on a kind of y.

    Parameters
    ----------
    loss : str or Module
        One of `LOSSES`, or the user's own.
    scale : float or None
        None is 1.
    margin : float, pair of float or None
        None is 0.
    target_format : TargetFormat
        Of y.

    Raises
    ------
    ValueError
        If the loss does not take such a y, or no scale or margin, and one is given.
    """
    given = {"scale": scale, "margin": margin}
    given = {name: value for name, value in given.items() if value is not None}
    if is_module(loss):
        _refuse(given, "a loss that is a module is used as it is")
        return ModuleObjective.for_module(loss, target_format)
    if loss == AUTO:
        if given:
            written = "".join(f", {name}={value!r}" for name, value in given.items())
            raise ValueError(
                f"loss='auto' chooses scale and margin itself, got {given}. Name the loss that "
                f"they shape, as in loss='bce'{written} or loss='mlce'{written}, or set "
                f"{', '.join(f'{name}=None' for name in given)}"
            )
        return _automatic(target_format)
    objective = OBJECTIVES[loss]
    if not objective.takes_margin:
        _refuse(given, f"loss={loss!r} has none")
    if scale is not None:
        check_number("scale", scale, above=0, at_most=_LARGEST_SCALE)
    margins = check_margin(0.0 if margin is None else margin)
    return objective.for_targets(target_format, 1.0 if scale is None else scale, margins)


def _automatic(target_format: TargetFormat) -> Objective:
    """The best loss at threshold zero: a smooth hinge for labels of 0 and 1, else MLCE."""
    labels = target_format.kind in ("multilabel", "soft")
    if labels and not target_format.fractional:
        return BinaryCrossEntropy(_HINGE_SCALE, _HINGE_MARGINS, target_format)
    return MLCE.for_targets(target_format, 1.0, (0.0, 0.0))


def _refuse(given: dict[str, Any], why: str) -> None:
    if given:
        shaped = [name for name, objective in OBJECTIVES.items() if objective.takes_margin]
        raise ValueError(
            f"scale and margin shape the losses {shaped}; got {given}, but {why}. Set "
            f"{', '.join(f'{name}=None' for name in given)}"
        )


def check_targets(objective: Objective, targets: Targets) -> None:
    """Raise ValueError where a loss takes hard targets only and these are soft."""
    if objective.takes_soft_targets or targets.dense is None:
        return
    soft = (targets.dense > 0) & (targets.dense < 1)
    if soft.any():
        seen = np.unique(targets.dense[soft])[:3].tolist()
        raise ValueError(
            f"{objective.described} takes y of 0, 1 and NaN, but y holds {seen}, where its minimum "
            "would not be at the target. Set loss='mlce' or loss='bce', or pass (y > 0.5)"
        )
