"""The highest cells give the thresholds of the whole matrix, or say that they cannot."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_mlce import MLCEClassifierCV
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from sklearn_mlce.model_selection import _highest_cells as highest
from sklearn_mlce.model_selection._f_measure import FMeasure
from sklearn_mlce.model_selection._out_of_fold import held_out_of_folds
from sklearn_mlce.model_selection._sweep import tune
from tests.helpers.pairwise import parametrize_pairwise

KINDS = ["hard", "weighted", "unknown", "soft", "constant", "one label"]


class Reader(ClassifierMixin, BaseEstimator):
    """Finds the scores of the labels in the features, and counts its fits."""

    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        Reader.n_fits += 1
        self.classes_ = np.arange(y.shape[1])
        return self

    def decision_function(self, X):
        return np.asarray(X)


def scored(kind, seed, shape=(120, 40)):
    """Scores with ties, rare labels, one that is never positive, and weights exact in sums."""
    rng = np.random.default_rng(seed)
    shape = (shape[0], 1) if kind == "one label" else shape
    labels = (rng.random(shape) < np.linspace(0.03, 0.005, shape[1])).astype(float)
    labels[:, 1:2] = 0
    scores = (rng.uniform(2, 6) * labels + rng.normal(size=shape)).round(rng.integers(0, 3))
    if kind == "constant":
        scores[:] = 1
    if kind == "unknown":
        labels[rng.random(shape) < 0.2] = np.nan
        labels[::11] = np.nan
    if kind == "soft":
        labels *= rng.integers(1, 5, shape) / 4
    weight = rng.integers(0, 9, len(labels)) / 4 if kind == "weighted" else None
    return scores.astype(np.float32 if seed % 2 else np.float64), labels, weight


@pytest.fixture
def always(monkeypatch):
    """Keep the highest cells of matrices of any size, in small blocks."""
    monkeypatch.setattr(highest, "LARGEST_MATRIX", 0)
    monkeypatch.setattr(highest, "_CELLS_PER_BLOCK", 200)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 600)
    monkeypatch.setattr(highest, "_LARGEST_PART", np.inf)


def folds_of(n_rows, n_folds=3):
    numbers = np.arange(n_rows)
    return [(numbers[numbers % n_folds != k], numbers[numbers % n_folds == k]) for k in range(3)]


@parametrize_pairwise(kind=KINDS, beta=[0.5, 1.0, 2.0], per_label=[False, True])
def test_certified_cells_give_what_the_matrix_gives(kind, beta, per_label, always, monkeypatch):
    """Whatever is kept at first: fewer cells are certified less often, but never wrong."""
    measure, thresholds = FMeasure("micro", beta), "per_label" if per_label else "global"
    n_certified, n_cut = 0, 0
    for seed in range(12):
        monkeypatch.setattr(highest, "_CELLS_PER_POSITIVE", [0.2, 0.5, 1.0][seed % 3])
        monkeypatch.setattr(highest, "_LARGEST_PART", [0, np.inf][seed % 4 < 2])
        scores, labels, weight = scored(kind, seed)
        targets = encode_targets(labels[:, 0] if kind == "one label" else labels)
        splits = folds_of(len(labels))
        ask = highest.scorers_of_folds(targets, splits, weight, measure, per_label=per_label)
        model = Reader().fit(scores, labels)
        folds = [score(model, scores[test]) for score, (_, test) in zip(ask, splits, strict=True)]
        whole = held_out_of_folds(targets, splits, [scores[test] for _, test in splits], weight)
        cells = highest.certified_cells(folds, measure, per_label=per_label)
        if cells is None:
            continue
        n_certified += 1
        n_cut += cells.cut > -np.inf
        expected, found = (tune(part, measure, thresholds, 0.0)[0] for part in (whole, cells))
        np.testing.assert_array_equal(found, expected)
        assert measure.score(cells, found) == measure.score(whole, expected)
        for value in (0.0, expected):
            for one, same in zip(cells.counts(value)[0], whole.counts(value)[0], strict=True):
                np.testing.assert_array_equal(one, same)
    assert n_certified >= 5
    assert n_cut >= 3 or kind == "constant"


@pytest.mark.parametrize(
    ("per_positive", "largest_part", "n_scorings"),
    [
        (1.5, 1 / 8, 2),  # too few at first, and what is needed is a small part
        (1.5, 0, 1),  # no part is small enough
        (20.0, 1 / 8, 1),  # enough at first
    ],
)
@pytest.mark.parametrize("per_label", [False, True])
def test_rows_are_scored_again_where_that_helps(
    per_label, per_positive, largest_part, n_scorings, always, monkeypatch
):
    monkeypatch.setattr(highest, "_CELLS_PER_POSITIVE", per_positive)
    monkeypatch.setattr(highest, "_LARGEST_PART", largest_part)
    rng = np.random.default_rng(0)
    labels = np.zeros((120, 400), dtype=int)
    labels[:, :20] = rng.random((120, 20)) < 0.02
    scores = 3.0 * labels + rng.normal(size=labels.shape)
    cells, calls = _cells_and_calls(scores, labels, per_label, monkeypatch)
    assert calls == [n_scorings] * 3
    assert cells is not None or not largest_part


def test_rows_are_not_scored_again_where_all_cells_are_kept(always, monkeypatch):
    monkeypatch.setattr(highest, "_CELLS_PER_POSITIVE", 1.0)
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 5)) < 0.6).astype(int)
    cells, calls = _cells_and_calls(rng.normal(size=(60, 5)), labels, False, monkeypatch)
    assert cells.cut == -np.inf
    assert calls == [1] * 3


def _cells_and_calls(scores, labels, per_label, monkeypatch):
    """Certified cells of three folds, and how often the rows of each were scored."""
    measure, splits, calls = FMeasure("micro"), folds_of(len(labels)), []
    collect = highest.FoldRows.collect

    def counted(self, *arguments):
        calls[-1] += 1
        return collect(self, *arguments)

    monkeypatch.setattr(highest.FoldRows, "collect", counted)
    model, folds = Reader().fit(scores, labels), []
    ask = highest.scorers_of_folds(
        encode_targets(labels), splits, None, measure, per_label=per_label
    )
    for score, (_, test) in zip(ask, splits, strict=True):
        calls.append(0)
        folds.append(score(model, scores[test]))
    return highest.certified_cells(folds, measure, per_label=per_label), calls


ATTRIBUTES = ["best_thresholds_", "best_score_", "scores_by_thresholds_", "label_results_"]


def same_results(found, expected):
    for name in ATTRIBUTES:
        np.testing.assert_equal(getattr(found, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("thresholds", ["global", "per_label"])
@pytest.mark.parametrize("kind", ["hard", "weighted", "unknown", "soft", "constant"])
@pytest.mark.parametrize("cv", [3, "prefit"])
@pytest.mark.filterwarnings("ignore:the positives of")
def test_the_tuner_finds_the_same(kind, cv, thresholds, always, monkeypatch):
    scores, labels, weight = scored(kind, 1)
    options = {"cv": cv, "refit": cv == 3, "thresholds": thresholds, "random_state": 0}
    model = Reader().fit(scores, labels)
    found = Tuned(model, **options).fit(scores, labels, sample_weight=weight)
    monkeypatch.setattr(highest, "LARGEST_MATRIX", 2**27)
    same_results(found, Tuned(model, **options).fit(scores, labels, sample_weight=weight))


@pytest.mark.filterwarnings("ignore:the positives of")
def test_the_tuner_scores_again_where_cells_are_too_few(always, monkeypatch):
    monkeypatch.setattr(highest, "_CELLS_PER_POSITIVE", 0.01)
    monkeypatch.setattr(highest, "keeps_highest_cells", lambda *arguments: True)
    module = "sklearn_mlce.model_selection._tuned_threshold.keeps_highest_cells"
    monkeypatch.setattr(highest, "_LARGEST_PART", 0)
    scores, labels, _ = scored("hard", 1)
    monkeypatch.setattr(module, lambda *arguments: True)
    Reader.n_fits = 0
    found = Tuned(Reader(), random_state=0).fit(scores, labels)
    assert Reader.n_fits == 7  # three folds twice, and all rows
    monkeypatch.setattr(module, lambda *arguments: False)
    same_results(found, Tuned(Reader(), random_state=0).fit(scores, labels))


@pytest.mark.filterwarnings("ignore:the positives of")
def test_curves_keep_the_matrix(always):
    """So that `cv_results_` has all of them."""
    scores, labels, _ = scored("hard", 1)
    model = Reader().fit(scores, labels)
    tuned = Tuned(model, cv="prefit", refit=False, store_cv_results=True)
    curve = tuned.fit(scores, labels).cv_results_
    assert len(curve["thresholds"]) == len(np.unique(scores[labels > 0]))


@pytest.mark.parametrize("thresholds", ["global", "per_label", None])
@pytest.mark.parametrize("enough", [True, False])
def test_the_cv_estimator_finds_the_same(enough, thresholds, always, monkeypatch):
    """By "sgd", whose fits are the same from anew."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 5)).astype(np.float32)
    Y = sp.csr_array((X @ rng.normal(size=(5, 30)) > 3.5).astype(np.int8))
    options = {"thresholds": thresholds, "solver": "sgd", "max_iter": 3, "random_state": 0}
    if not enough:
        monkeypatch.setattr(highest, "_CELLS_PER_POSITIVE", 0.01)
        monkeypatch.setattr(highest.HighestCells, "certified", lambda *_, **__: False)
    found = MLCEClassifierCV([1.0, 10.0], **options).fit(X, Y)
    monkeypatch.setattr(highest, "LARGEST_MATRIX", 2**27)
    expected = MLCEClassifierCV([1.0, 10.0], **options).fit(X, Y)
    for name in ("C_", "scores_", "thresholds_", "intercept_"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-6)


