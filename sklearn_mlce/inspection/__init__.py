"""Descriptions of label matrices, before anything is fitted."""

from sklearn_mlce.inspection._description import LabelDescription, describe_labels

__all__ = ["LabelDescription", "describe_labels"]
