import pytest
import torch

from sklearn_mlce._kernels.row_layouts import CellRows, MatrixRows, softmax_
from sklearn_mlce.losses import mlce_loss

OFFSETS = [0.0, 26.0, -26.0, 31.0, -31.0, 1000.0, -1000.0]


def rows_of(layout, exponents):
    """A layout and the exponents in its form."""
    own = exponents.clone()
    if layout == "matrix":
        return MatrixRows(), own
    n_rows, n_labels = own.shape
    return CellRows(torch.arange(n_rows).repeat_interleave(n_labels), n_rows), own.flatten()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("layout", ["matrix", "cells"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_softmax_of_exponents_near_zero_and_far_off(offset, layout, dtype):
    """Whether they are shifted or not; a row far from the others' does not harm them."""
    spread = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=dtype)
    spread[0, :5] = -torch.inf
    for offsets in (offset, offset * (torch.arange(6, dtype=dtype)[:, None] % 2)):
        exponents = 2 * spread + offsets
        rows, found = rows_of(layout, exponents)
        log_sums = softmax_(found, rows)
        exact = exponents.double()
        tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 0}
        torch.testing.assert_close(log_sums.double(), torch.logsumexp(exact, dim=1), **tolerance)
        error = 16 * torch.finfo(dtype).eps * (1 + abs(offset) / 10)
        torch.testing.assert_close(
            found.double().reshape(6, 9), torch.softmax(exact, dim=1), rtol=error, atol=0
        )


@pytest.mark.parametrize("layout", ["matrix", "cells"])
def test_rows_without_exponents(layout):
    exponents = torch.tensor([[-torch.inf, -torch.inf], [0.0, -torch.inf]])
    rows, found = rows_of(layout, exponents)
    assert softmax_(found, rows).tolist() == [-torch.inf, 0]
    assert found.reshape(2, 2).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("score", [-29.0, 29.0])
def test_a_million_labels_far_off_zero_have_sums_and_squares(order, score):
    scores = torch.full((2, 10**6), score, requires_grad=True)
    targets = torch.zeros(2, 10**6, dtype=torch.int8)
    loss = mlce_loss(scores, targets, order=order)
    (gradient,) = torch.autograd.grad(loss, scores)
    exact = torch.full((1,), score, dtype=torch.float64)
    count = torch.tensor(10.0**6, dtype=torch.float64)
    # Elementary symmetric sums of equal terms.
    logs = [torch.zeros(1), count.log() + exact, (count * (count - 1) / 2).log() + 2 * exact]
    expected = torch.logsumexp(torch.stack(logs[: order + 1]), dim=0)
    torch.testing.assert_close(loss.double().reshape(1), expected.double(), rtol=1e-5, atol=1e-9)
    orders = torch.arange(order + 1, dtype=torch.float64)[:, None]
    share = torch.softmax(torch.stack(logs[: order + 1]).double(), dim=0)
    total = (orders * share).sum() / 2  # the mean of two rows
    torch.testing.assert_close(gradient[0].double().sum(), total, rtol=1e-4, atol=1e-12)
