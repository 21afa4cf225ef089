"""scikit-learn's own checks of every estimator; `tests/helpers/checks.py` says which of which."""

import pytest
from sklearn.utils.estimator_checks import _get_check_estimator_ids, estimator_checks_generator

from sklearn_mlce import MLCEClassifier
from tests.helpers.checks import (
    FULL_MODES,
    LOSS_CHECKS,
    LOSS_MODES,
    TORCH_MODES,
    parametrize_with_checks,
)

# Checks that scikit-learn 1.6 does not have.
NEW = {"check_all_zero_sample_weights_error"}


@pytest.mark.full_checks
@parametrize_with_checks(FULL_MODES)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(TORCH_MODES)
def test_scikit_learn_checks_of_networks(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(LOSS_MODES, LOSS_CHECKS)
def test_scikit_learn_checks_of_the_loss(estimator, check):
    check(estimator)


def test_checks_of_the_loss_are_among_all_checks():
    """scikit-learn may give a check another name, and it would no longer be found."""
    found = {
        _get_check_estimator_ids(check) for _, check in estimator_checks_generator(MLCEClassifier())
    }
    assert found >= LOSS_CHECKS - NEW
