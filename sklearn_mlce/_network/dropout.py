"""Dropout that draws from a generator of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero entries at random in training, and scale up the others to keep the mean.

    :func:`torch.nn.functional.dropout` draws from torch's global generator; this one does not
    touch it, and takes a tenth of the time. It spends as many random bits per entry as it needs,
    8 or 16: the probability that it works with is a multiple of 2**-8 within a hundredth of
    `probability`, or a multiple of 2**-16.

    Parameters
    ----------
    probability : float in [0, 1)
        Of zeroing an entry.
    generator : torch.Generator
        Source of the random bits, on the device of the entries.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce._network.dropout import Dropout
    >>> dropout = Dropout(0.5, torch.Generator().manual_seed(0))
    >>> dropout(torch.ones(1000)).unique().tolist()
    [0.0, 2.0]
    >>> dropout.eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, probability: float, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        zeroed = round(256 * probability)
        coarse = abs(zeroed - 256 * probability) <= 0.01 * 256 * probability and zeroed < 256
        self._dtype = torch.int8 if coarse else torch.int16
        self._n_values = 256 if coarse else 65536
        # At least one of the values keeps, so that the scale stays finite.
        self._n_kept = max(1, round((1 - probability) * self._n_values))

    def forward(self, x: Tensor) -> Tensor:
        """Thin out ``x`` in training mode; leave it as it is in evaluation mode."""
        if not self.training or self._n_kept == self._n_values:
            return x
        # Written as numbers at once: a comparison into booleans takes four times as long.
        kept = torch.empty_like(x, requires_grad=False)
        torch.ge(self._random_integers(x), self._n_values // 2 - self._n_kept, out=kept)
        return x * kept.mul_(self._n_values / self._n_kept)

    def _random_integers(self, like: Tensor) -> Tensor:
        """Uniform signed integers, drawn 64 bits at a time."""
        n = like.numel()
        words = torch.empty(
            -(-n * self._dtype.itemsize // 8), dtype=torch.int64, device=like.device
        )
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(self._dtype)[:n].view(like.shape)
