"""What thresholds do to each label: precision, recall and F-measure before and after."""

from __future__ import annotations

import numpy as np

from sklearn_mlce.model_selection._f_measure import FMeasure, HeldOut


def label_results(
    held_out: HeldOut, measure: FMeasure, before: float, after: float | np.ndarray
) -> dict[str, np.ndarray]:
    """Columns ``(L,)`` of a table of the labels, at the thresholds before tuning and after it."""
    n_labels = held_out.scores.shape[1]
    counts = {"before": held_out.counts(before)[0], "after": held_out.counts(after)[0]}
    results = {
        "positives": counts["after"].positives,
        "threshold": np.broadcast_to(np.asarray(after), n_labels).copy(),
    }
    for when, of_labels in counts.items():
        results[f"precision_{when}"] = _ratio(of_labels.hits, of_labels.predicted)
        results[f"recall_{when}"] = _ratio(of_labels.hits, of_labels.positives)
        results[f"f{measure.beta:g}_{when}"] = measure.f_beta(*of_labels)
    return results


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Fractions, 0 where they are 0/0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
