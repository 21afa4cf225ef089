"""Exponentials of rows and their sums, near zero and far off it."""

import pytest
import torch

from sklearn_mlce._kernels.exponentials import (
    DenseReduction,
    LogSumExp,
    SegmentReduction,
    exponentiate_,
    need_no_shift,
    row_blocks,
    softmax_,
    subtract_sides_,
)
from sklearn_mlce.losses import mlce_loss

OFFSETS = [0.0, 26.0, -26.0, 31.0, -31.0, 1000.0, -1000.0]
REDUCTIONS = ["matrix", "entries"]


def reduced(form, exponents):
    """A reduction and the exponents in its form."""
    own = exponents.clone()
    if form == "matrix":
        return DenseReduction(), own
    n_rows, n_labels = own.shape
    rows = torch.arange(n_rows).repeat_interleave(n_labels)
    return SegmentReduction(rows, n_rows), own.flatten()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", REDUCTIONS)
@pytest.mark.parametrize("offset", OFFSETS)
def test_softmax_of_exponents_near_zero_and_far_off(offset, form, dtype):
    """Whether they are shifted or not; a row far from the others' does not harm them."""
    near = torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=dtype)
    near[0, :5] = -torch.inf
    for offsets in (offset, offset * (torch.arange(6, dtype=dtype)[:, None] % 2)):
        exponents = 2 * near + offsets
        reduction, found = reduced(form, exponents)
        log_sums = softmax_(found, reduction)
        exact = exponents.double()
        tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 0}
        torch.testing.assert_close(log_sums.double(), torch.logsumexp(exact, dim=1), **tolerance)
        error = 16 * torch.finfo(dtype).eps * (1 + abs(offset) / 10)
        torch.testing.assert_close(
            found.double().reshape(6, 9), torch.softmax(exact, dim=1), rtol=error, atol=0
        )


@pytest.mark.parametrize("form", REDUCTIONS)
def test_rows_without_exponents(form):
    exponents = torch.tensor([[-torch.inf, -torch.inf], [0.0, -torch.inf]])
    reduction, found = reduced(form, exponents)
    assert softmax_(found, reduction).tolist() == [-torch.inf, 0]
    assert found.reshape(2, 2).tolist() == [[0, 0], [1, 0]]


@pytest.mark.parametrize("score", [-29.0, 29.0])
def test_a_million_labels_far_off_zero_have_sums(score):
    scores = torch.full((2, 10**6), score, requires_grad=True)
    loss = mlce_loss(scores, torch.zeros(2, 10**6, dtype=torch.int8))
    (gradient,) = torch.autograd.grad(loss, scores)
    total = 10.0**6 * torch.tensor(score, dtype=torch.float64).exp()
    torch.testing.assert_close(loss.double(), total.log1p(), rtol=1e-5, atol=1e-9)
    probability = total / (1 + total) / 2  # the mean of two rows
    torch.testing.assert_close(gradient[0].double().sum(), probability, rtol=1e-4, atol=1e-12)


def log_sum_of(form, exponents, threshold, weight):
    """The object, and the same weighted sum of rows as a function for autograd."""
    reduction, own = reduced(form, exponents)
    log_sum = LogSumExp(exponentiate_(own, reduction), threshold, weight, reduction)

    def total(z):
        beside = torch.zeros(len(z), 1, dtype=z.dtype) if threshold is None else threshold[:, None]
        return weight @ torch.logsumexp(torch.cat([z, beside], dim=1), dim=1)

    return log_sum, total


@pytest.mark.parametrize("form", REDUCTIONS)
@pytest.mark.parametrize("offset", [0.0, 40.0])
@pytest.mark.parametrize("with_threshold", [False, True])
def test_a_log_sum_has_the_derivatives_of_its_formula(form, offset, with_threshold):
    generator = torch.Generator().manual_seed(1)
    exponents = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    exponents[1] += offset
    direction = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    weight = torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)
    threshold = torch.linspace(-1, 1, 4, dtype=torch.float64) if with_threshold else None
    log_sum, total = log_sum_of(form, exponents, threshold, weight)
    assert float(weight @ log_sum.values) == pytest.approx(total(exponents).item(), rel=1e-14)
    gradient = torch.autograd.functional.jacobian(total, exponents)
    _, product = torch.autograd.functional.hvp(total, exponents, direction)
    for _ in range(2):  # nothing is spent
        torch.testing.assert_close(log_sum.gradient().reshape(4, 3), gradient)
        _, own = reduced(form, direction)
        torch.testing.assert_close(log_sum.hessian_product_(own).reshape(4, 3), product)
    torch.testing.assert_close(log_sum.release_gradient().reshape(4, 3), gradient)


def test_a_gradient_is_released_in_the_memory_of_the_exponents():
    exponents = torch.zeros(4, 3)
    reduction = DenseReduction()
    log_sum = LogSumExp(exponentiate_(exponents, reduction), None, torch.ones(4), reduction)
    assert log_sum.gradient().data_ptr() != exponents.data_ptr()
    assert log_sum.release_gradient().data_ptr() == exponents.data_ptr()


@pytest.mark.parametrize("form", REDUCTIONS)
def test_a_log_sum_whose_gradient_was_released_cannot_be_used(form):
    log_sum, _ = log_sum_of(form, torch.zeros(4, 3), None, torch.ones(4))
    log_sum.release_gradient()
    for use in (
        log_sum.gradient,
        log_sum.release_gradient,
        lambda: log_sum.hessian_product_(torch.zeros(4, 3)),
    ):
        with pytest.raises(AssertionError, match="the gradient was released"):
            use()


def test_what_needs_no_shift():
    assert need_no_shift(torch.tensor([-29.0, 29.0]))
    for far in (31.0, -31.0, torch.inf, -torch.inf, torch.nan):
        assert not need_no_shift(torch.tensor([0.0, far]))
    assert not need_no_shift(torch.empty(0))


@pytest.mark.parametrize("shape", [(10, 3), (1, 100), (5, 0), (0, 4)])
def test_blocks_hold_each_row_once(shape):
    scores = torch.zeros(shape)
    blocks = list(row_blocks(scores, 7))
    rows = [row for block in blocks for row in range(block.start, block.stop)]
    assert rows == list(range(shape[0]))
    assert all(block.stop - block.start <= max(1, 7 // max(shape[1], 1)) for block in blocks)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sides_that_cancel_leave_nothing(dtype):
    eps = torch.finfo(dtype).eps
    positives = torch.tensor([0.3, 0.3, 0.3, 1e-20, 0.0], dtype=dtype)
    negatives = positives * (1 + torch.tensor([4, -4, 100, 1e3, 0], dtype=dtype) * eps)
    found = subtract_sides_(negatives.clone(), positives)
    assert found[[0, 1, 4]].tolist() == [0, 0, 0]
    torch.testing.assert_close(found[2:4], (negatives - positives)[2:4], rtol=0, atol=0)
    one_sided = torch.tensor([0.5, 1e-30], dtype=dtype)
    assert subtract_sides_(one_sided.clone(), 0 * one_sided).tolist() == one_sided.tolist()
    assert subtract_sides_(0 * one_sided, one_sided).tolist() == (-one_sided).tolist()
