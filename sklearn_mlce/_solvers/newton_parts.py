"""When a solver is done with an output."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sklearn_mlce._solvers.design import Design

_NOISE_UNITS = 8  # of rounding, in a sum of a gradient's terms


class Tolerance(NamedTuple):
    """Largest entry that each output's gradient may have at the end, and what rounding leaves.

    Rounding is that of each column on its own: beside features of a small unit the intercept's
    is large, as is that of a feature that varies little beside its mean.
    """

    design: Design
    rounding: Tensor  # (n_parameters, 1): of a sum of terms as large as 1
    terms: Tensor  # (n_outputs,): sums of the row gradients' magnitudes
    largest: Tensor  # (n_outputs,)

    @classmethod
    def of_share(
        cls, design: Design, gradient: Tensor, row_gradient: Tensor, share: float
    ) -> Tolerance:
        """That share of a gradient in the parameters of the centred features.

        The gradient ``(n_parameters, n_outputs)`` is made of those of the rows, at the best
        constant scores: there it is that in the given features too, but for what the intercepts
        miss, which a large offset would blow up. Where it is itself rounding, an output is done.
        """
        rounding = _NOISE_UNITS * torch.finfo(gradient.dtype).eps * design.largest_entries[:, None]
        terms = row_gradient.abs().sum(dim=0)
        entries = gradient.abs()
        first = torch.where(entries > rounding * terms, entries, 0).amax(dim=0)
        return cls(design, rounding, terms, torch.where(first > 0, share * first, torch.inf))

    def excess(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Largest entries ``(n_outputs,)`` in units of the tolerance, and where one is too large.

        Too large is what is not rounding either: that no iteration makes smaller.
        """
        entries = self.design.gradient_of_given(gradient).abs()
        excess = entries.amax(dim=0).div_(self.largest).nan_to_num_(nan=torch.inf, posinf=torch.inf)
        too_large = excess > 1
        if bool((self.rounding.max() * self.terms > self.largest).any()):
            least = torch.maximum(self.rounding * self.terms, self.largest)
            too_large &= (entries > least).any(dim=0)
        return excess, too_large

    def take(self, places: Tensor) -> Tolerance:
        """That of some outputs."""
        return self._replace(terms=self.terms[places], largest=self.largest[places])
