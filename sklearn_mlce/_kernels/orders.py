"""The orders of the loss: value, gradient and curvature of one side, each order in its place.

A side takes exponents ``z_i``, one per label, and a threshold logit ``z_0``. With
``x_i = e^{z_i - z_0}`` and their elementary symmetric sums ``e_k``, its value is

    z_0 + log(1 + e_1)          order 1: a row is charged for one mistake
    z_0 + log(1 + e_1 + e_2)    order 2: for two
    z_0 + sum_i log(1 + x_i)    order "all", the log of 1 + e_1 + e_2 + ...: for every one

With weights 0 and 1 order "all" is binary cross-entropy. Each is log of a sum in which an
``x_i`` stands at most once, so that the diagonal of its Hessian is ``g_i - g_i^2``, g being its
gradient in the exponents. An exponent of -inf takes no part.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sklearn_mlce._kernels.elementwise import softplus
from sklearn_mlce._kernels.row_layouts import Layout, exponentials_

Order = int | str
Orders = tuple[Order, Order]  # of the negatives' side, of the positives' side


def check_order(order: Any) -> Orders:
    """Orders of the two sides from what the user gave.

    Raises
    ------
    ValueError
        If it is not 1, 2, "all" or a pair of these.
    """
    pair = tuple(order) if isinstance(order, tuple | list) else (order, order)
    if len(pair) != 2 or not all(_is_order(entry) for entry in pair):
        raise ValueError(
            'order must be 1, 2, "all" or a pair of these, the first for the negatives and the '
            f"second for the positives; got {order!r}"
        )
    return pair


def _is_order(entry: Any) -> bool:
    if isinstance(entry, str | bool):
        return entry == "all"
    return isinstance(entry, Integral) and int(entry) in (1, 2)


class Side(Protocol):
    """One side at some exponents; its weight per row multiplies all but the values."""

    def gradient_(self) -> Tensor:
        """Weighted gradient in the exponents, written over the memory; spends the side."""

    def gradient(self, out: Tensor) -> Tensor:
        """Weighted gradient in the exponents."""

    def product_(self, direction: Tensor) -> Tensor:
        """Weighted Hessian in the exponents times a direction, written over the direction."""


class FirstOrder(NamedTuple):
    """Log-sum-exp beside the threshold."""

    at_labels: Tensor  # weighted softmax beside the threshold, which is the gradient
    weight: Tensor
    layout: Layout

    @classmethod
    def evaluate(
        cls, exponents: Tensor, logit: Tensor | None, weight: Tensor, layout: Layout
    ) -> tuple[Tensor, FirstOrder]:
        """Values ``(n,)`` and the side, whose memory is that of the exponents."""
        shift, sums = exponentials_(exponents, layout)
        labels = shift.add_(sums.log())  # log-sum-exp without the threshold
        share = torch.sigmoid(labels if logit is None else labels - logit)
        exponents.mul_(layout.spread(share.mul_(weight).div_(sums)))
        values = softplus(labels) if logit is None else torch.logaddexp(labels, logit)
        return values, cls(exponents, weight, layout)

    def gradient_(self) -> Tensor:
        return self.at_labels

    def gradient(self, out: Tensor) -> Tensor:
        return out.copy_(self.at_labels)

    def product_(self, direction: Tensor) -> Tensor:
        mean = self.layout.sum(self.at_labels * direction).div_(self.weight)
        return direction.sub_(self.layout.spread(mean)).mul_(self.at_labels)


class EveryOrder(NamedTuple):
    """A sum over labels of softplus."""

    at_labels: Tensor  # weighted sigmoid, which is the gradient
    weight: Tensor
    layout: Layout

    @classmethod
    def evaluate(
        cls, exponents: Tensor, logit: Tensor | None, weight: Tensor, layout: Layout
    ) -> tuple[Tensor, EveryOrder]:
        """Values ``(n,)`` and the side, whose memory is that of the exponents."""
        if logit is not None:
            exponents.sub_(layout.spread(logit))
        values = layout.sum(softplus(exponents))
        exponents.sigmoid_().mul_(layout.spread(weight))
        return values if logit is None else values.add_(logit), cls(exponents, weight, layout)

    def gradient_(self) -> Tensor:
        return self.at_labels

    def gradient(self, out: Tensor) -> Tensor:
        return out.copy_(self.at_labels)

    def product_(self, direction: Tensor) -> Tensor:
        curvature = self.at_labels / self.layout.spread(self.weight)
        return direction.mul_(curvature.neg_().add_(1).mul_(self.at_labels))


class SecondOrder(NamedTuple):
    """The sum with the products of pairs.

    With M the row's largest exponent, kept apart, and l and p the log-sum-exp and softmax of
    the others (all less ``z_0``), the sum of squares q of p, and

        h = e^l / (1 + e^M),    k = 1 + h (1 - q) / 2,    c = sigmoid(l + log k),

    the sum is ``(1 + e^M) (1 + e^l k)``. Nothing in it is a difference that cancels: where
    ``1 - q`` does, one of the others dominates them, and ``h`` is at most about 1. Of the
    others, ``x_i`` stands in ``x_i (1 + e_1 - x_i)`` of the sum, which is its gradient.
    """

    others: Tensor  # p times its sum, 0 at the largest
    sums: Tensor  # of the others
    places: Any  # of the largest
    linear: Tensor  # weighted c (1 + h) / k
    fraction: Tensor  # h / (1 + h): the gradient of the others is linear p (1 - fraction p)
    cross: Tensor  # weighted c sigmoid(M) / k: times p, the pairs with the largest
    largest: Tensor  # weighted gradient at the largest
    weight: Tensor
    layout: Layout

    @classmethod
    def evaluate(
        cls, exponents: Tensor, logit: Tensor | None, weight: Tensor, layout: Layout
    ) -> tuple[Tensor, SecondOrder]:
        """Values ``(n,)`` and the side, whose memory is that of the exponents."""
        largest, places = layout.take_largest(exponents)
        second, sums = exponentials_(exponents, layout)
        log_sum = sums.log()
        if logit is not None:
            largest, second = largest.sub_(logit), second.sub_(logit)
        alone = softplus(largest)
        # Differences of exponents before small terms: of 1e4 float32 keeps three decimals only.
        h = (second - alone).add_(log_sum).exp_()
        h.clamp_(min=torch.finfo(h.dtype).eps)  # less is lost in 1 + h, and is divided by
        q = layout.sum_squares(exponents).div_(sums.square())
        k = (1 - q).clamp_(min=0).mul_(h).mul_(0.5).add_(1)
        paired = second.add_(log_sum).add_(k.log())
        values = softplus(paired).add_(alone)
        share = torch.sigmoid(paired).mul_(weight)
        others, at_largest = share / k, torch.sigmoid(largest)
        side = cls(
            exponents,
            sums,
            places,
            linear=torch.addcmul(others, others, h),
            fraction=h / (1 + h),
            cross=others * at_largest,
            largest=(weight - share).add_(others).mul_(at_largest),
            weight=weight,
            layout=layout,
        )
        return values if logit is None else values.add_(logit), side

    def gradient_(self) -> Tensor:
        return self.gradient(self.others)

    def gradient(self, out: Tensor) -> Tensor:
        # In place on fraction p =: u, as u (1 - u), so that no scratch memory is needed.
        torch.mul(self.others, self.layout.spread(self.fraction / self.sums), out=out)
        out.addcmul_(out, out, value=-1).mul_(self.layout.spread(self.linear / self.fraction))
        self.layout.put(out, self.places, self.largest)
        return out

    def product_(self, direction: Tensor) -> Tensor:
        """``g d - g (g.d)`` plus the products of pairs, which have no diagonal."""
        spread, others = self.layout.spread, self.others
        linear, fraction = self.linear / self.sums, self.fraction / self.sums
        at_largest = self.layout.pick(direction, self.places)
        products = others * direction
        total = self.layout.sum(products)
        p_dot = total / self.sums
        g_dot = (total - fraction * self.layout.sum(products.mul_(others))).mul_(linear)
        mean = g_dot.addcmul_(self.largest, at_largest).div_(self.weight)
        pairs = torch.addcmul(self.cross * at_largest, self.linear * self.fraction, p_dot)
        pairs.div_(self.sums).addcmul_(linear, mean, value=-1)
        # linear p (d - mean + fraction p (mean - 2 d)) + pairs p, in few passes
        quadratic = torch.sub(spread(mean), direction, alpha=2).mul_(others).mul_(spread(fraction))
        direction.add_(quadratic).mul_(spread(linear)).add_(spread(pairs)).mul_(others)
        at_largest = torch.addcmul(self.cross * p_dot, self.largest, at_largest - mean)
        self.layout.put(direction, self.places, at_largest)
        return direction


SIDES: dict[Order, type[FirstOrder] | type[SecondOrder] | type[EveryOrder]] = {
    1: FirstOrder,
    2: SecondOrder,
    "all": EveryOrder,
}