class Maker(Reader):
    """Makes scores of row numbers."""

    def decision_function(self, X):
        phases = np.arange(len(self.classes_), dtype=np.float32)
        return np.sin(np.asarray(X, dtype=np.float32) * 0.7 + phases * phases)


@pytest.mark.filterwarnings("ignore:the positives of")
def test_memory_is_that_of_the_kept_cells(monkeypatch):
    """Here eight for each of some 500 positives, of each of three folds, twice."""
    shape = (3000, 400)
    monkeypatch.setattr(highest, "_CELLS_PER_BLOCK", 2**14)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 2**14)
    X = np.arange(shape[0])[:, None]
    scores = Maker().fit(X, np.zeros(shape)).decision_function(X)
    Y = sp.csr_array((scores > 0.999999).astype(np.int8))  # the cells that the maker ranks first
    peaks = {}
    for name, largest in (("matrix", 2**27), ("cells", 0)):
        monkeypatch.setattr(highest, "LARGEST_MATRIX", largest)
        tracemalloc.start()
        Tuned(Maker(), random_state=0).fit(X, Y)
        peaks[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks["cells"] < peaks["matrix"] / 5
    assert peaks["cells"] < 0.6 * scores.nbytes


@pytest.mark.filterwarnings("ignore:the positives of")
def test_folds_are_scored_in_other_processes(always):
    """What they are sent, and what they answer, is pickled."""
    scores, labels, _ = scored("hard", 1)
    alone = Tuned(Reader(), random_state=0).fit(scores, labels)
    same_results(Tuned(Reader(), n_jobs=2, random_state=0).fit(scores, labels), alone)


def test_a_fold_without_positives_or_counted_rows(always):
    scores, labels, _ = scored("hard", 0)
    weight = np.ones(len(labels))
    splits = folds_of(len(labels))
    labels[splits[0][1]] = 0
    weight[splits[1][1]] = 0
    targets, measure = encode_targets(labels), FMeasure("micro")
    ask = highest.scorers_of_folds(targets, splits, weight, measure, per_label=True)
    model = Reader().fit(scores, labels)
    folds = [score(model, scores[test]) for score, (_, test) in zip(ask, splits, strict=True)]
    cells = highest.certified_cells(folds, measure, per_label=True)
    whole = held_out_of_folds(targets, splits, [scores[test] for _, test in splits], weight)
    expected = tune(whole, measure, "per_label", 0.0)[0]
    np.testing.assert_array_equal(tune(cells, measure, "per_label", 0.0)[0], expected)
