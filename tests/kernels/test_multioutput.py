"""Derivatives of the pooled loss of several outputs, for the exact solver."""

import math

import numpy as np
import pytest
import torch

from sklearn_mlce._kernels.multioutput import (
    ClassColumns,
    ClassProbabilities,
    DivergenceRows,
    MultioutputRows,
    MultioutputSecondOrder,
)
from sklearn_mlce._objectives.target_tensors import class_columns, encode
from sklearn_mlce._targets.encoding import encode_outputs

N_ROWS = 7


def problem(sizes, unknown=0.0):
    """Classes of some outputs, weights of rows, and the weighted loss for autograd."""
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, m, N_ROWS) for m in sizes])
    starts = np.cumsum((0, *sizes[:-1]))
    is_known = np.random.default_rng(2).random(codes.shape) >= unknown
    columns = np.where(is_known, codes + starts, -1)
    classes = ClassColumns(torch.from_numpy(columns.ravel()), sizes)
    weight = torch.linspace(0.1, 1, N_ROWS, dtype=torch.float64)
    scores = torch.from_numpy(rng.normal(size=(N_ROWS, sum(sizes))))

    def total(scores):
        losses = []
        for of_row, own, known in zip(scores, codes, is_known, strict=True):
            pools = [torch.ones((), dtype=scores.dtype)] * max(sizes)
            for part, j, counts in zip(of_row.split(sizes), own, known, strict=True):
                if counts:
                    pools[j] = pools[j] + (part - part[j]).exp().sum() - 1
            losses.append(torch.stack(pools).log().sum())
        return weight @ torch.stack(losses)

    return scores, classes, weight, total


of_some = pytest.mark.parametrize("sizes", [(3, 3), (2, 4, 3)])
of_unknown = pytest.mark.parametrize("unknown", [0.0, 0.5, 1.0])


@of_some
@of_unknown
def test_derivatives_are_those_of_the_formula(sizes, unknown):
    scores, classes, weight, total = problem(sizes, unknown)
    found = MultioutputSecondOrder(classes, weight).evaluate(scores)
    assert found.value == pytest.approx(total(scores).item())
    direction = torch.from_numpy(np.random.default_rng(1).normal(size=scores.shape))
    _, product = torch.autograd.functional.hvp(total, scores, direction)
    hessian = torch.autograd.functional.hessian(total, scores).reshape(2 * [scores.numel()])
    diagonal = hessian.diagonal().reshape(scores.shape)
    for _ in range(2):  # nothing is spent
        gradient = torch.autograd.functional.jacobian(total, scores)
        torch.testing.assert_close(found.gradient(), gradient)
        torch.testing.assert_close(found.curvature_diagonal(), diagonal)
        torch.testing.assert_close(found.curvature_product(direction.clone()), product)


@of_some
@of_unknown
def test_batches_have_the_loss_and_its_gradient(sizes, unknown):
    scores, classes, weight, total = problem(sizes, unknown)
    losses, gradient = MultioutputRows()(scores, classes, weight)
    assert losses.sum().item() == pytest.approx(total(scores).item())
    torch.testing.assert_close(gradient, torch.autograd.functional.jacobian(total, scores))


@of_unknown
def test_columns_are_listed_from_the_known_ones(unknown):
    """In whole and in slices of rows, as solvers cut them."""
    rng = np.random.default_rng(0)
    y = np.column_stack([rng.integers(0, m, N_ROWS) for m in (3, 5)]).astype(object)
    y[rng.random(y.shape) < unknown] = None
    targets = encode_outputs(y, [np.arange(3), np.arange(5)])
    encoded = encode(targets, np.dtype(float), torch.device("cpu"))
    codes = targets.output_codes()
    expected = np.where(codes < 0, -1, codes + np.array([0, 3]))
    for rows in (slice(0, N_ROWS), slice(2, 5), slice(6, 7)):
        found = class_columns(encoded.slice_rows(rows.start, rows.stop), 8)
        assert found.sizes == (3, 5)
        np.testing.assert_array_equal(found.columns.view(-1, 2), expected[rows])


