"""What thresholds do to each label: precision, recall and F-measure before and after."""

from __future__ import annotations

import numpy as np

from sklearn_mlce.model_selection._f_measure import Counts, FMeasure


def label_results(
    measure: FMeasure, before: Counts, after: Counts, thresholds: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns ``(L,)`` of a table of the labels, of their counts before tuning and after it."""
    results = {
        "positives": after.positives,
        "threshold": np.broadcast_to(thresholds, len(after.positives)).copy(),
    }
    for when, of_labels in (("before", before), ("after", after)):
        results[f"precision_{when}"] = _ratio(of_labels.hits, of_labels.predicted)
        results[f"recall_{when}"] = _ratio(of_labels.hits, of_labels.positives)
        results[f"f{measure.beta:g}_{when}"] = measure.f_beta(*of_labels)
    return results


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Fractions, 0 where they are 0/0."""
    return np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
