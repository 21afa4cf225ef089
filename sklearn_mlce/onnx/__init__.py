"""Converters of fitted estimators, and of pipelines that end in one, to ONNX."""

from sklearn_mlce.onnx._converters import register_converters

__all__ = ["register_converters"]
