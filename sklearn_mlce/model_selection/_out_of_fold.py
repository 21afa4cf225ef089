"""The loop that makes scores of any multi-label estimator out of fold."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_method_params

from sklearn_mlce._objectives.objective import is_module
from sklearn_mlce._objectives.registry import AUTO, resolve_objective
from sklearn_mlce._targets.targets import (
    TargetFormat,
    Targets,
    constant_label_scores,
    is_never_positive,
    row_blocks,
    weighted_label_counts,
)
from sklearn_mlce._utils.callbacks import FitTask
from sklearn_mlce._utils.warnings import ignored_warnings
from sklearn_mlce.model_selection._f_measure import HeldOut
from sklearn_mlce.model_selection._output_codes import text_codes
from sklearn_mlce.model_selection._splits import Splits

# Warning of OneVsRestClassifier for a label that a fold's training rows never, or always, carry.
_CONSTANT_LABEL = r"Label (not )?.* is present in all training examples"

# Positives of a label from which on a warning says that none could be scored. Of three shuffled
# folds one holds all of fewer easily by chance, and where there are hundreds of labels it will.
FEWEST_POSITIVES = 5


def clone_for(estimator: Any, target_format: TargetFormat) -> Any:
    """Clone of an estimator that trains on parts of a y what it would train on all of it.

    A part of soft labels may hold nothing but 0 and 1, of which our estimators' ``loss="auto"``,
    at whatever depth of a pipeline, would make another loss.
    """
    copied = clone(estimator)
    if not target_format.fractional or not hasattr(copied, "get_params"):
        return copied
    parameters = copied.get_params(deep=True)
    for name, value in parameters.items():
        owner_name, _, last = name.rpartition("__")
        owner = parameters[owner_name] if owner_name else copied
        ours = last == "loss" and hasattr(owner, "_objective_for")
        if ours and not is_module(value) and value == AUTO:
            copied.set_params(**{name: resolve_objective(AUTO, None, None, target_format).name})
    return copied


def to_sklearn_y(targets: Targets, estimator: Any = None) -> Any:
    """Decode to a y for any estimator: int64 labels, since scikit-learn permutes narrower ones.

    A DataFrame becomes one again, since a dict of label weights goes by its column names. So do
    tags, of sparse columns if the estimator is ours: others refuse these. Several outputs become
    :func:`text_codes`.
    """
    if targets.kind == "multioutput":
        return text_codes(targets)
    container = targets.format.sparse_container
    if targets.tags and targets.frame is not None and _takes_sparse_frames(estimator):
        container = sp.csr_matrix
    int64 = np.dtype(np.int64)
    labels = targets.labels(replace(targets.format, dtype=int64, sparse_container=container))
    if targets.frame is None:
        return labels
    names = list(targets.label_names)  # type: ignore[arg-type]
    if sp.issparse(labels):  # of a DataFrame of sparse columns
        return targets.frame.sparse.from_spmatrix(labels, columns=names)  # type: ignore[attr-defined]
    of_polars = targets.frame.__module__.startswith("polars")
    return targets.frame(labels, **{"schema" if of_polars else "columns": names})


def _takes_sparse_frames(estimator: Any) -> bool:
    """Whether an estimator is ours, at the end of a pipeline or inside wrappers of ours."""
    while estimator is not None and not hasattr(estimator, "_objective_for"):
        if hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            estimator = estimator.estimator if hasattr(estimator, "_zero_scores") else None
    return estimator is not None


def never_positive(
    targets: Targets, rows: np.ndarray, sample_weight: np.ndarray | None
) -> np.ndarray:
    """Mask ``(L,)`` of the labels that none of the rows carries, rows of weight 0 aside."""
    if sample_weight is not None:
        rows = rows[sample_weight[rows] > 0]
    return is_never_positive(constant_label_scores(targets.index_rows(rows)))


def out_of_fold(
    estimators: Iterable[Any],
    X: Any,
    y: Any,
    splits: Splits,
    score: Callable[[Any, Any], Any] | list[Any],
    fit_params: dict[str, Any],
    n_jobs: int | None,
    tasks: list[FitTask] | None = None,
    *,
    keep: bool = True,
) -> tuple[list[Any], list[Any]]:
    """Fit an estimator on the first part of each split and score the second.

    Parameters
    ----------
    estimators : iterable of estimator instance
        One for each split, taken when its turn comes.
    X, y : array-like
        All rows.
    splits : list of tuple of ndarray
        Rows to fit on and rows to score.
    score : callable or list of callable
        Makes the scores of a fitted estimator and rows, such as an array of an entry per row. Of
        a list, each split has its own.
    fit_params : dict
        For `fit`; what has an entry per row is split with the rows.
    n_jobs : int or None
        Splits at a time.
    tasks : list of FitTask or None
        One for each split, by which callbacks are told of the fits.
    keep : bool, default=True
        Whether fitted estimators are returned. If not, and `estimators` makes them one by one, one
        at a time is in memory.

    Returns
    -------
    scores : list
        Of the scored rows of each split.
    estimators : list
        The fitted estimators; copies, where they were fitted in other processes. None each, if
        they are not kept.
    """
    task_of_each: list[FitTask | None] = [None] * len(splits) if tasks is None else [*tasks]
    scores_of_each = score if isinstance(score, list) else [score] * len(splits)
    with ignored_warnings(UserWarning, _CONSTANT_LABEL):
        folds = Parallel(n_jobs=n_jobs)(
            delayed(_fit_and_score)(estimator, X, y, train, test, ask, fit_params, task, keep)
            for estimator, (train, test), ask, task in zip(
                estimators, splits, scores_of_each, task_of_each, strict=True
            )
        )
    scores, fitted = zip(*folds, strict=True)
    return list(scores), list(fitted)


def _fit_and_score(
    estimator: Any,
    X: Any,
    y: Any,
    train: np.ndarray,
    test: np.ndarray,
    score: Callable[[Any, Any], Any],
    fit_params: dict[str, Any],
    task: FitTask | None,
    keep: bool,
) -> tuple[Any, Any]:
    parameters = _check_method_params(X, fit_params, indices=train)
    X_train, y_train = _safe_indexing(X, train), _safe_indexing(y, train)
    fit_as_task(task, estimator, X_train, y_train, parameters)
    return score(estimator, _safe_indexing(X, test)), estimator if keep else None


def fit_as_task(
    task: FitTask | None, estimator: Any, X: Any, y: Any, fit_params: dict[str, Any]
) -> Any:
    """Fit an estimator, and tell callbacks of it if it is a task."""
    if task is None:
        return estimator.fit(X, y, **fit_params)
    with task.running(estimator, X, y, fit_params.get("sample_weight")):
        return estimator.fit(X, y, **fit_params)


def mask_scores(mask: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Set masked scores to -inf, so that no threshold ever predicts them.

    The mask is one of cells ``(n, L)`` or of labels ``(L,)``.
    """
    return np.where(mask, scores.dtype.type(-np.inf), scores) if mask.any() else scores


