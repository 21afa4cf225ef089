"""Multi-label classification with the multi-label softmax cross-entropy."""

__version__ = "0.1.0"
