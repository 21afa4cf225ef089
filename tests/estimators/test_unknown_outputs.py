"""Unknown classes of several outputs take no part: in fits, streams, early stopping and scores."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.losses import multioutput_loss
from tests.helpers.estimators import linear, mlp, on_both

SIZES = (2, 3, 4)


def outputs(n_rows=120, unknown=0.25, rows_unknown=0.0):
    """Rows, and codes of some outputs, NaN where unknown."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 6))
    best = [(X @ rng.normal(size=(6, m)) + 0.5 * rng.normal(size=(n_rows, m))) for m in SIZES]
    Y = np.column_stack([scores.argmax(axis=1) for scores in best]).astype(float)
    Y[rng.random(Y.shape) < unknown] = np.nan
    Y[rng.random(n_rows) < rows_unknown] = np.nan
    return X, Y


def as_text(Y):
    """The same classes as text, None where unknown."""
    return np.where(np.isnan(Y), None, np.nan_to_num(Y).astype(int).astype(str).astype(object))


def exact(**parameters):
    return MLCEClassifier(C=0.5, tol=1e-8, solver="newton-cg", **parameters)


def loss_of(model, X, Y, weight=None):
    """Objective at the parameters of a model, and its gradient in them."""
    coef = torch.from_numpy(model.coef_.T.copy()).requires_grad_()
    intercept = torch.from_numpy(model.intercept_.copy()).requires_grad_()
    scores = torch.from_numpy(X) @ coef + intercept
    cube = torch.full((len(X), len(SIZES), max(SIZES)), -1e6, dtype=torch.float64)
    for number, part in enumerate(scores.split(SIZES, dim=1)):
        cube[:, number, : part.shape[1]] = part
    weight = None if weight is None else torch.from_numpy(weight)
    loss = multioutput_loss(cube, torch.from_numpy(Y), sample_weight=weight, reduction="sum")
    value = loss + coef.square().sum() / (2 * model.C_)
    value.backward()
    return value.item(), max(part.grad.abs().max().item() for part in (coef, intercept))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_optimum_is_that_of_the_known_outputs(weighted):
    X, Y = outputs(rows_unknown=0.1)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(Y)) if weighted else None
    model = exact().fit(X, Y, weight)
    value, gradient = loss_of(model, X, Y, weight)
    assert gradient < 1e-5
    total = len(Y) if weight is None else weight.sum()
    assert value / total == pytest.approx(model.loss_curve_[-1], rel=1e-6)


@pytest.mark.slow
def test_stochastic_descent_comes_near_the_same_optimum():
    X, Y = outputs()
    best, _ = loss_of(exact().fit(X, Y), X, Y)
    sgd = MLCEClassifier(C=0.5, solver="sgd", max_iter=300, random_state=0).fit(X, Y)
    assert loss_of(sgd, X, Y)[0] < 1.005 * best


def test_text_and_sparse_features_have_the_same_optimum():
    X, Y = outputs()
    model = exact().fit(X, Y)
    for other in (exact().fit(X, as_text(Y)), exact().fit(sp.csr_array(X), Y)):
        np.testing.assert_allclose(other.coef_, model.coef_, atol=1e-6)
        np.testing.assert_allclose(other.intercept_, model.intercept_, atol=1e-6)
    frame = pd.DataFrame(as_text(Y), dtype="string")
    assert frame.isna().to_numpy().any()
    np.testing.assert_allclose(exact().fit(X, frame).coef_, model.coef_, atol=1e-6)


@pytest.mark.parametrize("make", [exact, lambda: exact(fit_intercept=False)])
def test_a_row_of_unknown_outputs_changes_nothing(make):
    X, Y = outputs()
    model = make().fit(X, Y)
    more = make().fit(np.vstack([X, X[:30] + 1]), np.vstack([Y, np.full((30, 3), np.nan)]))
    np.testing.assert_allclose(more.coef_, model.coef_, atol=1e-6)
    # Of the intercepts of an output, all may be shifted.
    for own, other in zip(more.predict_proba(X), model.predict_proba(X), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-6)


