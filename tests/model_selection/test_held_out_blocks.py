"""Held-out scores: read by blocks that change nothing, kept once, released before the refit."""

import tracemalloc
import weakref
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_mlce.calibration import MultilabelCalibratedClassifierCV as Calibrated
from sklearn_mlce.calibration import fit_calibration_map
from sklearn_mlce.model_selection import MultilabelTunedThresholdClassifierCV as Tuned
from sklearn_mlce.model_selection import tune_thresholds

N_ROWS, N_LABELS = 120, 7
BLOCKS = [1, 3 * N_ROWS, N_LABELS * N_ROWS]  # cells: a row or a label, three labels, all of them
CELLS_PER_BLOCK = "sklearn_mlce.model_selection._f_measure._CELLS_PER_BLOCK"


class Reader(ClassifierMixin, BaseEstimator):
    """Finds the scores of the labels in the features."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.arange(y.shape[1])
        return self

    def decision_function(self, X):
        return np.asarray(X)


def scored(kind):
    """Scores with ties, their labels and weights; a label with one positive, one without."""
    rng = np.random.default_rng(0)
    labels = (rng.random((N_ROWS, N_LABELS)) < np.linspace(0.6, 0.05, N_LABELS)).astype(float)
    labels[:, -2:] = 0
    labels[3, -2] = 1
    scores = (2 * labels + rng.normal(size=labels.shape) - 1).round(1)
    if kind == "unknown":
        labels[rng.random(labels.shape) < 0.2] = np.nan
        labels[::11] = np.nan
    if kind == "soft":
        labels = np.clip(labels - 0.3 * rng.random(labels.shape), 0, 1)
    weight = rng.uniform(0, 2, N_ROWS).round(1) if kind == "weighted" else None
    return scores, labels, weight


def in_blocks(monkeypatch, answer):
    """Answers with blocks of each size."""
    found = []
    for n_cells in BLOCKS:
        monkeypatch.setattr(CELLS_PER_BLOCK, n_cells)
        found.append(answer())
    return found


@pytest.mark.parametrize("kind", ["plain", "weighted", "unknown", "soft"])
@pytest.mark.parametrize("scoring", ["f1_micro", "f1_macro", "f1_samples"])
def test_thresholds_do_not_depend_on_blocks(monkeypatch, kind, scoring):
    scores, labels, weight = scored(kind)
    thresholds = "global" if scoring == "f1_samples" else "per_label"

    def answer():
        tuned = Tuned(
            Reader(), scoring=scoring, thresholds=thresholds, random_state=0, store_cv_results=True
        ).fit(scores, labels, sample_weight=weight)
        return {
            "thresholds": tuned.best_thresholds_,
            "given": tune_thresholds(labels, scores, scoring=scoring, sample_weight=weight),
            **tuned.scores_by_thresholds_,
            **tuned.label_results_,
            **{
                name: np.concatenate([np.ravel(v) for v in values])
                for name, values in tuned.cv_results_.items()
            },
        }

    first, *others = in_blocks(monkeypatch, answer)
    # Sums over rows are taken block by block: of whole numbers they are exact.
    exact = kind in ("plain", "unknown") and scoring == "f1_micro"
    for other in others:
        for name, value in first.items():
            np.testing.assert_allclose(
                other[name], value, rtol=0 if exact else 1e-12, atol=0, err_msg=name
            )


@pytest.mark.parametrize("kind", ["plain", "weighted", "unknown", "soft"])
@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "scale"])
@pytest.mark.filterwarnings("ignore:the positives of")
def test_maps_do_not_depend_on_blocks(monkeypatch, kind, method):
    scores, labels, weight = scored(kind)

    def answer():
        model = Calibrated(Reader(), method=method, cv=3, random_state=0)
        model.fit(scores, labels, sample_weight=weight)
        (member,) = model.calibrated_classifiers_
        given = fit_calibration_map(labels, scores, method=method, sample_weight=weight)
        return [*vars(member.calibrator).values(), given.slopes, given.intercepts]

    first, *others = in_blocks(monkeypatch, answer)
    for other in others:
        for one, same in zip(first, other, strict=True):
            np.testing.assert_allclose(same, one, rtol=1e-11, atol=1e-12)


class Maker(ClassifierMixin, BaseEstimator):
    """Makes scores of row numbers, and notes what is in memory when a fit begins."""

    fitted: ClassVar = weakref.WeakSet()
    notes: ClassVar = []

    def fit(self, X, y):
        Maker.notes.append((len(Maker.fitted), tracemalloc.get_traced_memory()[0]))
        self.classes_ = np.arange(y.shape[1])
        Maker.fitted.add(self)
        return self

    def decision_function(self, X):
        phases = np.arange(len(self.classes_), dtype=np.float32)
        return np.sin(X.astype(np.float32) * 0.7 + phases * phases)


LARGE = (600, 400)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Tuned(Maker(), random_state=0),
        lambda: Tuned(Maker(), thresholds="per_label", random_state=0),
        lambda: Calibrated(Maker(), cv=3, random_state=0),
    ],
    ids=["global", "per_label", "sigmoid"],
)
def test_scores_are_held_once_and_not_during_the_refit(monkeypatch, make):
    """Beside them, at the peak, those of the folds that they are being copied from."""
    monkeypatch.setattr(CELLS_PER_BLOCK, 2**12)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 2**12)
    rng = np.random.default_rng(0)
    Y = sp.csr_array((rng.random(LARGE) < 0.01).astype(np.int8))
    X = np.arange(LARGE[0])[:, None]
    matrix = 4 * LARGE[0] * LARGE[1]
    Maker.notes.clear()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    make().fit(X, Y)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    n_fitted, held = zip(*Maker.notes, strict=True)
    assert n_fitted == (0, 0, 0, 0)  # each fold's estimator is gone when the next is fitted
    assert held[-1] - before < 0.6 * matrix  # and all scores when the last is
    assert peak < 2.5 * matrix


@pytest.mark.parametrize("kind", ["plain", "weighted"])
def test_a_sample_that_leads_the_way_changes_no_map(monkeypatch, kind):
    scores, labels, weight = scored(kind)
    expected = fit_calibration_map(labels, scores, sample_weight=weight)
    monkeypatch.setattr("sklearn_mlce.calibration._maps._CELLS_WITHOUT_SAMPLE", 0)
    found = fit_calibration_map(labels, scores, sample_weight=weight)
    np.testing.assert_allclose(found.slopes, expected.slopes, rtol=1e-6)
    np.testing.assert_allclose(found.intercepts, expected.intercepts, rtol=1e-6)


def test_a_fold_whose_rows_have_no_weight_changes_nothing():
    scores, labels, _ = scored("plain")
    numbers, weight = np.arange(N_ROWS), np.ones(N_ROWS)
    first, second = ((numbers[numbers % 3 != k], numbers[numbers % 3 == k]) for k in (0, 1))
    weight[second[1]] = 0
    both = Tuned(Reader(), cv=[first, second]).fit(scores, labels, sample_weight=weight)
    alone = Tuned(Reader(), cv=[first]).fit(scores, labels, sample_weight=weight)
    assert both.scores_by_thresholds_ == alone.scores_by_thresholds_