def is_counted(targets: Targets, sample_weight: np.ndarray | None) -> np.ndarray:
    """Mask of the rows that have a weight and a known target."""
    counted: np.ndarray = np.ones(targets.n_rows, dtype=bool)
    if targets.kind == "multioutput":
        counted &= (targets.output_codes() >= 0).any(axis=1)
    if targets.dense is not None:
        for block in row_blocks(targets.n_rows, targets.n_outputs):
            counted[block] = ~np.isnan(targets.dense[block]).all(axis=1)
    return counted if sample_weight is None else counted & (sample_weight > 0)


def check_held_out(
    targets: Targets,
    splits: Splits,
    sample_weight: np.ndarray | None,
    stacklevel: int = 7,
) -> None:
    """Raise ValueError if no row that is held out counts; warn of labels without scores.

    See :func:`warn_unscored_labels`.
    """
    rows = np.concatenate([test for _, test in splits])
    if not is_counted(targets, sample_weight)[rows].any():
        raise ValueError(
            f"cv holds {len(rows)} rows out, of which none has a weight above zero and a known "
            "label, so that nothing can be chosen by them. Pass another cv, such as cv=3"
        )
    effect = "They count as missed, and no threshold is found on them"
    warn_unscored_labels(targets, splits, sample_weight, effect, stacklevel)


def warn_unscored_labels(
    targets: Targets,
    splits: Splits,
    sample_weight: np.ndarray | None,
    effect: str,
    stacklevel: int,
) -> None:
    """Warn of labels with some positives, of which no fold's estimator can score any.

    All of them lie among the held-out rows of one fold, whose estimator has not learned the label.
    `effect` says what becomes of it.
    """
    if targets.kind not in ("multilabel", "soft"):
        return  # classifiers refuse rows of a single class
    weight = np.ones(targets.n_rows) if sample_weight is None else sample_weight
    held_out, scored = np.zeros((2, targets.n_outputs), dtype=bool)
    for train, test in splits:
        carried = ~never_positive(targets, test, sample_weight)
        held_out |= carried
        scored |= carried & ~never_positive(targets, train, sample_weight)
    n_positives = weighted_label_counts(targets, (weight > 0).astype(np.float64))[0]
    labels = np.flatnonzero(held_out & ~scored & (n_positives >= FEWEST_POSITIVES))
    if not len(labels):
        return
    names = labels if targets.label_names is None else targets.label_names[labels]
    listed = ", ".join([repr(name) for name in names[:5].tolist()] + ["..."] * (len(names) > 5))
    warnings.warn(
        f"the positives of {len(labels)} of {targets.n_outputs} labels, [{listed}], could not be "
        f"scored: each has all of its positives in one fold, whose estimator saw none. {effect}. "
        "Pass a number of folds such as cv=5, which spreads each label over the folds, or a "
        "splitter that does, such as sklearn_mlce.model_selection.MultilabelStratifiedKFold(5)",
        UserWarning,
        stacklevel=stacklevel,
    )


