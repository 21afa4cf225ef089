"""Encoded targets, and how scores are decoded into labels; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing, gen_batches
from sklearn.utils.validation import _num_samples

# Score of a label that is the same in every training row: far beyond any other score, yet finite
# in float32, and so is its square.
CONSTANT_LABEL_SCORE = 1e9

# Scores, or soft targets, that are held at a time: 32 MiB of float64.
ENTRIES_PER_BLOCK = 2**22


def row_blocks(n_rows: int, n_columns: int, n_entries: int | None = None) -> list[slice]:
    """Slices that part the rows of a matrix into blocks of about `n_entries` entries."""
    n_entries = ENTRIES_PER_BLOCK if n_entries is None else n_entries
    return list(gen_batches(n_rows, max(1, n_entries // max(n_columns, 1)))) if n_rows else []


@dataclass(frozen=True)
class TargetFormat:
    """Kind, classes, dtype and container of y, by which predictions take the form of y."""

    kind: str  # "binary", "multiclass", "multilabel", "soft" or "multioutput"
    classes: Any  # the estimator's classes_: an array, or a list of them for "multioutput"
    dtype: np.dtype  # of the predicted labels
    sparse_container: type | None  # csr_matrix or csr_array where y was sparse
    label_names: np.ndarray | None  # (n_labels,) where y was a DataFrame
    # Whether a target lies between 0 and 1 ("soft" ones may be unknown alone), or those of several
    # outputs are probabilities.
    fractional: bool = False

    @property
    def single_label(self) -> bool:
        """Whether y is one class per row."""
        return self.kind in ("binary", "multiclass")

    @property
    def n_outputs(self) -> int:
        """Number of score columns: 1 for binary, one per class or label otherwise."""
        if self.kind == "multioutput":
            return sum(self.sizes)
        return 1 if self.kind == "binary" else len(self.classes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each output of a multiclass-multioutput y."""
        return tuple(map(len, self.classes)) if self.kind == "multioutput" else ()

    def sum_of_outputs(self, by_class: np.ndarray) -> np.ndarray:
        """The sum ``(n_outputs,)`` over the classes of an output, at each of its classes."""
        starts = np.cumsum((0, *self.sizes[:-1]))
        return np.repeat(np.add.reduceat(by_class, starts), self.sizes)

    def split(self, columns: np.ndarray) -> list[np.ndarray]:
        """The columns ``(..., n_outputs)`` of each output of a multiclass-multioutput y."""
        return np.split(columns, np.cumsum(self.sizes)[:-1], axis=-1)

    def decode(self, scores: np.ndarray) -> Any:
        """Labels of scores ``(n, n_outputs)``: the sign of each, or the largest of a row."""
        if self.kind == "multioutput":
            parts = zip(self.classes, self.split(scores), strict=True)
            labels = np.empty((len(scores), len(self.classes)), dtype=self.dtype)
            for number, (classes, part) in enumerate(parts):
                labels[:, number] = classes[part.argmax(axis=1)]
            return labels
        if self.kind == "binary":
            return self.classes[(scores[:, 0] > 0).astype(np.intp)]
        if self.kind == "multiclass":
            return self.classes[scores.argmax(axis=1)]
        labels = scores > 0
        if self.sparse_container is not None:
            # In compressed form already: going through coordinates takes twice as long.
            columns = np.nonzero(labels)[1]
            indptr = np.append(0, labels.sum(axis=1).cumsum())
            ones = np.ones(len(columns), dtype=self.dtype)
            return self.sparse_container((ones, columns, indptr), shape=labels.shape)
        return labels.astype(self.dtype)

    def decode_by_blocks(self, X: Any, score: Callable[[Any], np.ndarray]) -> Any:
        """Labels of the rows of X, whose dense scores are made by blocks where y was sparse."""
        if self.sparse_container is None:
            return self.decode(score(X))
        blocks = row_blocks(_num_samples(X), self.n_outputs)
        if len(blocks) <= 1:
            return self.decode(score(X))
        parts = [self.decode(score(_safe_indexing(X, rows))) for rows in blocks]
        return sp.vstack(parts, format="csr")

    def to_state(self) -> dict[str, Any]:
        """Strings, arrays and lists of them, so that no pickle names this class."""
        container = self.sparse_container and self.sparse_container.__name__
        return vars(self) | {"dtype": self.dtype.str, "sparse_container": container}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> TargetFormat:
        """Inverse of :meth:`to_state`."""
        container = state["sparse_container"] and getattr(sp, state["sparse_container"])
        dtype = np.dtype(state["dtype"])
        return cls(**(state | {"dtype": dtype, "sparse_container": container}))


