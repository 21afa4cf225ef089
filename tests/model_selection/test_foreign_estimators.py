"""Estimators and splitters of other packages, as they are: sparse scores, dense y."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import get_scorer
from sklearn.model_selection import KFold
from sklearn.utils.multiclass import type_of_target

from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=150)
FORMS = {
    "dense": np.asarray,
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "pandas": lambda Y: pd.DataFrame(Y, columns=list("abcd")),
    "soft": lambda Y: 0.2 + 0.6 * Y,
    "unknown": lambda Y: np.where(np.arange(Y.size).reshape(Y.shape) % 7, Y, np.nan),
}
SEARCHES = {
    "thresholds": lambda cv: Tuned(MLCEClassifier(), cv=cv),
    "calibration": lambda cv: Calibrated(MLCEClassifier(), cv=cv),
    "linear CV": lambda cv: MLCEClassifierCV(Cs=1, cv=cv),
}


class Transformation(BaseEstimator, ClassifierMixin):
    """Answers in sparse matrices, as scikit-multilearn does, what our linear model says."""

    def __init__(self, container=sp.lil_matrix):
        self.container = container

    def fit(self, X, y):
        self.model_ = MLCEClassifier(loss="bce", C=1.0).fit(X, y)
        return self

    def predict(self, X):
        return self.container(self.model_.predict(X))


class ProbabilisticTransformation(Transformation):
    def predict_proba(self, X):
        return self.container(self.model_.predict_proba(X))


class ScoringTransformation(Transformation):
    def decision_function(self, X):
        return self.container(self.model_.decision_function(X))


class ListingTransformation(Transformation):
    """Answers in a sparse matrix for each label, a column for each class."""

    def predict_proba(self, X):
        self.classes_ = [np.arange(2)] * 4
        columns = self.model_.predict_proba(X).T
        return [self.container(np.column_stack([1 - column, column])) for column in columns]


@pytest.mark.parametrize("container", [sp.lil_matrix, sp.csr_array, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize(
    "estimator", [ProbabilisticTransformation, ScoringTransformation, ListingTransformation]
)
@pytest.mark.parametrize("wrap", [Tuned, Calibrated])
def test_sparse_scores_are_the_dense_ones(wrap, estimator, container):
    wrapped = wrap(estimator(container), cv=3, random_state=0).fit(X, Y)
    dense = wrap(estimator(np.asarray), cv=3, random_state=0).fit(X, Y)
    scores = wrapped.decision_function(X)
    assert isinstance(scores, np.ndarray)
    np.testing.assert_array_equal(scores, dense.decision_function(X))
    np.testing.assert_array_equal(wrapped.predict(X), scores > 0)
    assert wrapped.score(X, Y) == dense.score(X, Y)


def test_sparse_probabilities_are_passed_on_dense():
    tuned = Tuned(ProbabilisticTransformation(), random_state=0).fit(X, sp.csr_array(Y))
    expected = tuned.estimator_.predict_proba(X).toarray()
    np.testing.assert_array_equal(tuned.predict_proba(X), expected)
    np.testing.assert_allclose(tuned.predict_log_proba(X), np.log(expected))
    assert get_scorer("average_precision")(tuned, X, Y) > 0.5
    listing = Tuned(ListingTransformation(), random_state=0).fit(X, Y)
    assert all(isinstance(part, np.ndarray) for part in listing.predict_proba(X))


def test_sparse_probabilities_of_a_binary_y_and_of_a_fitted_estimator():
    y = np.array(["no", "yes"])[Y[:, 0]]
    sparse, dense = (
        Tuned(ProbabilisticTransformation(container), random_state=0).fit(X, y)
        for container in (sp.csr_matrix, np.asarray)
    )
    np.testing.assert_array_equal(sparse.predict(X), dense.predict(X))
    fitted = ProbabilisticTransformation().fit(X[:75], Y[:75])
    prefit = Tuned(fitted, cv="prefit", refit=False).fit(X[75:], Y[75:])
    frozen = Calibrated(FrozenEstimator(fitted)).fit(X[75:], Y[75:])
    assert min(prefit.score(X, Y), frozen.score(X, Y)) > 0.3


class DenseSplitter:
    """Asks for a dense 0/1 array, as stratifiers of other packages do, and remembers it."""

    def get_n_splits(self, X=None, y=None, groups=None):
        return 3

    def split(self, X, y=None, groups=None):
        assert type(y) is np.ndarray
        assert y.dtype == np.int64
        assert type_of_target(y) == "multilabel-indicator"
        self.y_ = y
        return KFold(3).split(X)


class SplitterOfScikitLearn(KFold):
    __module__ = "sklearn.model_selection"

    def split(self, X, y=None, groups=None):
        self.y_ = y
        return super().split(X)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("search", SEARCHES)
def test_splitters_of_others_are_given_dense_labels(search, form):
    splitter = DenseSplitter()
    y = FORMS[form](Y)
    model = SEARCHES[search](splitter).fit(X, y)
    expected = np.where(np.isnan(y), 0, Y) if form == "unknown" else Y
    np.testing.assert_array_equal(splitter.y_, expected)
    same = SEARCHES[search](KFold(3)).fit(X, y)
    np.testing.assert_array_equal(model.decision_function(X), same.decision_function(X))


@pytest.mark.parametrize("search", SEARCHES)
def test_splitters_of_scikit_learn_see_y_as_it_is(search):
    for form, container in (("csr_array", sp.csr_array), ("pandas", pd.DataFrame)):
        splitter = SplitterOfScikitLearn(3)
        SEARCHES[search](splitter).fit(X, FORMS[form](Y))
        assert isinstance(splitter.y_, container)


def test_classes_of_one_y_go_to_splitters_as_they_are():
    class Splitter(DenseSplitter):
        def split(self, X, y=None, groups=None):
            self.y_ = y
            return KFold(3).split(X)

    y = np.array(["no", "yes"])[Y[:, 0]]
    for search in SEARCHES.values():
        splitter = Splitter()
        search(splitter).fit(X, y)
        np.testing.assert_array_equal(splitter.y_, y)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("search", SEARCHES)
def test_iterative_stratification(search, form):
    stratifiers = pytest.importorskip("iterstrat.ml_stratifiers")
    folds = stratifiers.MultilabelStratifiedKFold(3, shuffle=True, random_state=0)
    model = SEARCHES[search](folds).fit(X, FORMS[form](Y))
    assert model.predict(X).shape == Y.shape
    single = stratifiers.MultilabelStratifiedShuffleSplit(1, test_size=0.3, random_state=0)
    SEARCHES[search](single).fit(X, FORMS[form](Y))
