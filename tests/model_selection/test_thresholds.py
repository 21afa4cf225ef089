"""The sweeps find what trying every threshold finds."""

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import (
    f1_score,
    fbeta_score,
    get_scorer,
    make_scorer,
    precision_score,
    recall_score,
)

from sklearn_mlce.model_selection import _f_measure as objectives
from sklearn_mlce.model_selection._f_measure import AVERAGES, FMeasure, HeldOut, f_measure_of
from sklearn_mlce.model_selection._sweep import (
    SHRINKAGE,
    global_curve,
    label_thresholds,
    shrink,
    tune,
)
from tests.helpers.pairwise import parametrize_pairwise

KINDS = ["hard", "soft", "weighted", "unscored"]
NEVER = 99.0


def case(kind, seed, n_rows=8, n_labels=3):
    """Few rows with many ties; masses as given, no row without a known cell."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, (n_rows, n_labels)).astype(float)
    mass = (rng.random((n_rows, n_labels)) < 0.4).astype(float)
    if kind == "soft":
        mass *= rng.uniform(0.1, 1, mass.shape)
    if kind == "unscored":
        scores[rng.random(scores.shape) < 0.2] = -np.inf
    weight = rng.uniform(0.5, 3, n_rows) if kind == "weighted" else None
    return HeldOut(scores, sp.csr_array(mass), weight)


def slow(held_out, thresholds, average, beta=1.0):
    """The objective by the definition, cell by cell."""
    mass = held_out.positives.toarray()
    weight = held_out.row_weight()
    predicted = held_out.scores > thresholds

    def f(cells):
        hits = sum(weight[r] * mass[r, c] for r, c in cells if predicted[r, c])
        total = sum(weight[r] * mass[r, c] for r, c in cells)
        said = sum(weight[r] for r, c in cells if predicted[r, c])
        below = beta**2 * total + said
        return (1 + beta**2) * hits / below if below else 0.0

    rows, labels = map(range, mass.shape)
    if average == "micro":
        return f(list(product(rows, labels)))
    if average == "macro":
        return np.mean([f([(r, c) for r in rows]) for c in labels])
    return np.average([f([(r, c) for c in labels]) for r in rows], weights=weight)


def all_thresholds(held_out):
    """One in every gap between scores, one below all, one above all."""
    scores = np.unique(held_out.scores)
    scores = scores[np.isfinite(scores)]
    return [-1.0, *(scores[1:] + scores[:-1]) / 2, NEVER]


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_global_threshold_is_the_best_of_all(kind, average, beta, monkeypatch):
    objective = FMeasure(average, beta)
    for seed in range(15):
        monkeypatch.setattr(objectives, "_CELLS_PER_BLOCK", [2**20, 6][seed % 2])
        held_out = case(kind, seed)
        threshold, curve = tune(held_out, objective, "global", 0.0)
        reached = slow(held_out, threshold, average, beta)
        best = max(slow(held_out, other, average, beta) for other in all_thresholds(held_out))
        assert reached == pytest.approx(best, rel=1e-12)
        assert objective.score(held_out, threshold) == pytest.approx(reached, rel=1e-12)
        expected = [slow(held_out, other, average, beta) for other in curve.thresholds]
        np.testing.assert_allclose(curve.values, expected, rtol=1e-12)


@parametrize_pairwise(kind=KINDS, average=["micro", "macro"], beta=[1.0, 0.5])
def test_thresholds_per_label_are_the_best_of_all(kind, average, beta):
    objective = FMeasure(average, beta)
    for seed in range(5):
        held_out = case(kind, seed, n_rows=6)
        own, n_positives = label_thresholds(held_out, objective)
        own = np.where(n_positives > 0, own, NEVER)
        combinations = product(all_thresholds(held_out), repeat=3)
        best = max(objective.score(held_out, np.array(choice)) for choice in combinations)
        assert slow(held_out, own, average, beta) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("average", AVERAGES)
def test_objective_is_scikit_learns(average):
    drawn = case("hard", 0)
    mass = drawn.positives.toarray()
    mass[0] = 0  # a row without a positive; the last label is never predicted
    held_out = HeldOut(drawn.scores, sp.csr_array(mass))
    thresholds = np.array([1.0, 2.0, NEVER])
    predicted = held_out.scores > thresholds
    for beta in (0.5, 1.0, 2.0):
        expected = fbeta_score(mass, predicted, beta=beta, average=average, zero_division=0.0)
        assert FMeasure(average, beta).score(held_out, thresholds) == pytest.approx(expected)


@pytest.mark.parametrize("average", AVERAGES)
def test_weight_two_is_a_row_twice(average):
    held_out, objective = case("hard", 3), FMeasure(average)
    times = np.array([1, 2, 3, 1, 1, 2, 1, 4])
    mass = sp.csr_array(held_out.positives.toarray().repeat(times, axis=0))
    repeated = HeldOut(held_out.scores.repeat(times, axis=0), mass)
    weighted = HeldOut(held_out.scores, held_out.positives, times.astype(float))
    for thresholds in ("global", "per_label")[: 1 if average == "samples" else 2]:
        np.testing.assert_allclose(
            tune(weighted, objective, thresholds, 0.0)[0],
            tune(repeated, objective, thresholds, 0.0)[0],
        )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_threshold_parts_neighbouring_floats(dtype):
    low = dtype(0.1)
    high = np.nextafter(low, dtype(1))
    scores = np.array([[low], [high], [low], [high]], dtype=dtype)
    held_out = HeldOut(scores, sp.csr_array(np.array([[0.0], [1.0], [0.0], [1.0]])))
    threshold, _ = tune(held_out, FMeasure("micro"), "global", 0.0)
    assert (scores > np.array([threshold])).ravel().tolist() == [False, True, False, True]
    everything = HeldOut(scores, sp.csr_array(np.ones((4, 1))))
    threshold, _ = tune(everything, FMeasure("micro"), "global", 0.0)
    assert (scores > np.array([threshold])).all()


def test_nothing_to_learn_from_leaves_the_default():
    scores = np.array([[1.0, -np.inf], [2.0, -np.inf]])
    held_out = HeldOut(scores, sp.csr_array(np.array([[0.0, 1.0], [0.0, 0.0]])))
    for average in AVERAGES:
        assert tune(held_out, FMeasure(average), "global", 0.25)[0] == 0.25
    for average in ("micro", "macro"):
        thresholds, _ = tune(held_out, FMeasure(average), "per_label", 0.25)
        assert thresholds.tolist() == [0.25, 0.25]


def test_shrinking_is_halfway_at_its_number_of_positives():
    own = np.array([2.0, 2.0, np.nan])
    shrunk = shrink(own, np.array([SHRINKAGE, 1e12, 0.0]), -1.0, SHRINKAGE)
    np.testing.assert_allclose(shrunk, [0.5, 2.0, -1.0])


def test_rare_labels_are_held_by_the_threshold_for_micro_f1():
    """Whatever is tuned: the threshold for the mean over labels is where rare labels have it."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(400, 4))
    mass = np.zeros((400, 4))
    mass[:, :2] = scores[:, :2] > [0.5, -0.5]
    mass[:20, 2:] = scores[:20, 2:] > -1.5
    held_out = HeldOut(scores, sp.csr_array(mass))
    objective = FMeasure("macro")
    (micro, _), (macro, curve) = (
        tune(held_out, FMeasure(average), "global", 0.0) for average in ("micro", "macro")
    )
    tuned, _ = tune(held_out, objective, "per_label", 0.0)
    own, n_positives = label_thresholds(held_out, objective)
    assert abs(micro - macro) > 0.1
    assert objective.score(held_out, tuned) >= curve.values.max()
    np.testing.assert_allclose(tuned, shrink(own, n_positives, micro, SHRINKAGE))


