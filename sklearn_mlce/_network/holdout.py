"""Choose the rows that are held out of training, to score it on."""

from __future__ import annotations

import numpy as np

from sklearn_mlce._targets.stratification import label_masses, stratified_parts
from sklearn_mlce._targets.targets import Targets


def held_out_rows(targets: Targets, fraction: float, seed: int) -> np.ndarray:
    """Numbers of the rows to hold out, ascending, in which labels are as frequent as in all.

    A label keeps a row to train on, as far as other labels allow it.

    Raises
    ------
    ValueError
        If no row or every row would be held out.
    """
    n_rows = targets.n_rows
    n_held_out = round(fraction * n_rows)
    if not 0 < n_held_out < n_rows:
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction:g} holds out "
            f"{n_held_out} of {n_rows} rows with a positive weight; expected at least one "
            "row to hold out and one to train on. Set another validation_fraction, pass more "
            "rows, or set early_stopping=False"
        )
    sizes = (n_held_out, n_rows - n_held_out)
    parts = stratified_parts(label_masses(targets), sizes, np.random.default_rng(seed))
    return np.flatnonzero(parts == 0)
