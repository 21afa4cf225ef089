"""When a solver is done with an output."""

from __future__ import annotations

import torch
from torch import Tensor

from sklearn_mlce._solvers.design import Design

_NOISE_UNITS = 8  # of rounding, in a sum of a gradient's terms


def gradient_tolerance(
    design: Design, gradient: Tensor, row_gradient: Tensor, tol: float
) -> tuple[Tensor, Tensor]:
    """Largest entry that each output's gradient may have at the end, and what rounding leaves.

    Parameters
    ----------
    design : Design
        The features.
    gradient : Tensor of shape (n_parameters, n_outputs)
        Gradient at constant scores, in the parameters of the centred features.
    row_gradient : Tensor of shape (n_rows, n_outputs)
        The gradient in the scores that it was made of.
    tol : float
        Share of the first gradient that may be left.

    Returns
    -------
    tolerance : Tensor of shape (n_outputs,)
        That share; where the first gradient is itself rounding, all of it.
    noise : Tensor of shape (n_outputs,)
        Entries that are not told from zero.
    """
    first = design.gradient_of_given(gradient).abs().amax(dim=0)
    noise = row_gradient.abs().sum(dim=0).mul_(max(design.largest_entry, 1.0))
    noise.mul_(_NOISE_UNITS * torch.finfo(noise.dtype).eps)
    return torch.where(first > noise, first * tol, noise), noise
