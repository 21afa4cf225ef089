"""The best scores without features: against an independent minimiser, and in closed form."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.optimize import minimize

from sklearn_mlce._objectives import coupled_constant_scores
from sklearn_mlce._objectives.pointwise import BinaryCrossEntropy
from sklearn_mlce._objectives.registry import AUTO, OBJECTIVES, resolve_objective
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce._targets.targets import LabelCounts, weighted_label_counts
from sklearn_mlce.losses import binary_cross_entropy_loss
from tests.helpers import oracles
from tests.helpers.linear_problems import make_labels
from tests.helpers.pairwise import parametrize_pairwise

SCALES = [1e-3, 0.1, 1.0, 8.0, 50.0, 1e3]
MARGINS = [(0.0, 0.0), (0.2, 1.8), (1.8, 0.2), (-0.3, 0.3), (2.0, 2.0)]


def counts_of(rng, n_labels=20):
    """Weighted numbers of rows, among them labels with nearly no row of one kind."""
    positive = 10.0 ** rng.uniform(-8, 0, n_labels)
    negative = 10.0 ** rng.uniform(-8, 0, n_labels)
    positive[0], negative[0] = 0.5, 0.5
    return LabelCounts(positive, negative, 1.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("margins", MARGINS)
def test_the_derivative_of_logistic_losses_vanishes(scale, margins):
    """Of a positive and a negative row that weigh as much as all of their kind."""
    positive, negative, _ = counts = counts_of(np.random.default_rng(0))
    start = BinaryCrossEntropy(scale, margins).constant_scores(None, None, counts)
    assert np.isfinite(start).all()
    scores = torch.from_numpy(start).requires_grad_()

    def pull(target, weight):
        targets = torch.full((len(positive), 1), target, dtype=torch.float64)
        options = {"scale": scale, "margin": margins, "reduction": "none"}
        loss = binary_cross_entropy_loss(scores[:, None], targets, **options)
        (gradient,) = torch.autograd.grad(torch.from_numpy(weight) @ loss, scores)
        return gradient.numpy()

    up, down = pull(1.0, positive), pull(0.0, negative)
    # A score is rounded to its last digit: of steep losses that moves the derivative.
    resolution = 1e-10 + 1e-15 * scale * (1 + np.abs(start))
    assert (np.abs(up + down) <= resolution * np.minimum(np.abs(up), np.abs(down))).all()


def labels(kind, n_rows=100, n_labels=5):
    """Targets whose frequencies differ much, and that hang together."""
    rng = np.random.default_rng(3)
    common = rng.normal(size=(n_rows, 1))
    noise = rng.normal(size=(n_rows, n_labels))
    Y = (common + noise > np.linspace(-1, 3, n_labels)).astype(float)
    Y[0], Y[1] = 0, 1
    if kind == "soft":
        Y = np.clip(Y + rng.normal(scale=0.2, size=Y.shape), 0, 1)
    if kind == "unknown":
        Y = np.where(rng.random(Y.shape) < 0.2, np.nan, Y)
        Y[0], Y[1] = 0, 1
    return Y


def squared_hinge(scores, targets, *, label_weight):
    known, t = ~np.isnan(targets), np.nan_to_num(targets)
    positive, negative = (np.maximum(0, 1 - sign * scores) ** 2 for sign in (1, -1))
    return (known * label_weight * (t * positive + (1 - t) * negative)).sum(axis=1)


FORMULAS = oracles.LOSSES | {"squared_hinge": squared_hinge}
SHAPES = {
    "mlce": ("mlce", 1.0, 0.0),
    "mlce, scaled": ("mlce", 6.0, (0.5, 0.5)),
    "mlce, unequal margins": ("mlce", 3.0, (0.2, 1.8)),
    "mlce, margins the other way": ("mlce", 1.0, (1.5, -0.5)),
    "bce": ("bce", 1.0, 0.0),
    "bce, smooth hinge": ("bce", 8.0, (0.2, 1.8)),
    "bce, margins the other way": ("bce", 2.0, (1.5, -0.5)),
    "squared hinge": ("squared_hinge", None, None),
}


def found_and_value(name, Y, weight, label_weight):
    """Constant scores, and the mean loss of any."""
    loss, scale, margin = SHAPES[name]
    targets = encode_targets(Y)
    objective = resolve_objective(loss, scale, margin, targets.format)
    counts = LabelCounts.of(targets, weight)
    found = objective.constant_scores(targets, weight, counts, label_weight)
    options = {} if scale is None else {"scale": scale, "margin": margin}
    options["label_weight"] = np.ones(Y.shape[1]) if label_weight is None else label_weight
    rows_weight = np.ones(len(Y)) if weight is None else weight

    def value(scores):
        rows = FORMULAS[loss](np.tile(scores, (len(Y), 1)), Y, **options)
        return np.average(rows, weights=rows_weight) / (scale or 1)

    return found, value


@parametrize_pairwise(
    settled=[False, True],
    name=SHAPES,
    kind=["hard", "soft", "unknown"],
    weighted=[False, True],
)
def test_no_other_constant_scores_cost_less(settled, name, kind, weighted, monkeypatch):
    """Exactly so where MLCE's sweeps over the labels settle, and nearly so where they end."""
    if settled:
        monkeypatch.setattr(coupled_constant_scores, "_MAX_SWEEPS", 2000)
        monkeypatch.setattr(coupled_constant_scores, "_NEAR", 1e-9)
    Y = labels(kind)
    rng = np.random.default_rng(4)
    weight = rng.uniform(0.2, 2, len(Y)) if weighted else None
    label_weight = rng.uniform(0.2, 4, Y.shape[1]) if weighted else None
    found, value = found_and_value(name, Y, weight, label_weight)
    best = minimize(value, found, method="BFGS", options={"gtol": 1e-7})
    assert value(found) <= best.fun * (1 + (1e-10 if settled else 3e-4))
    np.testing.assert_allclose(found, best.x, atol=1e-4 if settled else 0.1)


