"""Descriptions of label matrices before a fit; reports and pictures of models after it."""

from sklearn_mlce.inspection._calibration_display import MultilabelCalibrationDisplay
from sklearn_mlce.inspection._cooccurrence_display import LabelCooccurrenceDisplay
from sklearn_mlce.inspection._description import LabelDescription, describe_labels
from sklearn_mlce.inspection._f1_display import F1ByFrequencyDisplay
from sklearn_mlce.inspection._label_measures import label_report
from sklearn_mlce.inspection._label_report import LabelReport
from sklearn_mlce.inspection._threshold_display import ThresholdCurveDisplay
from sklearn_mlce.inspection._training_display import TrainingCurveDisplay

__all__ = [
    "F1ByFrequencyDisplay",
    "LabelCooccurrenceDisplay",
    "LabelDescription",
    "LabelReport",
    "MultilabelCalibrationDisplay",
    "ThresholdCurveDisplay",
    "TrainingCurveDisplay",
    "describe_labels",
    "label_report",
]
