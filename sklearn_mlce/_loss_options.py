"""What the estimators' ``scale``, ``margin`` and ``order`` mean for a kind of y."""

from __future__ import annotations

from typing import Any, NamedTuple

from sklearn_mlce._orders import Orders, check_order

_SINGLE_LABEL = ("binary", "multiclass")


class LossOptions(NamedTuple):
    """The loss that is fitted; scale, margin and orders are those of "mlce"."""

    scale: float = 1.0
    margin: float = 0.0
    orders: Orders = (1, 1)
    loss: str = "mlce"  # or "bce" or "squared_hinge"


# Logistic and softmax regression, which users of a 1-D y expect.
_FOR_SINGLE_LABEL = LossOptions()
_FOR_LABELS = LossOptions()


def resolve_loss(
    kind: str, *, scale: float | None, margin: float | None, order: Any, loss: str = "mlce"
) -> LossOptions:
    """Options of the loss for a kind of y; None is the default of that kind.

    Raises
    ------
    ValueError
        If the order is not one, is given for a y to which it does not apply, or any of them for
        a loss that has none.
    """
    if loss != "mlce":
        given = {"scale": scale, "margin": margin, "order": order}
        given = {name: value for name, value in given.items() if value is not None}
        if given:
            raise ValueError(
                f"scale, margin and order shape loss='mlce'; got {given} beside loss={loss!r}. "
                f"Set {', '.join(f'{name}=None' for name in given)}"
            )
        return LossOptions(loss=loss)
    single = kind in _SINGLE_LABEL
    default = _FOR_SINGLE_LABEL if single else _FOR_LABELS
    orders = default.orders if order is None else check_order(order)
    if single and orders != default.orders:
        raise ValueError(
            f"order={order!r} says how many mistakes of a row count among its labels, but y is "
            f"{kind}: it has one label a row. Set order=None"
        )
    return LossOptions(
        default.scale if scale is None else float(scale),
        default.margin if margin is None else float(margin),
        orders,
    )
