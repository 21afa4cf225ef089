"""Tags as y: the same model as of their DataFrame, in every estimator and each of its methods."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets import tags
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import describe_labels
from sklearn_mlce.labels import tags_to_y, y_to_tags
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both

NAMES = ["sea", "sand", "sky", "sun"]
X, Y = labelled_rows()
# Columns in the order in which tags are sorted.
FRAME = pd.DataFrame(Y, columns=NAMES)[sorted(NAMES)]
TAGS = y_to_tags(FRAME)

FIVE = {
    "linear": linear(),
    "mlp": mlp(),
    "cv": MLCEClassifierCV([0.1, 1.0], cv=2, random_state=0, label_weight={"sea": 2.0}),
    "tuner": MultilabelTunedThresholdClassifierCV(
        MLCEClassifier(label_weight={"sea": 2.0}), cv=2, random_state=0
    ),
    "calibrator": MultilabelCalibratedClassifierCV(MLCEClassifier(), cv=2, random_state=0),
    "tuner of trees": MultilabelTunedThresholdClassifierCV(
        RandomForestClassifier(5, random_state=0), cv=2, random_state=0
    ),
}
CONTAINERS = {
    "tuples": lambda tags: tags,
    "lists": lambda tags: list(map(list, tags)),
    "sets": lambda tags: list(map(set, tags)),
    "series": lambda tags: pd.Series(tags, index=range(7, 7 + len(tags))),
    "frame": lambda tags: pd.DataFrame({"tags": tags}),
    "polars": lambda tags: pl.Series(list(map(list, tags))),
}


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("rows", [np.asarray, sp.csr_array])
def test_tags_are_the_frame_of_their_labels(name, rows):
    of_frame = FIVE[name].fit(rows(X), FRAME)
    expected = of_frame.decision_function(rows(X))
    score = of_frame.score(rows(X), FRAME)
    model = of_frame.fit(rows(X), TAGS)
    np.testing.assert_allclose(model.decision_function(rows(X)), expected, atol=1e-9)
    assert model.label_names_.tolist() == sorted(NAMES)
    predicted = model.predict(rows(X))
    assert isinstance(predicted, np.ndarray)
    assert predicted.dtype == np.int64
    assert model.score(rows(X), TAGS) == score == accuracy_score(FRAME, predicted)
    assert f1_score(tags_to_y(TAGS, labels=model.label_names_), predicted, average="micro") > 0.3


@on_both
@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_of_tags_are_the_same(make, container):
    y = CONTAINERS[container](TAGS)
    model = make().fit(X, y)
    np.testing.assert_array_equal(
        model.decision_function(X), make().fit(X, FRAME).decision_function(X)
    )
    assert model.score(X, y) == model.score(X, FRAME)
    assert describe_labels(y).label_counts.tolist() == FRAME.sum().tolist()


@on_both
@pytest.mark.parametrize("container", CONTAINERS)
def test_streams_of_tags_are_those_of_labels(make, container):
    make_one = (lambda: make(solver="sgd", random_state=0)) if make is linear else make
    hold = CONTAINERS[container]
    of_frame, model = make_one(), make_one()
    for rows in (slice(0, 40), slice(40, 70), slice(70, 90)):
        of_frame.partial_fit(X[rows], FRAME.iloc[rows])
        model.partial_fit(X[rows], hold(TAGS[rows]), classes=NAMES)
    np.testing.assert_array_equal(model.decision_function(X), of_frame.decision_function(X))
    assert model.label_names_.tolist() == sorted(NAMES)
    before = model.decision_function(X)
    with pytest.raises(ValueError, match=r"tags such as 'moon'.*pass every tag to the first call"):
        model.partial_fit(X[:2], hold([("sea", "moon"), ("sky",)]))
    np.testing.assert_array_equal(model.decision_function(X), before)
    model.partial_fit(X[:2], hold([("sky",), ("sky", "sea")]))
    model.partial_fit(X[:2], FRAME.iloc[:2])


@on_both
def test_a_first_chunk_without_classes_has_the_tags_it_has(make):
    model = make().partial_fit(X, [["sea", "sun"], ["sea"], *[["sun"]] * 88])
    assert model.label_names_.tolist() == ["sea", "sun"]


@on_both
def test_a_score_counts_unseen_tags_as_missed(make):
    model = make().fit(X, TAGS)
    right = (model.predict(X) == FRAME.to_numpy()).all(axis=1)
    some = [[*row, "moon"] if number < 30 else row for number, row in enumerate(TAGS)]
    assert model.score(X, some) == right[30:].sum() / 90
    weight = np.arange(90)
    assert model.score(X, TAGS, weight) == pytest.approx(np.average(right, weights=weight))
    assert model.score(X, [[]] * 90) == (model.predict(X).sum(axis=1) == 0).mean()
    with pytest.raises(ValueError, match="no tag of y, such as 'Sea'"):
        model.score(X, [["Sea"]] * 90)
    with pytest.raises(ValueError, match="labels without names"):
        make().fit(X, Y).score(X, TAGS)


@on_both
def test_labels_without_names_take_no_tags(make):
    """Their columns go by position, which tags have not."""
    model = make().partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"y holds tags.*labels=names_of_the_columns"):
        model.partial_fit(X, TAGS)
    with pytest.raises(ValueError, match="y holds tags"):
        MultilabelTunedThresholdClassifierCV(model, cv="prefit", refit=False).fit(X, TAGS)
    if make is mlp:
        with pytest.raises(ValueError, match="y_val holds tags"):
            mlp(early_stopping=True).fit(X, Y, X_val=X, y_val=TAGS)


def test_validation_rows_have_tags_too():
    rows = {"X_val": X[60:], "early_stopping": True}
    early = {"early_stopping": True}
    of_frame = mlp(**early).fit(X[:60], FRAME[:60], X_val=X[60:], y_val=FRAME[60:])
    model = mlp(**early).fit(X[:60], TAGS[:60], X_val=X[60:], y_val=TAGS[60:])
    np.testing.assert_array_equal(model.decision_function(X), of_frame.decision_function(X))
    with pytest.raises(ValueError, match="y_val: y holds tags such as 'moon'"):
        model.fit(X, TAGS, X_val=rows["X_val"], y_val=[["moon"]] * 30)


@pytest.mark.parametrize("wrapper", ["tuner", "calibrator"])
@pytest.mark.parametrize("inside", ["alone", "pipeline", "tuned"])
def test_a_fitted_estimator_is_wrapped_by_its_own_tags(wrapper, inside):
    """The held-out rows need not carry all of them."""
    fitted = MLCEClassifier()
    if inside == "pipeline":
        fitted = make_pipeline(StandardScaler(), fitted)
    if inside == "tuned":
        fitted = MultilabelTunedThresholdClassifierCV(fitted, cv=2, random_state=0)
    fitted.fit(X, TAGS)
    few = [tag_row if "sun" not in tag_row else ("sea",) for tag_row in TAGS]
    model = (
        MultilabelTunedThresholdClassifierCV(fitted, cv="prefit", refit=False)
        if wrapper == "tuner"
        else MultilabelCalibratedClassifierCV(FrozenEstimator(fitted))
    )
    model.fit(X, few)
    assert model.label_names_.tolist() == sorted(NAMES)
    assert model.predict(X).shape == (90, 4)
    with pytest.raises(ValueError, match="are not the labels that the model learns"):
        model.fit(X, pd.DataFrame(Y, columns=NAMES))


@on_both
def test_a_failed_fit_keeps_the_earlier_one(make):
    model = make().fit(X, TAGS)
    before = model.decision_function(X)
    for y in ([*TAGS[:-1], None], [*TAGS[:-1], [3]], TAGS[:-1]):
        with pytest.raises(ValueError, match=r"missing|label sets|inconsistent"):
            model.fit(X, y)
    np.testing.assert_array_equal(model.decision_function(X), before)
    assert model.label_names_.tolist() == sorted(NAMES)


@on_both
def test_sparse_frames_are_named_and_predicted_sparse(make):
    y = tags_to_y(TAGS, sparse=True)
    model = make().fit(X, y)
    assert model.label_names_.tolist() == sorted(NAMES)
    predicted = model.predict(X)
    assert sp.issparse(predicted)
    np.testing.assert_array_equal(predicted.toarray(), make().fit(X, FRAME).predict(X))
    assert model.score(X, y) == model.score(X, FRAME) == model.score(X, TAGS)
    tuned = MultilabelTunedThresholdClassifierCV(make(), cv=2, random_state=0)
    expected = tuned.fit(X, FRAME).decision_function(X)
    np.testing.assert_allclose(tuned.fit(X, y).decision_function(X), expected)


def test_searches_are_given_the_frame():
    y = tags_to_y(TAGS)
    search = GridSearchCV(MLCEClassifier(), {"C": [0.1, 1.0]}, scoring="f1_micro", cv=2)
    assert search.fit(X, y).best_estimator_.label_names_.tolist() == sorted(NAMES)
    assert cross_val_score(MLCEClassifier(), X, y, scoring="f1_macro", cv=2).shape == (2,)


@on_both
def test_callbacks_score_tags(make):
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring=["f1_micro", "accuracy", "average_precision"])
    model = make().set_callbacks(monitor).fit(X, TAGS)
    last = [row for row in monitor.get_logs().data if "f1_micro" in row][-1]
    assert last["f1_micro"] == f1_score(FRAME, model.predict(X), average="micro")
    assert last["accuracy"] == model.score(X, TAGS)


def test_without_pandas_tags_are_a_matrix(monkeypatch):
    expected = MLCEClassifierCV([0.1, 1.0], cv=2, random_state=0).fit(X, TAGS)
    monkeypatch.setattr(tags, "_data_frame", lambda: None)
    model = MLCEClassifierCV([0.1, 1.0], cv=2, random_state=0).fit(X, TAGS)
    assert model.label_names_.tolist() == sorted(NAMES)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    assert model.score(X, TAGS) == expected.score(X, TAGS)


class Seen(MLCEClassifier):
    """Remembers whether y had sparse columns."""

    def fit(self, X, y, sample_weight=None):
        self.sparse_ = hasattr(y, "sparse") and all(hasattr(d, "subtype") for d in y.dtypes)
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("y", [TAGS, FRAME], ids=["tags", "frame"])
def test_wrappers_make_no_dense_matrix_of_tags(y):
    """Where the estimator is ours; trees, which refuse sparse columns, are given dense ones."""
    inner = make_pipeline(StandardScaler(), Seen())
    calibrator = MultilabelCalibratedClassifierCV(inner, cv=2, ensemble=False, random_state=0)
    tuner = MultilabelTunedThresholdClassifierCV(calibrator, cv=2, random_state=0).fit(X, y)
    (member,) = tuner.estimator_.calibrated_classifiers_
    assert member.estimator[-1].sparse_ == (y is TAGS)
    assert isinstance(tuner.predict(X), np.ndarray)
