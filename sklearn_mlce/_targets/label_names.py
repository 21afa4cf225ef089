"""Column names of y, compared with those of another y, or of values that belong to its columns."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np


def check_label_names(
    names: np.ndarray | None, known: np.ndarray | None, what: str, to_type: str
) -> None:
    """Raise ValueError if both y have names and these differ: columns would be mixed up silently.

    Parameters
    ----------
    names, known : ndarray of shape (n_labels,) or None
        Column names of the new y, and of the y that the model learned from. None of a y without
        names, whose columns go by their positions.
    what : str
        Name of the new y, for the error.
    to_type : str
        Advice, for the error.
    """
    if names is None or known is None or np.array_equal(names, known):
        return
    seen, expected = ([repr(name) for name in part.tolist()] for part in (names, known))
    raise ValueError(
        f"the columns of {what} are not the labels that the model learns, {_listed(expected)}: it "
        f"{_difference(seen, expected)}. {to_type}"
    )


def check_column_order(names: np.ndarray | None, known: np.ndarray | None, what: str) -> None:
    """Raise ValueError if predictions have the columns of y in another order.

    Parameters
    ----------
    names, known : ndarray of shape (n_labels,) or None
        Column names of the predictions, and of y; None of what has no names.
    what : str
        Name of the predictions, for the error.
    """
    if names is None or known is None or np.array_equal(names, known):
        return
    counted = names.tolist() == list(range(len(names)))  # by pandas, where there are no names
    if counted or Counter(names.tolist()) != Counter(known.tolist()):
        return
    seen, expected = ([repr(name) for name in part.tolist()] for part in (names, known))
    raise ValueError(
        f"the columns of {what} are those of y_true in another order, {_listed(seen)}; expected "
        f"{_listed(expected)}. Pass {what}[list(y_true.columns)]"
    )


def in_label_order(values: Any, names: np.ndarray | None, what: str) -> Any:
    """Values of a pandas Series in the order of the labels, by its index; others as they are.

    Parameters
    ----------
    values : array-like of shape (n_labels,)
        One for each label. A Series goes by its index, unless pandas made that by counting.
    names : ndarray of shape (n_labels,) or None
        Column names of y; None of a y without names, whose columns go by their numbers.
    what : str
        Name of the values, for the error.

    Raises
    ------
    ValueError
        If the index does not hold each name once.
    """
    if not (hasattr(values, "index") and hasattr(values, "reindex") and np.ndim(values) == 1):
        return values
    keys = list(values.index)
    expected = list(range(len(keys))) if names is None else names.tolist()
    if keys in (expected, list(range(len(keys)))):
        return values
    if Counter(keys) == Counter(expected) and len(set(keys)) == len(keys):
        places = {key: place for place, key in enumerate(keys)}
        return np.asarray(values)[[places[name] for name in expected]]
    if names is None:
        return values
    seen, known = [repr(key) for key in keys], [repr(name) for name in expected]
    raise ValueError(
        f"the index of {what} is not the columns of y, {_listed(known)}: it "
        f"{_difference(seen, known)}. Pass {what}.to_numpy() to go by position"
    )


def _difference(seen: list[str], expected: list[str]) -> str:
    """What names have that others have not, as the end of a sentence."""
    here, there = set(seen), set(expected)
    missing = [name for name in expected if name not in here]
    unexpected = [name for name in seen if name not in there]
    found = [
        f"{word} {_listed(part)}"
        for word, part in (("lacks", missing), ("has the unexpected", unexpected))
        if part
    ]
    return " and ".join(found) or f"has them in another order, {_listed(seen)}"


def check_names_of_fitted(estimator: Any, names: np.ndarray | None) -> None:
    """Raise ValueError if a fitted estimator knows its labels by other names than these."""
    known = getattr(estimator, "label_names_", None)
    check_label_names(names, known, "y", "Pass y[list(estimator.label_names_)]")


def _listed(names: list[str], most: int = 5) -> str:
    return f"[{', '.join(names[:most] + ['...'] * (len(names) > most))}]"
