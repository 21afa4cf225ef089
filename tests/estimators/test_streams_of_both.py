"""What chunks may differ in, in both estimators."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from sklearn_mlce import MLCEClassifier
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both
from tests.helpers.pairwise import parametrize_pairwise


@parametrize_pairwise(
    make=[linear, mlp],
    first=[np.float32, np.float64],
    container=[np.asarray, sp.csr_array],
    start=["fit", "partial_fit"],
)
def test_chunks_of_another_precision_are_taken_in_that_of_the_first(make, first, container, start):
    X, Y = labelled_rows()
    weight = np.linspace(1, 2, len(X))
    other = np.float64 if first == np.float32 else np.float32
    models = [make(random_state=0), make(random_state=0)]
    for model, dtype in zip(models, (first, other), strict=True):
        getattr(model, start)(container(X.astype(first)), Y)
        model.partial_fit(container(X.astype(dtype)), Y, sample_weight=weight)
    scores = [model.decision_function(container(X.astype(first))) for model in models]
    assert scores[1].dtype == first
    np.testing.assert_allclose(*scores, rtol=1e-5, atol=1e-5)


@on_both
def test_predictions_follow_the_loss_of_the_last_chunk(make):
    X, Y = labelled_rows()
    model = make(random_state=0).partial_fit(X, Y)
    assert len(set(model.predict(X).sum(axis=1))) > 1
    model.set_params(loss="pairwise", n_labels_per_row=2).partial_fit(X, Y)
    assert set(model.predict(X).sum(axis=1)) == {2}
    model.set_params(loss="squared_hinge", n_labels_per_row=None).partial_fit(X, Y)
    assert not hasattr(model, "predict_proba")
    model.set_params(loss="bce").partial_fit(X, Y)
    assert model.predict_proba(X).shape == Y.shape


def trained(model):
    return model.loss_, model.scale_, model.margin_


@on_both
def test_an_unknown_label_does_not_change_the_loss(make):
    X, Y = labelled_rows()
    unknown = Y.astype(float)
    unknown[0, 0] = np.nan
    soft = unknown.copy()
    soft[1, 1] = 0.5
    known, with_unknown = (make(random_state=0).fit(X, y) for y in (Y, unknown))
    assert trained(known) == trained(with_unknown) == ("bce", 8.0, (0.2, 1.8))
    # A soft y has a loss of its own, and a stream that of its first chunk.
    stream = make(random_state=0).partial_fit(X, soft).partial_fit(X, Y)
    assert trained(stream) == ("mlce", 1.0, (0.0, 0.0))
    unknown_first = make(random_state=0).partial_fit(X, unknown).partial_fit(X, Y)
    assert trained(unknown_first) == trained(known)


@on_both
@pytest.mark.parametrize("kind", ["labels", "labels with NaN"])
def test_a_soft_chunk_after_hard_ones_is_refused_by_the_automatic_loss(make, kind):
    X, Y = labelled_rows()
    hard, soft = Y.astype(float), 0.8 * Y + 0.1
    if kind == "labels with NaN":
        hard[0, 0] = np.nan
    model = make(random_state=0).partial_fit(X, hard)
    scores = model.decision_function(X)
    with pytest.raises(ValueError, match=r"soft labels between 0 and 1.*Set loss='mlce' and start"):
        model.partial_fit(X, soft)
    np.testing.assert_array_equal(model.decision_function(X), scores)
    assert trained(model) == ("bce", 8.0, (0.2, 1.8))
    model.partial_fit(X, Y)
    fitted = make(random_state=0).fit(X, hard)
    with pytest.raises(ValueError, match="Set loss='mlce'"):
        fitted.partial_fit(X, soft)
    for loss in ("mlce", "bce"):
        make(loss=loss, random_state=0).partial_fit(X, hard).partial_fit(X, soft)


def test_an_unknown_label_hardly_moves_the_network():
    X, Y = labelled_rows(n_rows=400)
    unknown = Y.astype(float)
    unknown[0, 0] = np.nan
    counts = [mlp(max_epochs=20).fit(X, y).predict(X).sum() for y in (Y, unknown)]
    assert abs(counts[0] - counts[1]) < 0.05 * counts[0]


def test_classes_of_an_output_that_no_chunk_has_shown_are_not_trained():
    X, Y = labelled_rows()
    y = np.column_stack([Y[:, 0], Y[:, 1] + Y[:, 2]])
    classes = [np.array([0, 1, 2]), np.array([0, 1, 2])]
    model = MLCEClassifier(random_state=0).partial_fit(X, y, classes=classes)
    np.testing.assert_array_equal(model.coef_[2], 0)
    # They change nothing for the others either.
    without = MLCEClassifier(random_state=0).partial_fit(X, y, classes=[[0, 1], [0, 1, 2]])
    np.testing.assert_allclose(model.coef_[[0, 1, 3, 4, 5]], without.coef_, atol=1e-12)
    # An output of one class so far says nothing.
    one = np.column_stack([np.zeros(len(y), int), y[:, 1]])
    model = MLCEClassifier(random_state=0).partial_fit(X, one, classes=classes)
    np.testing.assert_array_equal(model.coef_[:3], 0)
    assert np.abs(model.coef_[3:]).min() > 0
    model.partial_fit(X, y)
    assert np.abs(model.coef_[:2]).min() > 0


def test_columns_of_several_levels_are_names():
    X, Y = labelled_rows()
    columns = pd.MultiIndex.from_product([["a", "b"], [1, 2]])
    model = MLCEClassifier(label_weight={("b", 1): 2.0}).fit(X, pd.DataFrame(Y, columns=columns))
    assert model.label_names_.tolist() == columns.tolist()
    by_place = MLCEClassifier(label_weight=[1, 1, 2, 1]).fit(X, Y)
    np.testing.assert_array_equal(model.coef_, by_place.coef_)


@on_both
def test_classes_are_read_once_and_none_is_missing(make):
    X, Y = labelled_rows()
    y = np.array(["a", "b"])[Y[:, 0]]
    expected = make(random_state=0).partial_fit(X, y, classes=["a", "b"])
    found = make(random_state=0).partial_fit(X, y, classes={"b", "a"})
    np.testing.assert_array_equal(found.decision_function(X), expected.decision_function(X))
    for given in (iter("ab"), "ab", {"a": 1, "b": 2}):
        with pytest.raises(TypeError, match=r"^classes is (an iterator|the text|a dict)"):
            make().partial_fit(X, y, classes=given)
    for missing in (None, np.nan):
        for given, labels in (([0, 1, missing], Y[:, 0]), ([[0, 1, 2], [0, missing]], Y[:, :2])):
            with pytest.raises(ValueError, match=r"^classes holds None or NaN, which is no class"):
                make().partial_fit(X, labels, classes=given)
