"""Class codes of several outputs, as folds are fitted on them and judged by them."""

from __future__ import annotations

import numpy as np

from sklearn_mlce._targets.targets import Targets


def text_codes(targets: Targets) -> np.ndarray:
    """Codes ``(n, outputs)`` of the classes of several outputs, written as text; None if unknown.

    Text is taken for classes whatever a part of the rows holds, where a part of grades may look
    like labels. Its order is that of the classes.
    """
    width = len(str(max(targets.format.sizes)))
    codes = targets.output_codes()
    written = np.char.zfill(codes.astype(str), width).astype(object)
    written[codes < 0] = None
    return written


def check_outputs_known(targets: Targets, splits: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Raise ValueError if an output is unknown in all rows that a model is fitted on."""
    codes = targets.output_codes()
    for number, (train, _) in enumerate(splits):
        unknown = np.flatnonzero((codes[train] < 0).all(axis=0))
        if len(unknown):
            raise ValueError(
                f"output {unknown[0]} of y is unknown in every row that split {number} of cv "
                "trains on; expected a known class in each. Leave the column out, or pass a cv "
                "whose splits train on some of its known rows"
            )


def output_accuracy(
    targets: Targets, rows: np.ndarray, codes: np.ndarray, sample_weight: np.ndarray | None
) -> float:
    """Mean over outputs of the share of rows whose known class has the given code.

    Outputs that are unknown in all of the rows are left out.
    """
    truth = targets.output_codes()[rows]
    weight = np.ones(len(rows)) if sample_weight is None else sample_weight[rows]
    known = (truth >= 0) * weight[:, None]
    total, right = known.sum(axis=0), (known * (truth == codes)).sum(axis=0)
    return float((right[total > 0] / total[total > 0]).mean())
