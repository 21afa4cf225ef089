"""Measures that scikit-learn lacks for many, rare or unknown labels.

The measures take `y_true`, dense or sparse, then `y_score` or `y_pred`, and return a number, the
larger the better. :func:`~sklearn.metrics.make_scorer` makes scorers of them.
"""

from sklearn_mlce.metrics._at_k import ndcg_at_k, precision_at_k, recall_at_k
from sklearn_mlce.metrics._known_labels import (
    masked_f1_score,
    masked_label_ranking_average_precision_score,
)
from sklearn_mlce.metrics._label_frequency import f1_by_label_frequency, label_frequency_groups
from sklearn_mlce.metrics._propensity import label_propensities, propensity_scored_precision_at_k

__all__ = [
    "f1_by_label_frequency",
    "label_frequency_groups",
    "label_propensities",
    "masked_f1_score",
    "masked_label_ranking_average_precision_score",
    "ndcg_at_k",
    "precision_at_k",
    "propensity_scored_precision_at_k",
    "recall_at_k",
]
