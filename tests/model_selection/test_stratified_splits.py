"""Splitters that stratify labels: what they promise, and what takes them."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_val_predict,
    cross_validate,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import datasets
from sklearn_mlce import MLCEClassifier, MLCEClassifierCV
from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.metrics import masked_f1_score
from sklearn_mlce.model_selection import (
    MultilabelStratifiedGroupKFold,
    MultilabelStratifiedKFold,
    MultilabelStratifiedShuffleSplit,
    multilabel_train_test_split,
)
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from tests.helpers.estimators import labelled_rows

X, Y = labelled_rows(n_rows=151)
GROUPS = np.random.default_rng(0).integers(0, 40, len(X))
CLASSES = np.array(["a", "b", "c"])[Y[:, :2].sum(axis=1)]


def polars_frame(labels):
    return pytest.importorskip("polars").DataFrame(labels, schema=list("abcd"))


FORMS = {
    "dense": np.asarray,
    "list": lambda Y: Y.tolist(),
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "pandas": lambda Y: pd.DataFrame(Y, columns=list("abcd")),
    "polars": polars_frame,
    "soft": lambda Y: 0.1 + 0.8 * Y,
    "unknown": lambda Y: np.where(np.arange(Y.size).reshape(Y.shape) % 7, Y, np.nan),
    "several outputs": lambda Y: np.array(["no", "yes"], dtype=object)[Y],
}
SPLITTERS = {
    "folds": MultilabelStratifiedKFold(4),
    "shuffled folds": MultilabelStratifiedKFold(4, shuffle=True, random_state=0),
    "group folds": MultilabelStratifiedGroupKFold(4),
    "shuffled group folds": MultilabelStratifiedGroupKFold(4, shuffle=True, random_state=0),
    "random": MultilabelStratifiedShuffleSplit(4, test_size=0.3, random_state=0),
}
splitters = pytest.mark.parametrize("cv", SPLITTERS.values(), ids=SPLITTERS)


def groups_of(cv):
    grouped = isinstance(cv, MultilabelStratifiedGroupKFold | StratifiedGroupKFold)
    return GROUPS if grouped else None


def splits_of(cv, y):
    return [part for split in cv.split(X, y, groups_of(cv)) for part in split]


def same(first, second):
    return all(map(np.array_equal, first, second))


@pytest.mark.parametrize("form", FORMS)
@splitters
def test_parts_of_every_form_of_y(cv, form):
    y = FORMS[form](Y)
    splits = list(cv.split(X, y, groups_of(cv)))
    assert len(splits) == cv.get_n_splits(X, y, GROUPS) == 4
    for train, test in splits:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(151))
        if isinstance(cv, MultilabelStratifiedShuffleSplit):
            assert len(test) == 46
        elif isinstance(cv, MultilabelStratifiedKFold):
            assert len(test) in (37, 38)
        else:
            assert not set(GROUPS[train]) & set(GROUPS[test])
    if not isinstance(cv, MultilabelStratifiedShuffleSplit):
        tests = np.concatenate([test for _, test in splits])
        np.testing.assert_array_equal(np.sort(tests), np.arange(151))
    if form in ("list", "csr_array", "csc_matrix", "pandas", "polars"):
        assert same(splits_of(cv, y), splits_of(cv, Y))


@splitters
def test_random_state_decides_and_nothing_else_is_drawn(cv):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert same(splits_of(cv, Y), splits_of(cv, Y))
    if getattr(cv, "shuffle", True):
        options = {name: value for name, value in vars(cv).items() if name != "random_state"}
        options = {name: value for name, value in options.items() if not name.startswith("_")}
        other, again = (type(cv)(**options, random_state=seed) for seed in (1, 1))
        assert not same(splits_of(cv, Y), splits_of(other, Y))
        assert same(splits_of(other, Y), splits_of(again, Y))
        drawing = type(cv)(**options, random_state=np.random.RandomState(0))
        assert not same(splits_of(drawing, Y), splits_of(drawing, Y))
        anew = type(cv)(**options)
        assert not same(splits_of(anew, Y), splits_of(anew, Y))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize("y", [CLASSES, Y[:, 0], Y[:, :1]], ids=["classes", "binary", "column"])
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_one_class_per_row_is_split_as_by_scikit_learn(y):
    single, shuffled = np.ravel(y), {"shuffle": True, "random_state": 0}
    for options in ({}, shuffled):
        ours = MultilabelStratifiedKFold(4, **options)
        assert same(splits_of(ours, y), splits_of(StratifiedKFold(4, **options), single))
        ours = MultilabelStratifiedGroupKFold(4, **options)
        assert same(splits_of(ours, y), splits_of(StratifiedGroupKFold(4, **options), single))
    options = {"test_size": 0.3, "random_state": 0}
    ours = MultilabelStratifiedShuffleSplit(4, **options)
    assert same(splits_of(ours, y), splits_of(StratifiedShuffleSplit(4, **options), single))


def lacking(Y, cv, n_least):
    """Labels of some rows at least that a fold lacks."""
    counts = np.array([Y[test].sum(axis=0) for _, test in cv.split(Y, Y)])
    return int(((counts == 0) & (Y.sum(axis=0) >= n_least)).sum())


@pytest.mark.parametrize("name", ["yeast", "birds", "bibtex", "flags", "foodtruck", "cal500"])
@pytest.mark.parametrize("n_folds", [3, 5])
def test_no_fold_of_public_data_lacks_a_label_that_each_may_have(name, n_folds):
    try:
        Y = sp.csr_array(datasets.load(name).Y_train)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    for seed in range(2):
        cv = MultilabelStratifiedKFold(n_folds, shuffle=True, random_state=seed)
        assert lacking(Y, cv, n_folds) == 0


def rare_labels(n_rows=600, n_labels=120, seed=0):
    frequency = 0.3 / np.arange(1, n_labels + 1)
    return (np.random.default_rng(seed).random((n_rows, n_labels)) < frequency).astype(int)


def spread(Y, cv):
    """Mean deviation over folds of the labels' frequencies, as a fraction of each label's."""
    means = np.array([Y[test].mean(axis=0) for _, test in cv.split(Y, Y)])
    carried = Y.any(axis=0)
    return (means.std(axis=0)[carried] / Y.mean(axis=0)[carried]).mean()


def test_labels_are_spread_more_evenly_than_by_chance():
    labels, options = rare_labels(), {"shuffle": True, "random_state": 0}
    frequent = labels[:, :10]
    ours, shuffled = MultilabelStratifiedKFold(5, **options), KFold(5, **options)
    assert lacking(labels, ours, 5) == 0 < lacking(labels, shuffled, 5)
    assert spread(frequent, ours) < spread(frequent, shuffled) / 2
    random = MultilabelStratifiedShuffleSplit(5, test_size=0.2, random_state=0)
    assert (
        spread(frequent, random)
        < spread(frequent, ShuffleSplit(5, test_size=0.2, random_state=0)) / 2
    )
    groups = np.arange(len(labels)) // 3
    grouped = list(MultilabelStratifiedGroupKFold(5).split(labels, labels, groups))
    means = np.array([frequent[test].mean(axis=0) for _, test in grouped])
    assert (means.std(axis=0) / frequent.mean(axis=0)).mean() < spread(frequent, shuffled) / 2


def test_every_label_keeps_a_row_to_train_on():
    labels = rare_labels()
    cv = MultilabelStratifiedShuffleSplit(5, test_size=0.2, random_state=0)
    for train, test in cv.split(labels, labels):
        assert labels[train].any(axis=0)[labels.any(axis=0)].all()
        assert labels[test].any(axis=0)[labels.sum(axis=0) >= 5].all()


def test_as_good_as_iterative_stratification():
    stratifiers = pytest.importorskip("iterstrat.ml_stratifiers")
    options = {"n_splits": 5, "shuffle": True, "random_state": 0}
    for seed in range(3):
        labels = rare_labels(seed=seed)
        ours = MultilabelStratifiedKFold(**options)
        theirs = stratifiers.MultilabelStratifiedKFold(**options)
        assert lacking(labels, ours, 5) <= lacking(labels, theirs, 5)


@pytest.mark.slow
def test_many_rows_fill_folds_of_one_size():
    rng = np.random.default_rng(0)
    columns = rng.choice(1000, 100_000, p=(weight := 1 / np.arange(1, 1001)) / weight.sum())
    cells = np.unique(np.repeat(np.arange(20_000), 5) * 1000 + columns)
    labels = sp.csr_array((np.ones(len(cells), int), (cells // 1000, cells % 1000)))
    folds = [test for _, test in MultilabelStratifiedKFold(5).split(np.zeros(20_000), labels)]
    assert [len(test) for test in folds] == [4_000] * 5
    counts = np.array([labels[test].sum(axis=0) for test in folds])
    carried = counts.sum(axis=0) >= 5
    assert counts[:, carried].all()


def test_sparse_labels_stay_sparse():
    rows, columns = np.arange(4000) % 2000, np.random.default_rng(0).integers(0, 10**6, 4000)
    labels = sp.csr_array((np.ones(4000, int), (rows, columns)), shape=(2000, 10**6))
    labels.data[:] = 1  # dense it would take 16 GB
    train, test = next(MultilabelStratifiedKFold(2).split(np.zeros(2000), labels))
    assert len(train) == len(test) == 1000


@splitters
def test_scikit_learn_takes_them(cv):
    model = make_pipeline(StandardScaler(), OneVsRestClassifier(LogisticRegression()))
    grouped = isinstance(cv, MultilabelStratifiedGroupKFold)
    groups = {"groups": GROUPS} if grouped else {}
    params = {"params": groups} if sklearn.__version__ >= "1.8" else groups
    with sklearn.config_context(enable_metadata_routing="params" in params):
        scores = cross_validate(model, X, Y, cv=cv, scoring="f1_micro", **params)
    assert len(scores["test_score"]) == 4
    assert min(scores["test_score"]) > 0.4
    grid = {"onevsrestclassifier__estimator__C": [0.1, 1.0]}
    search = GridSearchCV(model, grid, cv=cv, scoring="f1_micro").fit(X, Y, **groups)
    assert search.n_splits_ == 4
    with sklearn.config_context(enable_metadata_routing=True):
        routed = GridSearchCV(model, grid, cv=cv, scoring="f1_micro").fit(X, Y, **groups)
    assert routed.best_score_ == search.best_score_
    if not isinstance(cv, MultilabelStratifiedShuffleSplit) and not grouped:
        assert cross_val_predict(model, X, Y, cv=cv).shape == Y.shape


def test_unknown_labels_in_cross_validation():
    cv = MultilabelStratifiedKFold(3)
    scorer = make_scorer(masked_f1_score)
    scores = cross_validate(MLCEClassifier(), X, FORMS["unknown"](Y), cv=cv, scoring=scorer)
    assert min(scores["test_score"]) > 0.4


def test_they_show_what_they_are():
    assert repr(SPLITTERS["folds"]) == (
        "MultilabelStratifiedKFold(n_splits=4, random_state=None, shuffle=False)"
    )
    shown = repr(SPLITTERS["random"])
    assert shown.startswith("MultilabelStratifiedShuffleSplit(n_splits=4, random_state=0")


@pytest.mark.parametrize("folds", [MultilabelStratifiedKFold, MultilabelStratifiedGroupKFold])
def test_what_folds_refuse(folds):
    for wrong in (1, 2.5, "3"):
        with pytest.raises(ValueError, match=rf"n_splits={wrong!r} must be .* such as 5"):
            folds(wrong)
    with pytest.raises(TypeError, match="shuffle=1 must be True or False"):
        folds(3, shuffle=1)
    with pytest.raises(ValueError, match=r"random_state=0 has no effect with .* Pass shuffle=True"):
        folds(3, random_state=0)
    groups = groups_of(folds(5))
    first = None if groups is None else [0, 1, 2]
    with pytest.raises(ValueError, match=r"n_splits=5 greater than .* (rows|groups): 3\. Pass n_"):
        next(folds(5).split(X[:3], Y[:3], first))
    with pytest.raises(ValueError, match="split requires y"):
        next(folds(5).split(X, None, groups))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(folds(5).split(X[1:], Y, groups))
    with pytest.raises(ValueError, match="expected 0 and 1"):
        next(folds(5).split(X, 2 * Y - 1, groups))


@pytest.mark.parametrize("cv", [SPLITTERS["folds"], SPLITTERS["random"]])
def test_groups_that_are_not_kept_together_are_named(cv):
    with pytest.warns(UserWarning, match=r"ignored by Multi.* Use MultilabelStratifiedGroupKFold"):
        next(cv.split(X, Y, GROUPS))


def test_groups_are_asked_for():
    with pytest.raises(ValueError, match=r"groups is None; .* Type split\(X, y, groups\)"):
        next(MultilabelStratifiedGroupKFold(3).split(X, Y))
    named = np.array(list("abcdefgh"))[GROUPS % 8]
    by_name = MultilabelStratifiedGroupKFold(3).split(X, Y, named)
    assert same(
        *(
            [test for _, test in folds]
            for folds in (by_name, MultilabelStratifiedGroupKFold(3).split(X, Y, GROUPS % 8))
        )
    )


@pytest.mark.parametrize("sizes", [{"test_size": 200}, {"test_size": 0.9, "train_size": 0.2}])
def test_sizes_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="should be"):
        next(MultilabelStratifiedShuffleSplit(**sizes).split(X, Y))
    with pytest.raises(ValueError, match="should be"):
        multilabel_train_test_split(X, Y, **sizes)


def test_rows_of_neither_part():
    cv = MultilabelStratifiedShuffleSplit(1, test_size=20, train_size=0.5, random_state=0)
    train, test = next(cv.split(X, Y))
    assert (len(train), len(test)) == (75, 20)
    assert not set(train) & set(test)
    np.testing.assert_allclose(Y[test].mean(axis=0), Y.mean(axis=0), atol=0.05)


@pytest.mark.parametrize("form", FORMS)
def test_train_test_split_keeps_containers(form):
    y = FORMS[form](Y)
    frame = pd.DataFrame(X)
    parts = multilabel_train_test_split(frame, y, list(range(151)), stratify=y, random_state=0)
    X_train, X_test, y_train, y_test, train, test = parts
    assert (len(train), len(test)) == (113, 38)
    np.testing.assert_array_equal(X_train, X[train])
    np.testing.assert_array_equal(X_test, X[test])
    if form == "csc_matrix":  # scikit-learn takes rows of CSR matrices
        assert y_train.format == "csr"
    else:
        assert type(y_train) is type(y_test) is type(y)
    last = multilabel_train_test_split(X, y, random_state=0)[0]
    np.testing.assert_array_equal(last, X_train)


def test_train_test_split_of_one_class_per_row_and_of_nothing():
    train, test = multilabel_train_test_split(CLASSES, test_size=0.2, random_state=0)
    assert len(test) == 31
    assert set(train) == set(test) == set("abc")
    with pytest.raises(ValueError, match=r"got no array; .* Type multilabel_train_test_split\(X"):
        multilabel_train_test_split()


SEARCHES = {
    "thresholds": lambda **options: Tuned(MLCEClassifier(), **options),
    "calibration": lambda **options: Calibrated(MLCEClassifier(), **options),
    "linear CV": lambda **options: MLCEClassifierCV(Cs=[0.1, 1.0, 1.1], **options),
}
searches = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


@pytest.mark.parametrize("form", ["dense", "csr_array", "pandas", "soft", "unknown"])
@pytest.mark.filterwarnings("ignore:the best C")
@searches
def test_numbers_of_folds_are_stratified(search, form):
    y, options = FORMS[form](Y), {"random_state": 0}
    numbers = {
        3: MultilabelStratifiedKFold(3, shuffle=True, **options),
        0.3: MultilabelStratifiedShuffleSplit(1, test_size=0.3, **options),
    }
    for number, cv in numbers.items():
        by_number, by_splitter = (search(cv=c, **options).fit(X, y) for c in (number, cv))
        scores = by_number.decision_function(X)
        np.testing.assert_allclose(scores, by_splitter.decision_function(X))


@pytest.mark.filterwarnings("ignore:the best C")
@pytest.mark.parametrize("y", [Y, Y[:, 0]], ids=["labels", "binary"])
@searches
def test_groups_are_held_out_together(search, y):
    cv = MultilabelStratifiedGroupKFold(3, shuffle=True, random_state=0)
    expected = search(cv=list(cv.split(X, y, GROUPS))).fit(X, y).decision_function(X)
    by_number = search(cv=3, random_state=0).fit(X, y, groups=GROUPS)
    by_splitter = search(cv=cv).fit(X, y, groups=GROUPS)
    for model in (by_number, by_splitter):
        np.testing.assert_allclose(model.decision_function(X), expected)
    plain = search(cv=3, random_state=0).fit(X, y).decision_function(X)
    assert not np.allclose(plain, expected)
    with pytest.raises(ValueError, match=r"cv=0\.3 holds out .* groups; .* Pass cv=3, or cv=Group"):
        search(cv=0.3).fit(X, y, groups=GROUPS)


@pytest.mark.filterwarnings("ignore:the best C")
@searches
def test_groups_are_routed(search):
    expected = search(cv=3, random_state=0).fit(X, Y, groups=GROUPS).decision_function(X)
    with sklearn.config_context(enable_metadata_routing=True):
        model = search(cv=3, random_state=0)
        if isinstance(model, MLCEClassifierCV):
            model.set_fit_request(groups=True)
        model.fit(X, Y, groups=GROUPS)
        nested = make_pipeline(StandardScaler(with_mean=False, with_std=False), model)
        nested.fit(X, Y, groups=GROUPS)
        search(cv=3, random_state=0).fit(X, Y)  # asks for none
    for fitted in (model, nested):
        np.testing.assert_allclose(fitted.decision_function(X), expected)


@pytest.mark.parametrize("n_splits", [0, -1, 1.5, "3", None, True])
def test_numbers_of_random_splits_that_are_none_are_refused(n_splits):
    with pytest.raises(ValueError, match=r"n_splits=.* whole number of splits, 1 at least"):
        MultilabelStratifiedShuffleSplit(n_splits)


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([None] * 90, "groups holds NoneType, which cannot be sorted"),
        ([None, "a", "b"] * 30, "groups holds NoneType, str"),
        (np.zeros((90, 1)), r"groups has shape \(90, 1\); expected one group for each row"),
        ([("a", 1)] * 90, r"groups has shape \(90, 2\)"),
    ],
)
def test_groups_that_are_none_are_refused(groups, match):
    X, Y = labelled_rows()
    with pytest.raises(ValueError, match=match):
        list(MultilabelStratifiedGroupKFold(3).split(X, Y, groups))
