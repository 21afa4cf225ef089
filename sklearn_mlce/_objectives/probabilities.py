"""The fixed maps from scores to probabilities."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_expit, softmax

from sklearn_mlce._objectives.options import LossOptions


def probabilities_of(scores: np.ndarray, kind: str, options: LossOptions) -> np.ndarray:
    """Probabilities of scores by the kind of y and the loss."""
    if kind == "binary":
        logits = options.scale * scores
        return expit(np.hstack([-logits, logits]))
    if kind == "multiclass":
        logits = options.scale * scores
        one_against_rest = options.loss != "softmax"
        return softmax(log_expit(logits) if one_against_rest else logits, axis=1)
    slope, centre = _probability_map(options)
    return expit(slope * (scores - centre))


def _probability_map(options: LossOptions) -> tuple[float, float]:
    """Slope and centre of the sigmoid that makes probabilities of a multi-label y's scores.

    Losses other than MLCE are made of sigmoids of the scores, or (pairwise) of their differences.
    Without margins the slope is the loss's own: at the minimum of order "all" it is the scale,
    at that of order 1 twice the scale. Margins m make the scores of regularised models gather
    between -m and m; that the slope falls to 5 / m then, and how far the centre follows a
    difference between the margins, was chosen on the data sets of the benchmarks.
    """
    if options.loss != "mlce":
        return options.scale, 0.0
    slope = options.scale if options.orders == ("all", "all") else 2 * options.scale
    margin = max(sum(options.margins) / 2, 0.0)
    return slope / (1 + slope * margin / 5), 0.3 * (options.margins[1] - options.margins[0])


def clipped(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities that are never exactly 0 or 1."""
    return np.clip(probabilities, np.finfo(np.float64).tiny, np.nextafter(1.0, 0.0))
