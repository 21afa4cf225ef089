"""Scores to probabilities: exact for soft labels, by the hinge's map for 0/1 labels."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax

from sklearn_mlce._objectives.registry import AUTO, OBJECTIVES, resolve_objective
from sklearn_mlce._targets.encoding import encode_targets
from sklearn_mlce.losses import binary_cross_entropy_loss, mlce_loss

LOSSES = {"mlce": mlce_loss, "bce": binary_cross_entropy_loss}
SOFT = encode_targets([[0.3, 0.7], [0.1, 1.0]]).format
HARD = encode_targets([[0, 1], [1, 0]]).format
UNKNOWN = encode_targets([[0, np.nan], [1, 0]]).format
SCORES = np.random.default_rng(0).normal(scale=0.7, size=(7, 5))


@pytest.mark.parametrize("margin", [0.0, 0.6, (0.2, 1.8), (1.5, -0.3)])
@pytest.mark.parametrize("scale", [1.0, 2.5, 8.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_at_soft_labels_that_are_the_probabilities_the_loss_is_least(loss, scale, margin):
    probabilities = resolve_objective(loss, scale, margin, SOFT).probabilities(SCORES)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    scores = torch.from_numpy(SCORES).requires_grad_()
    value = LOSSES[loss](scores, torch.from_numpy(probabilities), scale=scale, margin=margin)
    (gradient,) = torch.autograd.grad(value, scores)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-8)


@pytest.mark.parametrize("loss", LOSSES)
def test_maps_of_soft_labels_by_their_formulas(loss):
    scale, (m0, m1) = 2.5, (0.2, 1.8)
    probabilities = resolve_objective(loss, scale, (m0, m1), SOFT).probabilities(SCORES)
    g = scale * SCORES
    logits = {
        "mlce": 2 * g + scale * (m0 - m1),
        "bce": g
        + np.log(np.exp(g) + np.exp(scale * m1))
        - scale * m1
        - np.log(np.exp(g) + np.exp(-scale * m0)),
    }[loss]
    np.testing.assert_allclose(probabilities, expit(logits), rtol=1e-12)
    plain = resolve_objective(loss, scale, None, SOFT).probabilities(SCORES)
    np.testing.assert_allclose(plain, expit(g if loss == "bce" else 2 * g), rtol=1e-12)


@pytest.mark.parametrize("target_format", [HARD, UNKNOWN], ids=["hard", "unknown"])
def test_the_hinge_of_labels_keeps_its_map_by_name_and_written_out(target_format):
    auto = resolve_objective(AUTO, None, None, target_format)
    written = resolve_objective("bce", 8.0, (0.2, 1.8), target_format)
    np.testing.assert_array_equal(auto.probabilities(SCORES), written.probabilities(SCORES))
    assert auto.probabilities(np.zeros((1, 1)))[0, 0] == pytest.approx(0.19, abs=5e-3)
    # slope 8 / (1 + 8 / 5), centre 0.3 * 1.6
    np.testing.assert_allclose(auto.probabilities(SCORES), expit((SCORES - 0.48) * 8 / 2.6))


@pytest.mark.parametrize("loss", LOSSES)
def test_without_margins_labels_of_0_and_1_have_the_map_of_soft_ones(loss):
    hard, soft = (resolve_objective(loss, 2.0, None, form) for form in (HARD, SOFT))
    np.testing.assert_allclose(hard.probabilities(SCORES), soft.probabilities(SCORES))


@pytest.mark.parametrize("target_format", [HARD, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("margin", [0.0, (0.2, 1.8), (3.0, 3.0)])
@pytest.mark.parametrize(
    "loss", [name for name in OBJECTIVES if OBJECTIVES[name].has_probabilities]
)
def test_maps_rise_and_stay_finite(loss, margin, target_format):
    shape = (8.0, margin) if OBJECTIVES[loss].takes_margin else (None, None)
    if loss == "pairwise":
        shape = (8.0, np.max(margin))
    objective = resolve_objective(loss, *shape, target_format)
    scores = np.concatenate([np.linspace(-5, 5, 201), [1e4, 1e9]])[:, None]
    scores = np.sort(np.concatenate([scores, [[-1e4], [-1e9]]]), axis=0)
    probabilities = objective.probabilities(scores)
    assert np.isfinite(probabilities).all()
    assert (np.diff(probabilities, axis=0) >= 0).all()


@pytest.mark.parametrize("loss", [AUTO, "mlce", "bce", "pairwise"])
def test_classes_have_the_probabilities_of_logistic_and_softmax_regression(loss):
    binary, classes = (encode_targets(y).format for y in (["a", "b"], ["a", "b", "c"]))
    of_two = resolve_objective(loss, None, None, binary).probabilities(SCORES[:, :1])
    np.testing.assert_allclose(of_two, expit(np.hstack([-SCORES[:, :1], SCORES[:, :1]])))
    found = resolve_objective(loss, None, None, classes).probabilities(SCORES[:, :3])
    expected = softmax(SCORES[:, :3], axis=1)
    if loss == "bce":  # one class against the rest
        expected = expit(SCORES[:, :3]) / expit(SCORES[:, :3]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected)
    scaled = resolve_objective("mlce", 3.0, None, classes).probabilities(SCORES[:, :3])
    np.testing.assert_allclose(scaled, softmax(3 * SCORES[:, :3], axis=1))
    far_off = resolve_objective("bce", None, None, classes).probabilities(np.full((1, 3), -1e4))
    np.testing.assert_allclose(far_off, np.full((1, 3), 1 / 3))


@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_classes_keep_their_order_where_sigmoids_round_to_one(loss):
    multiclass = encode_targets(list("abc")).format
    objective = resolve_objective(loss, None, None, multiclass)
    scores = np.array([[40, 45, 50], [50, 40, 45], [36, 37, 38], [300, 1e9, 200], [-900, -800, 0]])
    probabilities = objective.probabilities(scores)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), scores.argmax(axis=1))
    np.testing.assert_array_equal(probabilities[:4].argsort(axis=1), scores[:4].argsort(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(probabilities[:4], 1 / 3, rtol=1e-14)
    tied = objective.probabilities(np.array([[50.0, 50.0, 40.0]]))
    assert tied[0, 0] == tied[0, 1] > tied[0, 2]


def test_order_is_kept_among_a_thousand_classes():
    multiclass = encode_targets(np.tile(np.arange(1000), 3)).format
    scores = np.random.default_rng(0).normal(scale=60, size=(40, 1000)) + 40
    probabilities = resolve_objective("bce", None, None, multiclass).probabilities(scores)
    by_score = np.take_along_axis(probabilities, scores.argsort(axis=1), axis=1)
    steps = np.diff(by_score, axis=1)
    assert (steps >= 0).all()
    assert (steps[:, 500:] > 0).all()  # far below zero, probabilities round to 0
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)


FORMATS = {
    "binary": encode_targets([0, 1]).format,
    "classes": encode_targets([0, 1, 2, 3, 4]).format,
    "hard": HARD,
    "soft": SOFT,
}


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize(("loss", "margin"), [("mlce", 0.4), ("bce", 0.0), ("bce", (0.2, 1.8))])
def test_a_tensor_has_the_probabilities_of_the_array(loss, margin, scale, kind):
    margin = margin if kind in ("hard", "soft") else None
    objective = resolve_objective(loss, scale, margin, FORMATS[kind])
    scores = 3 * (SCORES[:, :1] if kind == "binary" else SCORES)
    found = objective.probabilities_of_tensor(torch.from_numpy(scores))
    np.testing.assert_allclose(found, objective.probabilities(scores), rtol=1e-9)
