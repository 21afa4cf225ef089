"""Each measure is what scikit-learn's relative or a slow loop over rows and labels says it is."""

import math
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import (
    f1_score,
    label_ranking_average_precision_score,
    ndcg_score,
)

from sklearn_mlce.metrics import (
    f1_by_label_frequency,
    label_frequency_groups,
    label_propensities,
    masked_f1_score,
    masked_label_ranking_average_precision_score,
    ndcg_at_k,
    precision_at_k,
    propensity_scored_precision_at_k,
    recall_at_k,
)

N_ROWS, N_LABELS = 40, 7
PROPENSITIES = np.linspace(0.9, 0.2, N_LABELS)
CONTAINERS = [np.asarray, np.ndarray.tolist, sp.csr_matrix, sp.csr_array, sp.csc_array]
masked_lrap = masked_label_ranking_average_precision_score


def psp_at_k(y_true, y_score, **options):
    return propensity_scored_precision_at_k(y_true, y_score, propensities=PROPENSITIES, **options)


AT_K = [precision_at_k, recall_at_k, ndcg_at_k, psp_at_k]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def labels(rng):
    """0/1 labels, rare to frequent, with an empty and a full row and a label that none carries."""
    y = (rng.random((N_ROWS, N_LABELS)) < np.linspace(0, 0.7, N_LABELS)).astype(int)
    y[0], y[1, 1:] = 0, 1
    return y


@pytest.fixture
def scores(rng, labels):
    """Scores that know something, of which many are tied."""
    return (labels + rng.normal(size=labels.shape)).round(1)


@pytest.fixture
def unknown(rng, labels):
    """The labels, some unknown, with a row and a label of which nothing is known."""
    hidden = rng.random(labels.shape) < 0.3
    hidden[2], hidden[:, 3] = True, True
    return np.where(hidden, np.nan, labels)


def ranking(row):
    """Columns of a row of scores, the best first, ties by column."""
    return sorted(range(len(row)), key=lambda column: (-row[column], column))


def slow_at_k(measure, y, scores, k, weight):
    """Compute a measure at k from its definition, row by row and label by label."""
    total = best_total = 0.0
    for labels_of_row, row, w in zip(y, scores, weight, strict=True):
        order = ranking(row)[:k]
        carried = [column for column in range(len(row)) if labels_of_row[column]]
        hits = [column for column in order if column in carried]
        if measure is precision_at_k:
            value, best = len(hits) / k, 1.0
        elif measure is recall_at_k:
            value, best = len(hits) / max(len(carried), 1), 1.0
        elif measure is ndcg_at_k:
            gain = sum(1 / math.log2(2 + r) for r, column in enumerate(order) if column in carried)
            ideal = sum(1 / math.log2(2 + r) for r in range(min(k, len(carried))))
            value, best = (gain / ideal if carried else 0.0), 1.0
        else:
            value = sum(1 / PROPENSITIES[column] for column in hits)
            best = sum(sorted((1 / PROPENSITIES[column] for column in carried), reverse=True)[:k])
        total, best_total = total + w * value, best_total + w * best
    return total / best_total


@pytest.mark.parametrize("k", [1, 3, N_LABELS])
@pytest.mark.parametrize("measure", AT_K)
def test_at_k_is_its_definition(measure, k, labels, scores, rng):
    weight = rng.random(N_ROWS)
    expected = slow_at_k(measure, labels, scores, k, weight)
    assert measure(labels, scores, k=k, sample_weight=weight) == pytest.approx(expected)
    unweighted = slow_at_k(measure, labels, scores, k, np.ones(N_ROWS))
    assert measure(labels, scores, k=k) == pytest.approx(unweighted)


@pytest.mark.parametrize("k", [1, 3, N_LABELS])
def test_ndcg_without_ties_is_that_of_scikit_learn(k, labels, rng):
    scores = rng.normal(size=labels.shape)
    weight = rng.random(N_ROWS)
    expected = ndcg_score(labels, scores, k=k, sample_weight=weight)
    assert ndcg_at_k(labels, scores, k=k, sample_weight=weight) == pytest.approx(expected)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("measure", [*AT_K, masked_lrap])
