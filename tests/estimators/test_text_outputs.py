"""Several outputs whose classes are text, or text and numbers, in every estimator."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.inspection import describe_labels
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, linear, mlp, on_both
from tests.helpers.stored_models import loaded_copies, public_names_stored


def tickets(n_rows=120):
    """Rows, and a table of four classes each, of text and numbers."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 6))
    codes = [
        (X @ rng.normal(size=(6, m)) + 0.3 * rng.normal(size=(n_rows, m))).argmax(axis=1)
        for m in (4, 2, 3, 2)
    ]
    names = (["billing", "help", "returns", "sales"], ["no", "yes"], [1, 2, 3], ["de", "en"])
    columns = [np.array(of_one)[part] for of_one, part in zip(names, codes, strict=True)]
    frame = pd.DataFrame(dict(zip(["queue", "urgent", "grade", "language"], columns, strict=True)))
    return X, frame, np.column_stack(codes)


def trained(make, **parameters):
    """An estimator that has time to learn."""
    longer = {} if make is linear else {"max_epochs": 60, "learning_rate_init": 0.02}
    return make(random_state=0, **longer, **parameters)


CONTAINERS = {
    "frame": lambda frame: frame,
    "object": lambda frame: frame.astype(object),
    "string": lambda frame: frame.astype({"queue": "string", "urgent": "string"}),
    "category": lambda frame: frame.astype("category"),
    "polars": lambda frame: pl.DataFrame(frame.to_dict("list")),
    "array": lambda frame: frame.to_numpy(),
}


@on_both
@pytest.mark.parametrize("container", CONTAINERS)
def test_tables_of_classes_are_learned_and_given_back(make, container):
    X, frame, _ = tickets()
    y = CONTAINERS[container](frame)
    model = trained(make).fit(X, y)
    predicted = model.predict(X)
    assert predicted.dtype == object
    for column, classes, name in zip(predicted.T, model.classes_, frame, strict=True):
        assert set(column.tolist()) <= set(frame[name].tolist())
        assert classes.tolist() == sorted(set(frame[name].tolist()))
    assert (predicted == frame.to_numpy()).mean() > 0.7
    assert model.score(X, y) == (predicted == frame.to_numpy()).all(axis=1).mean() > 0.3
    assert [part.shape for part in model.decision_function(X)] == [(120, m) for m in (4, 2, 3, 2)]
    for proba, classes, column in zip(
        model.predict_proba(X), model.classes_, predicted.T, strict=True
    ):
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(classes[proba.argmax(axis=1)], column)
    with pytest.raises(ValueError, match=r"but y was multioutput. Use predict"):
        model.predict_topk(X, 1)
    if container != "array":
        assert model.label_names_.tolist() == list(frame)


@on_both
def test_text_is_no_more_than_names(make):
    """The same fit as on codes in the same order, dense and sparse."""
    X, frame, codes = tickets()
    coded = make(random_state=0).fit(X, codes)
    named = make(random_state=0).fit(X, frame)
    for own, other in zip(coded.decision_function(X), named.decision_function(X), strict=True):
        np.testing.assert_array_equal(own, other)
    sparse = make(random_state=0).fit(sp.csr_array(X), frame)
    if make is linear:
        dense = make(random_state=0, input_scaling=None).fit(X, frame)
        for own, other in zip(sparse.decision_function(X), dense.decision_function(X), strict=True):
            np.testing.assert_allclose(own, other, atol=1e-6)
    assert sparse.predict(sp.csr_array(X)).shape == frame.shape


@on_both
def test_labels_as_text_and_numbers_as_text_are_outputs(make):
    X, Y = labelled_rows()
    answers = trained(make).fit(X, np.where(Y, "yes", "no"))
    assert answers.predict(X).dtype == "<U3"
    assert (answers.predict(X) == np.where(Y, "yes", "no")).mean() > 0.8
    digits = trained(make).fit(X, Y.astype(str))
    np.testing.assert_array_equal(digits.predict(X) == "1", answers.predict(X) == "yes")
    assert make(random_state=0).fit(X, Y.astype(bool)).predict(X).dtype == bool


@on_both
@pytest.mark.parametrize("names_of_classes", [True, False])
def test_chunks_of_text(make, names_of_classes):
    X, frame, _ = tickets()
    classes = [sorted(set(frame[name])) for name in frame] if names_of_classes else None
    model = trained(make).partial_fit(X[:60], frame[:60], classes=classes)
    for start in (*range(60, 120, 12), *range(0, 120, 12)):
        part = slice(start, start + 12)
        model.partial_fit(X[part], frame[part])
    assert [c.tolist() for c in model.classes_] == [sorted(set(frame[name])) for name in frame]
    assert (model.predict(X) == frame.to_numpy()).mean() > 0.5
    with pytest.raises(ValueError, match=r"output 0 \('queue'\) of y holds \['spam'\]"):
        model.partial_fit(X[:1], frame[:1].assign(queue="spam"))
    with pytest.raises(ValueError, match=r"output 2 \('grade'\) of y holds \['1'"):
        model.partial_fit(X[:9], frame[:9].astype({"grade": str}))


