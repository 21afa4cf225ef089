"""The two forms of hard targets, lists of entries and matrices, mean the same."""

import numpy as np
import pytest
import torch

from sklearn_mlce._kernels import hard_targets as hard_targets_module
from sklearn_mlce._kernels.hard_targets import (
    DenseTargets,
    PositiveEntries,
    entries_from_dense,
    hard_from_dense,
)
from sklearn_mlce._kernels.mlce import LogitTransform, loss_and_gradient
from sklearn_mlce._kernels.pairwise import pairwise_rows
from sklearn_mlce.losses import mlce_loss, pairwise_loss
from sklearn_mlce.losses._asymmetric import asymmetric_labels
from sklearn_mlce.losses._class_balanced import class_balanced_labels
from sklearn_mlce.losses._distribution_balanced import distribution_balanced_labels
from sklearn_mlce.losses._focal import focal_labels
from sklearn_mlce.losses._per_label import evaluate_labels


def targets_of(density, unknown=0.0):
    rng = np.random.default_rng(0)
    targets = (rng.random((40, 30)) < density).astype(np.float32)
    targets[0], targets[1] = 0, 1  # no positive, no negative
    targets[rng.random(targets.shape) < unknown] = np.nan
    return torch.from_numpy(targets)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("unknown", [0.0, 0.2])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_a_matrix_gives_what_its_entries_give(size, unknown, dtype):
    dense = targets_of(0.4, unknown)
    matrix, entries = hard_from_dense(dense), entries_from_dense(dense)
    assert isinstance(matrix, DenseTargets)
    scores = size * torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    transform = LogitTransform(3.0, (0.2, 0.9), torch.linspace(-1, 1, 30, dtype=dtype))
    weight = torch.linspace(0.5, 2, 40, dtype=dtype)
    for rows in (loss_and_gradient, pairwise_rows):
        of_matrix = rows(scores, matrix, weight, transform=transform)
        of_entries = rows(scores, entries, weight, transform=transform)
        torch.testing.assert_close(of_matrix, of_entries)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float64, torch.bfloat16])
def test_many_positives_are_a_matrix_and_few_are_entries(dtype):
    dense = targets_of(0.4).to(dtype)
    found = hard_from_dense(dense)
    assert isinstance(found, DenseTargets)
    assert found.all_known
    few = torch.zeros(40, 30, dtype=dtype)
    few[3, 4] = 1
    assert isinstance(hard_from_dense(few), PositiveEntries)


@pytest.mark.parametrize("scanned", [hard_targets_module._SCANNED, 4])
@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("n_labels", [1, 7, 8, 13, 64, 101])
def test_few_positives_are_found_wherever_they_are(n_labels, unknown, scanned, monkeypatch):
    monkeypatch.setattr(hard_targets_module, "_SCANNED", scanned)
    n_rows = 200
    for seed in range(5):
        rng = np.random.default_rng(seed)
        places = rng.choice(n_rows * n_labels, size=n_rows * n_labels // 64, replace=False)
        targets = np.zeros(n_rows * n_labels)
        targets[places] = 1
        targets[-1] = 1  # beyond the last whole word, where there is such a rest
        targets[places[0]] = np.nan if unknown and places[0] < n_rows * n_labels - 1 else 1
        targets[places[1]] = 0
        targets = targets.reshape(n_rows, n_labels)
        found = hard_from_dense(torch.from_numpy(targets))
        assert isinstance(found, PositiveEntries)
        np.testing.assert_array_equal((found.rows, found.columns), np.nonzero(targets == 1))
        np.testing.assert_array_equal(found.masked, np.flatnonzero(targets))


def test_full_words_that_are_few_are_a_matrix():
    targets = torch.zeros(100, 80)
    targets[:, :8] = 1
    found = hard_from_dense(targets)
    assert isinstance(found, DenseTargets)
    assert found.all_known


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_targets_may_lie_anywhere(dtype):
    large = targets_of(0.01).to(dtype)
    large[3, 4] = 1
    for targets in (large[3:4, 4::2][:, :1], large.t()[4:5, 3:4], large.t(), large[1:, 3:]):
        expected = hard_from_dense(targets.clone(memory_format=torch.contiguous_format))
        for part, of_copy in zip(hard_from_dense(targets), expected, strict=True):
            torch.testing.assert_close(part, of_copy)


@pytest.mark.parametrize("density", [0.001, 0.4])
@pytest.mark.parametrize("value", [0.5, 2.0, -1.0, 1 - 1e-7, 1e-30])
def test_what_is_soft_is_no_hard_target(value, density):
    targets = targets_of(density)
    targets[1] = 0 if density < 0.1 else 1
    targets[5, 6] = value
    assert hard_from_dense(targets) is None
    targets[7, 8] = torch.nan
    assert hard_from_dense(targets) is None


def test_unknown_targets_of_a_matrix_take_no_part():
    dense = targets_of(0.4, unknown=0.3)
    found = hard_from_dense(dense)
    assert isinstance(found, DenseTargets)
    assert not found.all_known
    scores = torch.zeros(40, 30)
    _, gradient = loss_and_gradient(scores, found, None, transform=LogitTransform(1.0, (0.0, 0.0)))
    assert (gradient[dense.isnan()] == 0).all()
    assert (gradient[dense == 1] < 0).all()
    assert (gradient[dense == 0] > 0).all()


TERMS = {
    "focal": focal_labels(),
    "focal, alpha": focal_labels(gamma=1.5, alpha=0.8),
    "class balanced": class_balanced_labels(torch.arange(1.0, 31.0)),
    "distribution balanced": distribution_balanced_labels(torch.arange(1.0, 31.0), 100),
    "negatives far steeper": distribution_balanced_labels(
        torch.arange(1.0, 31.0), 100, negative_scale=1e6
    ),
    "asymmetric, equal powers": asymmetric_labels(2.0, 2.0, margin=0.0),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("label_weight", [None, torch.linspace(0, 2, 30)])
@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize("name", TERMS)
def test_a_matrix_gives_sums_over_labels_what_its_entries_give(name, size, label_weight, dtype):
    dense = targets_of(0.4)
    weight = None if label_weight is None else label_weight.to(dtype)
    scores = size * torch.randn(40, 30, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = []
    for targets in (hard_from_dense(dense), entries_from_dense(dense)):
        loss = TERMS[name](targets, scores, weight)
        assert loss.of_one_form
        found.append(evaluate_labels(scores, targets, loss, None))
    torch.testing.assert_close(*found)


def test_kinds_of_labels_with_different_powers_are_not_of_one_form():
    matrix = hard_from_dense(targets_of(0.4))
    assert not asymmetric_labels()(matrix, torch.zeros(40, 30), None).of_one_form
    assert not asymmetric_labels(1.0, 2.0, margin=0.0)(matrix, None, None).of_one_form


@pytest.mark.parametrize("n_labels", [4, 400])  # a matrix, and entries
@pytest.mark.parametrize("function", [mlce_loss, pairwise_loss])
def test_a_positive_at_minus_infinity_costs_what_the_farthest_score_does(function, n_labels):
    scores, targets = torch.zeros(2, n_labels), torch.zeros(2, n_labels)
    targets[:, 0] = 1
    scores[0, 0] = -torch.inf
    losses = function(scores, targets, reduction="none")
    torch.testing.assert_close(losses[1], function(scores[1], targets[1]))
    assert losses[0] == pytest.approx(1e30)
