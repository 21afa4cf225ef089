"""Early stopping of MLCEMLP: what it scores, on which rows, and what it keeps."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.metrics import (
    f1_score,
    get_scorer,
    label_ranking_average_precision_score,
    make_scorer,
)
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.holdout import held_out_rows
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._utils.random import draw_seed
from sklearn_mlce.metrics import masked_f1_score
from tests.helpers.estimators import assert_same_scores, labelled_rows, mlp, single_labels
from tests.helpers.pairwise import parametrize_pairwise

X, Y = labelled_rows(n_rows=150)
TRAIN, VALID = slice(0, 110), slice(110, None)
LRAP = make_scorer(label_ranking_average_precision_score, response_method="decision_function")


def stopping(**parameters):
    """Return a small perceptron that learns fast and stops early."""
    defaults = {"early_stopping": True, "learning_rate_init": 0.05, "max_epochs": 12}
    return mlp(**(defaults | parameters))


def counting_mistakes(estimator, X, y):
    """Score as a user may write it: the number of wrong labels."""
    return -float((estimator.predict(X) != y).sum())


SCORINGS = {
    "f1_micro": "f1_micro",
    "f1_macro": "f1_macro",
    "average_precision": "average_precision",
    "neg_hamming": make_scorer(sklearn.metrics.hamming_loss, greater_is_better=False),
    "LRAP": LRAP,
    "callable": counting_mistakes,
}


@pytest.mark.parametrize("scoring", SCORINGS)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_scores_are_those_of_the_scorer_after_each_epoch(scoring, container):
    labels = container(Y)
    scorer = get_scorer(SCORINGS[scoring])
    given = {"X_val": X[VALID], "y_val": labels[VALID]}
    model = stopping(scoring=scorer, max_epochs=6).fit(X[TRAIN], labels[TRAIN], **given)
    assert len(model.validation_scores_) == 6
    if scoring != "callable" or container is np.asarray:
        dense = stopping(scoring=scorer, max_epochs=6).fit(
            X[TRAIN], Y[TRAIN], X_val=X[VALID], y_val=Y[VALID]
        )
        assert model.validation_scores_ == dense.validation_scores_
    for epochs in (1, 4, 6):
        plain = mlp(learning_rate_init=0.05, max_epochs=epochs).fit(X[TRAIN], Y[TRAIN])
        expected = scorer(plain, X[VALID], Y[VALID])
        assert model.validation_scores_[epochs - 1] == pytest.approx(expected, abs=1e-12)
    assert model.best_epoch_ == 1 + np.argmax(model.validation_scores_)
    best = mlp(learning_rate_init=0.05, max_epochs=model.best_epoch_).fit(X[TRAIN], Y[TRAIN])
    assert_same_scores(model, best, X)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_scores_of_single_labels(kind):
    y = single_labels(Y)[kind]
    model = stopping(scoring="f1_macro", max_epochs=5).fit(
        X[TRAIN], y[TRAIN], X_val=X[VALID], y_val=y[VALID]
    )
    for epochs, score in enumerate(model.validation_scores_, start=1):
        plain = mlp(learning_rate_init=0.05, max_epochs=epochs).fit(X[TRAIN], y[TRAIN])
        assert score == pytest.approx(f1_score(y[VALID], plain.predict(X[VALID]), average="macro"))


def test_the_loss_is_scored_by_default():
    given = {"X_val": X[VALID], "y_val": Y[VALID]}
    model = stopping(max_epochs=3, loss="mlce").fit(X[TRAIN], Y[TRAIN], **given)
    alike = mlp(learning_rate_init=0.05, loss="mlce").fit(X[TRAIN], Y[TRAIN])
    scores = alike.decision_function(X[VALID])
    off = np.where(Y[VALID] == 1, -np.inf, scores)
    on = np.where(Y[VALID] == 1, -scores, -np.inf)
    losses = [np.log1p(np.exp(part).sum(axis=1)) for part in (off, on)]
    assert model.validation_scores_[-1] == pytest.approx(-np.mean(sum(losses)))


def test_weights_of_held_out_rows_count():
    weight = np.arange(len(X)) % 3
    model = stopping(scoring="f1_micro", max_epochs=1).fit(
        X[TRAIN], Y[TRAIN], X_val=X[VALID], y_val=Y[VALID], sample_weight_val=weight[VALID]
    )
    plain = mlp(learning_rate_init=0.05, max_epochs=1).fit(X[TRAIN], Y[TRAIN])
    expected = f1_score(
        Y[VALID], plain.predict(X[VALID]), average="micro", sample_weight=weight[VALID]
    )
    assert model.validation_scores_ == pytest.approx([expected])
    drawn = stopping(scoring=counting_mistakes).fit(X, Y, sample_weight=weight)
    assert len(drawn.validation_scores_) == len(drawn.loss_curve_)


def test_held_out_rows_are_drawn_by_the_seed_and_given_rows_are_not():
    seed = draw_seed(0)
    held_out = held_out_rows(encode_targets(Y), 0.1, seed)
    rest = np.setdiff1d(np.arange(len(X)), held_out)
    drawn = stopping(scoring="f1_micro").fit(X, Y)
    given = stopping(scoring="f1_micro").fit(X[rest], Y[rest], X_val=X[held_out], y_val=Y[held_out])
    assert drawn.validation_scores_ == given.validation_scores_
    assert_same_scores(drawn, given, X)


def rare_labels():
    """Targets of many labels and classes that few rows carry."""
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 30)) < 0.05).astype(int)
    labels[:, 0] = np.arange(60) < 4
    labels[:, 1] = np.arange(60) == 2
    labels[:, 2] = 0
    return {
        "multilabel": labels,
        "sparse": sp.csr_array(labels),
        "soft": 0.5 * labels,
        "multiclass": np.arange(60) // 3,
        "binary": np.arange(60) < 3,
    }


@pytest.mark.parametrize("kind", rare_labels())
def test_every_label_keeps_a_row_to_train_on(kind):
    y = rare_labels()[kind]
    targets = encode_targets(y)
    matrix = y.toarray() if sp.issparse(y) else y
    positive = matrix[:, None] == np.unique(matrix) if matrix.ndim == 1 else matrix > 0
    for seed in range(10):
        held_out = held_out_rows(targets, 0.2, seed)
        assert len(held_out) == len(np.unique(held_out)) == 12
        kept = np.delete(positive, held_out, axis=0).any(axis=0)
        np.testing.assert_array_equal(kept, positive.any(axis=0))


def test_rows_that_all_are_needed_are_held_out_all_the_same():
    targets = encode_targets(np.arange(8))  # each row has a class of its own
    assert len(held_out_rows(targets, 0.25, 0)) == 2
    rows = Rows(np.arange(8.0)[:, None], targets, None)
    assert [len(part) for part in rows.split(0.25, 0)] == [6, 2]


def test_validation_rows_of_other_types():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    labels = pd.DataFrame(Y, columns=list("pqrs"))
    expected = stopping(scoring="f1_micro").fit(X[TRAIN], Y[TRAIN], X_val=X[VALID], y_val=Y[VALID])
    of_frames = stopping(scoring="f1_micro").fit(
        frame[TRAIN], labels[TRAIN], X_val=frame[VALID], y_val=labels[VALID]
    )
    of_others = stopping(scoring="f1_micro").fit(
        X[TRAIN], Y[TRAIN], X_val=sp.coo_array(X[VALID]), y_val=sp.csr_array(Y[VALID])
    )
    for model in (of_frames, of_others):
        assert model.validation_scores_ == expected.validation_scores_
        assert_same_scores(expected, model, X, frame if model is of_frames else X)


def test_validation_rows_may_lack_classes():
    y = single_labels(Y)["multiclass"]
    some = np.flatnonzero(y[VALID] == "one") + VALID.start
    model = stopping(scoring="accuracy").fit(X[TRAIN], y[TRAIN], X_val=X[some], y_val=y[some])
    np.testing.assert_array_equal(model.classes_, np.unique(y))


def test_soft_targets_are_scored_by_their_loss_or_a_callable():
    soft = 0.1 + 0.8 * Y
    assert len(stopping(max_epochs=2).fit(X, soft).validation_scores_) == 2

    def closeness(estimator, X, y):
        return -np.abs(estimator.predict_proba(X) - y).mean()

    assert len(stopping(max_epochs=2, scoring=closeness).fit(X, soft).validation_scores_) == 2
    unknown = np.where(np.random.default_rng(0).random(Y.shape) < 0.2, np.nan, Y)
    masked = make_scorer(masked_f1_score, average="micro")
    for y in (soft, unknown):
        advice = (
            r"compares .* Set scoring='loss', or pass make_scorer\(masked_f1_score, average='mic"
        )
        with pytest.raises(ValueError, match=r"scoring='f1_micro' " + advice):
            stopping(scoring="f1_micro").fit(X, y)
        assert len(stopping(max_epochs=2, scoring=masked).fit(X, y).validation_scores_) == 2
    with pytest.raises(ValueError, match=r"scoring=make_scorer\(f1_.* or pass .*masked_f1_score"):
        stopping(scoring=make_scorer(f1_score, average="micro")).fit(X, unknown)
    distance = make_scorer(
        sklearn.metrics.mean_squared_error, response_method="predict_proba", greater_is_better=False
    )
    assert len(stopping(max_epochs=2, scoring=distance).fit(X, soft).validation_scores_) == 2


def of_rare_labels(n_varying):
    """Return labels of which the given number vary in the held-out rows."""
    labels = np.hstack([Y, Y[:, :2]])
    labels[VALID, n_varying:] = 0
    labels[VALID, -1] = 1
    labels[0, -2], labels[0, -1] = 1, 0
    return labels


ROC_AUC = make_scorer(sklearn.metrics.roc_auc_score, response_method="predict_proba")


def auc_of_a_user(estimator, X, y):
    y = y.toarray() if sp.issparse(y) else y
    return sklearn.metrics.roc_auc_score(y, estimator.decision_function(X))


@parametrize_pairwise(
    scoring=["roc_auc", "roc_auc_ovr", ROC_AUC, auc_of_a_user],
    n_varying=[1, 2, 3],
    container=[np.asarray, sp.csr_array, pd.DataFrame],
)
def test_labels_that_do_not_vary_are_left_out_of_scores_that_are_nan(scoring, n_varying, container):
    labels = of_rare_labels(n_varying)
    given = {"X_val": X[VALID], "y_val": container(labels[VALID])}
    model = stopping(scoring=scoring, max_epochs=3).fit(X[TRAIN], container(labels[TRAIN]), **given)
    assert len(model.validation_scores_) == 3
    for epochs, found in enumerate(model.validation_scores_, start=1):
        plain = mlp(learning_rate_init=0.05, max_epochs=epochs).fit(X[TRAIN], labels[TRAIN])
        scores = plain.decision_function(X[VALID])[:, :n_varying]
        truth = labels[VALID, :n_varying]
        expected = [
            sklearn.metrics.roc_auc_score(of_one, score)
            for of_one, score in zip(truth.T, scores.T, strict=True)
        ]
        assert found == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("scoring", ["roc_auc", "average_precision", "f1_macro", LRAP])
def test_a_label_of_one_positive_does_not_stop_the_training(scoring):
    labels = Y.copy()
    labels[:, 1] = np.arange(len(Y)) == 3  # which stays among the rows to train on
    model = stopping(scoring=scoring, max_epochs=4).fit(X, labels)
    assert np.isfinite(model.validation_scores_).all()
    assert model.decision_function(X).shape == Y.shape
    weighted = stopping(scoring=scoring, max_epochs=4).fit(X, labels, np.arange(len(Y)) % 3 + 1)
    assert np.isfinite(weighted.validation_scores_).all()


def test_where_no_label_varies_a_ranking_is_refused():
    with pytest.raises(ValueError, match=r"is nan on the 40 held-out rows, in which no label var"):
        stopping(scoring="roc_auc").fit(
            X[TRAIN], Y[TRAIN], X_val=X[VALID], y_val=np.zeros_like(Y[VALID])
        )


def test_refused_validation_data():
    with pytest.raises(ValueError, match=r"given X_val alone; expected X_val and y_val"):
        stopping().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match=r"given sample_weight_val alone"):
        stopping().fit(X, Y, sample_weight_val=np.ones(len(X)))
    with pytest.raises(ValueError, match=r"early_stopping is False. Set early_stopping=True"):
        mlp().fit(X, Y, X_val=X, y_val=Y)
    with pytest.raises(ValueError, match=r"X has 3 features, but MLCEMLP is expecting 6"):
        stopping().fit(X, Y, X_val=X[:, :3], y_val=Y)
    with pytest.raises(ValueError, match=r"y_val has 2 labels; expected 4, as y"):
        stopping().fit(X, Y, X_val=X, y_val=Y[:, :2])
    for codes in (Y[:, :2] * [1, 2], np.tile([0, 1, 2, 0], (len(Y), 1))):  # of four classes in all
        with pytest.raises(ValueError, match=r"classes of \d outputs.*expected 4 labels, as y"):
            stopping().fit(X, Y, X_val=X, y_val=codes)
    with pytest.raises(ValueError, match=r"y_val holds \['two'\], .* not among the classes of y"):
        stopping().fit(X, single_labels(Y)["binary"], X_val=X[:1], y_val=["two"])


def test_a_score_that_is_no_number_is_refused():
    def undefined(estimator, X, y):
        return np.nan

    model = stopping().fit(X, Y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=r"is nan on the 15 held-out rows.* or pick another"):
        model.set_params(scoring=undefined).fit(X, Y)
    assert vars(model).keys() == before.keys()


def test_scorers_disturb_nothing():
    seen = []

    def meddling(estimator, X, y):
        seen.append(estimator)
        score = f1_score(y, estimator.predict(X), average="micro")
        for array in estimator.state_dict_.values():
            array[...] = 0
        estimator.set_params(dropout=0.9, random_state=5)
        return score

    model = stopping(scoring=meddling).fit(X, Y)
    plain = stopping(scoring="f1_micro").fit(X, Y)
    assert model.validation_scores_ == plain.validation_scores_
    assert_same_scores(model, plain, X)
    assert model.get_params()["dropout"] == plain.get_params()["dropout"]
    assert model not in seen


def test_early_stopping_under_a_search():
    search = GridSearchCV(
        stopping(),
        {"scoring": ["loss", "f1_micro"]},
        scoring="f1_micro",
        cv=KFold(2),
    ).fit(X, Y)
    assert_same_scores(search, search.best_estimator_, X)
    assert search.best_estimator_.validation_scores_


def test_validation_data_in_a_pipeline_is_transformed_like_X():
    scaled = StandardScaler().fit(X[TRAIN] * 100)
    expected = stopping(scoring="f1_micro").fit(
        scaled.transform(X[TRAIN] * 100),
        Y[TRAIN],
        X_val=scaled.transform(X[VALID] * 100),
        y_val=Y[VALID],
    )
    with sklearn.config_context(enable_metadata_routing=True):
        model = stopping(scoring="f1_micro").set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(X[TRAIN] * 100, Y[TRAIN], X_val=X[VALID] * 100, y_val=Y[VALID])
    assert pipeline[-1].validation_scores_ == expected.validation_scores_
    assert_same_scores(pipeline[-1], expected, scaled.transform(X * 100))


def test_scores_of_many_labels_take_no_longer_than_sparse_metrics(monkeypatch):
    """The metric is given sparse matrices, which scikit-learn compares fifty times as fast."""
    seen = []

    def recording(y_true, y_pred, **kwargs):
        seen.append((y_true, y_pred))
        return f1_score(y_true, y_pred, **kwargs)

    recording.__module__ = "sklearn.metrics"
    scorer = make_scorer(recording, average="micro")
    stopping(scoring=scorer, max_epochs=1).fit(X, Y)
    assert all(sp.issparse(matrix) for pair in seen for matrix in pair)


def test_holding_rows_out_of_a_memory_map_copies_no_more_than_them(tmp_path):
    mapped = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(4000, 500))
    mapped[:] = np.random.default_rng(0).normal(size=mapped.shape)
    labels = (mapped[:, :4] > 0).astype(int)
    order = np.random.default_rng(0).permutation(4000)
    tracemalloc.start()
    train, held_out = Rows(mapped, encode_targets(labels), None).split(0.1, order)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * held_out.X.nbytes
    assert train.X.shape == (3600, 500)
    assert train.X.nbytes == 9 * held_out.X.nbytes
    whole = stopping(max_epochs=1).fit(np.array(mapped), labels)
    assert_same_scores(stopping(max_epochs=1).fit(mapped, labels), whole, mapped)


def test_an_epoch_of_the_lowest_score_is_kept_where_there_is_no_better_one():
    X, Y = labelled_rows()
    values = iter([-np.inf, -np.inf, -1.0, -np.inf])
    first = mlp(early_stopping=True, scoring=lambda *_: -np.inf, max_epochs=2).fit(X, Y)
    assert first.best_epoch_ == 1
    assert np.isfinite(first.decision_function(X)).all()
    third = mlp(early_stopping=True, scoring=lambda *_: next(values), max_epochs=4).fit(X, Y)
    assert third.best_epoch_ == 3


@pytest.mark.parametrize("value", ["a", None, {"f1": 1.0}, np.ones(2)], ids=repr)
def test_scores_that_are_no_numbers_are_refused(value):
    X, Y = labelled_rows()
    model = mlp(early_stopping=True, scoring=lambda *_: value)
    with pytest.raises(TypeError, match=r"returned .*; expected a number, .*Return float\(score\)"):
        model.fit(X, Y)
