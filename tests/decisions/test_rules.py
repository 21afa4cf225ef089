"""The rules against all 2^L sets of labels, and against their slow, obvious forms."""

import inspect
import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import f1_score

from sklearn_mlce.decisions import (
    best_and_above,
    best_within_budget,
    f1_thresholds,
    maximize_f1,
)
from sklearn_mlce.decisions._expected_f1 import best_label_counts

RULES = {
    "samples": maximize_f1,
    "micro": lambda p: maximize_f1(p, "micro"),
    "macro": lambda p: maximize_f1(p, "macro"),
    "total": lambda p: best_within_budget(p, total=7),
    "per row": lambda p: best_within_budget(p, per_row=2),
    "best and above": best_and_above,
}
on_each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def all_sets(n_labels):
    return np.array(list(itertools.product((0, 1), repeat=n_labels)))


def expected_f1(p, predicted, zero_division):
    """Expected F1 of each of some sets, over all that a row may carry, each label by itself."""
    carried = all_sets(len(p))
    chance = np.where(carried, p, 1 - p).prod(axis=1)
    hits = predicted @ carried.T
    sizes = predicted.sum(axis=1)[:, None] + carried.sum(axis=1)
    f1 = np.where(sizes, 2 * hits / np.maximum(sizes, 1), zero_division)
    return f1 @ chance


