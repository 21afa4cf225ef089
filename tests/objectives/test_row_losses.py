"""The row losses of the exact solver: gradient and curvature against autograd of slow sums."""

import numpy as np
import pytest
import torch
from sklearn_mlce._kernels.row_blocks import Affine

from sklearn_mlce._kernels.hard_targets import cells_from_dense
from sklearn_mlce._objectives.mlce import HardRows, SoftRows
from tests.helpers.oracles import symmetric_loss
from tests.losses.test_losses import N_LABELS, N_ROWS, random_targets

ORDERS = [(1, 1), (2, 2), ("all", "all"), (1, 2), (2, "all"), ("all", 1)]


def make_rows(kind, orders, log_weight=None, seed=0):
    """A row loss, and the same weighted sum of rows as a function for autograd."""
    rng = np.random.default_rng(seed)
    targets = torch.from_numpy(random_targets(kind, rng))
    weight = torch.from_numpy(rng.uniform(0.1, 1, N_ROWS))
    affine = Affine(2.5, (0.7, 0.3), log_weight)
    if kind == "hard":
        rows = HardRows(cells_from_dense(targets), weight, affine, orders)
    else:
        rows = SoftRows(targets, weight, affine, orders)
    factors = torch.ones(N_LABELS) if log_weight is None else log_weight.exp()

    def total(scores):
        z = 2.5 * (scores + 0.7), -2.5 * (scores - 0.3)
        shares = (1 - targets) * factors, targets * factors
        sides = [
            symmetric_loss(exponents, share.nan_to_num(), order)
            for exponents, share, order in zip(z, shares, orders, strict=True)
        ]
        return weight @ (sides[0] + sides[1]) / 2.5

    return rows, total


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("orders", ORDERS)
def test_derivatives_are_those_of_the_symmetric_sums(orders, kind, weighted, monkeypatch):
    monkeypatch.setattr("sklearn_mlce._kernels.row_blocks._BLOCK_ELEMENTS", 3 * N_LABELS)
    log_weight = torch.linspace(-1, 1, N_LABELS, dtype=torch.float64) if weighted else None
    rows, total = make_rows(kind, orders, log_weight)
    scores = torch.randn(N_ROWS, N_LABELS, generator=torch.Generator().manual_seed(1)).double()
    direction = torch.randn(N_ROWS, N_LABELS, generator=torch.Generator().manual_seed(2)).double()
    derivatives = rows.evaluate(scores)
    assert derivatives.value == pytest.approx(total(scores).item(), rel=1e-12)
    _, product = torch.autograd.functional.hvp(total, scores, direction)
    gradient = torch.autograd.functional.jacobian(total, scores)
    hessian = torch.autograd.functional.hessian(total, scores)
    size = N_ROWS * N_LABELS
    diagonal = hessian.reshape(size, size).diagonal().reshape(N_ROWS, N_LABELS)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(derivatives.gradient(), gradient)
        torch.testing.assert_close(derivatives.curvature_diagonal(), diagonal)
        torch.testing.assert_close(derivatives.curvature_product(direction.clone()), product)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("orders", ORDERS)
@pytest.mark.parametrize("spread", [1.0, 10.0, 1e4])
def test_every_order_is_convex(orders, kind, spread):
    rows, _ = make_rows(kind, orders)
    generator = torch.Generator().manual_seed(3)
    for _ in range(20):
        scores = spread * torch.randn(N_ROWS, N_LABELS, generator=generator).double()
        direction = torch.randn(N_ROWS, N_LABELS, generator=generator).double()
        product = rows.evaluate(scores).curvature_product(direction.clone())
        assert (direction * product).sum() >= -1e-12