@on_both
def test_a_fitted_estimator_is_stored_as_plain_values(make):
    X, frame, _ = tickets()
    model = make(random_state=0).fit(X, frame)
    assert public_names_stored(model) == {f"sklearn_mlce.{type(model).__name__}"}
    assert_same_lists(model, X)
    urgent = np.where(frame["urgent"] == "yes", "a", "b")
    plain = make(random_state=0).fit(X, np.column_stack([urgent, urgent[::-1]]))
    assert_same_lists(plain, X)


def assert_same_lists(model, X):
    """Check that copies predict alike; the scores of outputs are ragged lists."""
    for copy in loaded_copies(model):
        found, labels = copy.predict(X), model.predict(X)
        assert found.dtype == labels.dtype
        np.testing.assert_array_equal(found, labels)
        for own, other in zip(copy.predict_proba(X), model.predict_proba(X), strict=True):
            np.testing.assert_array_equal(own, other)


def test_early_stopping_takes_text():
    X, frame, _ = tickets()
    model = mlp(early_stopping=True, validation_fraction=0.3).fit(X, frame)
    assert len(model.validation_scores_) == model.n_iter_
    given = mlp(early_stopping=True, scoring=lambda model, X, y: model.score(X, y)).fit(
        X[40:], frame[40:], X_val=X[:40], y_val=frame[:40]
    )
    best = given.validation_scores_[given.best_epoch_ - 1]
    assert best == given.score(X[:40], frame[:40])
    with pytest.raises(ValueError, match=r"'queue'\) of y holds \['spam'\]"):
        mlp(early_stopping=True).fit(X, frame, X_val=X[:2], y_val=frame[:2].assign(queue="spam"))
    labels = (frame[["urgent", "language"]] == "yes").astype(int)
    with pytest.raises(ValueError, match="y_val holds classes of 2 outputs, text or whole"):
        mlp(early_stopping=True).fit(X, labels, X_val=X, y_val=frame[["urgent", "language"]])


@pytest.mark.parametrize(
    "wrapper", [MultilabelTunedThresholdClassifierCV, MultilabelCalibratedClassifierCV]
)
def test_thresholds_and_calibrators_refuse_them(wrapper):
    X, frame, _ = tickets()
    with pytest.raises(ValueError, match="y is multiclass-multioutput: the best class"):
        wrapper(MLCEClassifier()).fit(X, frame)
    with pytest.raises(ValueError, match="Describe one output at a time"):
        describe_labels(frame)


@on_both
def test_an_earlier_fit_survives_a_refusal(make):
    X, frame, _ = tickets()
    model = make(random_state=0).fit(X, frame)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"output 1 \('urgent'\) of y holds text and other"):
        model.fit(X, frame.assign(urgent=["yes", 1] * 60))
    np.testing.assert_array_equal(model.predict(X), before)


def test_scores_of_other_values_are_wrong_not_refused():
    X, frame, _ = tickets()
    model = MLCEClassifier().fit(X, frame)
    assert model.score(X, frame.assign(queue="spam")) == 0
    assert model.score(X, frame.assign(grade=frame["grade"].astype(str))) == 0
    with pytest.raises(ValueError, match=r"y has shape \(120, 3\); expected \(120, 4\)"):
        model.score(X, frame.drop(columns="queue").to_numpy())
    with pytest.raises(ValueError, match=r"lacks \['queue'\]"):
        model.score(X, frame.drop(columns="queue"))


def test_the_search_for_C_takes_text():
    X, frame, codes = tickets()
    search = MLCEClassifierCV([0.01, 100.0], cv=2, random_state=0).fit(X, frame)
    assert search.thresholds_ == 0
    assert search.predict(X).dtype == object
    assert search.label_names_.tolist() == list(frame)
    on_codes = MLCEClassifierCV([0.01, 100.0], cv=2, random_state=0).fit(X, codes)
    np.testing.assert_array_equal(search.scores_, on_codes.scores_)
    refit = MLCEClassifier(C=search.C_).fit(X, frame)
    np.testing.assert_allclose(search.coef_, refit.coef_)
    np.testing.assert_array_equal(search.predict(X), refit.predict(X))
