"""What y is: recognise its kind, check it, encode it for training, decode scores into labels.

scikit-learn's own recognition takes -1/1 and 1/2 matrices for multi-label targets and refuses
soft and unknown ones, so the package has its own. Nothing here needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

# Score of a label that training cannot place: far beyond any other, yet finite in float32, and
# so is its square.
FIXED_SCORE = 1e9

_BLOCK_ENTRIES = 2**22  # of soft targets that are looked at at a time


@dataclass(frozen=True)
class TargetFormat:
    """What a fitted estimator remembers of y, so that it can answer in kind."""

    kind: str  # "binary", "multiclass", "multilabel", "soft" or "multioutput"
    classes: Any  # the estimator's classes_: an array, or a list of them for "multioutput"
    dtype: np.dtype  # of the predicted labels
    sparse_container: type | None  # csr_matrix or csr_array where y was sparse
    label_names: np.ndarray | None  # (n_labels,) where y was a DataFrame

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

    def split(self, columns: np.ndarray) -> list[np.ndarray]:
        """The columns ``(..., n_outputs)`` of each output of a multiclass-multioutput y."""
        return np.split(columns, np.cumsum(self.sizes)[:-1], axis=-1)

    def decode(self, scores: np.ndarray) -> Any:
        """Labels of scores ``(n, n_outputs)``: the sign of each, or the largest of a row."""
        if self.kind == "multioutput":
            parts = zip(self.classes, self.split(scores), strict=True)
            best = [classes[part.argmax(axis=1)] for classes, part in parts]
            return np.column_stack(best).astype(self.dtype, copy=False)
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


@dataclass(frozen=True)
class Targets:
    """Encoded targets of some rows; exactly one of the three encodings is not None."""

    format: TargetFormat
    codes: np.ndarray | None = None  # multiclass: (n,) index into classes
    # A 1 per positive: binary (n, 1), multilabel (n, L), multioutput (n, sum of sizes), where
    # each output has one in each row.
    positives: sp.csr_array | None = None
    dense: np.ndarray | None = None  # soft: (n, L) in [0, 1], NaN where unknown

    @property
    def kind(self) -> str:
        """Kind of y: "binary", "multiclass", "multilabel" or "soft"."""
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

    def take(self, rows: Any) -> Targets:
        """Targets of a slice, mask or index array of rows."""
        return replace(
            self,
            codes=None if self.codes is None else self.codes[rows],
            positives=None if self.positives is None else self.positives[rows],
            dense=None if self.dense is None else self.dense[rows],
        )

    def of_outputs(self, mask: np.ndarray) -> Targets:
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
            dense=None if self.dense is None else self.dense[:, mask],
        )


def encode_targets(y: Any) -> Targets:
    """Recognise, check and encode y.

    Raises
    ------
    ValueError
        If y is of a kind that cannot be trained on; the message says what to type instead.
    """
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None")
    if sp.issparse(y):
        return _encode_single(y.toarray()) if y.shape[1] == 1 else _encode_sparse(y)
    label_names = _label_names(y)
    array = _as_array(y)
    if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1):
        return _encode_single(array)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"y must have shape (n_samples,) or (n_samples, n_labels), got shape {array.shape}"
        )
    return _encode_dense(array, label_names)


def fixed_scores(targets: Targets) -> np.ndarray:
    """Score of each output that training cannot place; NaN for the others.

    An output without a positive row has no finite optimum: its score is minus FIXED_SCORE, below
    all others. One without a negative row gets plus FIXED_SCORE. Unknown targets count as
    neither.
    """
    fixed = np.full(targets.n_outputs, np.nan)
    never: np.ndarray = np.zeros(targets.n_outputs, dtype=bool)
    always: np.ndarray = never
    if targets.dense is not None:
        never = np.all(~(targets.dense > 0), axis=0)
        always = np.all(~(targets.dense < 1), axis=0)
    elif targets.positives is not None:
        counts = np.bincount(targets.positives.indices, minlength=targets.n_outputs)
        never, always = counts == 0, counts == targets.n_rows
    elif targets.codes is not None:
        never = np.bincount(targets.codes, minlength=targets.n_outputs) == 0
    fixed[always] = FIXED_SCORE
    fixed[never] = -FIXED_SCORE
    return fixed


def label_masses(targets: Targets, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of the positive and of the negative rows of each output."""
    total = weight.sum()
    if targets.codes is not None:
        of_classes = np.bincount(targets.codes, weights=weight, minlength=targets.n_outputs)
        return of_classes, total - of_classes
    if targets.positives is not None:
        of_labels = targets.positives.T @ weight
        return of_labels, total - of_labels
    assert targets.dense is not None
    positive, known = np.zeros(targets.n_outputs), np.zeros(targets.n_outputs)
    step = max(1, _BLOCK_ENTRIES // targets.n_outputs)
    for start in range(0, targets.n_rows, step):
        rows = slice(start, start + step)
        block = targets.dense[rows]
        positive += weight[rows] @ np.nan_to_num(block)
        known += weight[rows] @ ~np.isnan(block)
    return positive, known - positive


def _label_names(y: Any) -> np.ndarray | None:
    if getattr(y, "ndim", 2) != 2 or not hasattr(y, "columns"):
        return None
    return np.asarray(list(y.columns), dtype=object)


def _as_array(y: Any) -> np.ndarray:
    """An array of y; missing entries of a DataFrame's nullable columns become NaN."""
    if hasattr(y, "columns") and hasattr(y, "convert_dtypes"):  # pandas
        nullable = any(not isinstance(dtype, np.dtype) for dtype in y.dtypes)
        array = y.to_numpy(dtype=float, na_value=np.nan) if nullable else y.to_numpy()
    else:
        try:
            array = np.asarray(y)
        except ValueError as error:
            raise ValueError(_label_sets_message(y)) from error
    first = array[0] if array.ndim == 1 and len(array) else None
    if isinstance(first, (set, frozenset, list, tuple, np.ndarray)):
        raise ValueError(_label_sets_message(y))
    return array


def _label_sets_message(y: Any) -> str:
    return (
        f"y is a collection of label sets such as {y[0]!r}; expected a matrix of 0 and 1 of shape "
        "(n_samples, n_labels). Pass MultiLabelBinarizer().fit_transform(y)"
    )


def _encode_single(array: np.ndarray) -> Targets:
    y = column_or_1d(array, warn=True)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y has only 1 class, {classes.tolist()}; expected at least two classes")
    kind = "binary" if len(classes) == 2 else "multiclass"
    target_format = TargetFormat(kind, classes, classes.dtype, None, None)
    if kind == "multiclass":
        return Targets(target_format, codes=codes)
    return Targets(target_format, positives=_ones(sp.csr_array(codes[:, None])))


def _ones(matrix: Any) -> sp.csr_array:
    """The non-zero pattern of a matrix without stored zeros, as a canonical CSR array."""
    data = np.ones(len(matrix.indices), dtype=np.int8)
    return sp.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def _encode_sparse(y: Any) -> Targets:
    matrix = y.tocsr(copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    wrong = matrix.data[matrix.data != 1]
    if len(wrong):
        raise ValueError(
            f"sparse y must hold only 0 and 1, got {np.unique(wrong)[:5].tolist()}. Pass "
            "(y > 0).astype(int) if every other entry is a negative label, y.toarray() for soft "
            "(between 0 and 1) or unknown (NaN) targets"
        )
    container = sp.csr_array if isinstance(y, sp.sparray) else sp.csr_matrix
    target_format = TargetFormat("multilabel", np.arange(y.shape[1]), matrix.dtype, container, None)
    return Targets(target_format, positives=_ones(matrix))


def _encode_dense(array: np.ndarray, label_names: np.ndarray | None) -> Targets:
    classes = np.arange(array.shape[1])
    numeric = _as_numeric(array)
    known = numeric[~np.isnan(numeric)] if numeric.dtype.kind == "f" else numeric
    hard = ((known == 0) | (known == 1)).all()
    if hard and known.size == numeric.size:
        target_format = TargetFormat("multilabel", classes, numeric.dtype, None, label_names)
        return Targets(target_format, positives=_ones(sp.csr_array(numeric != 0)))
    if not hard and _are_codes(known):
        return encode_outputs(numeric)
    if not hard:
        _refuse_other_codes(known)
    dense = numeric.astype(np.result_type(numeric.dtype, np.float32), copy=False)
    target_format = TargetFormat("soft", classes, np.dtype(np.int64), None, label_names)
    return Targets(target_format, dense=dense)


def _are_codes(known: np.ndarray) -> bool:
    """Whether these are whole numbers of more than two values, classes of several outputs."""
    if known.dtype.kind == "f" and not np.array_equal(known, np.round(known)):
        return False
    return len(np.unique(known)) > 2


def encode_outputs(y: Any, classes: Any = None) -> Targets:
    """Targets of several outputs, each of some classes; those that y holds if None are given.

    Raises
    ------
    ValueError
        If an entry is unknown (NaN), or not among the classes of its output.
    """
    array = _as_numeric(_as_array(y))
    if array.ndim != 2 or (classes is not None and array.shape[1] != len(classes)):
        n_outputs = "some" if classes is None else str(len(classes))
        raise ValueError(
            f"y has shape {array.shape}; expected a column for each of {n_outputs} outputs"
        )
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise ValueError(
            "y holds classes of several outputs, some of them NaN; expected a class for each. Drop "
            "the rows that have none, or fit one estimator for each output"
        )
    columns = array.T
    known = [np.unique(column) for column in columns] if classes is None else list(classes)
    for number, (column, of_output) in enumerate(zip(columns, known, strict=True)):
        unseen = np.setdiff1d(column, of_output)
        if len(unseen):
            raise ValueError(
                f"output {number} of y holds {unseen[:5].tolist()}, which are not among its "
                f"classes, {of_output.tolist()}. Pass every class to the first call: "
                "partial_fit(X, y, classes=[classes of output 0, classes of output 1, ...])"
            )
    target_format = TargetFormat("multioutput", known, array.dtype, None, _label_names(y))
    codes = [np.searchsorted(of_one, part) for of_one, part in zip(known, columns, strict=True)]
    starts = np.cumsum((0, *target_format.sizes[:-1]))
    indices = (np.column_stack(codes) + starts).ravel()
    ends = len(known) * np.arange(len(array) + 1)
    positives = (np.ones(len(indices), dtype=np.int8), indices, ends)
    shape = (len(array), target_format.n_outputs)
    return Targets(target_format, positives=sp.csr_array(positives, shape=shape))


def same_classes(first: Any, second: Any) -> bool:
    """Whether two estimators' ``classes_`` are the same."""
    if isinstance(first, list) != isinstance(second, list):
        return False
    if not isinstance(first, list):
        return np.array_equal(first, second)
    return len(first) == len(second) and all(map(np.array_equal, first, second))


def _as_numeric(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "biuf":
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"multi-label y must hold numbers, got dtype {array.dtype} with entries such as "
            f"{array.flat[0]!r}. Pass a 0/1 matrix; MultiLabelBinarizer makes one from label sets"
        ) from error


def _refuse_other_codes(known: np.ndarray) -> None:
    """Raise ValueError for values that are neither 0/1 nor soft targets."""
    low, high = known.min(), known.max()
    if low >= 0 and high <= 1:
        return
    values = np.unique(known)
    seen = values[:5].tolist()
    if not np.isfinite([low, high]).all():
        raise ValueError("Input y contains infinity; expected 0, 1, a number between, or NaN")
    if len(values) <= 2:
        raise ValueError(
            f"y is a matrix coded as {seen}; expected 0 and 1. "
            f"Pass (y == {values[-1]:g}).astype(int)"
        )
    raise ValueError(
        f"Unknown label type: continuous-multioutput, with values from {low:g} to {high:g}; "
        "expected 0 and 1, soft targets in [0, 1], or NaN for unknown"
    )