def test_thresholds_per_label_that_lose_to_one_are_drawn_towards_that_one():
    rng = np.random.default_rng(0)
    # A frequent label far above a few rare ones: the threshold for micro-F1 misses the rare.
    scores = np.column_stack([rng.normal(10, 1, 300), rng.normal(0, 1, (300, 4))])
    mass = np.column_stack([rng.random(300) < 0.5, scores[:, 1:] > 2.0]).astype(float)
    held_out = HeldOut(scores, sp.csr_array(mass))
    objective = FMeasure("macro")
    macro = tune(held_out, objective, "global", 0.0)[0]
    tuned, _ = tune(held_out, objective, "per_label", 0.0)
    own, n_positives = label_thresholds(held_out, objective)
    np.testing.assert_allclose(tuned, shrink(own, n_positives, macro, SHRINKAGE))


def test_a_label_best_left_alone_lies_above_its_scores():
    """Micro-F1 pays for a label whose positives drown among its negatives."""
    scores = np.column_stack([np.arange(20.0), np.arange(20.0)])
    mass = np.zeros((20, 2))
    mass[10:, 0] = 1
    mass[0, 1] = 1
    own, _ = label_thresholds(HeldOut(scores, sp.csr_array(mass)), FMeasure("micro"))
    assert own.tolist() == [9.5, 19.0]


