"""y of probabilities of the classes of several outputs, in both estimators."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    train_test_split,
)

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.inspection import describe_labels
from sklearn_mlce.losses import multioutput_divergence_loss
from sklearn_mlce.model_selection import (
    MultilabelStratifiedKFold,
    MultilabelTunedThresholdClassifierCV,
)
from tests.helpers.estimators import linear, mlp, on_both

RAGGED = (2, 3, 4)
EVEN = (4, 4, 4)


def outputs(sizes=EVEN, n_rows=90, unknown=0.0):
    """Rows, and the probabilities of the classes of each output, linear in their logarithms."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 5))
    parts = [softmax(X @ rng.normal(size=(5, m)), axis=1) for m in sizes]
    for part in parts:
        part[rng.random(n_rows) < unknown] = np.nan
    return X, np.stack(parts, axis=1) if len(set(sizes)) == 1 else parts


def trained(make, **parameters):
    """An estimator that has time to learn."""
    longer = (
        {"C": 1e4}
        if make is linear
        else {"max_epochs": 30, "dropout": 0.0, "learning_rate_init": 0.03}
    )
    return make(**{"random_state": 0} | longer | parameters)


@on_both
@pytest.mark.parametrize("sizes", [EVEN, RAGGED])
def test_the_softmax_of_the_scores_is_learned(make, sizes):
    X, y = outputs(sizes)
    model = trained(make).fit(X, y)
    parts = y if isinstance(y, list) else np.moveaxis(y, 1, 0)
    found = model.predict_proba(X)
    labels = model.predict(X)
    assert labels.dtype == np.int64
    for number, (part, probabilities) in enumerate(zip(parts, found, strict=True)):
        assert np.abs(probabilities - part).mean() < (1e-3 if make is linear else 0.05)
        assert model.classes_[number].tolist() == list(range(sizes[number]))
        scores = model.decision_function(X)[number]
        np.testing.assert_allclose(softmax(scores, axis=1), probabilities, rtol=1e-5)
        np.testing.assert_array_equal(labels[:, number], scores.argmax(axis=1))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_optimum_is_that_of_the_public_loss(weighted):
    X, y = outputs(unknown=0.2)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else np.ones(len(y))
    model = MLCEClassifier(C=1.0, max_iter=100, random_state=0)
    model.fit(X, y, weight if weighted else None)

    def objective(flat):
        parameters = torch.from_numpy(flat).view(6, 12).requires_grad_()
        scores = (torch.from_numpy(X) @ parameters[:-1] + parameters[-1]).view(y.shape)
        loss = multioutput_divergence_loss(
            scores, torch.from_numpy(y), sample_weight=torch.from_numpy(weight), reduction="sum"
        )
        value = loss + parameters[:-1].square().sum() / 2
        value.backward()
        return value.item(), parameters.grad.numpy().ravel()

    best = minimize(objective, np.zeros(72), jac=True, method="L-BFGS-B", tol=1e-12)
    own, _ = objective(np.vstack([model.coef_.T, model.intercept_]).ravel())
    assert own < best.fun * (1 + 1e-4)


@on_both
def test_a_part_of_hard_targets_is_trained_as_the_whole(make):
    """They are one-hot probabilities, never labels, and have a loss of their own."""
    X, y = outputs()
    hard = np.eye(4)[y.argmax(axis=2)]
    for one_hot in (hard, hard.astype(int), hard.astype(np.float32), hard.tolist()):
        model = trained(make).fit(X, one_hot)
        assert (model.predict(X) == y.argmax(axis=2)).mean() > 0.9
        assert isinstance(model.predict_proba(X), list)
    codes = trained(make).fit(X, y.argmax(axis=2))
    assert not np.allclose(codes.predict_proba(X)[0], model.predict_proba(X)[0], atol=1e-6)


@on_both
def test_an_unknown_output_takes_no_part(make):
    X, y = outputs()
    y[::3, 1] = np.nan
    y[::5] = np.nan
    model = trained(make).fit(X, y)
    complete = outputs()[1]
    assert np.abs(np.stack(model.predict_proba(X), axis=1) - complete).mean() < 0.05
    if make is linear:  # rows of no known output are as good as absent
        known = ~np.isnan(y).all(axis=(1, 2))
        alone = trained(make).fit(X[known], y[known])
        for own, without in zip(model.predict_proba(X), alone.predict_proba(X), strict=True):
            np.testing.assert_allclose(own, without, atol=1e-2)


