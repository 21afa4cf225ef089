"""Both estimators in scikit-learn's pipelines, on data frames, and inside its meta-estimators."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, KFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.helpers.estimators import (
    assert_same_scores,
    labelled_rows,
    linear,
    mlp,
    on_both,
    single_labels,
)

X, Y = labelled_rows()
SINGLE = single_labels(Y)
NAMES = [f"feature {i}" for i in range(X.shape[1])]
WEIGHT = np.random.default_rng(1).uniform(0, 3, len(X)).round()


def films(n_rows=60):
    """Text, numbers and a category; a film's genres hang on who plays in it."""
    rng = np.random.default_rng(0)
    actors = np.array([f"actor{i}" for i in range(12)])
    plays = rng.random((n_rows, len(actors))) < 0.3
    plays[np.arange(n_rows), rng.integers(len(actors), size=n_rows)] = True
    frame = pd.DataFrame(
        {
            "cast": [" ".join(actors[row]) for row in plays],
            "year": rng.integers(1920, 2020, n_rows),
            "minutes": rng.normal(100, 20, n_rows),
            "country": rng.choice(["FR", "IN", "US"], n_rows),
        }
    )
    genres = pd.DataFrame(plays[:, :9].reshape(n_rows, 3, 3).any(axis=2), columns=list("abc"))
    return frame, genres.astype(int)


@on_both
def test_text_and_numbers_of_a_data_frame(make):
    frame, genres = films()
    columns = make_column_transformer(
        (TfidfVectorizer(), "cast"),
        (StandardScaler(), ["year", "minutes"]),
        (OneHotEncoder(), ["country"]),
        sparse_threshold=1.0,
    )
    pipeline = make_pipeline(columns, make()).fit(frame, genres)
    features = columns.transform(frame)
    assert sp.issparse(features)
    assert pipeline[-1].n_features_in_ == features.shape[1] == 12 + 2 + 3
    assert pipeline[-1].label_names_.tolist() == ["a", "b", "c"]
    assert_same_scores(pipeline, make().fit(features, genres), frame, features)


def test_the_linear_model_learns_from_a_data_frame():
    frame, genres = films(240)
    columns = make_column_transformer(
        (TfidfVectorizer(), "cast"), (StandardScaler(), ["year", "minutes"])
    )
    pipeline = make_pipeline(columns, linear(C=100)).fit(frame[:160], genres[:160])
    assert f1_score(genres[160:], pipeline.predict(frame[160:]), average="micro") > 0.9


@on_both
@pytest.mark.parametrize("library", [pd, pl])
def test_transformers_that_put_out_data_frames(make, library):
    frame, genres = films()
    frame = frame.drop(columns="cast")
    columns = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["country"]),
        (StandardScaler(), ["year", "minutes"]),
        verbose_feature_names_out=False,
    ).set_output(transform=library.__name__)
    pipeline = make_pipeline(columns, make()).fit(frame, genres)
    transformed = columns.transform(frame)
    assert isinstance(transformed, library.DataFrame)
    names = ["country_FR", "country_IN", "country_US", "year", "minutes"]
    assert pipeline[-1].feature_names_in_.tolist() == names
    features = transformed.to_numpy()
    assert_same_scores(pipeline, make().fit(features, genres), frame, features)


@on_both
@pytest.mark.parametrize("library", [pd, pl])
def test_data_frames_are_taken_directly(make, library):
    features = library.DataFrame(dict(zip(NAMES, X.T, strict=True)))
    labels = library.DataFrame(dict(zip("abcd", Y.T, strict=True)))
    model = make().fit(features, labels)
    assert model.feature_names_in_.tolist() == NAMES
    assert model.label_names_.tolist() == list("abcd")
    assert_same_scores(model, make().fit(X, Y), features, X)
    model.fit(X, Y)
    for name in ("feature_names_in_", "label_names_"):
        assert not hasattr(model, name)


