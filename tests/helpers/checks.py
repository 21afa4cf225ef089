"""scikit-learn's own checks: all in some modes of each estimator, in the others those of the loss.

Three quarters of the checks (names, tags, repr, refused input, containers of rows, pickles ...)
never reach the loss. Full modes are therefore one of each estimator, solver and wrapper; the other
modes, which are losses and options, run `LOSS_CHECKS` alone.
"""

from functools import cache, partial

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import (
    _get_check_estimator_ids,
    estimator_checks_generator,
)

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._objectives.registry import OBJECTIVES
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.decisions import MultilabelDecisionClassifier as Decided
from sklearn_mlce.losses import FocalLoss
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.expected_failures import expected_failures
from tests.helpers.modules import ResidualNet

# By default a small fit takes many epochs, for the sake of the last digits.
SGD = {"solver": "sgd", "max_iter": 8}
# Of the whole gradient, without a draw: what scikit-learn checks of the weights of rows holds.
FULL_BATCH = {"batch_size": 10**9, "dropout": 0.0, "precision": "full", "max_epochs": 10}
LONGER = FULL_BATCH | {"max_epochs": 30}
MINI_BATCH = {"batch_size": 50, "max_epochs": 8, "learning_rate_init": 0.02}
FEW_EPOCHS = {"hidden_layer_sizes": (32,), "max_epochs": 8, "learning_rate_init": 0.05}
CS = [0.1, 10.0]  # of three an end would be warned of
PER_LABEL = {"thresholds": "per_label", "scoring": "f1_macro", "cv": 2, "random_state": 0}
NON_CONVEX = [name for name, objective in OBJECTIVES.items() if not objective.convex]
# What a loss cannot do without.
NEEDED = {"pairwise": {"n_labels_per_row": 1}}

# One of each estimator, solver and wrapper. `make test-fast` takes the first of each class.
FULL_MODES = [
    MLCEClassifier(),
    MLCEClassifier(warm_start=True),
    MLCEClassifier(**SGD),
    MLCEClassifierCV(CS, random_state=0),
    MLCEClassifierCV(CS, **PER_LABEL),
    MLCEMLP(**FULL_BATCH, learning_rate_init=0.05),
    MLCEMLP(module=ResidualNet, **(LONGER | {"dropout": 0.5}), learning_rate_init=0.05),
    MLCEMLP(**MINI_BATCH, early_stopping=True, validation_fraction=0.2),
    Tuned(MLCEClassifier(), random_state=0),
    Tuned(LogisticRegression(), cv=2, random_state=0),
    # Three folds: some rows of the checks hold only four of a class, of which older scikit-learns
    # warn.
    Calibrated(MLCEClassifier(), cv=3, random_state=0),
    Calibrated(LogisticRegression(), method="scale", cv=3, random_state=0),
    Decided(MLCEClassifier(), decision="f1_micro", random_state=0),
    Decided(LogisticRegression(), decision="f1_macro", cv=2, random_state=0),
    Decided(MLCEClassifier(), decision="f1_samples"),
    Decided(LogisticRegression(), decision="top_k"),
    Decided(LogisticRegression(), decision="best_and_above"),
]
# Networks that differ from those above in what torch computes alone, and no dependency beside it:
# `make oldest`, which has the same torch, leaves them out.
TORCH_MODES = [
    MLCEMLP(max_epochs=20),  # and all other defaults
    MLCEMLP(**MINI_BATCH),
    MLCEMLP(n_members=3, **FULL_BATCH, learning_rate_init=0.05),
]
LOSS_MODES = [
    MLCEClassifier(fit_intercept=False),
    MLCEClassifier(C=10.0),
    MLCEClassifier(loss="mlce"),
    MLCEClassifier(loss="mlce", scale=3.0, margin=0.5),
    MLCEClassifier(C=100.0, tol=1e-6),
    MLCEClassifier(loss="bce"),
    MLCEClassifier(loss="squared_hinge", tol=1e-8),
    MLCEClassifier(loss="pairwise", **NEEDED["pairwise"]),
    MLCEClassifier(solver="sgd", max_iter=5, fit_intercept=False),
    MLCEClassifier(**SGD, loss="squared_hinge"),
    MLCEClassifier(**SGD, warm_start=True, loss="mlce", scale=8.0, margin=1.0),
    *(MLCEClassifier(**SGD, loss=loss) for loss in [*NON_CONVEX, FocalLoss()]),
    MLCEClassifierCV([0.1, 1.0], thresholds=None, cv=2, random_state=0),
    MLCEClassifierCV([0.01, 1.0], loss="squared_hinge", tol=1e-8, cv=2, random_state=0),
    MLCEMLP((16, 8), activation="relu", **MINI_BATCH),
    MLCEMLP((), **LONGER, learning_rate_init=0.1),
    *(
        MLCEMLP(loss=loss, **FEW_EPOCHS, **NEEDED.get(loss, {}))
        for loss in [*OBJECTIVES, FocalLoss()]
    ),
    Tuned(MLCEClassifier(), **PER_LABEL),
    Calibrated(MLCEClassifier(), method="isotonic", ensemble=True, cv=3, random_state=0),
]
LOSS_CHECKS = {
    "check_all_zero_sample_weights_error",
    "check_classifiers_classes",
    "check_classifiers_multilabel_output_format_decision_function",
    "check_classifiers_multilabel_output_format_predict",
    "check_classifiers_multilabel_output_format_predict_proba",
    "check_classifiers_multilabel_representation_invariance",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_train",
    "check_decision_proba_consistency",
    "check_estimators_dtypes",
    "check_fit2d_1sample",
    "check_fit_idempotent",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
}


def checks_of(estimator, names=None, marks=()):
    """Yield an estimator's checks as test cases: all, or those of some names."""
    checks = estimator_checks_generator(
        estimator, expected_failed_checks=expected_failures(estimator), mark="xfail"
    )
    for case in checks:
        _, check = values = getattr(case, "values", case)
        if names is None or _get_check_estimator_ids(check) in names:
            yield pytest.param(*values, marks=[*getattr(case, "marks", ()), *marks])


@cache
def _id_of(estimator):
    return _get_check_estimator_ids(estimator)


def _case_id(value):
    """Return the id of an estimator or a check; an estimator, which prints slowly, once for all."""
    return _get_check_estimator_ids(value) if isinstance(value, partial) else _id_of(value)


def parametrize_with_checks(estimators, names=None):
    """Parametrize a test by estimator and check; all but the first of each class are slow."""
    cases, seen = [], set()
    for estimator in estimators:
        cases += checks_of(estimator, names, [pytest.mark.slow] * (type(estimator) in seen))
        seen.add(type(estimator))
    return pytest.mark.parametrize(("estimator", "check"), cases, ids=_case_id)
