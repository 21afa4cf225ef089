"""Labels whose positives no fold could score: named, and given a sensible probability."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.multiclass import OneVsRestClassifier

from benchmarks import datasets
from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from sklearn_mlce.model_selection._out_of_fold import check_held_out
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=300, n_labels=5)
SORTED = Y.copy()
SORTED[:, 3] = 0
SORTED[:20, 3] = 1  # in the first of five folds
LINEAR = MLCEClassifier()
LOGISTIC = OneVsRestClassifier(LogisticRegression())
SEARCHES = {
    "thresholds": lambda **options: Tuned(LINEAR, **options),
    "thresholds per label": lambda **options: Tuned(LINEAR, thresholds="per_label", **options),
    "calibration": lambda **options: Calibrated(LINEAR, **options),
    "linear CV": lambda **options: MLCEClassifierCV(Cs=[0.1, 1.0], **options),
}
FORMS = {
    "dense": np.asarray,
    "sparse": sp.csr_array,
    "soft": lambda Y: 0.9 * Y,
    "unknown": lambda Y: np.where(np.arange(Y.size).reshape(Y.shape) % 31, Y, np.nan),
}
searches = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
PUT_IN_WORDS = (
    r"positives of 1 of 5 labels, \[{}\], could not be scored: .*saw none.*"
    r"Pass a number of folds such as cv=5.*MultilabelStratifiedKFold"
)


@searches
@pytest.mark.parametrize("form", FORMS)
def test_a_label_whose_positives_lie_in_one_fold_is_named_once(search, form):
    with pytest.warns(UserWarning, match=PUT_IN_WORDS.format("3")) as caught:
        model = search(cv=KFold(5)).fit(X, FORMS[form](SORTED))
    assert len(caught) == 1
    if search is not SEARCHES["linear CV"]:  # which scikit-learn 1.9 wraps once more
        assert caught[0].filename == __file__
    assert model.predict(X).shape == Y.shape


@searches
def test_it_goes_by_its_name_where_y_has_names(search):
    names = ["a", "b", "c", "rare", "e"]
    with pytest.warns(UserWarning, match=PUT_IN_WORDS.format("'rare'")):
        search(cv=KFold(5)).fit(X, pd.DataFrame(SORTED, columns=names))


@searches
def test_five_are_listed_and_all_are_counted(search):
    labels = np.hstack([SORTED[:, [3]]] * 7 + [Y])
    with pytest.warns(UserWarning, match=r"7 of 12 labels, \[0, 1, 2, 3, 4, \.\.\.\], could"):
        search(cv=KFold(5)).fit(X, labels)


@searches
def test_what_chance_does_to_rare_labels_is_not_worth_a_warning(search):
    few, spread, lost = Y.copy(), Y.copy(), Y.copy()
    few[:, 3] = np.arange(300) < 4  # in one fold
    spread[:, 3] = np.arange(300) % 60 == 0
    lost[:, 3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for labels in (few, spread, lost):
            search(cv=KFold(5)).fit(X, labels)
        search(cv=5, random_state=0).fit(X, SORTED)
        search(cv=0.2, random_state=0).fit(X, SORTED)


@pytest.mark.parametrize("name", ["yeast", "bibtex", "flags", "cal500"])
def test_public_data_in_shuffled_folds_are_not_warned_of(name):
    try:
        Y = datasets.load(name).Y_train
    except FileNotFoundError as error:
        pytest.skip(str(error))
    for n_folds in (3, 5):
        splits = list(KFold(n_folds, shuffle=True, random_state=0).split(Y))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_held_out(encode_targets(Y), splits, None)


@searches
def test_rows_of_weight_zero_do_not_score_a_label(search):
    labels, weight = SORTED.copy(), np.ones(300)
    labels[-1, 3], weight[-1] = 1, 0
    search(cv=KFold(5)).fit(X, labels)
    with pytest.warns(UserWarning, match=PUT_IN_WORDS.format("3")):
        search(cv=KFold(5)).fit(X, labels, sample_weight=weight)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
@pytest.mark.parametrize("ensemble", [False, True])
@pytest.mark.parametrize("estimator", [LINEAR, LOGISTIC], ids=["linear", "one-vs-rest"])
@pytest.mark.parametrize("kind", ["positives", "negatives"])
@pytest.mark.filterwarnings("ignore:the positives of 1 of 5 labels")
def test_its_probability_is_about_its_share(kind, estimator, ensemble, method):
    labels = SORTED.copy()
    if kind == "negatives":
        labels[:, 3] = 1 - labels[:, 3]
    model = Calibrated(estimator, cv=KFold(5), ensemble=ensemble, method=method).fit(X, labels)
    probability = model.predict_proba(X)[:, 3]
    share = labels[:, 3].mean()
    assert min(probability.mean(), 1 - probability.mean()) == pytest.approx(20 / 300, rel=0.35)
    assert abs(probability.mean() - share) < 0.03
    assert np.ptp(model.decision_function(X)[:, 3]) > 0  # and its scores still rank


@pytest.mark.filterwarnings("ignore:the positives of 1 of 5 labels")
def test_other_labels_nearly_keep_their_maps():
    plain, beside = (
        Calibrated(LOGISTIC, cv=KFold(5)).fit(X, labels).predict_proba(X)
        for labels in (SORTED[:, [0, 1, 2, 4]], SORTED)
    )
    np.testing.assert_allclose(beside[:, [0, 1, 2, 4]], plain, atol=0.03)


@pytest.mark.filterwarnings("ignore:the positives of 1 of 5 labels")
def test_its_own_threshold_is_the_global_one():
    tuned = Tuned(LOGISTIC, thresholds="per_label", cv=KFold(5)).fit(X, SORTED)
    shared = Tuned(LOGISTIC, cv=KFold(5)).fit(X, SORTED)
    assert tuned.best_thresholds_[3] == shared.best_thresholds_
