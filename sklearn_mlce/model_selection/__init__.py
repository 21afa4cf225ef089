"""Splits that stratify labels, and thresholds tuned by cross-validation or on given scores."""

from sklearn_mlce.model_selection._stratified import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
    multilabel_train_test_split,
)
from sklearn_mlce.model_selection._thresholds import tune_thresholds
from sklearn_mlce.model_selection._tuned_threshold import MultilabelTunedThresholdClassifierCV

__all__ = [
    "MultilabelStratifiedGroupKFold",
    "MultilabelStratifiedKFold",
    "MultilabelStratifiedShuffleSplit",
    "MultilabelTunedThresholdClassifierCV",
    "multilabel_train_test_split",
    "tune_thresholds",
]
