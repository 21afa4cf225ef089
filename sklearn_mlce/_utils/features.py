"""Features as estimators take them: validated, as floats, and nothing cast that is no number."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from sklearn_mlce._utils.numeric_input import check_holds_numbers, check_X, without_torch


def validated_features(estimator: Any, X: Any, *, reset: bool, order: str | None = None) -> Any:
    """Validate X and set, or check, what an estimator knows of its features.

    Parameters
    ----------
    estimator : estimator
        Which is fitted on X, or was on others of the same features.
    X : {array-like, sparse matrix} of shape (n, d)
        Numbers.
    reset : bool
        Whether X sets `n_features_in_` and `feature_names_in_`; they are checked otherwise.
    order : {"C", None}, default=None
        Memory layout of a dense result; None leaves it.

    Returns
    -------
    ndarray or CSR matrix of shape (n, d)
        float32 of float32 and float16, else float64.

    Raises
    ------
    TypeError
        If X holds text, dates, durations or other things than real numbers, has no rows that can
        be picked, or is a tensor of another device or layout, or with a gradient.
    ValueError
        If X is None, sparse and damaged, or otherwise not usable.
    """
    check_X(X)
    X = without_torch(X, "X")
    dtypes = check_holds_numbers(X, "X")
    # scikit-learn makes float64 of these but for float32 that it knows to be such.
    narrow = bool(dtypes) and {str(dtype).lower() for dtype in dtypes} <= {"float16", "float32"}
    return validate_data(
        estimator,
        X,
        accept_sparse="csr",
        dtype=np.float32 if narrow else (np.float64, np.float32),
        order=order,
        reset=reset,
    )


def check_same_features(before: np.ndarray | None, now: np.ndarray | None) -> None:
    """Raise ValueError if a warm start gets features of other names than the fit before it.

    Features without names go by their positions.
    """
    if before is None or now is None or np.array_equal(before, now):
        return
    how = "in another order" if sorted(before) == sorted(now) else "others"
    raise ValueError(
        f"warm_start=True goes on with the features {before[:5].tolist()} and so on, got {how}: "
        f"{now[:5].tolist()}. Pass X[list(model.feature_names_in_)], or set warm_start=False to "
        "start anew"
    )
