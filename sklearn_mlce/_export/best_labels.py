"""The k best labels of each row, in operations that torch exports and differentiates."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE


def shifted_to_best(scores: Tensor, k: int) -> Tensor:
    """Scores ``(n, L)`` less a number per row, so that the `k` largest alone are above zero.

    As :func:`sklearn_mlce._targets.top_k.shifted_to_best`, which says which number.
    """
    chosen = largest(scores.detach(), k)
    near = scores.detach().abs() < CONSTANT_LABEL_SCORE / 2
    infinity = torch.full_like(scores, torch.inf)
    last = scores.where(chosen & near, infinity).amin(dim=1, keepdim=True)
    following = scores.where(~chosen & near, -infinity).amax(dim=1, keepdim=True)
    middle = torch.where(following.isinf(), last - 1, last / 2 + following / 2)
    middle = torch.where(last.isinf(), following + 1, middle)
    middle = middle.where(~middle.isinf(), torch.zeros_like(middle))
    return chosen_above_zero(scores - middle, chosen)


def chosen_above_zero(shifted: Tensor, chosen: Tensor) -> Tensor:
    """Scores ``(n, L)`` whose signs, where rounding or ties miss them, are those of a mask."""
    smallest = torch.full_like(shifted, torch.finfo(shifted.dtype).tiny)
    shifted = smallest.where(chosen & (shifted <= 0), shifted)
    return torch.zeros_like(shifted).where(~chosen & (shifted > 0), shifted)


def largest(scores: Tensor, k: int) -> Tensor:
    """Mask ``(n, L)`` of the `k` largest scores of each row; of equal ones the lower columns."""
    return first_down_to(scores.topk(k, dim=1).values[:, -1:], scores, k)


def first_down_to(last: Tensor, scores: Tensor, k: int | Tensor) -> Tensor:
    """Mask ``(n, L)`` of the first `k` scores of each row, of which `last` ``(n, 1)`` is the k-th.

    Of equal ones the lower columns. `k` is one number, or one for each row, ``(n, 1)``.
    """
    above, level = scores > last, scores == last
    room = k - above.sum(dim=1, keepdim=True)
    return above | (level & (level.long().cumsum(dim=1) <= room))
