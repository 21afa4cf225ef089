"""Descriptions of label matrices, before anything is fitted."""

from sklearn_mlce.inspection._describe import describe_labels
from sklearn_mlce.inspection._description import LabelDescription

__all__ = ["LabelDescription", "describe_labels"]
