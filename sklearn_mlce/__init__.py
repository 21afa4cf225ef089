"""Multi-label classification with the multi-label softmax cross-entropy."""

from sklearn_mlce._estimators.linear import MLCEClassifier
from sklearn_mlce._estimators.linear_cv import MLCEClassifierCV
from sklearn_mlce._estimators.mlp import MLCEMLP
from sklearn_mlce._utils.progress import progress_bar

__version__ = "0.1.0"

__all__ = ["MLCEMLP", "MLCEClassifier", "MLCEClassifierCV", "progress_bar"]
