"""A user's module as a loss of rows: what it may return, and what weights do to it."""

import pytest
import torch
from torch import nn

from sklearn_mlce._kernels.module_loss import ModuleRows, estimated_curvature

GENERATOR = torch.Generator().manual_seed(0)
SCORES = torch.randn(6, 3, generator=GENERATOR)
TARGETS = (torch.rand(6, 3, generator=GENERATOR) < 0.5).float()
WEIGHT = torch.tensor([1.0, 3.0, 0.0, 2.0, 1.0, 0.5])


class Squares(nn.Module):
    """Squared errors: of each cell, of each row, or of the batch by a reduction."""

    def __init__(self, form="cells", reduction=None):
        super().__init__()
        self.form, self.reduction = form, reduction

    def forward(self, scores, targets):
        cells = (scores - targets) ** 2
        if self.form == "cells":
            return cells
        rows = cells.sum(dim=1)
        if self.form == "rows":
            return rows
        return rows.sum() if self.form == "sum" else rows.mean()


class Weighted(Squares):
    def forward(self, scores, targets, sample_weight=None):
        rows = super().forward(scores, targets)
        return rows if sample_weight is None else (rows * sample_weight).sum() / sample_weight.sum()


PER_ROW = [Squares("cells"), Squares("rows")]
OF_BATCH = [Squares("sum", "sum"), Squares("mean"), Squares("mean", "mean")]


def expected(weight):
    rows = ((SCORES - TARGETS) ** 2).sum(dim=1)
    return (weight * rows).sum().reshape(1), weight[:, None] * 2 * (SCORES - TARGETS)


@pytest.mark.parametrize("module", [*PER_ROW, *OF_BATCH], ids=lambda module: module.form)
@pytest.mark.parametrize("weight", [None, torch.tensor([2.5])], ids=["none", "one"])
def test_rows_are_summed_whatever_form_the_loss_has(module, weight):
    found = ModuleRows(module, False)(SCORES, TARGETS, weight)
    factor = torch.ones(6) if weight is None else weight.expand(6)
    torch.testing.assert_close(found, expected(factor))


@pytest.mark.parametrize("module", PER_ROW, ids=lambda module: module.form)
def test_a_weight_multiplies_the_loss_of_its_row(module):
    torch.testing.assert_close(ModuleRows(module, False)(SCORES, TARGETS, WEIGHT), expected(WEIGHT))


def test_the_mean_of_a_batch_goes_by_all_of_the_weight():
    found = ModuleRows(Squares("mean"), False)(SCORES, TARGETS, WEIGHT)
    torch.testing.assert_close(found, expected(WEIGHT.mean().expand(6)))


def test_a_module_may_take_the_weights_itself():
    found = ModuleRows(Weighted("rows"), True)(SCORES, TARGETS, WEIGHT)
    torch.testing.assert_close(found, expected(WEIGHT))


def test_the_module_stays_as_it_is():
    module = Squares()
    rows = ModuleRows(module, False)
    module.form = "nothing"
    torch.testing.assert_close(rows(SCORES, TARGETS, None), expected(torch.ones(6)))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda scores: scores[:2], r"returned shape \(2, 3\) for scores of shape \(6, 3\)"),
        (lambda scores: 1.0, "returned <class 'float'>"),
        (lambda scores: scores.detach().sum(), "has no gradient in the scores"),
    ],
)
def test_another_result_is_refused(made, message):
    class Odd(nn.Module):
        def forward(self, scores, targets):
            return made(scores)

    with pytest.raises(ValueError, match=rf"Odd\(scores, targets\).*{message}|{message}"):
        ModuleRows(Odd(), False)(SCORES, TARGETS, None)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_curvature_is_the_change_of_the_gradient(factor):
    def rows(scores, targets, weight):
        return factor / 2 * scores.square().sum(), factor * scores

    assert estimated_curvature(rows, 4) == pytest.approx(factor, rel=1e-4)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    for slope in (torch.zeros, lambda *shape: torch.full(shape, torch.nan)):
        assert estimated_curvature(lambda s, t, w, slope=slope: (0, slope(*s.shape)), 4) == 1.0
    torch.testing.assert_close(torch.get_rng_state(), state)