def test_curve_ascends_over_the_scores_of_positives():
    held_out = case("hard", 1)
    curve = global_curve(held_out, FMeasure("macro"))
    assert (np.diff(curve.thresholds) > 0).all()
    assert len(curve.values) == len(np.unique(held_out.cells()[2]))


@pytest.mark.parametrize("average", AVERAGES)
def test_scorers_stand_for_objectives(average):
    assert f_measure_of(f"f1_{average}", "global") == FMeasure(average)
    assert f_measure_of(get_scorer(f"f1_{average}"), "global") == FMeasure(average)
    scorer = make_scorer(f1_score, average=average, zero_division=0.0)
    assert f_measure_of(scorer, "global") == FMeasure(average)
    scorer = make_scorer(fbeta_score, beta=2, average=average)
    assert f_measure_of(scorer, "global") == FMeasure(average, 2.0)


@pytest.mark.parametrize(
    "scoring",
    [
        "accuracy",
        "f1",
        f1_score,
        make_scorer(f1_score),
        make_scorer(f1_score, average="weighted"),
        make_scorer(f1_score, average="micro", labels=[0, 1]),
        make_scorer(f1_score, average="micro", pos_label="no"),
        make_scorer(f1_score, average="macro", zero_division=1.0),
        make_scorer(f1_score, average="micro", greater_is_better=False),
    ],
)
def test_what_cannot_be_swept_is_refused(scoring):
    with pytest.raises(ValueError, match=r"has no exact best thresholds; expected 'f1_micro'"):
        f_measure_of(scoring, "global")


@pytest.mark.parametrize("beta", [np.inf, np.nan, -1.0, 1e200])
def test_a_beta_that_is_no_trade_of_precision_for_recall_is_refused(beta):
    with pytest.raises(ValueError, match=r"has beta=.*; expected a number from 0 to 1e\+06.*Pass"):
        f_measure_of(make_scorer(fbeta_score, beta=beta, average="micro"), "global")


@pytest.mark.parametrize("beta", [0, 1e6])
@pytest.mark.parametrize("average", AVERAGES)
def test_the_extremes_of_beta_are_precision_and_recall(average, beta):
    rng = np.random.default_rng(0)
    Y = rng.random((40, 5)) < 0.4
    held_out = HeldOut(Y + rng.normal(size=Y.shape), sp.csr_array(Y, dtype=float))
    objective = f_measure_of(make_scorer(fbeta_score, beta=beta, average=average), "global")
    threshold, _ = tune(held_out, objective, "global", default=0.0)
    measure = recall_score if beta else precision_score
    predicted = held_out.scores > threshold
    reached = measure(Y, predicted, average=average, zero_division=0.0)
    assert objective.score(held_out, threshold) == pytest.approx(reached, abs=1e-9)
    for other in np.quantile(held_out.scores, np.linspace(0, 1, 50)):
        quality = measure(Y, held_out.scores > other, average=average, zero_division=0.0)
        assert quality <= reached + 1e-9


def test_samples_per_label_is_refused():
    with pytest.raises(ValueError, match="depends on all labels of a row"):
        f_measure_of("f1_samples", "per_label")
