"""How rows are held out."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.model_selection import (
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
    check_cv,
)


def splits_of(
    cv: Any, X: Any, y: Any, kind: str, random_state: Any, split_params: dict[str, Any]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Row numbers to train on and to hold out, of each split.

    Parameters
    ----------
    cv : int, float, None, splitter or iterable
        Numbers are shuffled; None is scikit-learn's five folds.
    X, y : array-like
        What splitters are given.
    kind : str
        Of y; classes are split so that each part has its share of each.
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
        If there is none.
    """
    given = cv
    stratified = kind in ("binary", "multiclass")
    if isinstance(cv, Integral):
        folds = StratifiedKFold if stratified else KFold
        cv = folds(int(cv), shuffle=True, random_state=random_state)
    elif isinstance(cv, Real):
        single = StratifiedShuffleSplit if stratified else ShuffleSplit
        cv = single(n_splits=1, test_size=cv, random_state=random_state)
    else:
        cv = check_cv(cv, y if stratified else None, classifier=stratified)
    rows = np.arange(X.shape[0] if hasattr(X, "shape") else len(X))
    # Splitters give row numbers or masks; both index the row numbers.
    splits = [(rows[train], rows[test]) for train, test in cv.split(X, y, **split_params)]
    if not splits:
        raise ValueError(
            f"cv={given!r} makes no splits; expected one at least. Pass a number of folds such as "
            "cv=3, a splitter, or a list of pairs (train, test): a generator is used up by the "
            "first fit"
        )
    return splits
