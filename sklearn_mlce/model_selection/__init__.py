"""Thresholds tuned by cross-validation for any multi-label estimator, or on given scores."""

from sklearn_mlce.model_selection._thresholds import tune_thresholds
from sklearn_mlce.model_selection._tuned_threshold import MultilabelTunedThresholdClassifierCV

__all__ = ["MultilabelTunedThresholdClassifierCV", "tune_thresholds"]
