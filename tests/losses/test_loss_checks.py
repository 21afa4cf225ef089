"""scikit-learn's own checks of both estimators with each loss."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_mlce import MLCEMLP, MLCEClassifier
from sklearn_mlce._objectives.table import OBJECTIVES
from sklearn_mlce.losses import FocalLoss
from tests.helpers.estimators import labelled_rows, on_both
from tests.helpers.expected_failures import expected_failures

# What a loss cannot do without.
NEEDED = {"pairwise": {"n_labels_per_row": 1}}
NOT_CONVEX = [name for name, objective in OBJECTIVES.items() if not objective.convex]
OTHERS = list(OBJECTIVES)
NETWORK = {"hidden_layer_sizes": (16,), "max_epochs": 20, "learning_rate_init": 0.01}
LINEAR = [
    *(
        MLCEClassifier(loss=loss, solver="sgd" if loss in NOT_CONVEX else "auto", **needed)
        for loss in OTHERS
        if loss not in ("bce", "squared_hinge")  # among the modes of test_linear
        for needed in [NEEDED.get(loss, {})]
    ),
    MLCEClassifier(loss=FocalLoss(), solver="sgd"),
]
MODES = [
    *LINEAR,
    *(MLCEMLP(loss=loss, **NETWORK, **NEEDED.get(loss, {})) for loss in OTHERS),
    MLCEMLP(loss=FocalLoss(), **NETWORK),
]


@parametrize_with_checks(MODES, expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@on_both
def test_what_a_loss_needs_is_said(make):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=r"knows no threshold. Set n_labels_per_row"):
        make(loss="pairwise").fit(X, Y)


@pytest.mark.parametrize("loss", [*NOT_CONVEX, FocalLoss()])
def test_the_exact_solver_is_for_convex_losses(loss):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=r"needs a convex loss.*Set solver='auto' or solver='sgd'"):
        MLCEClassifier(loss=loss, solver="newton-cg").fit(X, Y)
