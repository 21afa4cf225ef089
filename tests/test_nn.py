"""The two-slot pair score: its formula, its memory, and that it learns."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sklearn_mlce.losses import mlce_loss
from sklearn_mlce.nn import PairScore

N_POSITIONS, N_FEATURES, N_LABELS = 7, 5, 3


@pytest.fixture
def score():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PairScore(N_FEATURES, N_LABELS, pair_features=4, dtype=torch.float64)


def vectors(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, N_FEATURES, generator=generator, dtype=torch.float64)


def test_equals_the_plain_loop(score):
    h = vectors(N_POSITIONS).numpy()
    w_q, w_k = score.query.weight.detach().numpy(), score.key.weight.detach().numpy()
    w = np.hstack([score.first.weight.detach().numpy(), score.second.weight.detach().numpy()])
    scores = score(torch.from_numpy(h)).detach().numpy()
    assert scores.shape == (N_LABELS, N_POSITIONS, N_POSITIONS)
    for a in range(N_LABELS):
        for i in range(N_POSITIONS):
            for j in range(N_POSITIONS):
                expected = (w_q @ h[i]) @ (w_k @ h[j]) + w[a] @ np.concatenate([h[i], h[j]])
                assert scores[a, i, j] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)])
def test_any_batch_shape(score, shape):
    h = vectors(*shape, N_POSITIONS)
    scores = score(h)
    assert scores.shape == (*shape, N_LABELS, N_POSITIONS, N_POSITIONS)
    last = tuple(n - 1 for n in shape)
    torch.testing.assert_close(scores[last], score(h[last]))


def test_gradient_passes_gradcheck(score):
    parameters = [parameter for _, parameter in score.named_parameters()]
    names = [name for name, _ in score.named_parameters()]

    def scores(h, *weights):
        given = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(score, given, (h,))

    assert torch.autograd.gradcheck(scores, [vectors(2, 4).requires_grad_(), *parameters])


class LargeTensors(TorchDispatchMode):
    """Counts the elements of the memory that operations have made, the large ones only."""

    def __init__(self, least):
        super().__init__()
        self.least, self.memory = least, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.numel() >= self.least:
            storage = result.untyped_storage()
            self.memory[storage.data_ptr()] = storage.nbytes() // result.element_size()
        return result


def test_nothing_as_large_as_the_scores_is_made_beside_them():
    """One product of all labels (an eighth of the scores here), and the scores themselves."""
    score = PairScore(6, 8, pair_features=4)
    h = torch.randn(2, 40, 6)
    with LargeTensors(least=2 * 40 * 40) as made:
        scores = score(h)
    assert sorted(made.memory.values()) == [scores.numel() // 8, scores.numel()]


def test_learns_which_pairs_carry_which_label():
    """Positions carry a letter; label 0 holds for pairs (a, b), label 1 for (b, a)."""
    letters = torch.tensor([0, 2, 1, 2, 0, 1, 2])
    is_a, is_b = letters == 0, letters == 1
    targets = torch.stack([is_a[:, None] & is_b, is_b[:, None] & is_a])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        score = PairScore(3, 2, pair_features=4)
    h = torch.nn.functional.one_hot(letters, 3).float()
    optimizer = torch.optim.Adam(score.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        mlce_loss(score(h).flatten(-2), targets.flatten(-2)).backward()
        optimizer.step()
    assert torch.equal(score(h) > 0, targets)


def test_is_traced_together_with_its_loss():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        score, h = PairScore(6, 3, pair_features=4), torch.randn(2, 5, 6)
    targets = torch.zeros(2, 3, 25)
    targets[0, 1, 3] = 1

    def loss_of(h):
        return mlce_loss(score(h).flatten(-2), targets)

    variable = h.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(variable), variable)
    torch.testing.assert_close(torch.func.grad(loss_of)(h), gradient)
    torch.testing.assert_close(torch.func.vmap(score)(h), score(h))
    torch._dynamo.reset()
    compiled = torch.compile(loss_of, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(h), loss_of(h))
