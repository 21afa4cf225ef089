"""Known numbers of labels, learned thresholds, and weights of labels, in both estimators."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from sklearn_mlce import MLCEMLP, MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets.top_k import shifted_to_best
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, mlp, on_both, single_labels

FULL_BATCH = {"batch_size": 10**6, "dropout": 0.0, "input_scaling": None}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_k_best_alone_are_above_zero(k, dtype):
    rng = np.random.default_rng(0)
    scores = rng.integers(-2, 3, (200, 5)).astype(dtype) * dtype(1e8)  # mostly ties
    scores[:20] += rng.normal(size=(20, 5)).astype(dtype)
    scores[20:40] = np.nextafter(dtype(1), rng.choice([0, 2], (20, 5)).astype(dtype))
    scores[40, :] = -1e9
    shifted = shifted_to_best(scores, k)
    by_column = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # ties to the lower column
    expected = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(expected, by_column, True, axis=1)
    np.testing.assert_array_equal(shifted > 0, expected)
    assert shifted.dtype == dtype
    apart = scores[:20]
    if k < 5:
        last, following = -np.sort(-apart, axis=1)[:, k - 1], -np.sort(-apart, axis=1)[:, k]
        middle = (last + following)[:, None] / 2
        np.testing.assert_allclose(shifted[:20], apart - middle, rtol=1e-6, atol=20)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_that_training_could_not_place_do_not_round_the_others_away(dtype):
    scores = np.array([[0.5, 0.25, -1e9, -1e9], [1e9, 0.25, 0.5, -1e9]], dtype=dtype)
    for k, first in ((3, [1.25, 1.0]), (2, [1.25, 1.0])):
        shifted = shifted_to_best(scores, k)
        assert (shifted > 0).sum(axis=1).tolist() == [k, k]
        np.testing.assert_array_equal(shifted[0, :2], first)
    np.testing.assert_array_equal(shifted_to_best(scores, 1)[1, 1:3], [-1.25, -1.0])
    assert (shifted_to_best(scores, 4) > 0).all()


def test_large_matrices_are_shifted_by_blocks(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(50, 4))
    whole = shifted_to_best(scores, 2)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 12)
    np.testing.assert_array_equal(shifted_to_best(scores, 2), whole)


@pytest.mark.parametrize("loss", ["auto", "pairwise", "mlce", "asymmetric"])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix])
@on_both
def test_each_row_gets_its_number_of_labels(make, container, loss):
    X, Y = labelled_rows()
    model = make(loss=loss, n_labels_per_row=2, random_state=0).fit(X, container(Y))
    labels = model.predict(X)
    scores = model.decision_function(X)
    labels = labels.toarray() if sp.issparse(labels) else labels
    assert (labels.sum(axis=1) == 2).all()
    np.testing.assert_array_equal(scores > 0, labels > 0)
    if loss != "auto":  # whose margins differ
        np.testing.assert_array_equal(model.predict_proba(X) > 0.5, labels > 0)
    best, values = model.predict_topk(X, 2)
    np.testing.assert_array_equal(np.sort(best, axis=1), np.nonzero(labels)[1].reshape(-1, 2))
    assert (values > 0).all()


@on_both
def test_the_number_of_labels_must_be_one_that_rows_can_have(make):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=r"n_labels_per_row=5 is more than.*4 of a multilabel y"):
        make(n_labels_per_row=5).fit(X, Y)
    with pytest.raises(ValueError, match="1 of a binary y"):
        make(n_labels_per_row=2).fit(X, Y[:, 0])


def test_the_threshold_of_a_network_is_its_last_output():
    X, Y = labelled_rows()
    model = MLCEMLP((4,), learn_threshold=True, max_epochs=3, random_state=0).fit(X, Y)
    assert model.state_dict_["layers.1.weight"].shape == (4, Y.shape[1] + 1)
    assert model.state_dict_["layers.1.bias"][-1] != 0  # it is trained
    assert model.decision_function(X).shape == Y.shape
    plain = MLCEMLP((4,), max_epochs=3, random_state=0).fit(X, Y)
    assert np.abs(plain.decision_function(X) - model.decision_function(X)).max() > 1e-3


def test_a_learned_threshold_of_a_network_goes_on_in_chunks():
    X, Y = labelled_rows()
    model = mlp(learn_threshold=True)
    for part in (slice(0, 45), slice(45, 90)):
        model.partial_fit(X[part], Y[part])
    plain = mlp().partial_fit(X[:45], Y[:45]).partial_fit(X[45:], Y[45:])
    scores = model.decision_function(X)
    assert np.abs(plain.decision_function(X) - scores).max() > 1e-3
    assert np.corrcoef(plain.decision_function(X).ravel(), scores.ravel())[0, 1] > 0.7


def test_a_threshold_is_learned_where_there_is_one():
    X, Y = labelled_rows()
    for kind, y in single_labels(Y).items():
        with pytest.raises(ValueError, match=f"learn_threshold=True.*y is {kind}"):
            mlp(learn_threshold=True).fit(X, y)
    with pytest.raises(ValueError, match=r"loss='pairwise' has none. Set learn_threshold=False"):
        mlp(learn_threshold=True, loss="pairwise", n_labels_per_row=1).fit(X, Y)


@on_both
def test_the_rules_hold_for_chunks_of_classes_too(make):
    X, Y = labelled_rows()
    y = Y[:, :3].sum(axis=1)
    classes = np.unique(y)
    make(loss="pairwise", n_labels_per_row=1, random_state=0).partial_fit(X, y, classes)
    if make is mlp:
        with pytest.raises(ValueError, match="learn_threshold"):
            make(learn_threshold=True).partial_fit(X, y, classes)
    with pytest.raises(ValueError, match="1 of a multiclass y"):
        make(n_labels_per_row=3).partial_fit(X, y, classes)


@on_both
def test_predictions_are_those_of_the_fit_whatever_becomes_of_the_parameters(make):
    X, Y = labelled_rows()
    model = make(n_labels_per_row=2, random_state=0).fit(X, Y)
    labels, probabilities = model.predict(X), model.predict_proba(X)
    model.set_params(n_labels_per_row=None, loss="squared_hinge")
    np.testing.assert_array_equal(model.predict(X), labels)
    np.testing.assert_array_equal(model.predict_proba(X), probabilities)
    with pytest.raises(ValueError, match="n_labels_per_row=True is not a number"):
        make(n_labels_per_row=True).fit(X, Y)


def test_thresholds_are_not_tuned_for_a_known_number_of_labels():
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match="n_labels_per_row=2 of MLCEClassifier predicts 2 labels"):
        MultilabelTunedThresholdClassifierCV(MLCEClassifier(n_labels_per_row=2)).fit(X, Y)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize(
    "make",
    [
        lambda weight: MLCEClassifierCV([0.1, 1.0], label_weight=weight, random_state=0),
        lambda weight: MultilabelTunedThresholdClassifierCV(
            MLCEClassifier(label_weight=weight), random_state=0
        ),
        lambda weight: MultilabelCalibratedClassifierCV(
            MLCEClassifier(label_weight=weight), random_state=0
        ),
    ],
    ids=["C", "thresholds", "calibration"],
)
def test_label_weights_by_name_reach_the_folds(make, frame):
    X, Y = labelled_rows()
    names = list("abcd")
    by_name = make({"b": 3.0}).fit(X, frame(dict(zip(names, Y.T, strict=True))))
    by_place = make([1, 3, 1, 1]).fit(X, Y)
    np.testing.assert_array_equal(by_name.predict_proba(X), by_place.predict_proba(X))
    np.testing.assert_array_equal(by_name.label_names_, names)


@on_both
@pytest.mark.parametrize("loss", ["auto", "mlce", "bce", "focal"])
def test_label_weights_by_name_number_or_place(make, loss):
    X, Y = labelled_rows()
    frame = pd.DataFrame(Y, columns=list("abcd"))
    options = {"loss": loss, "random_state": 0}
    by_place = make(label_weight=[1, 3, 1, 0.5], **options).fit(X, Y)
    by_name = make(label_weight={"d": 0.5, "b": 3}, **options).fit(X, frame)
    by_number = make(label_weight={1: 3, 3: 0.5}, **options).fit(X, Y)
    plain = make(**options).fit(X, Y)
    scores = by_place.decision_function(X)
    np.testing.assert_array_equal(by_name.decision_function(X), scores)
    np.testing.assert_array_equal(by_number.decision_function(X), scores)
    assert np.abs(plain.decision_function(X) - scores).max() > 1e-3
    with pytest.raises(ValueError, match=r"keys \['e'\], which are no column names of y"):
        make(label_weight={"e": 1.0}, **options).fit(X, frame)
    with pytest.raises(ValueError, match=r"keys \['a'\], which are no column numbers of y"):
        make(label_weight={"a": 1.0}, **options).fit(X, Y)
    for no_numbers in (["a", "b", "c", "d"], {0: "a"}, {0: [1, 2]}):
        with pytest.raises(ValueError, match="does not hold numbers; expected one for each"):
            make(label_weight=no_numbers, **options).fit(X, Y)


@on_both
def test_balanced_label_weights_make_all_positives_weigh_the_same(make):
    X, Y = labelled_rows()
    Y = np.column_stack([Y, np.zeros(len(Y), dtype=int)])  # a label that no row carries
    sample_weight = np.random.default_rng(0).integers(1, 4, len(Y))
    counts = sample_weight @ Y[:, :4]
    options = {"loss": "bce", "random_state": 0}
    balanced = make(label_weight="balanced", **options).fit(X, Y, sample_weight)
    given = [*(counts.mean() / counts), 1.0]
    same = make(label_weight=given, **options).fit(X, Y, sample_weight)
    np.testing.assert_array_equal(balanced.decision_function(X), same.decision_function(X))
    with pytest.raises(AttributeError) as caught:
        make(label_weight="balanced").partial_fit(X, Y)
    assert "label_weight='balanced' needs the labels of all rows" in str(caught.value.__cause__)
    with pytest.raises(ValueError, match="label_weight weighs the labels of a multi-label y"):
        make(label_weight="balanced").fit(X, Y[:, 0])
