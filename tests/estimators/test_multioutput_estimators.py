"""y of several outputs of several classes, in both estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.inspection import describe_labels
from sklearn_mlce.losses import multioutput_loss
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both
from tests.helpers.family_oracles import multioutput
from tests.helpers.pairwise import slow_except

SIZES = (2, 3, 4)


def outputs(n_rows=120, sizes=SIZES):
    """Rows, and for each of some outputs a class that depends on them, of codes 5, 7, 9 ..."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 6))
    best = [(X @ rng.normal(size=(6, m)) + 0.5 * rng.normal(size=(n_rows, m))) for m in sizes]
    return X, 5 + 2 * np.column_stack([scores.argmax(axis=1) for scores in best])


def trained(make, **parameters):
    """An estimator that has time to learn."""
    longer = {} if make is linear else {"max_epochs": 60, "learning_rate_init": 0.02}
    return make(random_state=0, **longer, **parameters)


@on_both
def test_answers_come_in_the_form_of_a_tree(make):
    X, Y = outputs()
    model, tree = trained(make).fit(X, Y), DecisionTreeClassifier().fit(X, Y)
    for own, other in zip(model.classes_, tree.classes_, strict=True):
        np.testing.assert_array_equal(own, other)
    scores, probabilities = model.decision_function(X), model.predict_proba(X)
    labels = model.predict(X)
    assert labels.shape == Y.shape
    assert labels.dtype == Y.dtype
    assert isinstance(probabilities, list)
    for i, (score, own, other) in enumerate(
        zip(scores, probabilities, tree.predict_proba(X), strict=True)
    ):
        assert score.shape == own.shape == other.shape
        np.testing.assert_allclose(own.sum(axis=1), 1)
        np.testing.assert_array_equal(model.classes_[i][score.argmax(axis=1)], labels[:, i])
    assert model.score(X, Y) == (labels == Y).all(axis=1).mean() > 0.3
    weight = np.arange(len(Y))
    right = (labels == Y).all(axis=1)
    assert model.score(X, Y, weight) == pytest.approx(np.average(right, weights=weight))


@pytest.mark.parametrize("solver", slow_except("newton-cg", of=["newton-cg", "sgd"]))
def test_the_optimum_is_that_of_the_loss(solver):
    X, Y = outputs()
    exact = {"tol": 1e-8} if solver == "newton-cg" else {"max_iter": 300, "random_state": 0}
    weight = np.random.default_rng(1).uniform(0.5, 2, len(Y))
    model = MLCEClassifier(C=0.5, solver=solver, **exact).fit(X, Y, weight)
    coefficients = torch.from_numpy(model.coef_.T.copy()).requires_grad_()
    intercepts = torch.from_numpy(model.intercept_.copy()).requires_grad_()
    scores = torch.from_numpy(X) @ coefficients + intercepts
    value = 0.5 * _loss(scores, Y, weight) + coefficients.square().sum() / 2
    value.backward()
    largest = max(part.grad.abs().max() for part in (coefficients, intercepts))
    assert largest < (1e-5 if solver == "newton-cg" else 0.3)
    assert value.item() / (0.5 * weight.sum()) == pytest.approx(model.loss_curve_[-1], rel=1e-3)


