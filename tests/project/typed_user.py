"""A user's script, which `make lint` checks with ``mypy --strict`` and pyright; it is not run.

A comment that ignores an error is itself an error where there is none: what is refused here is
refused to users.
"""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier, maximize_f1
from sklearn_mlce.losses import MLCELoss
from sklearn_mlce.metrics import precision_at_k
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

X, Y = np.zeros((10, 3)), np.zeros((10, 2), dtype=int)


class Mine(MLCEClassifier):
    """A subclass stays one."""


linear = MLCEClassifier(C=0.5, loss="mlce", margin=0.5, solver="newton-cg")
assert_type(linear.fit(X, Y), MLCEClassifier)
assert_type(linear.partial_fit(X, Y), MLCEClassifier)
assert_type(MLCEClassifierCV([0.1, 1.0]).fit(X, Y), MLCEClassifierCV)
assert_type(Mine(solver="sgd").fit(X, Y), Mine)
assert_type(MLCEMLP((64,), loss=MLCELoss(scale=2.0)).fit(X, Y), MLCEMLP)
assert_type(linear.decision_function(X), NDArray[Any])
assert_type(linear.predict(X), NDArray[Any])
assert_type(linear.predict_proba(X), NDArray[Any])
assert_type(linear.score(X, Y), float)
places, scores = linear.predict_topk(X, 2)
assert_type(linear.C_, float)
assert_type(linear.label_names_, NDArray[Any])

tuner = MultilabelTunedThresholdClassifierCV(linear)
assert_type(tuner.fit(X, Y), MultilabelTunedThresholdClassifierCV)
assert_type(tuner.predict(X), NDArray[Any])
calibrator = MultilabelCalibratedClassifierCV(linear).fit(X, Y)
assert_type(calibrator, MultilabelCalibratedClassifierCV)
assert_type(MultilabelDecisionClassifier(linear).fit(X, Y), MultilabelDecisionClassifier)
assert_type(precision_at_k(Y, linear.decision_function(X), k=1), float)
decided = maximize_f1(linear.predict_proba(X))

MLCEClassifier(loss="bec")  # type: ignore[arg-type]
MLCEClassifier(solver="lbfgs")  # type: ignore[arg-type]
MLCEClassifier(input_scaling="robust")  # type: ignore[arg-type]
MLCEClassifierCV(loss="pairwise")  # type: ignore[arg-type]
MLCEMLP(loss="bec")  # type: ignore[arg-type]
MLCEMLP(precision="half")  # type: ignore[arg-type]
MultilabelTunedThresholdClassifierCV(linear, thresholds="each")  # type: ignore[arg-type]
MultilabelCalibratedClassifierCV(linear, method="platt")  # type: ignore[arg-type]
MultilabelDecisionClassifier(linear, decision="f1")  # type: ignore[arg-type]
MLCEMLP(hidden_layers=(3,))  # type: ignore[call-arg]
