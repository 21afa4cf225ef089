"""What the estimators' ``scale``, ``margin`` and ``order`` mean for a kind of y."""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn_mlce._loss_arguments import check_margin
from sklearn_mlce._orders import Orders, check_order

_SINGLE_LABEL = ("binary", "multiclass")


class LossOptions(NamedTuple):
    """The loss that is fitted; scale, margin and orders are those of "mlce"."""

    scale: float = 1.0
    margins: tuple[float, float] = (0.0, 0.0)  # of the negatives, of the positives
    orders: Orders = (1, 1)
    loss: str = "mlce"  # or "bce" or "squared_hinge"

    @property
    def separable(self) -> bool:
        """Whether the loss of a multi-label y is a sum over labels, each a problem of its own."""
        return self.loss != "mlce" or self.orders == ("all", "all")


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
    loss: str = "mlce",
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
    if loss != "mlce":
        if given:
            raise ValueError(
                f"scale, margin and order shape loss='mlce'; got {given} beside loss={loss!r}. "
                f"Set {', '.join(f'{name}=None' for name in given)}"
            )
        return LossOptions(loss=loss)
    single = kind in _SINGLE_LABEL
    default = _FOR_SINGLE_LABEL if single else PUBLISHED if given else for_labels
    orders = default.orders if order is None else check_order(order)
    if single and orders != default.orders:
        raise ValueError(
            f"order={order!r} says how many mistakes of a row count among its labels, but y is "
            f"{kind}: it has one label a row. Set order=None"
        )
    margins = default.margins if margin is None else check_margin(margin)
    if kind == "multiclass" and margins[0] != margins[1]:
        raise ValueError(
            f"margin={margin!r} is a pair, but a multiclass y has one margin, between the true "
            "class and the others. Pass one number"
        )
    return LossOptions(default.scale if scale is None else float(scale), margins, orders)
