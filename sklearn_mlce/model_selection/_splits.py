"""Parameters of the `fit` of a wrapper, routed to its estimator and splitter, and its splits."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Sized
from numbers import Integral, Real
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn import get_config
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from sklearn_mlce.model_selection._stratified import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
)

Splits = list[tuple[np.ndarray, np.ndarray]]  # row numbers to train on, and to hold out


def routed_params(
    owner: Any, sample_weight: Any, params: dict[str, Any], *, prefit: bool, weighs: str
) -> Any:
    """Route parameters to the fit of an owner's `estimator` and to its splitter.

    Called by the validation of the owner's `fit`. Warns where the estimator does not take
    `sample_weight`, unless nothing is fitted; `weighs` names what the weights then still count
    for.

    Raises
    ------
    TypeError
        If nothing is fitted that could take the parameters.
    """
    if get_config().get("enable_metadata_routing", False):
        return process_routing(owner, "fit", sample_weight=sample_weight, **params)
    if params and (prefit or isinstance(owner.estimator, FrozenEstimator)):
        raise TypeError(
            f"{type(owner).__name__}.fit() got the arguments {sorted(params)}, which are for the "
            "estimator's fit, but a fitted estimator is not fitted again. Leave them out"
        )
    accepted = "sample_weight" in inspect.signature(owner.estimator.fit).parameters
    if sample_weight is not None and accepted:
        params = {**params, "sample_weight": sample_weight}
    elif sample_weight is not None and not prefit:
        warnings.warn(
            f"fit of {type(owner.estimator).__name__} does not take sample_weight: it weighs "
            f"{weighs} alone. Name the step of a pipeline, as in step__sample_weight=..., or "
            "enable metadata routing, to weigh the fits too",
            UserWarning,
            stacklevel=6,  # the caller of fit, beyond the validation, fit and its two decorators
        )
    params = dict(params)
    groups = params.pop("groups", None)  # as in scikit-learn's searches
    split = {} if groups is None else {"groups": groups}
    return Bunch(estimator=Bunch(fit=params), splitter=Bunch(split=split))


def router_of(owner: Any) -> MetadataRouter:
    """Routing of `fit` to itself, the fit of its `estimator` and its splitter `cv`.

    A number of folds takes groups, as the splitter that it then stands for.
    """
    of_groups = isinstance(owner.cv, Integral)
    splitter = MultilabelStratifiedGroupKFold() if of_groups else owner.cv
    return (
        MetadataRouter(owner=owner)
        .add_self_request(owner)
        .add(
            estimator=owner.estimator,
            method_mapping=MethodMapping().add(caller="fit", callee="fit"),
        )
        .add(
            splitter=splitter,
            method_mapping=MethodMapping().add(caller="fit", callee="split"),
        )
    )


def splits_of(
    cv: Any, X: Any, y: Any, kind: str, random_state: Any, split_params: dict[str, Any]
) -> Splits:
    """Row numbers to train on and to hold out, of each split.

    Parameters
    ----------
    cv : int, float, None, splitter or iterable
        Numbers are shuffled and stratified; None is scikit-learn's five folds.
    X, y : array-like
        What scikit-learn's splitters are given. Others may not know sparse, soft or unknown
        labels: they are given a dense matrix of 0 and 1, see :func:`_plain_labels`.
    kind : str
        Of y.
    random_state : int, RandomState instance or None
        Of the shuffling.
    split_params : dict
        For the splitter, such as groups.

    Returns
    -------
    list of tuple of ndarray

    Raises
    ------
    ValueError
        If there is none, or groups come with a fraction of the rows.
    """
    given = cv
    single_label = kind in ("binary", "multiclass")
    if isinstance(cv, Integral):
        grouped = split_params.get("groups") is not None
        folds = MultilabelStratifiedGroupKFold if grouped else MultilabelStratifiedKFold
        cv = folds(int(cv), shuffle=True, random_state=random_state)
    elif isinstance(cv, Real):
        if split_params.get("groups") is not None:
            raise ValueError(
                f"cv={cv!r} holds out a fraction of the rows, which may cut through groups; "
                "expected a number of folds, or a splitter that keeps groups together. Pass cv=3, "
                f"or cv=GroupShuffleSplit(1, test_size={cv!r})"
            )
        cv = MultilabelStratifiedShuffleSplit(1, test_size=cv, random_state=random_state)
    else:
        _check_pairs(cv)
        cv = check_cv(cv, y if single_label else None, classifier=single_label)
    if kind in ("multilabel", "soft") and not _knows_labels(cv):
        y = _plain_labels(y)
    rows = np.arange(X.shape[0] if hasattr(X, "shape") else len(X))
    splits = [
        (_rows_of(train, rows, given), _rows_of(test, rows, given))
        for train, test in cv.split(X, y, **split_params)
    ]
    if not splits:
        raise ValueError(
            f"cv={given!r} makes no splits; expected one at least. Pass a number of folds such as "
            "cv=3, a splitter, or a list of pairs (train, test): a generator is used up by the "
            "first fit"
        )
    return splits


def _rows_of(part: Any, rows: np.ndarray, cv: Any) -> np.ndarray:
    """Row numbers of a part of a split, which are given as such or as a mask.

    Raises
    ------
    ValueError
        If they are not, or lie outside.
    """
    try:
        chosen = rows[np.asarray(part, dtype=None if np.size(part) else np.intp)]
    except IndexError as error:
        raise ValueError(
            f"cv={cv!r:.60} has a part that does not fit {len(rows)} rows: {error}. Pass row "
            "numbers from 0, or masks of all rows"
        ) from error
    if chosen.ndim != 1:
        raise ValueError(
            f"cv={cv!r:.60} has the part {part!r:.40}; expected a list of row numbers, or a mask. "
            "Pass pairs of them: [(train, test), ...]"
        )
    return chosen


def _check_pairs(cv: Any) -> None:
    """Raise TypeError if a list is none of pairs of row numbers."""
    is_text = isinstance(cv, str | bytes)
    pairs = cv if isinstance(cv, Sized) and isinstance(cv, Iterable) else ()
    if is_text or not all(isinstance(pair, Sized) for pair in pairs):
        raise TypeError(
            f"cv={cv!r:.80} holds entries that are not splits; expected a number of folds, a "
            "splitter, or pairs of row numbers, (train, test). Pass cv=3"
        )


def _knows_labels(cv: Any) -> bool:
    """Whether a splitter takes labels in any form: ours do, and scikit-learn's ignore them."""
    return type(cv).__module__.startswith(("sklearn.", "sklearn_mlce."))


def _plain_labels(y: Any) -> np.ndarray:
    """Dense matrix of 0 and 1 to stratify by: 1 from one half up, 0 where unknown."""
    labels = np.asarray(y.toarray() if sp.issparse(y) else y)
    return (labels >= 0.5).astype(np.int64)