def test_an_excluded_class_takes_no_part():
    """As if its score were far below all others, and unknown where it is the row's own."""
    scores, classes, weight, _ = problem((2, 4, 3))
    excluded = torch.zeros(9, dtype=torch.bool)
    excluded[4] = True
    losses, gradient = MultioutputRows(excluded)(scores, classes, weight)
    assert (gradient[:, 4] == 0).all()
    for shifted in (scores + 100.0 * excluded, scores - 1e6 * excluded):
        same, same_gradient = MultioutputRows(excluded)(shifted, classes, weight)
        torch.testing.assert_close(same, losses)
        torch.testing.assert_close(same_gradient, gradient)
    with_it, _ = MultioutputRows()(scores - 1e6 * excluded, classes, weight)
    carries_it = (classes.columns.view(N_ROWS, 3) == 4).any(dim=1)
    torch.testing.assert_close(with_it[~carries_it], losses[~carries_it])


def probabilities(sizes, unknown=0.0):
    """Probabilities of the classes of some outputs, some of them 0, and NaN where unknown."""
    rng = np.random.default_rng(3)
    parts = []
    for m in sizes:
        part = rng.dirichlet(np.ones(m), N_ROWS)
        part[rng.random(part.shape) < 0.2] = 0
        part[part.sum(axis=1) == 0, 0] = 1
        part /= part.sum(axis=1, keepdims=True)
        part[rng.random(N_ROWS) < unknown] = np.nan
        parts.append(torch.from_numpy(part))
    return ClassProbabilities(torch.cat(parts, dim=1), sizes)


def divergence(scores, targets):
    """Losses of the rows, class by class."""
    losses = []
    for of_row, t in zip(scores, targets.matrix, strict=True):
        pools = [torch.ones((), dtype=scores.dtype)] * max(targets.sizes)
        parts = zip(of_row.split(targets.sizes), t.split(targets.sizes), strict=True)
        for part, of_part in parts:
            for j, probability in enumerate(of_part):
                if probability > 0:
                    ratio = probability / part.softmax(dim=0)[j]
                    pools[j] = pools[j] + probability * (ratio - 1 - ratio.log())
        losses.append(torch.stack(pools).log().sum())
    return torch.stack(losses)


@of_some
@of_unknown
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_probabilities_have_the_divergence_and_its_gradient(sizes, unknown, scale):
    scores, _, weight, _ = problem(sizes)
    scores, targets = scale * scores, probabilities(sizes, unknown)
    losses, gradient = DivergenceRows()(scores, targets, weight)
    torch.testing.assert_close(losses, weight * divergence(scores, targets))
    expected = torch.autograd.functional.jacobian(
        lambda scores: weight @ divergence(scores, targets), scores
    )
    torch.testing.assert_close(gradient, expected)
    unweighted, _ = DivergenceRows()(scores, targets, None)
    torch.testing.assert_close(unweighted * weight, losses)


def test_excluded_probabilities_take_no_part():
    """As if the class were far below all others, and its output unknown where it has a part."""
    sizes = (2, 4, 3)
    scores, _, weight, _ = problem(sizes)
    targets = probabilities(sizes)
    excluded = torch.zeros(9, dtype=torch.bool)
    excluded[4] = True
    losses, gradient = DivergenceRows(excluded)(scores, targets, weight)
    assert (gradient[:, 4] == 0).all()
    has_it = targets.matrix[:, 4] > 0
    assert 0 < has_it.sum() < N_ROWS
    without = targets.matrix.clone()
    without[has_it, 2:6] = math.nan
    expected, of_expected = DivergenceRows()(
        scores - 1e6 * excluded, targets._replace(matrix=without), weight
    )
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(gradient, of_expected)
    everything = DivergenceRows(torch.ones(9, dtype=torch.bool))(scores, targets, weight)
    assert all((part == 0).all() for part in everything)