class TargetFormatMixin:
    """Format of the y of `fit` as a fitted attribute; what is stored are plain values."""

    _target_state: dict[str, Any]

    @property
    def _target_format(self) -> TargetFormat:
        return TargetFormat.from_state(self._target_state)

    @_target_format.setter
    def _target_format(self, target_format: TargetFormat) -> None:
        self._target_state = target_format.to_state()


@dataclass(frozen=True)
class Targets:
    """Encoded targets of some rows; exactly one of the three encodings is not None."""

    format: TargetFormat
    codes: np.ndarray | None = None  # multiclass: (n,) index into classes
    # A 1 per positive: binary (n, 1), multilabel (n, L), multioutput (n, sum of sizes), where
    # each output has one in each row in which it is known.
    positives: sp.csr_array | None = None
    # Soft: (n, L) in [0, 1], NaN where unknown; (n, sum of sizes) for several outputs.
    dense: np.ndarray | None = None
    frame: type | None = None  # the class of y, where it was a DataFrame of several columns
    tags: bool = False  # whether y was rows of tags, which need no dense matrix

    @property
    def kind(self) -> str:
        """Kind of y: "binary", "multiclass", "multilabel", "soft" or "multioutput"."""
        return self.format.kind

    @property
    def classes(self) -> Any:
        """The estimator's ``classes_``."""
        return self.format.classes

    @property
    def label_names(self) -> np.ndarray | None:
        """Column names of y, where it was a DataFrame."""
        return self.format.label_names

    @property
    def _encoded(self) -> Any:
        encodings = (self.codes, self.positives, self.dense)
        return next(encoding for encoding in encodings if encoding is not None)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._encoded.shape[0]

    @property
    def n_outputs(self) -> int:
        """Number of score columns: 1 for binary, one per class or label otherwise."""
        return self.format.n_outputs

    def output_codes(self) -> np.ndarray:
        """Index ``(n, outputs)`` of the class of each of several outputs; -1 where unknown.

        Of probabilities it is that of the most probable class.
        """
        if self.dense is not None:
            parts = self.format.split(self.dense)
            best = [np.where(np.isnan(part[:, 0]), -1, part.argmax(axis=1)) for part in parts]
            return np.column_stack(best)
        assert self.positives is not None
        sizes = self.format.sizes
        outputs = np.repeat(np.arange(len(sizes)), sizes)[self.positives.indices]
        rows = np.repeat(np.arange(self.n_rows), np.diff(self.positives.indptr))
        codes = np.full((self.n_rows, len(sizes)), -1, dtype=np.intp)
        codes[rows, outputs] = self.positives.indices - np.cumsum((0, *sizes[:-1]))[outputs]
        return codes

    def labels(self, target_format: TargetFormat) -> Any:
        """Decode back to y, in the container and dtype of a format; soft targets stay.

        Unknown ones of several outputs are NaN among numbers, None among text. Probabilities are
        an array ``(n, n_outputs, n_classes)``, or a list where outputs have different classes.
        """
        if self.dense is not None and self.kind == "multioutput":
            parts, even = self.format.split(self.dense), len(set(self.format.sizes)) == 1
            return np.stack(parts, axis=1) if even else parts
        if self.dense is not None:
            return self.dense
        if self.codes is not None:
            return self.classes[self.codes]
        assert self.positives is not None
        if self.kind == "multioutput":
            labels = target_format.decode(self.positives.toarray())
            unknown = self.output_codes() < 0
            missing = np.nan if labels.dtype.kind in "biuf" else None
            return np.where(unknown, missing, labels) if unknown.any() else labels
        if self.kind == "binary":
            return self.classes[self.positives.toarray().ravel()]
        if target_format.sparse_container is not None:
            return target_format.sparse_container(self.positives, dtype=target_format.dtype)
        return self.positives.toarray().astype(target_format.dtype)

    def index_rows(self, rows: Any) -> Targets:
        """Targets of a slice, mask or index array of rows."""
        return replace(
            self,
            codes=None if self.codes is None else self.codes[rows],
            positives=None if self.positives is None else self.positives[rows],
            dense=None if self.dense is None else self.dense[rows],
        )

    def one_hot(self) -> Targets:
        """Targets of a multiclass y with a label for each class; others as they are."""
        if self.codes is None:
            return self
        ones, row_ends = np.ones(self.n_rows, dtype=np.int8), np.arange(self.n_rows + 1)
        shape = (self.n_rows, self.n_outputs)
        positives = sp.csr_array((ones, self.codes, row_ends), shape=shape)
        return replace(self, codes=None, positives=positives)

    def select_outputs(self, mask: np.ndarray) -> Targets:
        """Targets of some outputs; every row of a multiclass y must be of one of them."""
        if mask.all():
            return self
        if self.kind == "multioutput":
            parts = zip(self.classes, self.format.split(mask), strict=True)
            classes: Any = [of_one[part] for of_one, part in parts if part.any()]
        else:
            classes = self.classes[mask]
        return Targets(
            replace(self.format, classes=classes),
            codes=None if self.codes is None else (np.cumsum(mask) - 1)[self.codes],
            positives=None if self.positives is None else self.positives[:, mask],
            # In rows again: columns that are picked out lie by columns.
            dense=None if self.dense is None else np.ascontiguousarray(self.dense[:, mask]),
        )


