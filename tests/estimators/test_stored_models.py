"""Fitted estimators hold arrays, plain values and public classes: no file that moves breaks one."""

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows, mlp
from tests.helpers.stored_models import Y_FORMS, assert_same_answers, public_names_stored

ESTIMATORS = {
    "newton": MLCEClassifier(),
    "newton, labels coupled": MLCEClassifier(loss="mlce"),
    "sgd": MLCEClassifier(solver="sgd", max_iter=2, random_state=0),
    "CV": MLCEClassifierCV([0.1, 1.0], random_state=0),
    "network": mlp(),
    "network, learned threshold": mlp(loss="mlce", learn_threshold=True),
    "network, early stopping": mlp(early_stopping=True, warm_start=True),
}
on_each = pytest.mark.parametrize("name", ESTIMATORS)


@on_each
@pytest.mark.parametrize("form", Y_FORMS)
def test_copies_answer_alike_and_name_public_classes(name, form):
    X, Y = labelled_rows()
    if "threshold" in name and form == "classes":
        pytest.skip("one class a row has no threshold to learn")
    model = clone(ESTIMATORS[name]).fit(X, Y_FORMS[form](Y))
    assert public_names_stored(model) == {f"sklearn_mlce.{type(model).__name__}"}
    assert_same_answers(model, X)


@pytest.mark.parametrize("kind", ["soft", "unknown", "several outputs"])
@pytest.mark.parametrize("make", [MLCEClassifier, mlp])
def test_other_kinds_of_y_are_stored_so_too(make, kind):
    X, Y = labelled_rows()
    y = {"soft": 0.8 * Y, "unknown": np.where(Y == 1, np.nan, Y), "several outputs": Y + Y[::-1]}
    y["unknown"][::2] = Y[::2]
    model = make().fit(X, y[kind])
    assert public_names_stored(model) == {f"sklearn_mlce.{type(model).__name__}"}


@pytest.mark.parametrize("make", [MLCEClassifier, mlp])
def test_a_stream_goes_on_from_a_copy(make):
    X, Y = labelled_rows()
    model = make(random_state=0).partial_fit(X, Y).partial_fit(X, Y)
    assert public_names_stored(model) == {f"sklearn_mlce.{type(model).__name__}"}
    assert_same_answers(model, X)


@pytest.mark.parametrize("inner", [MLCEClassifier(), MLCEMLP((8,), max_epochs=2)])
@pytest.mark.parametrize("wrapper", [Tuned, Calibrated])
def test_wrappers_add_their_own_name_alone(wrapper, inner):
    X, Y = labelled_rows()
    model = wrapper(inner, cv=2, random_state=0).fit(X, Y)
    own = f"{wrapper.__module__}.{wrapper.__name__}"
    assert public_names_stored(model) == {own, f"sklearn_mlce.{type(inner).__name__}"}
    assert_same_answers(model, X)
