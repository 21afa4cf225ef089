"""What the labels look like, before anything is fitted."""

from sklearn_mlce.inspection._describe import LabelDescription, describe_labels

__all__ = ["LabelDescription", "describe_labels"]
