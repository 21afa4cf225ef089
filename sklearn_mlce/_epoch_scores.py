"""The score of an epoch: a scorer, on the held-out rows, of an estimator with its weights."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import scipy.sparse as sp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer

from sklearn_mlce._base import BaseMLCE
from sklearn_mlce._targets.targets import TargetFormat
from sklearn_mlce._training.rows import Rows
from sklearn_mlce._training.state import Arrays
from sklearn_mlce._training.validation import Diverged
from sklearn_mlce._utils.warnings import ignored_warnings


def epoch_scorer(estimator: BaseMLCE, scoring: Any, rows: Rows) -> Callable[[Arrays], float] | None:
    """A function of the weights that scores them on some rows; None for their loss.

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
    if isinstance(scoring, str) and rows.targets.kind in ("soft", "multioutput"):
        soft = rows.targets.kind == "soft"
        held = "soft or unknown (NaN) targets" if soft else "the classes of several outputs"
        raise ValueError(
            f"scoring={scoring!r} compares with labels of 0 and 1, but y holds {held}. Set "
            "scoring='loss', or pass a callable scorer(estimator, X, y)"
        )
    scorer = get_scorer(scoring)
    target_format = _answered_in(scorer, estimator._target_format)
    frozen = copy.copy(estimator)
    frozen._target_format = target_format
    frozen.__dict__.pop("feature_names_in_", None)  # the rows have lost their names by now
    y = rows.targets.labels(target_format)
    weight = {"sample_weight": rows.sample_weight} if _takes_weight(scorer, rows) else {}

    def score(weights: Arrays) -> float:
        model = copy.copy(frozen)
        model.state_dict_ = weights
        # Of labels that no held-out row has; it would come with each epoch.
        with ignored_warnings(UndefinedMetricWarning):
            value = float(scorer(model, rows.X, y, **weight))
        if math.isnan(value):
            raise Diverged(
                f"scoring={scoring!r} is nan on the {len(rows)} held-out rows; expected a number. "
                "Hold out more rows by validation_fraction, or pick another scoring"
            )
        return value

    return score


def _answered_in(scorer: Any, target_format: TargetFormat) -> TargetFormat:
    """The form of y that suits a scorer of scikit-learn; others see that of the fit.

    Its metrics of predicted labels are up to fifty times as fast on sparse matrices, and some of
    those of scores refuse them.
    """
    metric = getattr(scorer, "_score_func", None)
    if target_format.single_label or not getattr(metric, "__module__", "").startswith("sklearn."):
        return target_format
    predicts = getattr(scorer, "_response_method", None) == "predict"
    return replace(target_format, sparse_container=sp.csr_array if predicts else None)


def _takes_weight(scorer: Any, rows: Rows) -> bool:
    if rows.sample_weight is None:
        return False
    metric = getattr(scorer, "_score_func", scorer)
    return "sample_weight" in inspect.signature(metric).parameters