def _loss(scores, Y, weight):
    """Loss of ragged outputs, padded with classes far below all others."""
    cube = torch.full((len(scores), len(SIZES), max(SIZES)), -1e6, dtype=torch.float64)
    for number, part in enumerate(scores.split(SIZES, dim=1)):
        cube[:, number, : part.shape[1]] = part
    weight = torch.from_numpy(weight)
    codes = torch.from_numpy((Y - 5) // 2)
    return multioutput_loss(cube, codes, sample_weight=weight, reduction="sum")


def test_two_classes_an_output_are_labels():
    """Two scores share the penalty of their difference: half of it, as with twice the C."""
    X, Y = labelled_rows()
    coded = Y + np.array([0, 1, 0, 1])  # more than two values, two in each column
    several = MLCEClassifier(C=1.0, tol=1e-8, solver="newton-cg").fit(X, coded)
    labels = MLCEClassifier(loss="mlce", C=2.0, tol=1e-8, solver="newton-cg").fit(X, Y)
    apart = np.column_stack([s[:, 1] - s[:, 0] for s in several.decision_function(X)])
    np.testing.assert_allclose(apart, labels.decision_function(X), atol=1e-5)
    np.testing.assert_array_equal(several.predict(X) - [0, 1, 0, 1], labels.predict(X))


@on_both
def test_a_class_of_zero_weight_and_an_output_of_one_class(make):
    X, Y = outputs()
    Y[:, 0] = 5
    weight = (Y[:, 2] != 11).astype(float)
    model = make(random_state=0).fit(X, Y, weight)
    labels = model.predict(X)
    assert (labels[:, 0] == 5).all()
    assert not (labels[:, 2] == 11).any()
    assert 11 in model.classes_[2]


@on_both
def test_chunks_are_coded_by_the_classes_of_the_first_call(make):
    X, Y = outputs()
    classes = [np.unique(column) for column in Y.T]
    model = trained(make)
    for start in (*range(0, 120, 10), *range(0, 120, 10)):
        part = slice(start, start + 10)
        model.partial_fit(
            X[part], Y[part], classes=classes if not hasattr(model, "classes_") else None
        )
    assert [len(c) for c in model.classes_] == list(SIZES)
    assert model.score(X, Y) > 0.2
    with pytest.raises(ValueError, match=r"output 1 of y holds \[99\].*Pass every class"):
        model.partial_fit(X[:2], [[5, 99, 5], [5, 7, 7]])
    with pytest.raises(ValueError, match="are not the same as on the first call"):
        model.partial_fit(X[:2], Y[:2], classes=[[5], [7], [9]])


@on_both
def test_fits_go_on_copy_and_travel(make):
    X, Y = outputs()
    model = trained(make, warm_start=True).fit(X, Y)
    again = pickle.loads(pickle.dumps(model)).fit(X, Y)
    assert again.score(X, Y) > 0.3
    with pytest.raises(ValueError, match="warm_start"):
        model.fit(X, Y - 1)
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    search = GridSearchCV(trained(make), {"loss": ["auto", "mlce"]}, cv=2).fit(X, Y)
    assert search.best_score_ > 0.2


def _share_right(estimator, X, y):
    return estimator.score(X, y)


@on_both
def test_early_rows_are_held_out_by_class(make):
    if make is linear:
        pytest.skip("holds no rows out")
    X, Y = outputs()
    model = mlp(early_stopping=True, validation_fraction=0.3).fit(X, Y)
    assert len(model.validation_scores_) == model.n_iter_
    scored = mlp(early_stopping=True, scoring=_share_right).fit(
        X[20:], Y[20:], X_val=X[:20], y_val=Y[:20]
    )
    assert scored.validation_scores_[scored.best_epoch_ - 1] == scored.score(X[:20], Y[:20])
    few = mlp(early_stopping=True).fit(X[4:], Y[4:], X_val=X[:4], y_val=Y[:4])
    assert len(few.validation_scores_) == few.n_iter_
    with pytest.raises(ValueError, match="y holds the classes of several outputs"):
        mlp(early_stopping=True, scoring="f1_micro").fit(X, Y)


@on_both
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "bce"}, "loss='auto' and loss='mlce' alone take; got loss='bce'"),
        ({"loss": "mlce", "scale": 2.0}, "y is multiclass-multioutput. Set scale=None"),
        ({"label_weight": [1.0] * 3}, "label_weight weighs the labels of a multi-label y"),
        ({"n_labels_per_row": 2}, "1 of a multioutput y"),
    ],
)
def test_what_does_not_apply_is_refused(make, options, message):
    X, Y = outputs()
    with pytest.raises(ValueError, match=message):
        make(**options).fit(X, Y)


def test_a_threshold_of_labels_is_refused():
    X, Y = outputs()
    with pytest.raises(ValueError, match="y is multioutput"):
        mlp(learn_threshold=True).fit(X, Y)


def test_others_refuse_several_outputs():
    X, Y = outputs()
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        MultilabelTunedThresholdClassifierCV(MLCEClassifier()).fit(X, Y)
    with pytest.raises(ValueError, match="Describe one output at a time"):
        describe_labels(Y)
    with pytest.raises(ValueError, match=r"but y was multioutput. Use predict"):
        MLCEClassifier().fit(X, Y).predict_topk(X, 1)
    with pytest.raises(ValueError, match="Input y contains infinity"):
        MLCEClassifier().fit(X, np.where(Y == 5, np.inf, 0))
    with pytest.raises(NotFittedError):
        MLCEClassifier().score(X, Y)
    with pytest.raises(ValueError, match=r"y has shape \(120,\); expected \(120, 3\)"):
        MLCEClassifier().fit(X, Y).score(X, Y[:, 0])


@on_both
def test_names_and_whole_numbers_are_kept(make):
    X, Y = outputs()
    frame = pd.DataFrame(Y, columns=["a", "b", "c"])
    assert make(random_state=0).fit(X, frame).label_names_.tolist() == ["a", "b", "c"]
    labels = make(random_state=0).fit(X, Y.astype(object)).predict(X)
    assert labels.dtype.kind == "i"


@on_both
def test_a_first_chunk_of_two_values_needs_the_classes(make):
    X, Y = outputs()
    model = make(random_state=0).partial_fit(X, (Y > 5).astype(int))
    with pytest.raises(ValueError, match=r"was taken for labels. Pass every class"):
        model.partial_fit(X, Y)
    classes = tuple(np.unique(column) for column in Y.T)
    make(random_state=0).partial_fit(X, Y, classes=classes).partial_fit(X[:2], Y[:2])


def test_the_loss_of_the_estimator_is_the_public_one():
    X, Y = outputs(sizes=(3, 3))
    model = MLCEClassifier(C=1.0, tol=1e-8).fit(X, Y)
    scores = np.stack(model.decision_function(X), axis=1)
    oracle = [
        multioutput(of_row, codes, np.ones((2, 3)))
        for of_row, codes in zip(scores, (Y - 5) // 2, strict=True)
    ]
    penalty = np.square(model.coef_).sum() / (2 * len(Y))
    assert np.mean(oracle) + penalty == pytest.approx(model.loss_curve_[-1], rel=1e-6)


@pytest.mark.parametrize("columns", [1, 3])
def test_chunks_of_another_number_of_outputs_are_refused(columns):
    X, Y = labelled_rows()
    y = np.column_stack([Y[:, :2].sum(axis=1), Y[:, 1:3].sum(axis=1)])
    model = linear().partial_fit(X, y)
    other = np.column_stack([y, y])[:, :columns]
    with pytest.raises(ValueError, match=rf"y has shape \(90, {columns}\); expected .* 2 outputs"):
        model.partial_fit(X, other)
