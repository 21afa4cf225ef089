"""Column names of two y, compared before one model learns from both."""

from __future__ import annotations

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
    here, there = set(seen), set(expected)
    missing = [name for name in expected if name not in here]
    unexpected = [name for name in seen if name not in there]
    found = [
        f"{word} {_listed(part)}"
        for word, part in (("lacks", missing), ("has the unexpected", unexpected))
        if part
    ]
    difference = " and ".join(found) or f"has them in another order, {_listed(seen)}"
    raise ValueError(
        f"the columns of {what} are not the labels that the model learns, {_listed(expected)}: it "
        f"{difference}. {to_type}"
    )


def check_names_of_fitted(estimator: Any, names: np.ndarray | None) -> None:
    """Raise ValueError if a fitted estimator knows its labels by other names than these."""
    known = getattr(estimator, "label_names_", None)
    check_label_names(names, known, "y", "Pass y[list(estimator.label_names_)]")


def _listed(names: list[str], most: int = 5) -> str:
    return f"[{', '.join(names[:most] + ['...'] * (len(names) > most))}]"