def draws(n_rows, n_labels, seed=0):
    """Rows of rare, of likely and of all kinds of labels, with equal ones among them."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0.1, 2, size=(2, n_rows, 1))
    p = rng.beta(a, b, size=(n_rows, n_labels))
    p[::5] = p[::5].round(1)
    return p


@pytest.mark.parametrize("zero_division", [0.0, 0.4, 1])
@pytest.mark.parametrize("n_labels", [1, 2, 5, 8])
def test_example_f1_is_the_best_of_all_sets(n_labels, zero_division):
    p, sets = draws(40, n_labels), all_sets(n_labels)
    for row, chosen in zip(p, maximize_f1(p, zero_division=zero_division), strict=True):
        best = expected_f1(row, sets, zero_division).max()
        (reached,) = expected_f1(row, chosen[None], zero_division)
        assert reached == pytest.approx(best, abs=1e-12)


def poisson_binomial(p):
    """Distribution of the number of labels carried."""
    chance = np.ones(1)
    for one in p:
        chance = np.convolve(chance, [1 - one, one])
    return chance


def values_by_distribution(p, largest):
    """Expected F1 of the k most probable labels, k = 1, 2, ..., by S_k and the rest."""
    values = []
    for k in range(1, largest + 1):
        hits, others = poisson_binomial(p[:k]), poisson_binomial(p[k:])
        i, j = np.arange(len(hits))[:, None], np.arange(len(others))
        values.append((hits[:, None] * others * 2 * i / (k + i + j)).sum())
    return np.array(values)


@pytest.mark.parametrize(
    ("n_labels", "a", "b"),
    [(30, 1, 1), (400, 0.02, 1), (1000, 0.01, 1), (700, 0.3, 15), (100, 9, 1)],
)
def test_example_f1_of_many_labels(n_labels, a, b):
    """Fewer nodes than labels, and labels that are multiplied in by their power sums."""
    p = np.sort(np.random.default_rng(0).beta(a, b, size=(3, n_labels)), axis=1)[:, ::-1]
    for row, count in zip(p, best_label_counts(p, 0.0), strict=True):
        values = values_by_distribution(row, min(n_labels, 100))
        assert values[count - 1] == pytest.approx(values.max(), rel=1e-11)
        assert values.argmax() < 90 or n_labels == 100  # so many are looked at


def test_labels_of_certain_rows_are_the_labels_themselves():
    truth = (np.random.default_rng(0).random((50, 7)) < 0.3).astype(float)
    for rule in ("samples", "micro", "macro"):
        np.testing.assert_array_equal(maximize_f1(truth, rule), truth)
    np.testing.assert_array_equal(maximize_f1(truth, zero_division=1), truth)


def test_rows_without_labels_are_found_if_they_count():
    unlikely = np.full((1, 3), 0.1)
    assert maximize_f1(unlikely).sum() > 0
    assert maximize_f1(unlikely, zero_division=1).sum() == 0


@pytest.mark.parametrize("average", ["micro", "macro"])
def test_plug_in_rules_are_the_best_of_all_sets(average):
    """Of the ratio of expected counts, whose maximum lies above thresholds of half its value."""
    for seed in range(15):
        p = draws(4, 2, seed)
        sets = all_sets(p.size).reshape(-1, *p.shape)
        axis = (1, 2) if average == "micro" else 1
        sizes = p.sum() if average == "micro" else p.sum(axis=0)
        f1 = 2 * (sets * p).sum(axis=axis) / (sets.sum(axis=axis) + sizes)
        best = f1.max(axis=0)
        np.testing.assert_allclose(2 * f1_thresholds(p, average), best)
        chosen = maximize_f1(p, average)
        (reached,) = f1[(sets == chosen).all(axis=(1, 2))]
        np.testing.assert_allclose(reached, best)


@pytest.mark.parametrize("average", ["samples", "micro", "macro"])
def test_no_other_rule_has_more_f1_where_the_probabilities_are_true(average):
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 1.2, size=(4000, 12)) * np.linspace(0.1, 1, 12)
    truth = rng.random(p.shape) < p
    reached = {
        name: f1_score(truth, rule(p), average=average, zero_division=0)
        for name, rule in RULES.items()
    }
    half = f1_score(truth, p > 0.5, average=average, zero_division=0)
    assert max(reached, key=reached.get) == average
    assert reached[average] > half + 0.05


def test_macro_of_many_rows_is_the_exact_rule_of_the_columns():
    """The plug-in rule leaves out how counts spread, which many rows make up for."""
    p = np.random.default_rng(0).beta(0.5, 2, size=(3000, 3))
    exact = maximize_f1(p.T).T
    assert (exact != maximize_f1(p, "macro")).mean() < 0.002


def test_row_weights_are_rows_that_are_there_so_often():
    p, times = draws(30, 5), np.arange(30) % 3
    for average in ("micro", "macro"):
        weighted = f1_thresholds(p, average, sample_weight=times)
        np.testing.assert_allclose(weighted, f1_thresholds(p.repeat(times, axis=0), average))


@pytest.mark.parametrize(
    ("total", "per_row"), [(0, None), (3, None), (100, None), (None, 1), (None, 9), (3, 2), (4, 1)]
)
def test_a_budget_has_the_most_hits_of_all_sets(total, per_row):
    for seed in range(8):
        p = draws(3, 4, seed)
        sets = all_sets(p.size).reshape(-1, *p.shape)
        within = np.ones(len(sets), dtype=bool)
        if total is not None:
            within &= sets.sum(axis=(1, 2)) <= total
        if per_row is not None:
            within &= (sets.sum(axis=2) <= per_row).all(axis=1)
        chosen = best_within_budget(p, total=total, per_row=per_row)
        assert within[(sets == chosen).all(axis=(1, 2))].all()
        assert (chosen * p).sum() == pytest.approx((sets[within] * p).sum(axis=(1, 2)).max())


def test_a_budget_breaks_ties_by_position_and_leaves_what_cannot_be():
    even = np.full((3, 3), 0.5)
    assert best_within_budget(even, total=4).ravel().tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert best_within_budget(even, per_row=2).tolist() == [[1, 1, 0]] * 3
    assert best_within_budget(np.zeros((2, 2)), total=3, per_row=1).sum() == 0


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 1])
def test_the_best_label_and_the_next_ones(threshold):
    p = draws(50, 4)
    chosen = best_and_above(p, threshold)
    for row, of_row in zip(p, chosen, strict=True):
        expected = {int(row.argmax())} | set(np.flatnonzero(row > threshold).tolist())
        assert set(np.flatnonzero(of_row).tolist()) == expected
    assert best_and_above(np.zeros((2, 3))).tolist() == [[1, 0, 0]] * 2


@on_each_rule
def test_forms_of_probabilities(rule):
    p = draws(20, 6).astype(np.float32)
    expected = rule(p.astype(np.float64))
    assert expected.dtype == np.int64
    assert set(np.unique(expected)) <= {0, 1}
    for form in (p, p.tolist(), np.asfortranarray(p)):
        np.testing.assert_array_equal(rule(form), expected)
    read_only = p.copy()
    read_only.setflags(write=False)
    np.testing.assert_array_equal(rule(read_only), expected)


@on_each_rule
def test_the_order_of_labels_and_blocks_of_rows_do_not_matter(rule, monkeypatch):
    p = np.random.default_rng(1).random((40, 6))
    expected, order = rule(p), np.random.default_rng(0).permutation(6)
    np.testing.assert_array_equal(rule(p[:, order]), expected[:, order])
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 20)
    monkeypatch.setattr("sklearn_mlce.decisions._expected_f1._ENTRIES_PER_BLOCK", 20)
    np.testing.assert_array_equal(rule(p), expected)


@on_each_rule
@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ([[0.5, -0.1]], r"reach from -0.1 to 0.5; expected numbers from 0 to 1. Scores are calibr"),
        ([[0.5, 1.1]], "reach from 0.5 to 1.1"),
        ([[0.5, np.nan]], "contains NaN"),
        ([0.5, 0.1], "Expected 2D array"),
        (np.zeros((2, 3, 2)), "dim 3"),
        ([np.full((3, 2), 0.5)] * 4, r"list of 4 matrices.*Pass np.column_stack"),
        (np.empty((0, 3)), "minimum of 1 is required"),
    ],
)
def test_what_is_no_probability_is_refused(rule, probabilities, message):
    with pytest.raises(ValueError, match=message):
        rule(probabilities)


def test_text_is_refused():
    with pytest.raises(TypeError, match=r"probabilities holds text in column 0 .*astype\(float\)"):
        maximize_f1([["a", "b"]])


def test_sparse_probabilities_are_refused():
    with pytest.raises(TypeError, match=r"toarray\(\)"):
        maximize_f1(sp.csr_array(np.eye(3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: maximize_f1(p, "weighted"), "average='weighted' is not known here; expected on"),
        (lambda p: f1_thresholds(p, "samples"), "expected one of 'micro', 'macro'"),
        (lambda p: maximize_f1(p, zero_division=2), "zero_division must be a number from 0 to 1"),
        (lambda p: maximize_f1(p, "micro", zero_division=1), "does not look at rows. Leave it out"),
        (lambda p: f1_thresholds(p, sample_weight=[1, -1]), "egative"),
        (lambda p: best_within_budget(p), "no budget was given; expected .* total=..."),
        (lambda p: best_within_budget(p, total=1.5), "total must be a non-negative integer"),
        (lambda p: best_within_budget(p, per_row=-1), "per_row must be a non-negative integer"),
        (lambda p: best_within_budget(p, per_row=True), "got True"),
        (lambda p: best_and_above(p, -1), "threshold must be a number from 0 to 1, got -1"),
        (lambda p: best_and_above(p, "half"), "threshold must be a number from 0 to 1, got 'half'"),
    ],
    ids=lambda value: inspect.getsource(value).strip()[:40] if callable(value) else "",
)
def test_unknown_options_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.full((2, 3), 0.5))
