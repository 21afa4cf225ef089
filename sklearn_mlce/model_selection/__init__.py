"""Thresholds tuned by cross-validation, for any multi-label estimator."""

from sklearn_mlce.model_selection._tuned_threshold import MultilabelTunedThresholdClassifierCV

__all__ = ["MultilabelTunedThresholdClassifierCV"]
