"""What a model learns from two y, both with named columns, is of the same labels."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets.label_names import in_label_order
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import label_report
from sklearn_mlce.metrics import (
    f1_by_label_frequency,
    label_propensities,
    masked_f1_score,
    masked_label_ranking_average_precision_score,
    precision_at_k,
    propensity_scored_precision_at_k,
)
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


WEIGHTS = pd.Series([4.0, 1.0, 2.0, 3.0], index=list("dabc"))  # 1 to 4 of a to d


@on_both
def test_a_series_of_label_weights_goes_by_its_index(make):
    by_name = make(label_weight=WEIGHTS, random_state=0).fit(X, FRAME)
    assert_same_scores(by_name, make(label_weight=[1, 2, 3, 4], random_state=0).fit(X, FRAME), X)
    model = make(label_weight=WEIGHTS.rename({"d": "e"}), random_state=0)
    with pytest.raises(ValueError, match=r"lacks \['d'\] and has .* \['e'\]. Pass .*to_numpy\(\)"):
        model.fit(X, FRAME)


@pytest.mark.parametrize(
    ("values", "names", "order"),
    [
        (WEIGHTS, list("abcd"), [1, 2, 3, 0]),
        (WEIGHTS, list("dabc"), [0, 1, 2, 3]),
        (WEIGHTS, None, [0, 1, 2, 3]),  # of a y without names
        (WEIGHTS.reset_index(drop=True), list("abcd"), [0, 1, 2, 3]),  # the index that pandas makes
        (WEIGHTS.set_axis([1, 3, 0, 2]), None, [2, 0, 3, 1]),  # column numbers
        (WEIGHTS.to_numpy(), list("abcd"), [0, 1, 2, 3]),
    ],
)
def test_values_of_labels_take_the_order_of_the_labels(values, names, order):
    names = None if names is None else np.array(names, dtype=object)
    found = np.asarray(in_label_order(values, names, "label_weight"))
    np.testing.assert_array_equal(found, WEIGHTS.to_numpy()[order])


def test_an_index_that_repeats_a_name_is_refused():
    weights = WEIGHTS.set_axis(list("aabc"))
    with pytest.raises(ValueError, match=r"the index of label_weight is not .*lacks \['d'\]"):
        in_label_order(weights, np.array(list("abcd"), dtype=object), "label_weight")


def test_measures_take_series_by_their_index_and_refuse_columns_in_another_order():
    scores = pd.DataFrame(np.arange(4 * len(X)).reshape(-1, 4) % 7 - 3.0, columns=list("abcd"))
    predicted = (scores > 0).astype(int)
    swapped = list("badc")
    counts = pd.Series([500, 50, 5, 4], index=list("abcd"))
    expected = f1_by_label_frequency(Y, predicted.to_numpy(), label_counts=counts.to_numpy())
    assert f1_by_label_frequency(FRAME, predicted, label_counts=counts[swapped]) == expected
    of_thresholds = label_report(FRAME, scores, thresholds=(counts / 500)[swapped])
    np.testing.assert_array_equal(of_thresholds.threshold, counts / 500)
    propensities = label_propensities(Y)
    by_name = pd.Series(propensities, index=list("abcd"))[swapped]
    assert propensity_scored_precision_at_k(
        FRAME, scores, k=2, propensities=by_name
    ) == propensity_scored_precision_at_k(Y, scores.to_numpy(), k=2, propensities=propensities)
    for call in (
        lambda: masked_f1_score(FRAME, predicted[swapped]),
        lambda: f1_by_label_frequency(FRAME, predicted[swapped]),
        lambda: precision_at_k(FRAME, scores[swapped], k=1),
        lambda: propensity_scored_precision_at_k(
            FRAME, scores[swapped], k=1, propensities=propensities
        ),
        lambda: masked_label_ranking_average_precision_score(FRAME, scores[swapped]),
        lambda: label_report(FRAME, scores[swapped]),
    ):
        with pytest.raises(ValueError, match=r"columns of y_.* those of y_true in another order"):
            call()
    # Names that say nothing of the order.
    masked_f1_score(FRAME, predicted.set_axis(range(4), axis=1))
    masked_f1_score(FRAME, predicted.set_axis(list("wxyz"), axis=1))


@pytest.mark.parametrize("make", [MLCEClassifier, mlp])
def test_a_warm_start_goes_on_with_the_features_that_it_knows(make):
    rows = pd.DataFrame(X, columns=list("uvwxyz"))
    model = make(warm_start=True, random_state=0).fit(rows, Y)
    before = model.decision_function(rows)
    for other, how in (
        (rows[list("vuwxyz")], "in another order"),
        (rows.add_prefix("n"), "others"),
    ):
        with pytest.raises(ValueError, match=f"warm_start=True .*{how}.*feature_names_in_"):
            model.fit(other, Y)
    np.testing.assert_array_equal(model.decision_function(rows), before)
    model.fit(rows, Y).fit(X, Y).fit(rows, Y)  # without names they go by position