def test_one_known_output_a_row_is_a_softmax_for_each():
    """What is pooled over outputs is then one term: each output is fitted by its own rows."""
    X, Y = outputs(180, unknown=0.0)
    Y = Y[:, 1:]
    known = np.arange(2) == np.random.default_rng(3).integers(2, size=len(Y))[:, None]
    model = exact().fit(X, np.where(known, Y, np.nan))
    for number, rows in enumerate(known.T):
        alone = exact().fit(X[rows], Y[rows, number])
        probabilities = model.predict_proba(X)[number]
        np.testing.assert_allclose(probabilities, alone.predict_proba(X), atol=1e-4)


@on_both
def test_known_outputs_are_learned(make):
    X, complete = outputs(200, unknown=0.0)
    _, Y = outputs(200)
    longer = {} if make is linear else {"max_epochs": 60, "learning_rate_init": 0.02}
    model = make(random_state=0, **longer).fit(X, Y)
    assert (model.predict(X) == complete).mean() > 0.7
    assert model.predict(X).dtype == float
    assert set(make(random_state=0).fit(X, as_text(Y)).predict(X).ravel()) <= set("0123")


@on_both
def test_scores_count_known_outputs(make):
    X, Y = outputs(rows_unknown=0.2)
    model = make(random_state=0).fit(X, Y)
    right = (model.predict(X) == Y) | np.isnan(Y)
    counting = ~np.isnan(Y).all(axis=1)
    assert 0 < counting.sum() < len(Y)
    assert model.score(X, Y) == right[counting].all(axis=1).mean()
    weight = np.arange(1.0, len(Y) + 1)
    expected = np.average(right[counting].all(axis=1), weights=weight[counting])
    assert model.score(X, Y, weight) == pytest.approx(expected)
    text = as_text(Y)
    named = make(random_state=0).fit(X, text)
    frame = pd.DataFrame(text)
    assert named.score(X, text) == named.score(X, frame.where(frame.notna(), pd.NA))
    with pytest.raises(ValueError, match="y holds no known class"):
        model.score(X, np.full(Y.shape, np.nan))


@on_both
def test_an_output_of_one_known_class_is_always_it(make):
    X, Y = outputs()
    Y[:, 0] = np.where(np.isnan(Y[:, 0]), np.nan, 5)
    model = make(random_state=0).fit(X, Y)
    assert (model.predict(X)[:, 0] == 5).all()


@on_both
def test_an_output_that_is_unknown_throughout_is_refused(make):
    X, Y = outputs()
    model = make(random_state=0).fit(X, Y)
    before = model.predict(X)
    Y[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"output 1 of y is unknown .* Leave the column out"):
        model.fit(X, Y)
    np.testing.assert_array_equal(model.predict(X), before)


@on_both
def test_an_output_known_in_rows_of_no_weight_alone_is_named(make):
    X, Y = outputs()
    weight = np.isnan(Y[:, 1]).astype(float)
    with pytest.warns(UserWarning, match=r"outputs \[1\] are unknown in every row with a positive"):
        model = make(random_state=0).fit(X, Y, weight)
    assert (model.predict(X)[:, 1] == 0).all()


@pytest.mark.parametrize("y", [as_text, np.asarray, pd.DataFrame])
def test_searches_take_a_splitter_beside_unknown_outputs(y):
    """Where cv is a number scikit-learn looks at y, and fails on missing and mixed entries."""
    X, Y = outputs()
    scores = cross_val_score(MLCEClassifier(), X, y(Y), cv=KFold(3))
    assert scores.min() > 0.2
    search = GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, cv=KFold(3)).fit(X, y(Y))
    assert search.best_score_ > 0.2


@on_both
@pytest.mark.parametrize("text", [False, True])
def test_chunks_with_unknown_outputs(make, text):
    X, complete = outputs(240, unknown=0.0)
    _, Y = outputs(240)
    classes = [np.arange(m, dtype=float) for m in SIZES]
    if text:
        Y, complete = as_text(Y), as_text(complete)
        classes = [np.array([str(code) for code in range(m)]) for m in SIZES]
    Y[:20, 0] = None if text else np.nan  # of the first chunk
    model = make(random_state=0).partial_fit(X[:20], Y[:20], classes=classes)
    for start in (*range(20, 240, 20), *range(0, 240, 20)):
        part = slice(start, start + 20)
        model.partial_fit(X[part], Y[part])
    nothing = Y[:5].copy()
    nothing[:] = None if text else np.nan
    model.partial_fit(X[:5], nothing)
    for part in model.decision_function(X):
        assert np.isfinite(part).all()
    if make is linear:
        assert (model.predict(X) == complete).mean() > 0.6


