"""Calibrated probabilities by cross-validation, for any multi-label estimator."""

from sklearn_mlce.calibration._calibrated import MultilabelCalibratedClassifierCV

__all__ = ["MultilabelCalibratedClassifierCV"]
