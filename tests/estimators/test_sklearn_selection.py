"""Both estimators under scikit-learn's cross-validation, searches, scorers and inspection."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from joblib import Parallel, delayed, parallel_config
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    get_scorer,
    get_scorer_names,
    jaccard_score,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier

from tests.helpers.estimators import assert_same_scores, labelled_rows, mlp, on_both, single_labels

X, Y = labelled_rows()
SINGLE = single_labels(Y)
THIRDS = KFold(3)
MAPPED_FROM = 2**20  # bytes: joblib hands larger arrays to its processes as read-only memory maps


@pytest.fixture(scope="module")
def large():
    """Sparse X and Y of more than a mebibyte each, which a linear model can tell apart."""
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(6000, 60)) * (rng.random((6000, 60)) < 0.4)
    scores = dense @ rng.normal(size=(60, 30))
    X, Y = sp.csr_matrix(dense), sp.csr_array((scores > np.quantile(scores, 0.25)).astype(int))
    assert min(X.data.nbytes, Y.data.nbytes) > MAPPED_FROM
    return X, Y


def ranking_quality(estimator, X, Y):
    """Average precision, whose metric takes no sparse Y."""
    return average_precision_score(Y.toarray(), estimator.decision_function(X))


@on_both
@pytest.mark.slow
def test_search_in_processes_on_large_sparse_data(make, large):
    X, Y = large
    scoring = {
        "micro": "f1_micro",
        "macro": "f1_macro",
        "samples": make_scorer(f1_score, average="samples", zero_division=0.0),
        "precision": ranking_quality,
    }
    search = GridSearchCV(
        make(loss="mlce"),
        {"scale": [0.5, 4.0]},
        scoring=scoring,
        refit="micro",
        cv=KFold(2),
        n_jobs=2,
    ).fit(X, Y)
    best = make(loss="mlce", **search.best_params_)
    assert_same_scores(search, best.fit(X, Y), X)
    train, test = next(KFold(2).split(X))
    best.fit(X[train], Y[train])
    labels = best.predict(X[test])
    expected = {
        "micro": f1_score(Y[test], labels, average="micro"),
        "macro": f1_score(Y[test], labels, average="macro"),
        "samples": f1_score(Y[test], labels, average="samples", zero_division=0.0),
        "precision": ranking_quality(best, X[test], Y[test]),
    }
    for name, score in expected.items():
        scores = search.cv_results_[f"split0_test_{name}"]
        assert scores[search.best_index_] == pytest.approx(score, rel=1e-6)


def fitted_on_read_only(model, X, Y):
    """Fit in a worker, to which the data come as memory maps."""
    parts = [X, Y] if isinstance(X, np.ndarray) else [X.data, Y.data]
    assert not any(part.flags.writeable for part in parts)
    return model.fit(X, Y)


@on_both
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.slow
def test_processes_fit_on_memory_maps(make, large, sparse):
    X, Y = large if sparse else (part.toarray() for part in large)
    fits = Parallel(n_jobs=2)(
        delayed(fitted_on_read_only)(make(loss="mlce", scale=scale), X, Y) for scale in (1.0, 2.0)
    )
    for fit in fits:
        assert_same_scores(fit, make(loss="mlce", scale=fit.scale).fit(X, Y), X)


@on_both
def test_meta_estimators_hand_memory_maps_to_processes(make, large):
    X, Y = large[0], large[1][:, :2].toarray()
    model = MultiOutputClassifier(make(), n_jobs=2).fit(X, Y)
    assert_same_scores(model.estimators_[1], make().fit(X, Y[:, 1]), X)


@on_both
def test_search_in_threads_equals_a_serial_one(make):
    search = GridSearchCV(
        make(loss="mlce"), {"scale": [1.0, 2.0, 4.0]}, scoring="average_precision", cv=THIRDS
    )
    serial = search.fit(X, Y).cv_results_["mean_test_score"]
    with parallel_config(backend="threading", n_jobs=4):
        threaded = search.fit(X, Y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(threaded, serial)


CONTAINERS = {
    "bool": lambda Y: Y.astype(bool),
    "int8": lambda Y: Y.astype(np.int8),
    "float": lambda Y: Y.astype(float),
    "csr_matrix": sp.csr_matrix,
    "csr_array": sp.csr_array,
    "pandas": lambda Y: pd.DataFrame(Y, columns=list("abcd")),
    "polars": lambda Y: pl.DataFrame(Y, schema=list("abcd")),
}


@on_both
@pytest.mark.parametrize("container", CONTAINERS)
def test_searches_take_y_in_every_form(make, container):
    search = GridSearchCV(make(loss="mlce"), {"scale": [1.0, 3.0]}, scoring="f1_macro", cv=THIRDS)
    expected = search.fit(X, Y).cv_results_["mean_test_score"]
    y = CONTAINERS[container](Y)
    np.testing.assert_allclose(search.fit(X, y).cv_results_["mean_test_score"], expected)
    named = container in ("pandas", "polars")
    assert getattr(search.best_estimator_, "label_names_", np.array([])).tolist() == (
        list("abcd") if named else []
    )
    predicted = search.predict(X)
    assert type(predicted) is (np.ndarray if named else type(y))
    assert named or predicted.dtype == y.dtype


@on_both
@pytest.mark.parametrize("kind", ["multilabel", *SINGLE])
def test_out_of_fold_scores_are_those_of_the_folds(make, kind):
    y = SINGLE.get(kind, Y)
    folds = THIRDS if kind == "multilabel" else StratifiedKFold(3)
    scores = cross_val_predict(make(), X, y, method="decision_function", cv=3)
    for train, test in folds.split(X, y):
        expected = make().fit(X[train], y[train]).decision_function(X[test])
        np.testing.assert_allclose(scores[test], expected)


@on_both
def test_cross_validation_gives_its_estimators(make):
    scoring = ["f1_micro", "roc_auc"]
    results = cross_validate(
        make(), X, Y, cv=THIRDS, scoring=scoring, return_estimator=True, return_indices=True
    )
    for fold, model in enumerate(results["estimator"]):
        train, test = (results["indices"][part][fold] for part in ("train", "test"))
        assert_same_scores(model, make().fit(X[train], Y[train]), X[test])
        f1 = f1_score(Y[test], model.predict(X[test]), average="micro")
        assert results["test_f1_micro"][fold] == f1


@on_both
def test_learning_curve_ends_at_the_cross_validated_score(make):
    options = {"cv": THIRDS, "scoring": "roc_auc"}
    sizes, _, scores = learning_curve(make(), X, Y, train_sizes=[0.4, 1.0], **options)
    assert sizes.tolist() == [24, 60]
    np.testing.assert_allclose(scores[-1], cross_val_score(make(), X, Y, **options))


@pytest.mark.parametrize("kind", ["multilabel", *SINGLE])
def test_learning_curve_step_by_step(kind):
    y = SINGLE.get(kind, Y)
    _, _, scores = learning_curve(
        mlp(), X, y, train_sizes=[0.4, 1.0], cv=THIRDS, exploit_incremental_learning=True
    )
    for fold, (train, test) in enumerate(THIRDS.split(X)):
        classes = np.unique(y) if y.ndim == 1 else None
        model = mlp().partial_fit(X[train[:24]], y[train[:24]], classes)
        assert scores[0, fold] == model.score(X[test], y[test])
        assert scores[1, fold] == model.partial_fit(X[train[24:]], y[train[24:]]).score(
            X[test], y[test]
        )


@on_both
def test_a_feature_that_says_nothing_has_no_importance(make):
    frame = pd.DataFrame(np.insert(X, 1, 3.0, axis=1), columns=list("abcdefg"))
    learned = {"max_epochs": 60, "learning_rate_init": 0.03} if make is mlp else {}
    model = make(**learned).fit(frame, Y)
    importances = permutation_importance(
        model, frame, Y, scoring="roc_auc", n_repeats=3, random_state=0
    ).importances_mean
    assert importances[1] == 0
    assert (np.delete(importances, 1) > 0).all()


@on_both
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_scorers_use_what_their_metric_is_about(make):
    model = make().fit(X, Y)
    labels, scores = model.predict(X), model.decision_function(X)
    expected = {
        "f1_samples": f1_score(Y, labels, average="samples", zero_division=0.0),
        "jaccard_macro": jaccard_score(Y, labels, average="macro"),
        "roc_auc": roc_auc_score(Y, scores),
        "roc_auc_ovr": roc_auc_score(Y, scores),  # of probabilities, which keep the order
        "average_precision": average_precision_score(Y, scores),
        "accuracy": model.score(X, Y),
    }
    for name, value in expected.items():
        assert get_scorer(name)(model, X, Y) == pytest.approx(value)


@on_both
def test_scorers_of_two_columns_are_not_taken_for_two_classes(make):
    model = make().fit(X, Y[:, :2])
    scores = model.decision_function(X)
    for name, metric in (
        ("roc_auc", roc_auc_score),
        ("average_precision", average_precision_score),
    ):
        assert get_scorer(name)(model, X, Y[:, :2]) == pytest.approx(metric(Y[:, :2], scores))


@on_both
def test_scorers_of_1d_y(make):
    y = SINGLE["binary"]
    model = make().fit(X, y)
    assert get_scorer("roc_auc")(model, X, y) == roc_auc_score(y, model.decision_function(X))
    for y in SINGLE.values():
        loss = log_loss(y, model.fit(X, y).predict_proba(X))
        assert get_scorer("neg_log_loss")(model, X, y) == pytest.approx(-loss)


def runs(scorer, model, y):
    """Whether a scorer gives a number, without an error or a warning."""
    try:
        return np.isfinite(scorer(model, X, y))
    except (TypeError, ValueError, UserWarning):
        return False


@on_both
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("kind", ["multilabel", "two labels", *SINGLE])
def test_every_scorer_that_runs_for_logistic_regression_runs_for_us(make, kind):
    y = SINGLE.get(kind, Y[:, :2] if kind == "two labels" else Y)
    regression = LogisticRegression() if y.ndim == 1 else OneVsRestClassifier(LogisticRegression())
    theirs, ours = regression.fit(X, y), make().fit(X, y)
    scorers = {name: get_scorer(name) for name in get_scorer_names()}
    usable = [name for name, scorer in scorers.items() if runs(scorer, theirs, y)]
    assert len(usable) > 10
    assert [name for name in usable if not runs(scorers[name], ours, y)] == []
