"""The shell of a loss function: what is done to arguments, and a gradient made along with it."""

import torch

from sklearn_mlce._kernels.loss_function import per_row, reduced_loss


def test_what_rows_have_is_moved_to_the_device_of_the_scores():
    scores = torch.empty(3, 2, device="meta")
    for values in (torch.ones(3), torch.ones(3, 1)):
        assert (
            per_row(values, scores.shape[:1], scores.device, "sample_weight").device
            == scores.device
        )


def test_a_gradient_is_asked_for_only_where_it_is_wanted():
    asked = []

    def closed(scores, *, weight, with_gradient):
        asked.append(with_gradient)
        return scores.sum(dim=1), (torch.ones_like(scores),) if with_gradient else None

    def loss_of(scores):
        return reduced_loss(
            closed,
            lambda scores: scores.square().sum(dim=1),
            scores,
            sample_weight=None,
            reduction="sum",
            rows=scores.shape[:-1],
            traced=False,
        )

    scores = torch.ones(2, 3)
    loss_of(scores)
    with torch.no_grad():
        loss_of(scores.requires_grad_())
    assert asked == [False, False]
    loss = loss_of(scores)
    loss.backward(retain_graph=True)
    assert asked == [False, False, True]
    loss.backward()  # evaluates anew: the first gradient has been handed over
    assert asked == [False, False, True, True]
    assert (scores.grad == 2).all()
    # A gradient that is to be differentiated again is that of the plain form.
    (gradient,) = torch.autograd.grad(loss_of(scores), scores, create_graph=True)
    assert (gradient == 2).all()
    assert gradient.requires_grad
