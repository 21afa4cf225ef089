"""MLflow saves models by skops, given the one argument that names the package's classes."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows

mlflow_sklearn = pytest.importorskip("mlflow.sklearn", reason="mlflow is not installed")

X, Y = labelled_rows()
LINEAR = "sklearn_mlce.MLCEClassifier"
TUNER = "sklearn_mlce.model_selection.MultilabelTunedThresholdClassifierCV"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("model", "names"),
    [
        (MLCEClassifier(), [LINEAR]),
        (make_pipeline(StandardScaler(), Tuned(MLCEClassifier())), [LINEAR, TUNER]),
    ],
)
def test_saved_and_loaded(model, names, tmp_path):
    model.fit(X, Y)
    requirements = ["sklearn-mlce"]
    mlflow_sklearn.save_model(
        model, tmp_path / "model", skops_trusted_types=names, pip_requirements=requirements
    )
    loaded = mlflow_sklearn.load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.decision_function(X), model.decision_function(X))
