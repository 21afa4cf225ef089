"""What members choose on the rows that they were trained without: the epoch, and the threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.members import combined_weights, draw_left_out, left_out_scores
from sklearn_mlce._network.perceptron import Arrays
from sklearn_mlce._network.plan import TrainingPlan
from sklearn_mlce._targets.targets import constant_label_scores
from sklearn_mlce.model_selection._f_measure import FMeasure
from sklearn_mlce.model_selection._out_of_fold import beside_targets
from sklearn_mlce.model_selection._sweep import Curve, tune

_MEASURE = FMeasure("micro")


class MemberSelection:
    """Choice of epoch and threshold by the micro-F1 of the rows that members leave out.

    Each row is scored by the member that was trained without it. Where there is no threshold to
    choose, members are trained with all rows, and nothing is scored. One network alone leaves
    nothing out and chooses nothing.

    Parameters
    ----------
    plan : TrainingPlan
        Of the members.
    rows : Rows
        Training rows.
    has_threshold : bool
        Whether labels are predicted whose scores are above one threshold.
    seed : int
        Of the fit, from which the rows of each member are drawn.
    """

    member_weight: np.ndarray | None = None  # (n_members, n)

    def __init__(self, plan: TrainingPlan, rows: Rows, has_threshold: bool, seed: int) -> None:
        n_members = plan.architecture.n_members
        self._plan, self._rows, self._is_one = plan, rows, n_members == 1
        self._has_threshold = has_threshold and not self._is_one
        if self._is_one:
            return
        self._left_out = draw_left_out(len(rows), n_members, seed)
        trained = ~self._left_out if has_threshold else np.ones_like(self._left_out)
        weight = np.ones(len(rows)) if rows.sample_weight is None else rows.sample_weight
        self.member_weight = (trained * weight).astype(rows.X.dtype)

    @classmethod
    def of(cls, estimator: Any, plan: TrainingPlan, rows: Rows, seed: int) -> Self:
        """Make the selection of an estimator."""
        has_labels = rows.targets.kind in ("multilabel", "soft")
        return cls(plan, rows, has_labels and estimator.n_labels_per_row is None, seed)

    @property
    def score(self) -> Callable[[Arrays], float] | None:
        """Micro-F1 of weights with their best threshold, where there is one."""
        return self._best_f1 if self._has_threshold else None

    def combined(self, weights: Arrays) -> Arrays:
        """Weights of the one network of the members, with zero for the best threshold."""
        if self._is_one:
            return weights
        together = combined_weights(weights)
        if self._has_threshold:
            threshold, _ = self._tuned(weights)
            together["layers.1.bias"][: self._plan.architecture.n_outputs] -= threshold
        return together

    def _best_f1(self, weights: Arrays) -> float:
        _, curve = self._tuned(weights)
        return float(curve.values.max()) if len(curve.values) else 0.0

    def _tuned(self, weights: Arrays) -> tuple[Any, Curve]:
        plan, targets = self._plan, self._rows.targets
        scores = left_out_scores(
            plan.architecture, weights, self._rows, self._left_out, plan.device
        )
        fixed = constant_label_scores(targets)
        scores[:, ~np.isnan(fixed)] = fixed[~np.isnan(fixed)]
        held_out = beside_targets(targets, scores, self._rows.sample_weight)
        return tune(held_out, _MEASURE, "global", default=0.0)


def check_members(estimator: Any, n_hidden_layers: int) -> None:
    """Raise ValueError unless several members can be trained as the parameters ask for."""
    refused = {
        "module": estimator.module is not None,
        "early_stopping": estimator.early_stopping,
        "warm_start": estimator.warm_start,
        "data_parallel": estimator.data_parallel,
    }
    given = [name for name, is_given in refused.items() if is_given]
    if given:
        raise ValueError(
            f"n_members={estimator.n_members} trains perceptrons from new weights in one process, "
            "and holds rows out for each, which does not go with "
            f"{' and '.join(given)}. Set n_members=1, or leave {' and '.join(given)} at the default"
        )
    if n_hidden_layers != 1:
        raise ValueError(
            f"n_members={estimator.n_members} needs one hidden layer, which the members divide, "
            f"but hidden_layer_sizes={estimator.hidden_layer_sizes!r} has {n_hidden_layers}. Set "
            "hidden_layer_sizes=64, say"
        )
