"""Fits and predictions do not depend on the contexts of torch that the caller has entered."""

import functools
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone

from sklearn_mlce import MLCEClassifier
from tests.helpers.estimators import labelled_rows, mlp
from tests.helpers.global_state import nothing_changed

X, Y = labelled_rows()
X = X.astype(np.float32)  # the only precision that autocast halves
CONTEXTS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": partial(torch.autocast, "cpu", torch.bfloat16),
    "another default device": partial(torch.device, "meta"),
}
ESTIMATORS = {
    "newton": MLCEClassifier(random_state=0),
    "labels coupled": MLCEClassifier(loss="mlce", label_weight=[1, 2, 3, 4], random_state=0),
    "sgd": MLCEClassifier(solver="sgd", max_iter=2, random_state=0),
    "focal": MLCEClassifier(loss="focal", max_iter=2, random_state=0),
    "loss of torch": MLCEClassifier(loss=torch.nn.BCEWithLogitsLoss(), max_iter=2, random_state=0),
    "network": mlp(label_weight=[1.0, 2.0, 3.0, 4.0]),
}


def scores(name):
    """Scores of a fit, and of a chunk learned after it where the loss can."""
    model = clone(ESTIMATORS[name]).fit(X, Y)
    found = [model.decision_function(X)]
    if hasattr(model, "partial_fit"):
        found.append(model.partial_fit(X, Y).decision_function(X))
    return found


@functools.cache
def scores_outside(name):
    """Scores where no context has been entered."""
    return scores(name)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("context", CONTEXTS)
def test_models_are_those_of_no_context(name, context):
    expected = scores_outside(name)
    with CONTEXTS[context](), nothing_changed(X, Y):
        found = scores(name)
    np.testing.assert_array_equal(found, expected)
