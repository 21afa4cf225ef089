"""Multi-label classification with the multi-label softmax cross-entropy."""

from sklearn_mlce._linear import MLCEClassifier
from sklearn_mlce._linear_cv import MLCEClassifierCV
from sklearn_mlce._mlp import MLCEMLP

__version__ = "0.1.0"

__all__ = ["MLCEMLP", "MLCEClassifier", "MLCEClassifierCV"]
