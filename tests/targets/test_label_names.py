"""What a model learns from two y, both with named columns, is of the same labels."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import assert_same_scores, labelled_rows, mlp, on_both

X, Y = labelled_rows()
FRAME = pd.DataFrame(Y, columns=list("abcd"))
REORDERED = FRAME[list("dcba")]
OTHERS = {
    "reordered": (REORDERED, r"in another order, \['d', 'c', 'b', 'a'\]"),
    "renamed": (FRAME.rename(columns={"a": "z"}), r"lacks \['a'\] and has the unexpected \['z'\]"),
    "numbered": (pd.DataFrame(Y), r"has the unexpected \[0, 1, 2, 3\]"),
    "fewer": (FRAME[["a", "b"]], r"it lacks \['c', 'd'\]"),
}
of_other_labels = pytest.mark.parametrize(("other", "difference"), OTHERS.values(), ids=OTHERS)
TO_TYPE = r"\. Pass y\[list\(model\.label_names_\)\]"
ESTIMATORS = {
    "linear": MLCEClassifier(),
    "linear CV": MLCEClassifierCV(Cs=1, random_state=0),
    "network": mlp(),
    "thresholds": MultilabelTunedThresholdClassifierCV(MLCEClassifier(), random_state=0),
    "calibration": MultilabelCalibratedClassifierCV(MLCEClassifier(), random_state=0),
}


@on_both
@of_other_labels
def test_a_chunk_of_other_labels_is_refused(make, other, difference):
    model = make(random_state=0).partial_fit(X, FRAME)
    before = model.decision_function(X)
    with pytest.raises(ValueError, match="columns of y are not .*" + difference + TO_TYPE):
        model.partial_fit(X, other)
    np.testing.assert_array_equal(model.decision_function(X), before)


@on_both
def test_what_is_to_be_typed_makes_a_chunk_of_the_same_labels(make):
    model, other = (make(random_state=0).partial_fit(X, FRAME) for _ in range(2))
    model.partial_fit(X, REORDERED[list(model.label_names_)])
    assert_same_scores(model, other.partial_fit(X, FRAME), X)


@on_both
def test_a_y_without_names_goes_by_the_places_of_its_columns(make):
    models = [make(random_state=0).partial_fit(X, first) for first in (FRAME, Y, Y)]
    for model, second in zip(models, (Y, FRAME, Y), strict=True):
        assert_same_scores(model.partial_fit(X, second), models[0], X)
    single = make(random_state=0).partial_fit(X, FRAME[["a"]].to_numpy().ravel())
    single.partial_fit(X, FRAME["b"])


@on_both
@pytest.mark.parametrize("classes", [list("abcd"), range(3), [0, 2]])
def test_classes_are_not_the_names_of_labels(make, classes):
    model = make(random_state=0)
    expected = r"does not fit .* of 4 columns; expected None, np\.arange\(4\), or \[0, 1\],.*Leave"
    with pytest.raises(ValueError, match=expected):
        model.partial_fit(X, Y, classes=classes)
    for right in (np.arange(4), [0, 1], None):
        model.partial_fit(X, Y, classes=right)


@on_both
def test_outputs_have_names_too(make):
    outputs = pd.DataFrame({"a": Y[:, 0], "b": Y[:, :3].sum(axis=1)})
    classes = [[0, 1], [0, 1, 2, 3]]
    model = make(random_state=0).partial_fit(X, outputs, classes=classes)
    with pytest.raises(ValueError, match="in another order"):
        model.partial_fit(X, outputs[["b", "a"]])


@on_both
def test_a_warm_start_goes_on_with_the_same_labels(make):
    model = make(random_state=0, warm_start=True).fit(X, FRAME)
    for other, difference in list(OTHERS.values())[:3]:
        with pytest.raises(ValueError, match=f"{difference}{TO_TYPE}, or set warm_start=False"):
            model.fit(X, other)
    model.set_params(warm_start=False).fit(X, REORDERED)
    assert model.label_names_.tolist() == list("dcba")


@of_other_labels
def test_validation_rows_have_the_labels_of_the_training_rows(other, difference):
    model = mlp(early_stopping=True)
    with pytest.raises(ValueError, match=r"of y_val are .*" + difference + r"\. Pass y_val\[y\.c"):
        model.fit(X, FRAME, X_val=X, y_val=other)
    given = model.fit(X, FRAME, X_val=X, y_val=REORDERED[FRAME.columns])
    assert_same_scores(given, mlp(early_stopping=True).fit(X, FRAME, X_val=X, y_val=Y), X)


@pytest.mark.parametrize(
    "make",
    [
        lambda fitted: MultilabelTunedThresholdClassifierCV(fitted, cv="prefit", refit=False),
        lambda fitted: MultilabelCalibratedClassifierCV(FrozenEstimator(fitted), ensemble=False),
    ],
    ids=["thresholds", "calibration"],
)
def test_a_fitted_estimator_knows_its_labels_by_name(make):
    fitted = MLCEClassifier().fit(X, FRAME)
    with pytest.raises(ValueError, match="has them in another order"):
        make(fitted).fit(X, REORDERED)
    make(fitted).fit(X, FRAME)
    make(fitted).fit(X, Y)


@pytest.mark.parametrize("estimator", ESTIMATORS.values(), ids=ESTIMATORS)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_labels_of_other_names_are_not_scored(estimator, library):
    frame_of = {"pandas": pd.DataFrame, "polars": None}[library]
    if frame_of is None:
        frame_of = pytest.importorskip("polars").DataFrame
    model = clone(estimator).fit(X, frame_of(dict(FRAME.items())))
    for name, (other, difference) in OTHERS.items():
        if name == "numbered" and library == "polars":
            continue  # whose columns have text for names
        with pytest.raises(ValueError, match="columns of y are not .*" + difference):
            model.score(X, frame_of(dict(other.items())))
    expected = accuracy_score(Y, np.asarray(model.predict(X)))
    for same in (FRAME, REORDERED[list(model.label_names_)], Y, sp.csr_array(Y)):
        assert model.score(X, same) == expected
    weight = np.arange(len(X))
    assert model.score(X, FRAME, weight) == accuracy_score(
        Y, model.predict(X), sample_weight=weight
    )


@on_both
def test_outputs_of_other_names_are_not_scored(make):
    outputs = pd.DataFrame({"a": Y[:, 0], "b": Y[:, :3].sum(axis=1)})
    model = make(random_state=0).fit(X, outputs)
    model.score(X, outputs)
    with pytest.raises(ValueError, match="in another order"):
        model.score(X, outputs[["b", "a"]])
