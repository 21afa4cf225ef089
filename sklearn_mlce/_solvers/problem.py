"""Rows, encoded targets and parameters of a linear model's fit, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._solvers.association import Association
from sklearn_mlce._solvers.design import Design, row_designs
from sklearn_mlce._solvers.standardisation import Standardisation
from sklearn_mlce._targets.targets import Targets
from sklearn_mlce._utils.tensors import resolve_device


class LinearProblem(NamedTuple):
    """A linear model's mean objective: weighted losses of rows, and an L2 penalty."""

    X: Any  # (n_rows, n_features), ndarray or CSR
    targets: Targets
    sample_weight: np.ndarray | None  # (n_rows,), positive
    row_weight: np.ndarray  # (n_rows,), sums to one
    total_weight: float  # of the rows
    objective: Objective
    label_weight: np.ndarray | None  # (n_outputs,)
    C: float
    l2: float  # strength of the penalty beside the mean loss, 1 / (C * total_weight)
    fit_intercept: bool
    sizes: np.ndarray | None  # (n_features,), that columns are divided by; 0 of one left out
    device: torch.device
    by_association: bool = False  # whether the penalty is weaker for features that go with a label


class PreparedFeatures:
    """Features as the solvers see them, made once for all blocks of labels.

    Parameters
    ----------
    problem : LinearProblem
        Whose features they are.
    """

    def __init__(self, problem: LinearProblem) -> None:
        self.standardisation = Standardisation.of_rows(
            problem.X, problem.row_weight, problem.fit_intercept, problem.sizes
        )
        self.association = None
        if problem.by_association:
            self.association = Association.of_rows(
                problem.X,
                problem.row_weight,
                problem.total_weight,
                centred=problem.fit_intercept,
            )
        self.X, self._device = problem.X, problem.device

    @cached_property
    def design(self) -> Design:
        """The design of the exact solver."""
        return Design(self.X, self.standardisation, self._device)

    def row_designs(self, n_rows: int) -> list[Design]:
        """Designs of blocks of rows, for the exact solver of outputs that are one problem."""
        return row_designs(self.X, self.standardisation, self._device, n_rows)

    def __getstate__(self) -> dict[str, Any]:
        # A process is sent X by itself, and makes its own design, which holds X three times.
        return {name: value for name, value in vars(self).items() if name not in ("X", "design")}


class IterationMonitor(Protocol):
    """Listener to the iterations of a solver."""

    stopped: bool  # whether the last one was told to be the last

    def begin(self) -> None:
        """Note that an iteration begins."""

    def end(self, parameters: Callable[[], Tensor]) -> bool:
        """Note that it ended, and can give its parameters; return True to stop the solver."""


def linear_device(device: str) -> torch.device:
    """Device that an estimator's `device` names.

    Raises
    ------
    ValueError
        If torch cannot use it, or the solvers have no arithmetic for it.
    """
    resolved = resolve_device(device)
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device={device!r}, but the solvers of the linear model compute on a CPU or with "
            "CUDA; expected 'cpu', 'cuda', 'cuda:1' or 'auto'. Set device='cpu', or take MLCEMLP"
        )
    return resolved
