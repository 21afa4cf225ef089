"""Dropout that draws from a generator of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero entries at random in training, and scale up the others to keep the mean.

    :func:`torch.nn.functional.dropout` draws from torch's global generator; this one does not
    touch it. It spends 16 random bits per entry, so that the probability is a multiple of
    2**-16, and takes a quarter of the time.

    Parameters
    ----------
    probability : float in [0, 1)
        Of zeroing an entry.
    generator : torch.Generator
        Source of the random bits, on the device of the entries.

    Examples
    --------
    >>> import torch
    >>> from sklearn_mlce._training.dropout import Dropout
    >>> dropout = Dropout(0.5, torch.Generator().manual_seed(0))
    >>> dropout(torch.ones(1000)).unique().tolist()
    [0.0, 2.0]
    >>> dropout.eval()(torch.ones(2))
    tensor([1., 1.])
    """

    def __init__(self, probability: float, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        # At least one of the 65536 values keeps, so that the scale stays finite.
        self.n_kept_values = max(1, round((1 - probability) * 65536))

    def forward(self, x: Tensor) -> Tensor:
        """Thin out ``x`` in training mode; leave it as it is in evaluation mode."""
        if not self.training or self.n_kept_values == 65536:
            return x
        kept = self._random_int16(x) >= 32768 - self.n_kept_values
        return x * kept.to(x.dtype).mul_(65536 / self.n_kept_values)

    def _random_int16(self, like: Tensor) -> Tensor:
        """Uniform 16-bit integers, drawn 64 bits at a time."""
        n = like.numel()
        words = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device)
        words.random_(-(2**63), None, generator=self.generator)
        return words.view(torch.int16)[:n].view(like.shape)
