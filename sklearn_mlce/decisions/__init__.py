"""Labels decided from probabilities, each rule the best one for a measure or a budget."""

from sklearn_mlce.decisions._classifier import MultilabelDecisionClassifier
from sklearn_mlce.decisions._rules import (
    best_and_above,
    best_within_budget,
    f1_thresholds,
    maximize_f1,
)

__all__ = [
    "MultilabelDecisionClassifier",
    "best_and_above",
    "best_within_budget",
    "f1_thresholds",
    "maximize_f1",
]