@on_both
def test_a_weight_of_two_is_the_row_twice(make):
    if make is mlp:
        pytest.skip("draws its batches by rows")
    X, y = outputs(RAGGED)
    times = np.random.default_rng(1).integers(0, 4, len(X))
    weighted = trained(make, C=1.0, max_iter=100).fit(X, y, times)
    repeated = trained(make, C=1.0, max_iter=100).fit(
        np.repeat(X, times, axis=0), [np.repeat(part, times, axis=0) for part in y]
    )
    for own, other in zip(weighted.predict_proba(X), repeated.predict_proba(X), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-2)


@on_both
def test_sparse_features_and_float32(make):
    X, y = outputs()
    dense = trained(make, input_scaling=None).fit(X, y)
    sparse = trained(make, input_scaling=None).fit(sp.csr_array(X), y)
    single = trained(make, input_scaling=None).fit(X.astype(np.float32), y.astype(np.float32))
    for model in (sparse, single):
        for own, other in zip(model.predict_proba(X), dense.predict_proba(X), strict=True):
            assert np.abs(own - other).mean() < 0.05
    assert single.decision_function(X.astype(np.float32))[0].dtype == np.float32


@on_both
def test_a_class_that_no_row_has_is_never_predicted(make):
    X, y = outputs()
    y[..., 2] = 0
    y /= y.sum(axis=2, keepdims=True)
    y[:, 0] = [0, 1, 0, 0]
    model = trained(make).fit(X, y)
    assert not (model.predict(X) == 2).any()
    assert (model.predict(X)[:, 0] == 1).all()
    assert model.predict_proba(X)[1][:, 2].max() < 1e-6


@on_both
def test_an_output_that_is_unknown_throughout_is_named(make):
    X, y = outputs()
    y[:, 1] = np.nan
    with pytest.warns(UserWarning, match=r"outputs \[1\] are unknown in every row"):
        model = make(random_state=0).fit(X, y)
    assert (model.predict(X)[:, 1] == 0).all()


@on_both
def test_the_probabilities_of_a_forest_are_a_y_as_they_are(make):
    X, y = outputs(RAGGED)
    codes = np.column_stack([part.argmax(axis=1) for part in y])
    forest = RandomForestClassifier(30, min_samples_leaf=3, random_state=0).fit(X, codes)
    student = trained(make).fit(X, forest.predict_proba(X))
    assert (student.predict(X) == forest.predict(X)).mean() > 0.8


@on_both
def test_scores_compare_most_probable_classes(make):
    X, y = outputs()
    model = trained(make, **({"C": 1e-3} if make is linear else {"max_epochs": 2})).fit(X, y)
    right = (model.predict(X) == y.argmax(axis=2)).all(axis=1)
    assert 0 < right.mean() < 1
    assert model.score(X, y) == model.score(X, y.argmax(axis=2)) == right.mean()
    assert model.score(X, list(np.moveaxis(y, 1, 0))) == right.mean()
    y[::2] = np.nan
    assert model.score(X, y) == right[1::2].mean()
    with pytest.raises(ValueError, match=r"of \[4, 4\] classes; expected \[4, 4, 4\]"):
        model.score(X, y[:, :2])


@on_both
def test_chunks(make):
    X, y = outputs(n_rows=400)
    model = trained(make)
    for _ in range(1 if make is linear else 20):
        for start in range(0, 400, 50):
            model.partial_fit(X[start : start + 50], y[start : start + 50])
    assert model.score(X, y) > 0.6
    with pytest.raises(ValueError, match=r"held their probabilities; expected.*np.eye"):
        model.partial_fit(X[:9], y[:9].argmax(axis=2))
    with pytest.raises(ValueError, match=r"expected \[4, 4, 4\], as the model has"):
        model.partial_fit(X[:9], y[:9, :2])
    of_classes = trained(make).partial_fit(X, y.argmax(axis=2), classes=[range(4)] * 3)
    with pytest.raises(ValueError, match=r"the y of the first rows held classes.*argmax"):
        of_classes.partial_fit(X[:9], y[:9])


