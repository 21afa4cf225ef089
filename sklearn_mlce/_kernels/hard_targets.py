"""Hard targets, which are 0, 1 or unknown: as lists of entries, or as matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._kernels.loss_function import (
    check_soft_targets,
    full_precision_product,
    is_small,
    is_traced,
)

# Where one entry in so many is positive, a list of them takes as long as a matrix.
_FEW = 64
_WORD = 8  # entries of a mask that are compared to 0 at once
_SCANNED = 2**14  # entries of a mask that are scanned one by one


class PositiveEntries(NamedTuple):
    """Hard targets as lists of entries, row-major; every entry not listed is a negative."""

    rows: Tensor  # (n_positives,)
    columns: Tensor  # (n_positives,)
    flat_index: Tensor  # (n_positives,) row * n_labels + column
    masked: Tensor  # (n_masked,) flat index of positive or unknown entries

    def sum_positives(self, label_values: Tensor, n_rows: int) -> Tensor:
        """Sums ``(n_rows,)`` of values ``(L,)`` over the positive labels of each row."""
        sums = label_values.new_zeros(n_rows)
        return sums.index_add_(0, self.rows, label_values[self.columns])

    def to_matrix(self, scores: Tensor) -> Tensor:
        """Targets as a matrix of 0 and 1 like some scores; unknown ones would be 0."""
        zeros = scores.new_zeros(scores.numel())
        return zeros.scatter(0, self.flat_index, 1.0).reshape(scores.shape)


class DenseTargets(NamedTuple):
    """Hard targets as a matrix of 0, 1 and NaN."""

    targets: Tensor  # (n, L): 0 or False, 1 or True, or NaN where unknown
    all_known: bool

    def fill_excluded(self, out: Tensor, block: slice, sign: int) -> None:
        """Write inf where an entry of a block of rows is excluded from a side, 0 elsewhere.

        The side is that of the negatives where the sign is +1, that of the positives where it
        is -1. Arithmetic, as filling by a mask takes up to a hundred times as long on a CPU.
        """
        targets = self.targets[block].to(out.dtype)
        part = torch.sub(1, targets, out=out) if sign > 0 else targets
        if not self.all_known:
            part = torch.nan_to_num(part, nan=0.0, out=out)
        torch.reciprocal(part, out=out).sub_(1)

    def sum_positives(self, label_values: Tensor, n_rows: int) -> Tensor:
        """Sums ``(n_rows,)`` of values ``(L,)`` over the positive labels of each row."""
        positive = self.targets if self.all_known else self.targets == 1
        return full_precision_product(positive.to(label_values.dtype), label_values)


HardTargets = PositiveEntries | DenseTargets


def entries_from_indices(indptr: Tensor, indices: Tensor, n_labels: int) -> PositiveEntries:
    """Entries of hard targets given in compressed sparse row form."""
    n_rows = len(indptr) - 1
    if is_traced(indptr, indices):
        places = torch.arange(len(indices), device=indices.device)
        rows = torch.searchsorted(indptr, places, right=True) - 1
    elif indices.device.type == "cpu":  # a fifth of the time of torch's repeat_interleave
        rows = torch.from_numpy(np.repeat(np.arange(n_rows), np.diff(indptr.numpy())))
    else:
        rows = torch.repeat_interleave(
            torch.arange(n_rows, device=indices.device), indptr.diff(), output_size=len(indices)
        )
    positive = torch.add(indices, rows, alpha=n_labels)
    return PositiveEntries(rows, indices, positive, positive)


def entries_from_dense(targets: Tensor) -> PositiveEntries | None:
    """Entries of dense targets ``(n, L)``, or None when some target is soft."""
    masked = targets.bool()  # NaN is True; a tenth of a comparison's time
    return _entries(targets, _flat_nonzero(masked))


def checked_form(targets: Tensor) -> Tensor | HardTargets:
    """Targets ``(n, L)`` in the form that a closed form of a loss takes them in.

    Few targets stay a matrix, whether they are hard or soft, and so do traced ones.

    Raises
    ------
    ValueError
        If a target is not in [0, 1] or NaN.
    """
    hard = None if is_traced(targets) or is_small(targets) else hard_from_dense(targets)
    if hard is not None:
        return hard
    check_soft_targets(targets)
    return targets


def cheaper_form(targets: Tensor | HardTargets) -> Tensor | HardTargets:
    """Few targets that :func:`checked_form` left a matrix, as hard ones where they are."""
    if isinstance(targets, Tensor) and is_small(targets):
        hard = hard_from_dense(targets)
        return targets if hard is None else hard
    return targets


def hard_from_dense(targets: Tensor) -> PositiveEntries | DenseTargets | None:
    """Dense targets ``(n, L)`` in their cheaper form, or None when some target is soft."""
    # In memory of its own, that it can be read by words.
    masked = targets.to(torch.bool, copy=True, memory_format=torch.contiguous_format)
    places = _few_nonzero(masked)
    if places is not None:
        return _entries(targets, places)
    n_masked, n_positive = _count(masked), _count_ones(targets)
    if n_positive == n_masked:
        return DenseTargets(targets, True)
    if targets.is_floating_point() and n_positive + _count(targets.isnan()) == n_masked:
        return DenseTargets(targets, False)
    return None


def is_hard(targets: Tensor) -> bool:
    """Whether targets are all 0 or 1: of few targets the fastest way to tell."""
    # A sign takes a tenth of the time of a cast to bool and back.
    return targets.dtype == torch.bool or torch.equal(targets, targets.sign().abs_())


def _count_ones(targets: Tensor) -> int:
    if targets.device.type != "cpu" or targets.dtype == torch.bfloat16:
        return _count(targets == 1)
    return int(np.count_nonzero(targets.numpy() == 1))  # a fifth of the time of torch's mask


def _count(mask: Tensor) -> int:
    if mask.device.type == "cpu":  # a tenth of torch's time
        return int(np.count_nonzero(mask.numpy()))
    return int(mask.sum())


def _entries(targets: Tensor, places: Tensor) -> PositiveEntries | None:
    """Entries of targets whose non-zero entries have the given flat places, or None."""
    values = targets.reshape(-1).index_select(0, places)  # half the time of indexing
    hard = values == 1
    if bool(hard.all()):
        positive = places
    elif targets.is_floating_point() and bool((hard | values.isnan()).all()):
        positive = places[hard]
    else:
        return None
    n_labels = targets.shape[1]
    rows = torch.div(positive, n_labels, rounding_mode="floor")
    return PositiveEntries(rows, positive - rows * n_labels, positive, places)


def _flat_nonzero(mask: Tensor) -> Tensor:
    if mask.device.type == "cpu":  # NumPy's scan of a sparse mask is ten times torch.nonzero's
        return torch.from_numpy(np.flatnonzero(mask.detach().numpy()))
    return mask.reshape(-1).nonzero().squeeze(1)


def _few_nonzero(mask: Tensor) -> Tensor | None:
    """Flat places of the True entries of a mask, or None where they are not few."""
    at_most = mask.numel() // _FEW
    if mask.device.type != "cpu":
        return _flat_nonzero(mask) if _count(mask) <= at_most else None
    flat = mask.reshape(-1)
    words = _words(flat)
    occupied = words.bool()  # a quarter of the time of NumPy's comparison
    if _count(occupied) > at_most:
        return None
    found = _sparse_nonzero(occupied)
    if _count(words[found].view(torch.bool)) > at_most:  # words may be full where there are few
        return None
    places = _places_in(flat, words, found)
    return torch.from_numpy(places) if len(places) <= at_most else None


def _sparse_nonzero(mask: Tensor) -> np.ndarray:
    """Places of the True entries of a flat mask on the CPU, most of which is False.

    Words of entries that hold any are found first, and so on: NumPy's scan is slow where the next
    entry is far off and cannot be foreseen.
    """
    if len(mask) <= _SCANNED:
        return np.flatnonzero(mask.numpy())
    words = _words(mask)
    return _places_in(mask, words, _sparse_nonzero(words.bool()))


def _words(mask: Tensor) -> Tensor:
    return mask[: len(mask) // _WORD * _WORD].view(torch.int64)


def _places_in(mask: Tensor, words: Tensor, occupied: np.ndarray) -> np.ndarray:
    """Places of a mask's True entries by the places of the words that hold any."""
    entry = np.flatnonzero(words.numpy()[occupied].view(np.bool_))
    places = (occupied * _WORD)[entry // _WORD] + entry % _WORD
    covered = len(words) * _WORD
    if covered == len(mask):
        return places
    return np.append(places, covered + np.flatnonzero(mask[covered:].numpy()))