def test_ranking_measures_take_any_matrix_of_labels(measure, container, labels, scores):
    options = {} if measure is masked_lrap else {"k": 3}
    expected = measure(labels, scores, **options)
    for dtype in (bool, np.int8, np.int64, np.float64):
        assert measure(container(labels.astype(dtype)), scores.tolist(), **options) == expected


@pytest.mark.parametrize("container", CONTAINERS)
def test_f1_takes_any_matrices_of_labels(container, labels, scores):
    predicted = (scores > 0.5).astype(int)
    for measure in (masked_f1_score, f1_by_label_frequency):
        expected = measure(labels, predicted)
        for other in (np.asarray, sp.csr_array):
            np.testing.assert_equal(measure(container(labels), other(predicted)), expected)
            np.testing.assert_equal(measure(other(labels), container(predicted)), expected)


def test_sparse_labels_are_made_dense_by_blocks_of_rows_only(rng, monkeypatch):
    n_rows, n_labels = 2000, 500
    y = sp.csr_array(rng.random((n_rows, n_labels)) < 0.01)
    scores = rng.random((n_rows, n_labels), dtype=np.float32)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 10 * n_labels)
    precision_at_k(y, scores)
    tracemalloc.start()
    precision_at_k(y, scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.8 * n_rows * n_labels


def test_label_frames_are_taken(labels, scores):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(labels)
    assert precision_at_k(frame, pd.DataFrame(scores)) == precision_at_k(labels, scores)
    assert masked_f1_score(frame, frame, average="macro", zero_division=1.0) == 1.0


@pytest.mark.parametrize("measure", [*AT_K, masked_lrap])
def test_rows_with_weight_two_count_as_two_rows(measure, labels, scores):
    weight = np.where(np.arange(N_ROWS) < 10, 2, 1)
    twice = np.repeat(np.arange(N_ROWS), weight)
    expected = measure(labels[twice], scores[twice])
    assert measure(labels, scores, sample_weight=weight) == pytest.approx(expected)


@pytest.mark.parametrize("measure", AT_K)
def test_blocks_of_rows_change_nothing(measure, labels, scores, monkeypatch):
    expected = measure(labels, scores, k=2)
    monkeypatch.setattr("sklearn_mlce._targets.targets.ENTRIES_PER_BLOCK", 3 * N_LABELS)
    assert measure(labels, scores, k=2) == expected


@pytest.mark.parametrize("measure", AT_K)
def test_the_best_order_has_one_and_the_worst_zero(measure, labels):
    carriers = labels[labels.sum(axis=1) > 0]
    best = 1.0 if measure is not precision_at_k else carriers.max(axis=1).mean()
    assert measure(carriers, carriers / PROPENSITIES, k=1) <= best
    if measure is not recall_at_k:
        assert measure(carriers, carriers / PROPENSITIES, k=1) == pytest.approx(best)
    few = labels[(labels.sum(axis=1) > 0) & (labels.sum(axis=1) < N_LABELS - 2)]
    assert measure(few, -few, k=2) == 0.0


def test_precision_counts_ties_by_column():
    assert precision_at_k([[0, 1, 1]], [[0.0, 0.0, 0.0]], k=1) == 0.0
    assert precision_at_k([[1, 0, 0]], [[0.0, 0.0, 0.0]], k=1) == 1.0


def test_recall_of_rows_without_labels_is_what_was_asked_for():
    y, scores = [[0, 0, 0], [0, 1, 1]], [[1, 2, 3], [1, 2, 3]]
    assert recall_at_k(y, scores, k=1) == 0.25
    assert recall_at_k(y, scores, k=1, zero_division=1.0) == 0.75
    assert recall_at_k(y, scores, k=1, zero_division=np.nan) == 0.5
    assert np.isnan(recall_at_k(y[:1], scores[:1], k=1, zero_division=np.nan))


def test_propensities_are_those_of_the_paper(labels):
    for A, B in [(0.55, 1.5), (0.5, 0.4), (0.6, 2.6)]:
        expected = []
        for count in labels.sum(axis=0).tolist():
            C = (math.log(N_ROWS) - 1) * (B + 1) ** A
            expected.append(1 / (1 + C * math.exp(-A * math.log(count + B))))
        np.testing.assert_allclose(label_propensities(labels, A=A, B=B), expected)
        np.testing.assert_allclose(label_propensities(sp.csr_matrix(labels), A=A, B=B), expected)
    np.testing.assert_allclose(
        label_propensities(labels), label_propensities(labels, A=0.55, B=1.5)
    )


def test_equal_propensities_cancel(labels, scores):
    """What is left is the hits, as a share of what k labels could have hit."""
    value = propensity_scored_precision_at_k(labels, scores, propensities=N_LABELS * [0.3], k=3)
    reachable = labels.sum(axis=1).clip(max=3).mean() / 3
    assert value == pytest.approx(precision_at_k(labels, scores, k=3) / reachable)


def test_propensity_scored_precision_without_labels_is_zero():
    assert psp_at_k(np.zeros((2, N_LABELS), dtype=int), np.zeros((2, N_LABELS))) == 0.0


@pytest.mark.parametrize("average", ["micro", "macro", None])
@pytest.mark.parametrize("zero_division", [0.0, 1.0, np.nan])
def test_f1_of_known_labels_is_that_of_scikit_learn(
    average, zero_division, labels, unknown, scores, rng
):
    predicted = (scores > 0.5).astype(int)
    predicted[:, 0] = 0
    weight = rng.random(N_ROWS)
    options = {"average": average, "zero_division": zero_division, "sample_weight": weight}
    expected = f1_score(labels, predicted, **options)
    np.testing.assert_allclose(masked_f1_score(labels, predicted, **options), expected)
    np.testing.assert_allclose(
        masked_f1_score(sp.csr_array(labels), predicted, **options), expected
    )

    known = ~np.isnan(unknown)
    if average == "micro":  # the known cells, one after the other, are one binary problem
        expected = f1_score(
            unknown[known],
            predicted[known],
            sample_weight=np.broadcast_to(weight[:, None], known.shape)[known],
            zero_division=zero_division,
        )
    else:
        by_label = [
            f1_score(
                unknown[rows, label],
                predicted[rows, label],
                sample_weight=weight[rows],
                zero_division=zero_division,
            )
            if rows.any()
            else zero_division
            for label, rows in enumerate(known.T)
        ]
        expected = by_label if average is None else np.nanmean(by_label)
    np.testing.assert_allclose(masked_f1_score(unknown, predicted, **options), expected)


def test_soft_labels_count_with_their_mass(labels, rng):
    soft = rng.random(labels.shape)
    expected = 2 * (soft * labels).sum() / (soft.sum() + labels.sum())
    assert masked_f1_score(soft, labels) == pytest.approx(expected)


def test_lrap_of_known_labels_is_that_of_rows_that_have_no_others(unknown, scores, rng):
    weight = rng.random(N_ROWS)
    values, weights = [], []
    for row, row_scores, w in zip(unknown, scores, weight, strict=True):
        known = ~np.isnan(row)
        if known.sum() > 1:
            value = label_ranking_average_precision_score([row[known]], [row_scores[known]])
        else:
            value = 1.0
        if known.any():
            values.append(value)
            weights.append(w)
    result = masked_lrap(unknown, scores, sample_weight=weight)
    assert result == pytest.approx(np.average(values, weights=weights))
    assert masked_lrap(unknown, scores) == pytest.approx(np.mean(values))


def test_lrap_of_labels_that_are_all_known_is_that_of_scikit_learn(labels, scores, rng):
    weight = rng.random(N_ROWS)
    expected = label_ranking_average_precision_score(labels, scores, sample_weight=weight)
    assert masked_lrap(sp.csr_matrix(labels), scores, sample_weight=weight) == expected
    assert masked_lrap(labels, scores.astype(np.float32), sample_weight=weight) == pytest.approx(
        expected
    )


def test_masked_measures_of_nothing_known_are_not_a_number():
    nothing = np.full((2, 3), np.nan)
    assert np.isnan(masked_lrap(nothing, np.zeros((2, 3))))
    assert np.isnan(masked_f1_score(nothing, np.zeros((2, 3)), zero_division=np.nan))


def test_scores_of_unknown_labels_and_predictions_of_them_do_not_matter(unknown, scores):
    other = np.where(np.isnan(unknown), 100.0, scores)
    assert masked_lrap(unknown, scores) == masked_lrap(unknown, other)
    for average in ("micro", "macro"):
        assert masked_f1_score(unknown, scores > 0.5, average=average) == masked_f1_score(
            unknown, other > 0.5, average=average
        )


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_f1_by_frequency_is_f1_of_the_columns_of_each_group(average, labels, unknown, scores, rng):
    predicted, weight = (scores > 0.5).astype(int), rng.random(N_ROWS)
    counts = np.array([0, 19, 20, 100, 101, 500, 3])
    groups = {"tail": [0, 1, 6], "medium": [2, 3], "head": [4, 5]}
    for y in (labels, unknown):
        f1 = f1_by_label_frequency(
            y, predicted, label_counts=counts, average=average, sample_weight=weight
        )
        for name, columns in groups.items():
            expected = masked_f1_score(
                y[:, columns], predicted[:, columns], average=average, sample_weight=weight
            )
            assert f1[name] == pytest.approx(expected)
            only = f1_by_label_frequency(
                y, predicted, label_counts=counts, average=average, group=name
            )
            assert (
                only
                == f1_by_label_frequency(y, predicted, label_counts=counts, average=average)[name]
            )


def test_groups_follow_from_the_sums_of_any_training_labels(labels, unknown, scores):
    counts = labels.sum(axis=0)
    expected = label_frequency_groups(counts, cuts=(5, 15))
    assert set(expected) == {"head", "medium", "tail"}
    for container in (sp.csr_matrix, sp.csr_array):
        sums = container(labels).sum(axis=0)
        assert label_frequency_groups(sums, cuts=(5, 15)).tolist() == expected.tolist()
    predicted = scores > 0.5
    own = f1_by_label_frequency(labels, predicted, cuts=(5, 15))
    assert own == f1_by_label_frequency(labels, predicted, cuts=(5, 15), label_counts=counts)
    own = f1_by_label_frequency(unknown, predicted, cuts=(5, 15))
    counts = np.nansum(unknown, axis=0)
    given = f1_by_label_frequency(unknown, predicted, cuts=(5, 15), label_counts=counts)
    np.testing.assert_equal(own, given)


def test_a_group_without_labels_has_no_f1():
    f1 = f1_by_label_frequency([[1, 0]], [[1, 0]])
    assert f1["tail"] == 0.5
    assert np.isnan(f1["head"])
    assert np.isnan(f1["medium"])


@pytest.mark.parametrize("measure", [*AT_K, masked_lrap, masked_f1_score, f1_by_label_frequency])
def test_labels_and_scores_of_none_are_refused_in_a_sentence(measure, labels, scores):
    of_scores = measure in (*AT_K, masked_lrap)
    with pytest.raises(ValueError, match="y_true is None; expected a matrix of labels"):
        measure(None, scores if of_scores else labels)
    with pytest.raises(ValueError, match="y is None; expected a matrix of labels"):
        label_propensities(None)
    name = "y_score is None; expected the scores" if of_scores else "y_pred is None; expected a mat"
    with pytest.raises(ValueError, match=name):
        measure(labels, None)


@pytest.mark.parametrize("measure", [masked_lrap, masked_f1_score, f1_by_label_frequency])
def test_a_code_for_unknown_labels_is_refused_with_what_to_type(measure, labels):
    labels[:, 1] = -1
    with pytest.raises(ValueError, match=r"^y_true: .* -1 in 40 cells .*np.where\(y == -1"):
        measure(labels, labels)
