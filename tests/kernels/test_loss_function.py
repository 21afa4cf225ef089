"""The shell of a loss function: what is done to arguments, and a gradient made along with it."""

import pytest
import torch

from sklearn_mlce._kernels.loss_function import closed_form_loss, per_row


def test_what_rows_have_is_moved_to_the_device_of_the_scores():
    scores = torch.empty(3, 2, device="meta")
    for values in (torch.ones(3), torch.ones(3, 1)):
        assert per_row(values, scores, "sample_weight").device == scores.device


def test_a_gradient_is_asked_for_only_where_it_is_wanted():
    asked = []

    def evaluate(scores, *, with_gradient):
        asked.append(with_gradient)
        return scores.sum(dim=1), (torch.ones_like(scores),) if with_gradient else None

    scores = torch.zeros(2, 3)
    closed_form_loss(evaluate, scores, reduction="sum", shape=scores.shape[:-1])
    with torch.no_grad():
        closed_form_loss(evaluate, scores.requires_grad_(), reduction="sum", shape=(2,))
    assert asked == [False, False]
    loss = closed_form_loss(evaluate, scores, reduction="sum", shape=(2,))
    loss.backward(retain_graph=True)
    assert asked == [False, False, True]
    loss.backward()  # evaluates anew: the first gradient has been handed over
    assert asked == [False, False, True, True]
    assert (scores.grad == 2).all()
    loss = closed_form_loss(evaluate, scores, reduction="sum", shape=(2,))
    with pytest.raises(RuntimeError, match="cannot be differentiated a second time"):
        torch.autograd.grad(loss, scores, create_graph=True)