def test_a_class_comes_up_in_a_later_chunk():
    X, y = outputs(n_rows=400)
    first = y[:100].copy()
    first[:, 0] = [1, 0, 0, 0]
    first[:, 1, 3] = 0
    first[:, 1] /= first[:, 1].sum(axis=1, keepdims=True)
    model = trained(linear).partial_fit(X[:100], first)
    assert (model.predict(X)[:, 0] == 0).all()
    for start in (*range(100, 400, 100), *range(0, 400, 100)):
        model.partial_fit(X[start : start + 100], y[start : start + 100])
    assert model.score(X, y) > 0.6


@on_both
def test_fits_go_on_copy_and_travel(make):
    X, y = outputs(RAGGED)
    model = trained(make, warm_start=True).fit(X, y)
    again = pickle.loads(pickle.dumps(model)).fit(X, y)
    assert again.score(X, y) > 0.6
    exported = model.to_torch("probabilities")(torch.from_numpy(X))
    for own, other in zip(exported, model.predict_proba(X), strict=True):
        np.testing.assert_allclose(own.detach(), other, atol=1e-5)


def test_early_stopping_scores_held_out_probabilities():
    X, y = outputs()
    model = mlp(early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert np.isfinite(model.validation_scores_).all()
    seen = []

    def scorer(estimator, X, y):
        seen.append(y)
        return estimator.score(X, y)

    given = mlp(early_stopping=True, scoring=scorer).fit(X[30:], y[30:], X_val=X[:30], y_val=y[:30])
    assert given.validation_scores_[given.best_epoch_ - 1] == given.score(X[:30], y[:30])
    np.testing.assert_allclose(seen[0], y[:30])
    with pytest.raises(ValueError, match="y holds the classes of several outputs"):
        mlp(early_stopping=True, scoring="f1_micro").fit(X, y)


def _log_loss(estimator, X, y):
    probabilities = np.stack(estimator.predict_proba(X), axis=1)
    return (y * np.log(probabilities)).sum(axis=2).mean()


@on_both
def test_searches_index_an_array(make):
    X, y = outputs()
    model = trained(make, **({"max_iter": 50} if make is linear else {}))
    search = GridSearchCV(model, {"fit_intercept": [True]} if make is linear else {}, cv=3)
    assert search.fit(X, y).best_score_ > 0.3
    scores = cross_val_score(model, X, y, cv=KFold(3), scoring=_log_loss)
    assert (scores > -1.4).all()
    predicted = cross_val_predict(model, X, y, cv=3)
    assert (predicted == y.argmax(axis=2)).mean() > 0.7
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    assert model.fit(X_train, y_train).score(X_test, y_test) > 0.3
    parts = MultilabelStratifiedKFold(3).split(X, y)
    assert [len(test) for _, test in parts] == [30, 30, 30]


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
    X, y = outputs()
    with pytest.raises(ValueError, match=message):
        make(**options).fit(X, y)


def test_the_exact_solver_is_refused():
    X, y = outputs()
    with pytest.raises(ValueError, match=r"of probabilities of several outputs .* not known to be"):
        MLCEClassifier(solver="newton-cg").fit(X, y)


def test_others_refuse_probabilities():
    X, y = outputs()
    with pytest.raises(ValueError, match=r"expected classes. For .* GridSearchCV"):
        MLCEClassifierCV().fit(X, y)
    with pytest.raises(ValueError, match="multiclass-multioutput"):
        MultilabelTunedThresholdClassifierCV(MLCEClassifier()).fit(X, y)
    with pytest.raises(ValueError, match="Describe one output at a time"):
        describe_labels(y)


@on_both
def test_a_failed_fit_keeps_an_earlier_one(make):
    X, y = outputs()
    model = trained(make).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match="add up to"):
        model.fit(X, y / 2)
    np.testing.assert_array_equal(model.predict(X), before)


@on_both
def test_a_list_of_the_matrices_of_rows_is_told_from_one_of_outputs(make):
    X, y = outputs()
    with pytest.raises(ValueError, match=r"90 matrices of shape \(3, 4\), one for each row.*stack"):
        make().fit(X, list(y))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make().fit(X, y[1:])
