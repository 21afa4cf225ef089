"""Calibrated probabilities of any multi-label estimator, by cross-validation or on given scores."""

from sklearn_mlce.calibration._calibrated import MultilabelCalibratedClassifierCV
from sklearn_mlce.calibration._score_map import CalibrationMap, fit_calibration_map

__all__ = ["CalibrationMap", "MultilabelCalibratedClassifierCV", "fit_calibration_map"]