def test_an_unknown_chunk_leaves_the_only_class_seen():
    X, Y = outputs(60, unknown=0.0)
    Y[:, 0] = 1
    classes = [np.arange(m, dtype=float) for m in SIZES]
    model = MLCEClassifier(random_state=0).partial_fit(X, Y, classes=classes)
    Y[:, 0] = np.nan
    model.partial_fit(X, Y)
    assert (model.predict(X)[:, 0] == 1).all()


def test_early_stopping_with_unknown_outputs():
    X, Y = outputs(rows_unknown=0.1)
    model = mlp(early_stopping=True, validation_fraction=0.3).fit(X, Y)
    assert np.isfinite(model.validation_scores_).all()
    for y in (Y, as_text(Y)):
        scored = mlp(early_stopping=True, scoring=lambda model, X, y: model.score(X, y)).fit(
            X[40:], y[40:], X_val=X[:40], y_val=y[:40]
        )
        best = scored.validation_scores_[scored.best_epoch_ - 1]
        assert best == scored.score(X[:40], y[:40])


def test_the_search_for_C_counts_known_outputs():
    X, Y = outputs(150, rows_unknown=0.1)
    folds = [(np.arange(50, 150), np.arange(50)), (np.arange(100), np.arange(100, 150))]
    weight = np.random.default_rng(1).uniform(0.5, 2, len(Y))
    search = MLCEClassifierCV([0.01, 1.0, 100.0], cv=folds).fit(X, Y, weight)
    for C, score in zip(search.Cs_, search.scores_, strict=True):
        shares = []
        parts = [
            (MLCEClassifier(C=C).fit(X[train], Y[train], weight[train]).predict(X[test]), test)
            for train, test in folds
        ]
        predicted = np.vstack([part for part, _ in parts])
        rows = np.concatenate([test for _, test in parts])
        for own, truth in zip(predicted.T, Y[rows].T, strict=True):
            known = ~np.isnan(truth)
            shares.append(np.average(own[known] == truth[known], weights=weight[rows][known]))
        assert score == pytest.approx(np.mean(shares), abs=0.01)
    assert search.thresholds_ == 0
    assert search.Cs_[search.scores_.argmax()] == search.C_
    assert [c.tolist() for c in search.classes_] == [list(range(m)) for m in SIZES]
    refit = MLCEClassifier(C=search.C_).fit(X, Y, weight)
    np.testing.assert_allclose(search.coef_, refit.coef_)
    np.testing.assert_array_equal(search.predict(X), refit.predict(X))
    assert search.score(X, Y) == refit.score(X, Y)


def test_the_search_for_C_says_where_a_split_knows_nothing():
    X, Y = outputs(60)
    Y[:, 2] = np.where(np.arange(60) < 20, np.arange(60) % 4, np.nan)
    folds = [(np.arange(20, 60), np.arange(20))]
    with pytest.raises(ValueError, match="output 2 of y is unknown in every row that split 0"):
        MLCEClassifierCV([1.0], cv=folds).fit(X, Y)
    Y[:20] = np.nan
    Y[40:, 2] = np.arange(20) % 4
    with pytest.raises(ValueError, match="of which none has a weight above zero and a known"):
        MLCEClassifierCV([1.0], cv=folds).fit(X, Y)


@pytest.mark.parametrize("options", [{}, {"Cs": 4}, {"thresholds": "per_label"}])
def test_the_search_for_C_takes_parts_that_look_like_labels(options):
    """A fold without the rare grades holds nothing but 0 and 1."""
    X, Y = outputs(90, unknown=0.0)
    Y = (Y[:, :2] > 0).astype(int)
    Y[:3] = [[2, 1], [3, 0], [2, 2]]
    folds = [(np.arange(3, 60), np.arange(60, 90)), (np.arange(3, 90), np.arange(60))]
    search = MLCEClassifierCV(**{"Cs": [0.1, 1.0], "cv": folds} | options).fit(X, Y)
    assert (search.predict(X) == Y).mean() > 0.7
    assert search.scores_.max() > 0.6
