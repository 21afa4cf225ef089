"""Validation rows of early stopping: their encoding by the fit's classes, and their score."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer
from sklearn.utils import column_or_1d

from sklearn_mlce._estimators.base import BaseMLCE
from sklearn_mlce._estimators.label_subset import LabelSubset
from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.callbacks import Diverged
from sklearn_mlce._network.perceptron import Arrays
from sklearn_mlce._targets.encoding import encode_argument, encode_outputs, label_names_of
from sklearn_mlce._targets.label_names import check_label_names
from sklearn_mlce._targets.stream_classes import encode_classes
from sklearn_mlce._targets.tags import check_no_tags
from sklearn_mlce._targets.targets import TargetFormat, Targets, constant_label_scores
from sklearn_mlce._utils.warnings import ignored_warnings


def epoch_scorer(estimator: BaseMLCE, scoring: Any, rows: Rows) -> Callable[[Arrays], float] | None:
    """Make a function of the weights that scores them on some rows; None for their loss.

    Parameters
    ----------
    estimator : BaseMLCE
        With all of its fitted attributes but the weights.
    scoring : str or callable
        "loss", a name known to scikit-learn, or ``scorer(estimator, X, y)``.
    rows : Rows
        Held-out rows.

    Raises
    ------
    ValueError
        If the name is not known, or the metric is one of 0/1 labels and y is not.
    """
    if isinstance(scoring, str) and scoring == "loss":
        return None
    _check_knows_targets(scoring, rows.targets)
    return EpochScore(estimator, scoring, rows)


def _check_knows_targets(scoring: Any, targets: Targets) -> None:
    """Raise ValueError if the metric is one of 0/1 labels, as all of scikit-learn's, and y is not.

    A scorer that is passed may be one of soft labels, but none of scikit-learn's knows NaN.
    """
    if targets.kind not in ("soft", "multioutput"):
        return
    unknown = targets.dense is not None and np.isnan(targets.dense).any()
    if not isinstance(scoring, str) and not (unknown and _is_of_sklearn(scoring)):
        return
    held, instead = "the classes of several outputs", "a callable scorer(estimator, X, y)"
    if targets.kind == "soft":
        held = "soft or unknown (NaN) targets"
        instead = (
            "make_scorer(masked_f1_score, average='micro'), of sklearn.metrics and "
            f"sklearn_mlce.metrics, or {instead}"
        )
    raise ValueError(
        f"scoring={scoring!r} compares with labels of 0 and 1, but y holds {held}. Set "
        f"scoring='loss', or pass {instead}"
    )


class EpochScore:
    """Score of the weights of an epoch on held-out rows, the greater the better.

    Where the score of all labels is no number, as roc_auc is of a label that no row carries, those
    that are the same in all rows are left out, from then on.

    Parameters
    ----------
    estimator : BaseMLCE
        With all of its fitted attributes but the weights.
    scoring : str or callable
        A name known to scikit-learn, or ``scorer(estimator, X, y)``.
    rows : Rows
        Held-out rows.
    """

    def __init__(self, estimator: BaseMLCE, scoring: Any, rows: Rows) -> None:
        self.scoring, self.rows = scoring, rows
        self.scorer = get_scorer(scoring)
        target_format = _format_for(self.scorer, estimator._target_format)
        self.model = copy.copy(estimator)
        self.model._target_format = target_format
        self.model.__dict__.pop("feature_names_in_", None)  # the rows have lost theirs by now
        self.y = rows.targets.labels(target_format)
        weighs = _takes_weight(self.scorer, rows)
        self.weight = {"sample_weight": rows.sample_weight} if weighs else {}
        self.labels: np.ndarray | None = None  # numbers of those that are scored; None for all
        self.varying: np.ndarray | None = None  # of those that some rows carry and some do not
        if rows.targets.kind in ("multilabel", "soft"):
            self.varying = np.flatnonzero(np.isnan(constant_label_scores(rows.targets)))

    def __call__(self, weights: Arrays) -> float:
        """Score of some weights."""
        value = math.nan
        try:
            value = self._score(weights)
        except ValueError:  # in scikit-learn 1.6 roc_auc raises where it is nan later
            if not self._can_leave_out:
                raise
        if math.isnan(value) and self._can_leave_out:
            self.labels = self.varying
            value = self._score(weights)
        if math.isnan(value):
            none = self.varying is not None and not len(self.varying)
            where = ", in which no label varies" if none else ""
            raise Diverged(
                f"scoring={self.scoring!r} is nan on the {len(self.rows)} held-out rows{where}; "
                "expected a number. Hold out more rows by validation_fraction, or pick another "
                "scoring"
            )
        return value

    @property
    def _can_leave_out(self) -> bool:
        """Whether some labels are the same in all rows, and have not been left out yet."""
        if self.labels is not None or self.varying is None:
            return False
        return 0 < len(self.varying) < self.rows.targets.n_outputs

    def _score(self, weights: Arrays) -> float:
        scored: Any = copy.copy(self.model)
        scored.state_dict_, y = weights, self.y
        if self.labels is not None:
            scored = LabelSubset(scored, self.labels)
            y = scored.columns(y)
        # Of labels that no held-out row has; they would come with each epoch.
        with (
            ignored_warnings(UndefinedMetricWarning),
            ignored_warnings(UserWarning, "No positive class found in y_true"),
        ):
            value = self.scorer(scored, self.rows.X, y, **self.weight)
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"scoring={self.scoring!r} returned {value!r:.80}, of type {type(value).__name__}; "
                "expected a number, the greater the better. Return float(score)"
            ) from error


def _format_for(scorer: Any, target_format: TargetFormat) -> TargetFormat:
    """Format of y that suits a scorer: of scikit-learn's metrics, sparse or dense; else the fit's.

    Its metrics of predicted labels are up to fifty times as fast on sparse matrices, and some of
    those of scores refuse them.
    """
    if target_format.single_label or not _is_of_sklearn(scorer):
        return target_format
    predicts = getattr(scorer, "_response_method", None) == "predict"
    return replace(target_format, sparse_container=sp.csr_array if predicts else None)


def _is_of_sklearn(scorer: Any) -> bool:
    """Whether a scorer was made of a metric of scikit-learn."""
    metric = getattr(scorer, "_score_func", None)
    return getattr(metric, "__module__", "").startswith("sklearn.")


def _takes_weight(scorer: Any, rows: Rows) -> bool:
    if rows.sample_weight is None:
        return False
    metric = getattr(scorer, "_score_func", scorer)
    return "sample_weight" in inspect.signature(metric).parameters


def hold_rows_out(
    estimator: Any, rows: Rows, given: tuple[Any, Any, Any], seed: int
) -> tuple[Rows, Rows | None]:
    """Return the rows to train on, and those that early stopping scores, if it does.

    Parameters
    ----------
    estimator : MLCEMLP
        The network, with the classes of the rows.
    rows : Rows
        All rows of the fit.
    given : (X_val, y_val, sample_weight_val)
        Held-out rows as `fit` takes them. If all are None, a part of `rows` is held out.
    seed : int
        Seed of the rows that are held out.

    Raises
    ------
    ValueError
        If some of what is given is missing, is of no use, or does not fit the rows.
    """
    if any(value is not None for value in given):
        return rows, _given_rows(estimator, *given, rows.X.dtype, used=estimator.early_stopping)
    if estimator.early_stopping:
        return rows.split(estimator.validation_fraction, seed)
    return rows, None


def _given_rows(
    estimator: BaseMLCE, X: Any, y: Any, sample_weight: Any, dtype: Any, *, used: bool
) -> Rows:
    """Encode the held-out rows that were given, in the dtype of the rows to train on."""
    given = {"X_val": X, "y_val": y, "sample_weight_val": sample_weight}
    seen = [name for name, value in given.items() if value is not None]
    if X is None or y is None:
        raise ValueError(
            f"fit was given {' and '.join(seen)} alone; expected X_val and y_val. Pass both, or "
            "neither"
        )
    if not used:
        raise ValueError(
            "fit was given X_val and y_val, which early_stopping scores, but early_stopping is "
            "False. Set early_stopping=True, or leave them out"
        )
    X, targets, weight = _validated(estimator, X, y, sample_weight)
    weight = None if weight is None else weight.astype(dtype, copy=False)
    return Rows(X.astype(dtype, copy=False), targets, weight)


def _validated(
    estimator: BaseMLCE, X: Any, y: Any, sample_weight: Any
) -> tuple[Any, Targets, np.ndarray | None]:
    known_names = estimator._target_format.label_names
    check_label_names(label_names_of(y), known_names, "y_val", "Pass y_val[y.columns]")
    classes = estimator.classes_
    if isinstance(classes, list):
        encode = partial(encode_outputs, known=estimator._target_format)
        return estimator._validate_fit(X, y, sample_weight, reset=False, encode=encode)
    if estimator._target_format.single_label:
        y = column_or_1d(y.toarray() if sp.issparse(y) else y, warn=True)
        unseen = [value for value in np.unique(y).tolist() if value not in classes]
        if unseen:
            raise ValueError(
                f"y_val holds {unseen[:5]}, which are not among the classes of y, "
                f"{classes.tolist()}. Leave these rows out of X_val and y_val"
            )
        encode = partial(encode_classes, classes=classes)
        return estimator._validate_fit(X, y, sample_weight, reset=False, encode=encode)
    encode = partial(_encode_labels, n_labels=len(classes), label_names=known_names)
    return estimator._validate_fit(X, y, sample_weight, reset=False, encode=encode)


def _encode_labels(y: Any, n_labels: int, label_names: np.ndarray | None) -> Targets:
    """Targets of tags, or of a matrix with as many columns as that of the training rows."""
    if label_names is None:
        check_no_tags(y, "y_val")
    targets = encode_argument(y, "y_val", label_names)
    if targets.kind == "multioutput":
        raise ValueError(
            f"y_val holds classes of {len(targets.classes)} outputs, text or whole numbers of "
            f"more than two values; expected {n_labels} labels, as y. Pass a matrix of 0 and 1"
        )
    seen = 1 if targets.format.single_label else targets.n_outputs
    if targets.format.single_label or seen != n_labels:
        raise ValueError(
            f"y_val has {seen} labels; expected {n_labels}, as y. Pass the same columns"
        )
    return targets
