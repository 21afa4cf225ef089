"""scikit-learn's own checks of MLCEMLP, in each of its modes."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlce._estimators.mlp import MLCEMLP
from tests.helpers.expected_failures import expected_failures

FULL_BATCH = {"batch_size": 10**9, "dropout": 0.0, "precision": "full"}

MODES = [
    MLCEMLP(),
    MLCEMLP(batch_size=50, max_epochs=30),
    MLCEMLP(**FULL_BATCH, learning_rate_init=0.01, max_epochs=30),
    MLCEMLP(batch_size=50, max_epochs=30, early_stopping=True, validation_fraction=0.2),
    MLCEMLP((16, 8), activation="relu", batch_size=50, learning_rate_init=0.02, max_epochs=30),
    MLCEMLP((), **FULL_BATCH, learning_rate_init=0.1, max_epochs=30),
]


@parametrize_with_checks(MODES, expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
