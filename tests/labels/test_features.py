"""The features that speak for and against a label: coefficients, or slopes of scores."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC

from sklearn_mlce import MLCEClassifier
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV
from sklearn_mlce.labels import top_features
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV
from tests.helpers.estimators import labelled_rows, mlp

NAMES = ["sea", "sky", "sun", "never"]
X, Y = labelled_rows()
Y = Y.copy()
Y[:, 3] = 0
FRAME = pd.DataFrame(Y, columns=NAMES)
ROWS = pd.DataFrame(X, columns=[f"feature {number}" for number in range(X.shape[1])])
pytestmark = pytest.mark.filterwarnings(
    "ignore:Label not 3 is present in all training examples:UserWarning"
)


def weights_of(table, features, names=NAMES):
    """Weights by label and feature, 0 of those that are not in a table."""
    wide = table.pivot(index="label", columns="feature", values="weight")
    return wide.reindex(index=names, columns=features).fillna(0).to_numpy()


def one_vs_rest(model):
    zero = np.zeros((1, X.shape[1]))
    return np.vstack([getattr(part, "coef_", zero) for part in model.estimators_])


@pytest.mark.parametrize(
    ("estimator", "coefficients"),
    [
        (MLCEClassifier(), lambda model: model.coef_),
        (OneVsRestClassifier(LinearSVC(random_state=0)), one_vs_rest),
        (
            GridSearchCV(MLCEClassifier(), {"C": [1.0]}, cv=2, scoring="f1_micro"),
            lambda model: model.best_estimator_.coef_,
        ),
        (
            make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression())),
            lambda model: one_vs_rest(model[-1]),
        ),
        (
            MultilabelTunedThresholdClassifierCV(
                make_pipeline(StandardScaler(), MLCEClassifier()), cv=2, random_state=0
            ),
            lambda model: model.estimator_[-1].coef_,
        ),
        (
            MultilabelCalibratedClassifierCV(MLCEClassifier(), cv=2, random_state=0),
            lambda model: model.calibrated_classifiers_[0].estimator.coef_,
        ),
    ],
    ids=lambda item: type(item).__name__,
)
def test_linear_models_show_their_coefficients(estimator, coefficients):
    model = estimator.fit(ROWS, FRAME)
    expected = coefficients(model)
    table = top_features(model, X.shape[1], labels=FRAME.columns)
    np.testing.assert_allclose(weights_of(table, ROWS.columns), expected)
    short = top_features(model, 2, "sky", labels=FRAME.columns)
    assert set(short["label"]) == {"sky"}
    for side, sign in (("for", 1), ("against", -1)):
        part = short[short["side"] == side]
        weights = sign * expected[1]
        order = [column for column in np.argsort(-weights)[:2] if weights[column] > 0]
        assert part["feature"].tolist() == ROWS.columns[order].tolist()
        assert part["rank"].tolist() == [1, 2][: len(part)]


def test_multi_output_of_linear_models():
    model = MultiOutputClassifier(LogisticRegression()).fit(ROWS, Y[:, :3])
    table = top_features(model, 6)
    expected = np.vstack([part.coef_ for part in model.estimators_])
    np.testing.assert_allclose(weights_of(table, ROWS.columns, range(3)), expected)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_slopes_of_a_linear_model_are_its_coefficients(container):
    """Slopes are taken of the scores alone."""
    rows = container(np.where(np.abs(X) < 0.5, 0, X))
    model = MLCEClassifier().fit(rows, FRAME)
    expected = model.coef_.copy()
    del model.coef_  # as a network has none; its scores below are those of the coefficients
    model._scores = lambda X: X @ expected.T + np.where(np.arange(4) == 3, -1e9, 0.5)
    model.n_iter_ = 1
    with pytest.raises(ValueError, match=r"no coefficient for each label and feature. Pass X,"):
        top_features(model)
    found = weights_of(top_features(model, 6, X=rows), [f"x{number}" for number in range(6)])
    np.testing.assert_allclose(found[:3], expected[:3], atol=1e-8)
    assert not found[3].any()


@pytest.mark.parametrize(
    "estimator",
    [
        mlp(max_epochs=40, learning_rate_init=0.02),
        RandomForestClassifier(20, random_state=0),
        MLPClassifier((8,), max_iter=400, tol=1e-3, learning_rate_init=0.03, random_state=0),
        ClassifierChain(LogisticRegression()),
        make_pipeline(StandardScaler(), mlp(max_epochs=40, learning_rate_init=0.02)),
        MultilabelTunedThresholdClassifierCV(
            RandomForestClassifier(5, random_state=0), cv=2, random_state=0
        ),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_other_models_find_the_feature_that_matters(estimator):
    """A label is the sign of one feature: that feature speaks for it."""
    labels = pd.DataFrame((X[:, :3] > 0).astype(int), columns=["a", "b", "c"])
    model = estimator.fit(ROWS, labels)
    table = top_features(model, 1, X=ROWS.iloc[:60], labels=labels.columns)
    best = table[table["side"] == "for"]
    assert best["feature"].tolist() == ["feature 0", "feature 1", "feature 2"]


def test_features_of_a_text_pipeline_have_their_words():
    texts = ["sun, sea", "grey sky", "blue sea", "sun, sky"]
    tags = [["sun", "sea"], ["sky"], ["sea"], ["sun", "sky"]]
    for final in (MLCEClassifier(C=10), mlp(max_epochs=60, learning_rate_init=0.05)):
        model = make_pipeline(TfidfVectorizer(), final).fit(texts, tags)
        table = top_features(model, 1, X=texts)
        assert table[table["side"] == "for"]["feature"].tolist()[:2] == ["sea", "sky"]


def test_steps_without_names_number_their_features():
    model = make_pipeline(FunctionTransformer(np.asarray), MLCEClassifier()).fit(X, Y)
    assert set(top_features(model)["feature"]) == {f"x{number}" for number in range(6)}


def test_what_cannot_be_shown_is_refused():
    model = MLCEClassifier().fit(X, FRAME)
    with pytest.raises(ValueError, match="label='moon' is none of the 4 labels, such as 'sea'"):
        top_features(model, label="moon")
    with pytest.raises(ValueError, match="k must be a whole number from 1 on, got 0"):
        top_features(model, 0)
    ensemble = MultilabelCalibratedClassifierCV(
        MLCEClassifier(), cv=2, ensemble=True, random_state=0
    )
    with pytest.raises(ValueError, match="holds 2 estimators, one for each fold"):
        top_features(ensemble.fit(X, FRAME))
