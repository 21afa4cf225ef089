"""The measures serve scikit-learn's searches, and say what they cannot measure."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.metrics import (
    f1_by_label_frequency,
    label_frequency_groups,
    label_propensities,
    masked_f1_score,
    ndcg_at_k,
    precision_at_k,
    propensity_scored_precision_at_k,
    recall_at_k,
)
from sklearn_mlce.metrics import masked_label_ranking_average_precision_score as masked_lrap
from tests.helpers.estimators import labelled_rows


@pytest.mark.parametrize(
    ("measure", "options"),
    [
        (precision_at_k, {"k": 2}),
        (recall_at_k, {"k": 2, "zero_division": np.nan}),
        (ndcg_at_k, {"k": 3}),
        (propensity_scored_precision_at_k, {"k": 2, "propensities": [0.9, 0.5, 0.3, 0.1]}),
        (masked_lrap, {}),
        (masked_f1_score, {"average": "macro"}),
        (f1_by_label_frequency, {"group": "head", "cuts": (5, 10)}),
    ],
)
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csr_matrix])
def test_every_measure_makes_a_scorer(measure, options, container):
    X, Y = labelled_rows()
    Y = container(Y)
    by_score = "y_score" in measure.__code__.co_varnames
    response = ("decision_function", "predict_proba") if by_score else "predict"
    scorer = make_scorer(measure, response_method=response, **options)
    model = MLCEClassifier().fit(X, Y)
    given = model.decision_function(X) if by_score else model.predict(X)
    weight = np.arange(1, 91)
    assert scorer(model, X, Y) == measure(Y, given, **options)
    weighted = measure(Y, given, sample_weight=weight, **options)
    assert scorer(model, X, Y, sample_weight=weight) == weighted


def test_scorers_serve_searches_over_any_estimator():
    X, Y = labelled_rows()
    scorer = make_scorer(precision_at_k, response_method="predict_proba", k=2)
    search = GridSearchCV(
        OneVsRestClassifier(LogisticRegression()), {"estimator__C": [0.1, 1.0]}, scoring=scorer
    ).fit(X, Y)
    assert 0.5 < search.best_score_ <= 1


def test_scorers_serve_cross_validation_with_unknown_labels():
    X, Y = labelled_rows()
    rng = np.random.default_rng(0)
    Y = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
    for scorer in (
        make_scorer(masked_f1_score),
        make_scorer(masked_lrap, response_method="decision_function"),
    ):
        values = cross_val_score(MLCEClassifier(), X, Y, cv=KFold(3), scoring=scorer)
        assert (values > 0.5).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y, s: precision_at_k(y[:, 0], s), "y_true must be a matrix"),
        (lambda y, s: precision_at_k(y[:, :1], s[:, :1]), "two labels or more, got shape"),
        (lambda y, s: precision_at_k(np.where(y, np.nan, 0), s), "must hold only 0 and 1"),
        (lambda y, s: recall_at_k(y * 0.5, s), "must hold only 0 and 1"),
        (lambda y, s: precision_at_k(y, s[:, :3]), r"shape of y_true, \(90, 6\), got \(90, 3\)"),
        (lambda y, s: precision_at_k(y, sp.csr_array(s)), "y_score must be dense"),
        (lambda y, s: precision_at_k(y, s * np.nan), "y_score contains NaN"),
        (lambda y, s: ndcg_at_k(y, s, k=8), "from 1 to 6, got 8"),
        (lambda y, s: ndcg_at_k(y, s, k=0), "k must be a whole number"),
        (lambda y, s: ndcg_at_k(y, s, k=1.5), "k must be a whole number"),
        (lambda y, s: recall_at_k(y, s, zero_division=2), "zero_division must be"),
        (lambda y, s: recall_at_k(y, s, zero_division="warn"), "zero_division must be"),
        (lambda y, s: ndcg_at_k(y, s, sample_weight=-np.ones(90)), "[Nn]egative"),
        (lambda y, s: ndcg_at_k(y, s, sample_weight=np.zeros(90)), "zero"),
        (lambda y, s: label_propensities(y[:2]), "three rows or more"),
        (lambda y, s: label_propensities(y, A=0), "A must be a finite number greater than 0"),
        (
            lambda y, s: propensity_scored_precision_at_k(y, s, propensities=[1, 0.5]),
            "propensities must be 6 numbers",
        ),
        (
            lambda y, s: propensity_scored_precision_at_k(y, s, propensities=np.arange(6)),
            "propensities must be 6 numbers",
        ),
        (lambda y, s: masked_f1_score(y, y, average="weighted"), "average must be"),
        (lambda y, s: masked_f1_score(y, y[:, :3]), "y_pred must have the shape of y_true"),
        (lambda y, s: masked_f1_score(y, y * 0.3), "y_pred must hold only 0 and 1"),
        (lambda y, s: masked_lrap(y * 0.5, s), "got soft labels"),
        (lambda y, s: f1_by_label_frequency(y, y, group="middle"), "group must be"),
        (lambda y, s: f1_by_label_frequency(y, y, average=None), "average must be"),
        (lambda y, s: f1_by_label_frequency(y, y, cuts=(9, 3)), "cuts must be two ascending"),
        (lambda y, s: f1_by_label_frequency(y, y, label_counts=[1, 2]), "one entry for each"),
        (lambda y, s: label_frequency_groups([[1, 2], [3, 4]]), "label_counts must hold"),
        (lambda y, s: label_frequency_groups([1, -2]), "label_counts must hold"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, message):
    X, Y = labelled_rows(n_labels=6)
    with pytest.raises(ValueError, match=message):
        call(Y, X)
