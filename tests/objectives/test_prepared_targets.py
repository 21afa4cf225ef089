"""Each form of a network's targets has the loss and the gradient of the public function."""

import numpy as np
import pytest
import torch

from sklearn_mlce._objectives import prepared_targets
from sklearn_mlce._objectives.prepared_targets import (
    ListedTargets,
    SignedTargets,
    TargetPreparer,
    TwoSidedTargets,
)
from sklearn_mlce._objectives.registry import resolve_objective
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.losses import binary_cross_entropy_loss, mlce_loss

CPU = torch.device("cpu")
N_ROWS, N_LABELS = 120, 4
LOSSES = {"mlce": mlce_loss, "bce": binary_cross_entropy_loss}
DENSE_FORMS = {"mlce": TwoSidedTargets, "bce": SignedTargets}


def targets_of(kind):
    rng = np.random.default_rng(0)
    Y = (rng.random((N_ROWS, N_LABELS)) < 0.4).astype(int)
    Y[0], Y[1] = 0, 1
    if kind == "soft":
        return np.where(rng.random(Y.shape) < 0.1, np.nan, 0.1 + 0.7 * Y)
    return np.where(rng.random(Y.shape) < 0.1, np.nan, Y) if kind == "unknown" else Y


def prepared(loss, kind, batch_rows, label_weight=None, scale=3.0, margin=(0.5, -0.25)):
    encoded = encode_targets(targets_of(kind))
    objective = resolve_objective(loss, scale, margin, encoded.format)
    preparer = TargetPreparer(objective, batch_rows, np.float64, CPU, label_weight)
    return preparer(encoded), preparer.bytes_per_row(encoded)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("loss", LOSSES)
def test_each_form_has_the_loss_and_its_gradient(loss, kind, dense, weighted, monkeypatch):
    if not dense:
        none = {form: {"cpu": 0} for form in ("two_sided", "signed")}
        monkeypatch.setattr(prepared_targets, "_DENSE_ENTRIES", none)
    label_weight = np.array([1.0, 2.0, 0.5, 3.0]) if weighted else None
    targets, n_bytes = prepared(loss, kind, N_ROWS, label_weight)
    has_dense_form = dense if kind == "hard" else loss == "mlce"
    assert isinstance(targets, DENSE_FORMS[loss] if has_dense_form else ListedTargets)
    assert n_bytes == (2 * N_LABELS * 8 if has_dense_form else 0)
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(rng.standard_normal((N_ROWS, N_LABELS))).requires_grad_()
    row_weight = torch.from_numpy(rng.random(N_ROWS))

    def expected_of(weight):
        """Loss of each row and the gradient, divided by the scale."""
        rows = LOSSES[loss](
            scores,
            torch.from_numpy(targets_of(kind).astype(float)),
            sample_weight=weight.expand(N_ROWS),
            label_weight=None if label_weight is None else torch.from_numpy(label_weight),
            scale=3.0,
            margin=(0.5, -0.25),
            reduction="none",
        )
        (gradient,) = torch.autograd.grad(rows.sum() / 3.0, scores)
        return rows.detach() / 3.0, gradient

    one = torch.full((1,), 0.25, dtype=torch.float64)
    chosen = rng.permutation(N_ROWS)[:50]
    for weight in (row_weight, one):
        rows, gradient = expected_of(weight)
        for part in (slice(0, N_ROWS), slice(30, 71)):
            loss_of_part, of_part = targets.slice_rows(part.start, part.stop).evaluate(
                scores.detach()[part], weight if len(weight) == 1 else weight[part]
            )
            torch.testing.assert_close(loss_of_part, rows[part].sum())
            torch.testing.assert_close(of_part, gradient[part])
        if has_dense_form:
            loss_of_part, of_part = targets.index_rows(torch.from_numpy(chosen)).evaluate(
                scores.detach()[chosen], weight if len(weight) == 1 else weight[chosen]
            )
            torch.testing.assert_close(loss_of_part, rows[chosen].sum())
            torch.testing.assert_close(of_part, gradient[chosen])


@pytest.mark.parametrize("loss", LOSSES)
def test_large_batches_of_hard_labels_are_lists(loss):
    small, _ = prepared(loss, "hard", 2**12)
    large, n_bytes = prepared(loss, "hard", 2**17)
    assert isinstance(small, DENSE_FORMS[loss])
    assert isinstance(large, ListedTargets)
    assert n_bytes == 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sign", [-1, 1])
def test_extreme_scores_are_finite(loss, sign):
    for kind in ("hard", "soft"):
        targets, _ = prepared(loss, kind, N_ROWS)
        scores = torch.full((N_ROWS, N_LABELS), sign * 1e4, dtype=torch.float64)
        for part in targets.evaluate(scores, torch.ones(1, dtype=torch.float64)):
            assert torch.isfinite(part).all()