def constant_label_scores(targets: Targets) -> np.ndarray:
    """Score ``(n_outputs,)`` of each output that has no finite optimum; NaN for the others.

    An output without a positive row gets minus CONSTANT_LABEL_SCORE, below all others; one without
    a negative row plus CONSTANT_LABEL_SCORE. Unknown targets count as neither.
    """
    fixed = np.full(targets.n_outputs, np.nan)
    never: np.ndarray = np.zeros(targets.n_outputs, dtype=bool)
    always: np.ndarray = never
    if targets.dense is not None:
        never = np.all(~(targets.dense > 0), axis=0)
        always = np.all(~(targets.dense < 1), axis=0)
    elif targets.positives is not None:
        counts = np.bincount(targets.positives.indices, minlength=targets.n_outputs)
        of_outputs = targets.kind == "multioutput"
        n_known = targets.format.sum_of_outputs(counts) if of_outputs else targets.n_rows
        never, always = counts == 0, counts == n_known
    elif targets.codes is not None:
        never = np.bincount(targets.codes, minlength=targets.n_outputs) == 0
    fixed[always] = CONSTANT_LABEL_SCORE
    fixed[never] = -CONSTANT_LABEL_SCORE
    return fixed


def is_trainable(scores: np.ndarray) -> np.ndarray:
    """Mask of the scores, or intercepts, of labels that training could learn.

    The score of a constant label may have been shifted since, by a threshold or a midpoint: half
    of it is far beyond any other score as well.
    """
    return np.abs(scores) < CONSTANT_LABEL_SCORE / 2


def is_never_positive(scores: np.ndarray) -> np.ndarray:
    """Mask of the scores of labels that no training row carried."""
    return scores < -CONSTANT_LABEL_SCORE / 2


def weighted_label_counts(targets: Targets, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted numbers ``(n_outputs,)`` of the positive and of the negative rows."""
    total = weight.sum()
    if targets.codes is not None:
        of_classes = np.bincount(targets.codes, weights=weight, minlength=targets.n_outputs)
        return of_classes, total - of_classes
    if targets.positives is not None:
        of_labels = targets.positives.T @ weight
        if targets.kind == "multioutput":  # unknown ones count for neither
            total = targets.format.sum_of_outputs(of_labels)
        return of_labels, total - of_labels
    assert targets.dense is not None
    positive, known = np.zeros(targets.n_outputs), np.zeros(targets.n_outputs)
    for rows in row_blocks(targets.n_rows, targets.n_outputs):
        block = targets.dense[rows]
        positive += weight[rows] @ np.nan_to_num(block)
        known += weight[rows] @ ~np.isnan(block)
    return positive, known - positive


class LabelCounts(NamedTuple):
    """Weighted numbers of the rows of a fit."""

    positive: np.ndarray  # (n_outputs,), float64: of the rows that carry each label or class
    negative: np.ndarray  # (n_outputs,): of the rows that do not
    total: float  # of all rows

    @classmethod
    def of(cls, targets: Targets, sample_weight: np.ndarray | None) -> LabelCounts:
        """Counts of the labels of some rows, each row with its weight."""
        weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
        weight = weight.astype(np.float64)
        positive, negative = weighted_label_counts(targets, weight)
        return cls(positive, negative, float(weight.sum()))

    def bounded(self, rarest: float) -> LabelCounts:
        """Counts of the known rows with frequencies within ``[rarest, 1 - rarest]``.

        A label of which nothing is known has the frequency one half.
        """
        total = self.positive + self.negative
        half = np.full(len(total), 0.5)
        frequency = np.divide(self.positive, total, out=half, where=total > 0)
        frequency = np.clip(frequency, rarest, 1 - rarest)
        return LabelCounts(self.total * frequency, self.total * (1 - frequency), self.total)


def same_classes(first: Any, second: Any) -> bool:
    """Whether two estimators' ``classes_`` are the same."""
    if isinstance(first, list) != isinstance(second, list):
        return False
    if not isinstance(first, list):
        return np.array_equal(first, second)
    return len(first) == len(second) and all(map(np.array_equal, first, second))
