"""Calibrated models as torch modules: maps of scores to log-odds, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sklearn_mlce._export.models import ExportedModel, as_columns
from sklearn_mlce._export.outputs import Outputs, clipped, computing_dtype
from sklearn_mlce._targets.targets import CONSTANT_LABEL_SCORE


class CalibratedMember(ExportedModel):
    """Log-odds that rise in a straight line with the scores of a model.

    Parameters
    ----------
    estimator : Module
        Gives scores ``(n,)`` or ``(n, L)``.
    learned : ndarray of shape (L,)
        Mask of the labels that it can tell apart.
    slopes, intercepts : ndarray of shape (L,)
        Of the log-odds.
    """

    learned: Tensor
    slopes: Tensor
    intercepts: Tensor

    def __init__(
        self,
        estimator: nn.Module,
        learned: np.ndarray,
        slopes: np.ndarray,
        intercepts: np.ndarray,
    ) -> None:
        super().__init__(nn.Identity())
        self.estimator = estimator
        for name, array in (("learned", learned), ("slopes", slopes), ("intercepts", intercepts)):
            self.keep(name, array)

    def scores(self, x: Tensor) -> Tensor:
        """Log-odds ``(n, L)``; they mean nothing for labels that were not learned."""
        scores = as_columns(self.estimator(x)).to(computing_dtype(self.slopes))
        return self.log_odds(scores.clamp(-CONSTANT_LABEL_SCORE, CONSTANT_LABEL_SCORE))

    def log_odds(self, scores: Tensor) -> Tensor:
        """Log-odds of scores ``(n, L)``."""
        return self.slopes * scores + self.intercepts


class IsotonicMember(CalibratedMember):
    """Log-odds of a mixture of a sigmoid and an isotonic regression for each label.

    The regressions are sums of ramps, one between each two of a label's knots, which takes memory
    for all knots in each row.

    Parameters
    ----------
    isotonic_weight : ndarray of shape (L,)
        Of the regressions.
    knots : ndarray of shape (2, K)
        Scores and probabilities, label by label.
    starts : ndarray of shape (L + 1,)
        Where those of each label begin.
    **parameters : object
        Those of :class:`CalibratedMember`.
    """

    isotonic_weight: Tensor
    lowest: Tensor
    lefts: Tensor
    widths: Tensor
    rises: Tensor
    labels: Tensor

    def __init__(
        self,
        isotonic_weight: np.ndarray,
        knots: np.ndarray,
        starts: np.ndarray,
        **parameters: object,
    ) -> None:
        super().__init__(**parameters)  # type: ignore[arg-type]
        of_knot = np.repeat(np.arange(len(isotonic_weight)), np.diff(starts))
        within = of_knot[1:] == of_knot[:-1]  # not from one label to the next
        lowest = np.zeros(len(isotonic_weight))
        some = np.diff(starts) > 0
        lowest[some] = knots[1, starts[:-1][some]]
        widths, rises = np.diff(knots, axis=1)[:, within] if len(of_knot) else np.zeros((2, 0))
        arrays = {
            "isotonic_weight": isotonic_weight,
            "lowest": lowest,
            "lefts": knots[0, :-1][within] if len(of_knot) else np.zeros(0),
            "widths": widths,
            "rises": rises,
            "labels": of_knot[1:][within],
        }
        for name, array in arrays.items():
            self.keep(name, array)

    def log_odds(self, scores: Tensor) -> Tensor:
        """Log-odds of scores ``(n, L)``."""
        of_sigmoid = super().log_odds(scores)
        weight, own = self.isotonic_weight.to(scores.dtype), self._isotonic(scores)
        for_it = torch.logaddexp(
            _log(weight * own), torch.log1p(-weight) + functional.logsigmoid(of_sigmoid)
        )
        against = torch.logaddexp(
            _log(weight * (1 - own)), torch.log1p(-weight) + functional.logsigmoid(-of_sigmoid)
        )
        return torch.where(weight > 0, for_it - against, of_sigmoid)

    def _isotonic(self, scores: Tensor) -> Tensor:
        """Probabilities ``(n, L)`` by the regressions."""
        # Half precision rounds narrow ramps to steps, of no width.
        widths = self.widths.to(scores.dtype).clamp(min=torch.finfo(scores.dtype).tiny)
        on_ramp = (scores[:, self.labels] - self.lefts).clamp(min=0).minimum(widths)
        rises = on_ramp * (self.rises / widths)
        of_labels = torch.zeros_like(scores).scatter_add(1, self.labels.expand_as(rises), rises)
        return (self.lowest + of_labels).clamp(0, 1)


class CalibratedModel(ExportedModel):
    """Log-odds of the mean probability of members.

    Parameters
    ----------
    members : sequence of CalibratedMember
        One, or one for each fold.
    learned : ndarray of shape (L,)
        Mask of the labels that a member has learned.
    prevalence : ndarray of shape (L,)
        Probabilities of the others.
    outputs : Outputs
        What is returned.
    """

    outputs: Outputs
    learned: Tensor
    prevalence: Tensor

    def __init__(
        self,
        members: Sequence[CalibratedMember],
        learned: np.ndarray,
        prevalence: np.ndarray,
        outputs: Outputs,
    ) -> None:
        super().__init__(outputs)
        self.members = nn.ModuleList(members)
        self.keep("learned", learned)
        self.keep("prevalence", prevalence)

    def returned(self, scores: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Log-odds, labels or probabilities of log-odds ``(n, L)``."""
        if self.outputs.output != "probabilities":
            return self.outputs(scores)
        probabilities = torch.where(self.learned, scores.sigmoid(), self.prevalence)
        if self.outputs.kind != "binary":
            return clipped(probabilities)
        others = torch.where(self.learned, (-scores).sigmoid(), 1 - self.prevalence)
        return clipped(torch.cat([others, probabilities], dim=1))

    def scores(self, x: Tensor) -> Tensor:
        """Log-odds ``(n, L)``, with the scores of constant labels among them."""
        dtype = computing_dtype(self.prevalence)
        limit = torch.full_like(self.prevalence, CONSTANT_LABEL_SCORE, dtype=dtype)
        constant = torch.where(self.prevalence > 0.5, limit, -limit)
        return torch.where(self.learned, self._mean_log_odds(x), constant)

    def _mean_log_odds(self, x: Tensor) -> Tensor:
        if len(self.members) == 1:
            return self.members[0](x)
        sides: list[list[Tensor]] = [[], []]
        member: Any
        for member in self.members:
            log_odds, learned = member(x), member.get_buffer("learned")
            # Finite, so that a label that no member has learned has a gradient.
            absent = torch.full_like(log_odds, -2 * CONSTANT_LABEL_SCORE)
            for side, sign in zip(sides, (1, -1), strict=True):
                side.append(functional.logsigmoid(sign * log_odds).where(learned, absent))
        positive, negative = (torch.stack(side).logsumexp(dim=0) for side in sides)
        return positive - negative


def _log(values: Tensor) -> Tensor:
    """Logarithms, -inf of 0, without a gradient that is no number."""
    positive = values > 0
    logs = values.where(positive, torch.ones_like(values)).log()
    return logs.where(positive, torch.full_like(logs, -torch.inf))
