"""The checks of scikit-learn that an estimator of ours cannot pass, each with its reason."""

import numpy as np
from sklearn.utils.estimator_checks import _enforce_estimator_tags_y

from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.decisions import MultilabelDecisionClassifier
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV

_ROWS_ARE_DRAWN = (
    "a row of weight 2 and a row that is there twice are drawn differently into batches, dropout "
    "masks and held-out rows; full batches without dropout pass"
)

_WHERE_ROWS_ARE_DRAWN = {
    "check_sample_weight_equivalence_on_dense_data": _ROWS_ARE_DRAWN,
    "check_sample_weight_equivalence_on_sparse_data": _ROWS_ARE_DRAWN,
}


_HALF_IS_NOT_THE_THRESHOLD = (
    "asks predict to be the argmax of predict_proba, which a tuned threshold is there to change; "
    "scikit-learn lists the same of its TunedThresholdClassifierCV"
)


_CLASSES_ARE_SWAPPED = (
    "this scikit-learn's check codes the classes of a binary-only estimator by which comes first, "
    "and so differently for the rows and for the repeated rows"
)

_WHERE_CLASSES_ARE_SWAPPED = {
    "check_sample_weight_equivalence_on_dense_data": _CLASSES_ARE_SWAPPED,
    "check_sample_weight_equivalence_on_sparse_data": _CLASSES_ARE_SWAPPED,
}


def expected_failures(estimator):
    """Return the name and reason of each check that the estimator is expected to fail."""
    parameters = estimator.get_params()
    deciding = (MultilabelTunedThresholdClassifierCV, MultilabelDecisionClassifier)
    if isinstance(estimator, (*deciding, MultilabelCalibratedClassifierCV)):
        swapped = _enforce_estimator_tags_y(estimator, np.array([1, 0])).tolist() != [1, 0]
        found = dict(_WHERE_CLASSES_ARE_SWAPPED) if swapped else {}
        by_rows = ("f1_samples", "top_k", "best_and_above")  # the most probable class
        if isinstance(estimator, deciding) and parameters.get("decision") not in by_rows:
            found["check_classifiers_train"] = _HALF_IS_NOT_THE_THRESHOLD
        return found
    draws_rows = (
        (parameters.get("dropout", 0) > 0 and parameters["module"] is None)
        or parameters.get("early_stopping", False)
        or parameters.get("solver") == "sgd"
    )
    return _WHERE_ROWS_ARE_DRAWN if draws_rows else {}
