"""Both estimators, small enough to train in a moment, and what the tests ask of both."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

CONVEX = ("auto", "mlce", "bce", "pairwise", "squared_hinge")


def linear(**parameters):
    """Return the linear estimator, which trains for few epochs where the loss is not convex."""
    if parameters.get("loss", "auto") not in CONVEX:
        parameters = {"max_iter": 20} | parameters
    return MLCEClassifier(**parameters)


def mlp(**parameters):
    """Return a small perceptron that trains for three epochs.

    Its step size is constant: a shorter training is the beginning of a longer one.
    """
    defaults = {"hidden_layer_sizes": (8,), "max_epochs": 3, "random_state": 0}
    return MLCEMLP(**(defaults | {"learning_rate": "constant", "precision": "full"} | parameters))


on_both = pytest.mark.parametrize("make", [linear, mlp])


def labelled_rows(n_rows=90, n_features=6, n_labels=4):
    """Rows and their labels, which depend on the features; each label has both kinds of rows."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, n_features))
    noise = 0.5 * rng.normal(size=(n_rows, n_labels))
    Y = (X @ rng.normal(size=(n_features, n_labels)) + noise > 0.5).astype(int)
    return X, Y


def single_labels(Y):
    """Two-class and many-class targets of the same rows."""
    binary = np.array(["no", "yes"])[Y[:, 0]]
    multiclass = np.array(["none", "one", "more"])[Y[:, :3].sum(axis=1).clip(max=2)]
    return {"binary": binary, "multiclass": multiclass}


def assert_same_scores(model, other, X, other_X=None):
    """Fail unless two fits score and label the rows alike, up to the order of a few sums."""
    other_X = X if other_X is None else other_X
    scores, other_scores = model.decision_function(X), other.decision_function(other_X)
    np.testing.assert_allclose(scores, other_scores, rtol=0, atol=1e-9)
    labels, other_labels = (
        labels.toarray() if sp.issparse(labels) else labels
        for labels in (model.predict(X), other.predict(other_X))
    )
    np.testing.assert_array_equal(labels, other_labels)


def any_estimators():
    """Return estimators of many kinds by name, which whatever takes any estimator has to serve."""
    logistic = OneVsRestClassifier(LogisticRegression())
    folds = KFold(2, shuffle=True, random_state=0)
    return {
        "linear": MLCEClassifier(),
        "network": mlp(),
        "support vectors": OneVsRestClassifier(LinearSVC(dual=True, random_state=0)),
        "trees": RandomForestClassifier(5, random_state=0),
        "perceptron": MLPClassifier((8,), solver="lbfgs", alpha=1.0, tol=0.01, random_state=0),
        "pipeline": make_pipeline(StandardScaler(), logistic),
        "search": GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, cv=folds, scoring="f1_micro"),
        "tuner": MultilabelTunedThresholdClassifierCV(MLCEClassifier(), cv=folds),
        "calibrator": MultilabelCalibratedClassifierCV(MLCEClassifier(), cv=folds),
    }