@dataclass(frozen=True)
class HeldOutPart:
    """Rows that an estimator was not fitted on, and its scores of them."""

    rows: np.ndarray  # (n,) numbers of the rows
    scores: np.ndarray  # (n, L)
    learned: np.ndarray  # (L,) mask of the labels that its training rows tell anything about


Part = TypeVar("Part", bound=HeldOutPart)


def held_out_of_folds(
    targets: Targets,
    splits: Splits,
    scores: list[np.ndarray],
    sample_weight: np.ndarray | None,
) -> HeldOut:
    """Scores of the folds beside the targets of their rows.

    Scores of a label that the training rows do not carry are masked: it was not learned. The list
    of scores is emptied: the scores are copied into one array, and each fold's are released then.
    """
    parts = [
        HeldOutPart(test, part, ~never_positive(targets, train, sample_weight))
        for (train, test), part in zip(splits, scores, strict=True)
    ]
    scores.clear()
    return held_out_of_parts(targets, parts, sample_weight)


def held_out_of(
    targets: Targets, rows: np.ndarray, scores: np.ndarray, sample_weight: np.ndarray | None
) -> HeldOut:
    """A copy of scores beside the targets of their rows; see :func:`held_out_of_parts`."""
    learned = np.ones(targets.n_outputs, dtype=bool)
    return held_out_of_parts(targets, [HeldOutPart(rows, scores, learned)], sample_weight)


def held_out_of_parts(
    targets: Targets,
    parts: list[Part],
    sample_weight: np.ndarray | None,
    is_constant: Callable[[np.ndarray], np.ndarray] = is_never_positive,
) -> HeldOut:
    """Scores of some parts, which are emptied as they are copied, beside the targets of the rows.

    Rows without weight or known target are left out, and cells are masked whose target is unknown,
    whose label a part has not learned, or whose score `is_constant`: our own estimators give a
    label that they could not learn the score -CONSTANT_LABEL_SCORE, and no threshold should reach
    down to it.
    """
    counted = is_counted(targets, sample_weight)
    rows = np.concatenate([part.rows[counted[part.rows]] for part in parts])
    dtype = np.result_type(*(part.scores.dtype for part in parts))
    scores = np.empty((len(rows), targets.n_outputs), dtype)
    start = 0
    while parts:
        part = parts.pop(0)
        places = np.flatnonzero(counted[part.rows])
        end = start + len(places)
        for block in row_blocks(len(places), targets.n_outputs):
            copied = scores[start:end][block]
            copied[:] = part.scores[places[block]]
            mask_unscored(copied, targets, rows[start:end][block], part.learned, is_constant)
        start = end
    weight = None if sample_weight is None else sample_weight[rows]
    return HeldOut(scores, positive_cells(targets, rows), weight)


def mask_unscored(
    scores: np.ndarray,
    targets: Targets,
    rows: np.ndarray,
    learned: np.ndarray,
    is_constant: Callable[[np.ndarray], np.ndarray] = is_never_positive,
) -> None:
    """Set scores of some rows to -inf, in place, as :func:`held_out_of_parts` says."""
    scores[:, ~learned] = -np.inf
    scores[is_constant(scores)] = -np.inf
    if targets.dense is not None:
        scores[np.isnan(targets.dense[rows])] = -np.inf


def beside_targets(targets: Targets, scores: np.ndarray, weight: np.ndarray | None) -> HeldOut:
    """Scores beside the targets of the same rows; those of unknown targets are masked."""
    positives = positive_cells(targets, np.arange(targets.n_rows))
    if targets.dense is not None:
        scores = mask_scores(np.isnan(targets.dense), scores)
    return HeldOut(scores, positives, weight)


def positive_cells(targets: Targets, rows: np.ndarray) -> sp.csr_array:
    """Targets ``(n, L)`` of some rows that are above zero, float64."""
    if targets.dense is None:
        return sp.csr_array(targets.positives[rows], dtype=np.float64)  # type: ignore[index]
    shape = (len(rows), targets.n_outputs)
    blocks = [
        sp.csr_array(np.nan_to_num(targets.dense[rows[block]]), dtype=np.float64)
        for block in row_blocks(*shape)
    ]
    return sp.csr_array(sp.vstack(blocks, format="csr")) if blocks else sp.csr_array(shape)