@on_both
@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_other_features_than_in_fit(make, method):
    features = pd.DataFrame(X, columns=NAMES)
    score = getattr(make().fit(features, Y), method)
    with pytest.raises(ValueError, match="feature names should match those"):
        score(features[NAMES[::-1]])
    with pytest.raises(ValueError, match="feature names should match those"):
        score(features.rename(columns={"feature 0": "other"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        score(X)
    with pytest.raises(ValueError, match=r"has 5 features, but \w+ is expecting 6"):
        getattr(make().fit(X, Y), method)(X[:, 1:])


@on_both
def test_chain(make):
    chain = ClassifierChain(make()).fit(sp.csr_array(X), Y)
    for label, link in enumerate(chain.estimators_):
        features = np.hstack([X, Y[:, :label]])
        alone = make().fit(sp.csr_array(features), Y[:, label])
        assert_same_scores(link, alone, features)
    assert set(np.unique(chain.predict(X))) <= {0, 1}


@on_both
def test_one_estimator_for_each_output(make):
    outputs = np.column_stack([SINGLE["binary"], SINGLE["multiclass"]])
    model = MultiOutputClassifier(make()).fit(X, outputs)
    for output, part in enumerate(model.estimators_):
        assert_same_scores(part, make().fit(X, outputs[:, output]), X)
    assert [p.shape for p in model.predict_proba(X)] == [(len(X), 2), (len(X), 3)]


@on_both
@pytest.mark.parametrize("y", [Y, SINGLE["multiclass"]], ids=["multilabel", "multiclass"])
def test_one_vs_rest(make, y):
    model = OneVsRestClassifier(make()).fit(X, y)
    columns = y.T if y.ndim == 2 else [(y == name).astype(int) for name in model.classes_]
    alone = [make().fit(X, column).decision_function(X) for column in columns]
    np.testing.assert_array_equal(model.decision_function(X), np.column_stack(alone))


def test_meta_estimators_fit_the_perceptron_in_parts():
    model = MultiOutputClassifier(mlp()).partial_fit(X, Y, classes=[[0, 1]] * Y.shape[1])
    for label, part in enumerate(model.estimators_):
        assert_same_scores(part, mlp().partial_fit(X, Y[:, label]), X)


@on_both
def test_a_frozen_fit_stays_as_it_is(make):
    model = make().fit(X, Y)
    scores = model.decision_function(X)
    pipeline = make_pipeline(StandardScaler(), FrozenEstimator(model)).fit(X[:20], Y[:20, ::-1])
    np.testing.assert_array_equal(model.decision_function(X), scores)
    scaled = StandardScaler().fit(X[:20]).transform(X)
    np.testing.assert_array_equal(pipeline.predict(X), model.predict(scaled))


@on_both
@pytest.mark.parametrize("frozen", [False, True])
def test_calibration_of_binary_y(make, frozen):
    y = SINGLE["binary"]
    model = make().fit(X, y)
    estimator = FrozenEstimator(model) if frozen else make()
    calibrated = CalibratedClassifierCV(estimator, ensemble=False).fit(X, y)
    # All rows are known to the final fit either way, and a sigmoid keeps their order.
    order = np.argsort(model.decision_function(X), kind="stable")
    assert (np.diff(calibrated.predict_proba(X)[order, 1]) >= 0).all()
    assert calibrated.predict_proba(X)[:, 1].mean() == pytest.approx((y == "yes").mean(), abs=0.02)


@on_both
@pytest.mark.parametrize("kind", SINGLE)
def test_stacking_of_1d_y(make, kind):
    y = SINGLE[kind]
    base = make().fit(X, y)
    stack = StackingClassifier(
        [("base", base)], make(), cv="prefit", stack_method="decision_function", passthrough=True
    ).fit(X, y)
    stacked = np.column_stack([base.decision_function(X), X])
    alone = make().fit(stacked, y)
    np.testing.assert_array_equal(stack.decision_function(X), alone.decision_function(stacked))


@on_both
@pytest.mark.parametrize("kind", SINGLE)
def test_voting_on_1d_y(make, kind):
    y, members = SINGLE[kind], [("plain", make()), ("scaled", make(loss="mlce", scale=3.0))]
    voting = VotingClassifier(members, voting="soft").fit(X, y)
    expected = np.mean([model.fit(X, y).predict_proba(X) for _, model in members], axis=0)
    np.testing.assert_allclose(voting.predict_proba(X), expected)


@on_both
def test_a_fixed_threshold_is_on_the_decision_function(make):
    y = SINGLE["binary"]
    model = FixedThresholdClassifier(
        make(), threshold=0.7, pos_label="yes", response_method="decision_function"
    ).fit(X, y)
    expected = np.where(make().fit(X, y).decision_function(X) >= 0.7, "yes", "no")
    np.testing.assert_array_equal(model.predict(X), expected)


def test_features_are_selected_by_the_linear_coefficients():
    features = np.insert(X, 2, 7.0, axis=1)  # a constant
    selector = SelectFromModel(linear(), threshold=1e-6).fit(features, Y)
    np.testing.assert_array_equal(selector.transform(features), X)


def scaled_pipeline(model):
    return Pipeline([("scale", StandardScaler()), ("model", model)])


@on_both
def test_weights_without_metadata_routing(make):
    pipeline = scaled_pipeline(make(loss="mlce")).fit(X, Y, model__sample_weight=WEIGHT)
    scaled = pipeline[0].transform(X)
    expected = make(loss="mlce").fit(scaled, Y, sample_weight=WEIGHT)
    assert_same_scores(pipeline, expected, X, scaled)
    search = GridSearchCV(pipeline, {"model__scale": [2.0]}, scoring="f1_micro", cv=KFold(2))
    search.fit(X, Y, model__sample_weight=WEIGHT)
    best = make(loss="mlce", scale=2.0)
    assert_same_scores(search, clone(best).fit(scaled, Y, WEIGHT), X, scaled)
    folds = [
        scaled_pipeline(clone(best))
        .fit(X[train], Y[train], model__sample_weight=WEIGHT[train])
        .predict(X[test])
        for train, test in KFold(2).split(X)
    ]
    halves = np.array_split(Y, 2)
    scores = [f1_score(y, labels, average="micro") for y, labels in zip(halves, folds, strict=True)]
    assert search.cv_results_["mean_test_score"] == pytest.approx([np.mean(scores)])


@on_both
@pytest.mark.parametrize("requested", [True, False])
def test_weights_by_metadata_routing(make, requested):
    scorer = make_scorer(f1_score, average="micro")
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = Pipeline(
            [
                ("scale", StandardScaler().set_fit_request(sample_weight=False)),
                ("model", make(loss="mlce").set_fit_request(sample_weight=requested)),
            ]
        )
        search = GridSearchCV(
            pipeline,
            {"model__scale": [1.0, 2.0]},
            scoring=scorer.set_score_request(sample_weight=True),
            cv=KFold(2),
        ).fit(X, Y, sample_weight=WEIGHT)
    scaled = search.best_estimator_[0].transform(X)
    best = make(loss="mlce", scale=search.best_params_["model__scale"])
    best.fit(scaled, Y, sample_weight=WEIGHT if requested else None)
    assert_same_scores(search, best, X, scaled)


@on_both
def test_weights_that_nobody_asked_for_are_refused(make):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), make())
        with pytest.raises(UnsetMetadataPassedError, match=r"sample_weight.*not explicitly set"):
            pipeline.fit(X, Y, sample_weight=WEIGHT)


@on_both
def test_weights_are_routed_to_partial_fit(make):
    with sklearn.config_context(enable_metadata_routing=True):
        part = make(random_state=0).set_partial_fit_request(sample_weight=True)
        model = MultiOutputClassifier(part)
        model.partial_fit(X, Y, classes=[[0, 1]] * Y.shape[1], sample_weight=WEIGHT)
    expected = make(random_state=0).partial_fit(X, Y[:, 1], sample_weight=WEIGHT)
    assert_same_scores(model.estimators_[1], expected, X)