@pytest.mark.parametrize("name", ["mlce", "mlce, unequal margins"])
def test_one_label_with_a_weight(name):
    """In MLCE it widens both margins, as it stands beside the exponential."""
    Y = labels("hard")[:, [2]]
    objective = OBJECTIVES["mlce"](*SHAPES[name][1:2], np.broadcast_to(SHAPES[name][2], 2))
    targets = encode_targets(np.column_stack([Y, 1 - Y])).select_outputs(np.array([True, False]))
    weight, label_weight = np.ones(len(Y)), np.array([5.0])
    found = objective.constant_scores(targets, weight, LabelCounts.of(targets, None), label_weight)

    def value(scores):
        options = {"scale": objective.scale, "margin": tuple(objective.margins)}
        tiled = np.tile(scores, (len(Y), 1))
        return oracles.mlce(tiled, Y, label_weight=label_weight, **options).mean()

    best = minimize(value, found, method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(found, best.x, atol=1e-3)


@pytest.mark.parametrize("name", ["mlce, unequal margins", "bce, smooth hinge", "squared hinge"])
def test_scores_of_sparse_labels_are_those_of_dense_ones(name):
    Y = labels("hard")
    weight = np.random.default_rng(5).uniform(0.2, 2, len(Y))
    dense, _ = found_and_value(name, Y.astype(int), weight, None)
    sparse, _ = found_and_value(name, sp.csr_array(Y.astype(int)), weight, None)
    in_float, _ = found_and_value(name, Y, weight, None)
    np.testing.assert_allclose(sparse, dense, rtol=1e-12)
    np.testing.assert_allclose(in_float, dense, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("margin", [0.0, 0.7])
def test_no_other_constant_scores_of_classes_cost_less(scale, margin):
    codes = np.repeat([0, 1, 2], [10, 30, 60])
    targets = encode_targets(codes)
    objective = resolve_objective("mlce", scale, margin, targets.format)
    found = objective.constant_scores(targets, None, LabelCounts.of(targets, None))

    def value(scores):
        apart = scale * (scores[None] - scores[codes][:, None] + margin)
        apart[np.arange(100), codes] = 0
        return np.log(np.exp(apart).sum(axis=1)).mean() / scale

    best = minimize(value, found, method="BFGS", options={"gtol": 1e-9})
    assert value(found) <= best.fun * (1 + 1e-9) or margin
    if not margin:  # with one, near the best
        np.testing.assert_allclose(np.exp(scale * (found - found[0])), [1, 3, 6])
    assert value(found) < value(np.zeros(3))


@pytest.mark.parametrize("loss", [AUTO, "mlce"])
def test_scores_of_several_outputs_are_better_than_none(loss):
    rng = np.random.default_rng(6)
    Y = np.column_stack(
        [rng.choice(m, 300, p=np.arange(1, m + 1) / (m * (m + 1) / 2)) for m in (3, 4)]
    )
    targets = encode_targets(Y)
    objective = resolve_objective(loss, None, None, targets.format)
    found = objective.constant_scores(targets, None, LabelCounts.of(targets, None))
    expected = np.log(np.concatenate([np.bincount(column) / 300 for column in Y.T]))
    np.testing.assert_allclose(found, expected)


def test_many_rare_labels():
    """Rows are sampled, and the common shift is found on fewer of them still."""
    rng = np.random.default_rng(5)
    n_rows, n_labels = 12_000, 4_000
    frequency = 3.0 / (np.arange(n_labels) + 1) ** 1.1
    columns = rng.choice(n_labels, (n_rows, 3), p=frequency / frequency.sum())
    places = columns.ravel(), 3 * np.arange(n_rows + 1)
    Y = sp.csr_array((np.ones(3 * n_rows, dtype=int), *places), shape=(n_rows, n_labels))
    Y.sum_duplicates()
    Y.data[:] = 1
    Y = Y[:, Y.sum(axis=0) > 0]
    targets = encode_targets(Y)
    counts = LabelCounts.of(targets, None)
    for scale, margin in ((1.0, 0.0), (8.0, 1.0), (64.0, (0.2, 1.8))):
        objective = resolve_objective("mlce", scale, margin, targets.format)
        found = objective.constant_scores(targets, None, counts)
        balance = _mean_gradient(objective, Y, found)
        # Negatives and positives of all labels balance, and of each label nearly so.
        assert abs(balance.sum()) < 0.02 * np.abs(_mean_gradient(objective, Y, 0 * found)).sum()
        assert np.abs(balance).sum() < 0.3


def _mean_gradient(objective, Y, scores):
    """Gradient of the mean MLCE in constant scores ``(L,)``, divided by the scale."""
    scale, (of_negatives, of_positives) = objective.scale, objective.margins
    exponents = scale * (scores + of_negatives)
    gradient = np.zeros_like(scores)
    largest = exponents.max()
    terms = np.exp(exponents - largest)
    sums = terms.sum() - Y @ terms
    weight = 1 / (np.exp(-largest) + sums)
    gradient += terms * (weight.sum() - Y.T @ weight)
    exponents = -scale * (scores - of_positives)
    largest = exponents.max()
    terms = np.exp(exponents - largest)
    weight = 1 / (np.exp(-largest) + Y @ terms)
    gradient -= terms * (Y.T @ weight)
    return gradient / Y.shape[0]


def test_counts_are_sums_of_the_rows_weights():
    rng = np.random.default_rng(2)
    _, Y = make_labels(rng)
    weight = rng.uniform(size=len(Y))
    weight /= weight.sum()
    expected = weight @ Y, weight @ (1 - Y)
    for y in (Y, sp.csr_array(Y), Y.astype(float)):
        found = weighted_label_counts(encode_targets(y), weight)
        for sums, sums_expected in zip(found, expected, strict=True):
            np.testing.assert_allclose(sums, sums_expected, rtol=1e-12)
    soft = 0.8 * Y + 0.1
    soft[3, 1] = np.nan
    known = ~np.isnan(soft)
    counts = LabelCounts.of(encode_targets(soft), weight)
    np.testing.assert_allclose(counts.positive, weight @ np.where(known, soft, 0), rtol=1e-12)
    np.testing.assert_allclose(counts.negative, weight @ np.where(known, 1 - soft, 0), rtol=1e-12)
    assert counts.total == pytest.approx(1)
    codes = Y[:, 0] + Y[:, 1]
    one_hot = np.eye(3)[codes]
    counts = LabelCounts.of(encode_targets(codes), weight)
    np.testing.assert_allclose(counts.positive, weight @ one_hot, rtol=1e-12)
    np.testing.assert_allclose(counts.negative, 1 - weight @ one_hot, rtol=1e-12)
    unweighted = LabelCounts.of(encode_targets(Y), None)
    np.testing.assert_array_equal(unweighted.positive, Y.sum(axis=0))


def test_bounded_counts_are_those_of_frequencies_off_zero_and_one():
    counts = LabelCounts(np.array([0.0, 3, 6, 0]), np.array([8.0, 3, 0, 0]), 8.0)
    positive, negative, total = counts.bounded(1e-2)
    np.testing.assert_allclose(positive / total, [0.01, 0.5, 0.99, 0.5])
    np.testing.assert_allclose(positive + negative, total)


@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
@pytest.mark.parametrize("margins", [(0.0, 0.0), (0.5, -3.0)])
def test_at_the_bound_of_a_shift_one_side_is_far_above_the_other(scale, margins):
    counts = LabelCounts(np.array([1.0, 50.0]), np.array([1e6, 50.0]), 1e6)
    exponents = coupled_constant_scores.Exponents(scale, margins, np.zeros(2))
    shift = exponents.bound(counts)
    scores = exponents.balanced(np.log(counts.negative), np.log(counts.positive))
    for sign in (1, -1):
        above = exponents.at(scores + sign * shift, sign)
        assert (above > 50).all()
        assert scale * shift < 1e3 * (1 + scale)
