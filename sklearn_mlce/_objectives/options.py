"""What the estimators' ``loss``, ``scale``, ``margin`` and ``order`` mean for a kind of y."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from torch import nn

from sklearn_mlce._kernels.arguments import check_margin
from sklearn_mlce._kernels.orders import Orders, check_order
from sklearn_mlce._targets.targets import Targets

_SINGLE_LABEL = ("binary", "multiclass")
# Losses that are a sum over labels: convex functions of a score, and terms of the focal kind.
POINTWISE = ("bce", "squared_hinge")
LABEL_TERMS = ("focal", "class_balanced_focal", "distribution_balanced", "asymmetric")
COUNTED = ("class_balanced_focal", "distribution_balanced")  # weigh labels by their counts
#: The names of the losses.
LOSSES = ("mlce", "pairwise", *POINTWISE, *LABEL_TERMS)
_SHAPED = ("mlce", "pairwise")  # by scale and margin


class LossOptions(NamedTuple):
    """The loss that is fitted; scale and margins shape some losses, orders only "mlce"."""

    scale: float = 1.0
    margins: tuple[float, float] = (0.0, 0.0)  # of the negatives, of the positives
    orders: Orders = (1, 1)
    # Of `LOSSES`, "module" where there is one, or what "mlce" is for a y of classes: "softmax", or
    # of several outputs "multioutput".
    loss: str = "mlce"
    module: nn.Module | None = None
    sizes: tuple[int, ...] = ()  # of the outputs of a multiclass-multioutput y

    @property
    def separable(self) -> bool:
        """Whether the loss of a multi-label y is a sum over labels, each a problem of its own."""
        if self.loss == "mlce":
            return self.orders == ("all", "all")
        return self.loss in POINTWISE or self.loss in LABEL_TERMS

    @property
    def convex(self) -> bool:
        """Whether the loss is known to be convex in the scores."""
        return self.loss in (*_SHAPED, *POINTWISE, "softmax", "multioutput")

    @property
    def counted(self) -> bool:
        """Whether it needs to know how many training rows carry each label."""
        return self.loss in COUNTED

    @property
    def name(self) -> str:
        """The loss as the user gave it."""
        return f"loss={self.loss!r}" if self.module is None else type(self.module).__name__


# Logistic and softmax regression, which users of a 1-D y expect.
_FOR_SINGLE_LABEL = LossOptions()
PUBLISHED = LossOptions()
# The estimators' own, chosen over all data sets of the benchmarks: threshold zero then needs no
# tuning.
FOR_LABELS = LossOptions(scale=8.0, margins=(0.2, 1.8), orders=("all", "all"))


def resolve_loss(
    kind: str,
    *,
    scale: float | None,
    margin: Any,
    order: Any,
    loss: str | nn.Module = "mlce",
    for_labels: LossOptions = PUBLISHED,
) -> LossOptions:
    """Options of the loss for a kind of y; None is the default of that kind.

    ``for_labels`` holds the defaults of a multi-label y. Scale, margin and order belong together:
    where one of them is given, the others' None is the published loss.

    Raises
    ------
    ValueError
        If the order or the margin is not one, is given for a y to which it does not apply, or
        any of them for a loss that has none.
    """
    given = {"scale": scale, "margin": margin, "order": order}
    given = {name: value for name, value in given.items() if value is not None}
    if kind == "multioutput":
        if loss != "mlce":
            raise ValueError(
                f"y is multiclass-multioutput, which loss='mlce' alone takes; got loss={loss!r}. "
                "Set loss='mlce', or wrap the estimator: "
                "sklearn.multioutput.MultiOutputClassifier(estimator)"
            )
        _refuse(given, "with a multiclass-multioutput y")
        return LossOptions(loss="multioutput")
    if isinstance(loss, nn.Module):
        _refuse(given, "beside a module, which is used as it is")
        return LossOptions(loss="module", module=loss)
    if loss not in _SHAPED:
        _refuse(given, f"beside loss={loss!r}")
        return LossOptions(loss=loss)
    if loss == "pairwise" and kind not in _SINGLE_LABEL:
        _refuse({name: order for name in given if name == "order"}, "beside loss='pairwise'")
        return LossOptions(scale=scale or 1.0, margins=_one_margin(margin, loss), loss=loss)
    single = kind in _SINGLE_LABEL
    default = _FOR_SINGLE_LABEL if single else PUBLISHED if given else for_labels
    orders = default.orders if order is None else check_order(order)
    if single and orders != default.orders:
        raise ValueError(
            f"order={order!r} says how many mistakes of a row count among its labels, but y is "
            f"{kind}: it has one label a row. Set order=None"
        )
    if kind == "multiclass":
        margins = _one_margin(margin, "a multiclass y")
    else:
        margins = default.margins if margin is None else check_margin(margin)
    name = "softmax" if kind == "multiclass" else "mlce"
    return LossOptions(default.scale if scale is None else float(scale), margins, orders, name)


def _one_margin(margin: Any, what: str) -> tuple[float, float]:
    """The margin between two scores, which is one number."""
    margins = check_margin(0.0 if margin is None else margin)
    if margins[0] != margins[1]:
        raise ValueError(
            f"margin={margin!r} is a pair, but {what} has one margin, by which a positive is to "
            "lead a negative. Pass one number"
        )
    return margins


def _refuse(given: dict[str, Any], where: str) -> None:
    if given:
        raise ValueError(
            "scale, margin and order shape loss='mlce' (scale and margin loss='pairwise' too); got "
            f"{given} {where}. Set {', '.join(f'{name}=None' for name in given)}"
        )


def check_targets(options: LossOptions, targets: Targets) -> None:
    """Raise ValueError where a loss takes hard targets only and these are soft."""
    if options.loss not in LABEL_TERMS or targets.dense is None:
        return
    soft = (targets.dense > 0) & (targets.dense < 1)
    if soft.any():
        seen = np.unique(targets.dense[soft])[:3].tolist()
        raise ValueError(
            f"loss={options.loss!r} takes y of 0, 1 and NaN, but y holds {seen}, where its minimum "
            "would not be at the target. Set loss='mlce' or loss='bce', or pass (y > 0.5)"
        )
