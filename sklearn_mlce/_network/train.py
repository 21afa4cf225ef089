"""Training and scoring of a perceptron: rows in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from skorch.callbacks import Callback
from skorch.helper import predefined_split

from sklearn_mlce._network.batches import Batches, Rows, features
from sklearn_mlce._network.callbacks import Diverged, SeedEpochs, Supervision
from sklearn_mlce._network.input_scaling import OverallScaling
from sklearn_mlce._network.optimizer import FusedAdamW, moments_from_arrays, moments_to_arrays
from sklearn_mlce._network.perceptron import (
    Architecture,
    Dropout,
    Perceptron,
    initialise,
    start_from_rows,
)
from sklearn_mlce._network.plan import SCHEDULES, TrainingPlan
from sklearn_mlce._network.skorch_net import Criterion, PerceptronNet
from sklearn_mlce._network.state import (
    Arrays,
    KeepProgress,
    Progress,
    TrainingState,
    begin_history,
    predictor,
    torch_dtype,
    weights_from_arrays,
    weights_to_arrays,
)
from sklearn_mlce._objectives.first_order import label_counts
from sklearn_mlce._objectives.prepared_targets import TargetEncoder
from sklearn_mlce._utils.random import EpochRandomness

# Entries of the widest dense layer that are held at a time where there is no gradient.
_ENTRIES_PER_PASS = 2**22
# Added to the root of AdamW's mean squares for the weights of features of which few rows have each,
# per unit of their entries, as gradients grow with these. Without it a feature that one row has
# moves as far as a common one, and rows are learned by heart.
_EPS = 1e-3


@dataclass(frozen=True)
class TrainingResult:
    """What training gives back."""

    progress: Progress  # of one epoch at least
    stopped_by: Diverged | KeyboardInterrupt | None = None  # after its last epoch

    @property
    def state(self) -> TrainingState:
        """After the epoch of the best score, or the last where none is scored."""
        assert self.progress.kept is not None
        return self.progress.kept


def train(
    plan: TrainingPlan,
    start: TrainingState,
    rows: Rows,
    supervision: Supervision | None = None,
) -> TrainingResult:
    """Train a perceptron.

    Parameters
    ----------
    plan : TrainingPlan
        How.
    start : TrainingState
        Where to begin; with new weights where it has none.
    rows : Rows
        What to train on.
    supervision : Supervision, default=None
        What watches the training, and where an earlier run of it stopped.

    Returns
    -------
    TrainingResult
        How far it came.

    Raises
    ------
    ValueError
        If a loss or a weight is not finite in the first epoch.
    KeyboardInterrupt
        If interrupted before the end of the first epoch.
    """
    randomness = EpochRandomness(start.seed, plan.device)
    watch = Supervision() if supervision is None else supervision

    def snapshot(net: PerceptronNet, with_moments: bool = True) -> TrainingState:
        return _state_of(net, start, with_moments)

    keeper = KeepProgress(
        watch.progress, plan.patience, partial(snapshot, with_moments=plan.keep_optimizer)
    )
    stopped_by: Diverged | KeyboardInterrupt | None = None
    if not watch.progress.finished:
        net = _make_net(
            plan,
            start if watch.resumed is None else watch.resumed.last,
            rows,
            watch.held_out,
            randomness,
            [
                SeedEpochs(randomness, start.n_epochs),
                *watch.all_callbacks(keeper, snapshot, plan.max_epochs),
            ],
        )
        net.may_stop = watch.users
        begin_history(net, watch.progress)
        try:
            net.train(rows, epochs=plan.max_epochs - watch.progress.n_epochs)
            if watch.callbacks and watch.held_out is None:
                keeper.keep(net)  # which the user's may have changed at the end of the training
        except (Diverged, KeyboardInterrupt) as error:
            if keeper.progress.kept is None:
                raise
            stopped_by = error
    return TrainingResult(keeper.progress, stopped_by)


def _make_net(
    plan: TrainingPlan,
    start: TrainingState,
    rows: Rows,
    held_out: Rows | None,
    randomness: EpochRandomness,
    callbacks: list[Callback],
) -> PerceptronNet:
    """An initialised net that stands where `start` says."""
    rows_per_pass = _rows_per_pass(plan.architecture, rows.X)
    module = _make_module(plan, start, rows, randomness)
    net = PerceptronNet(
        module,
        Criterion(),
        optimizer=FusedAdamW,
        optimizer__weight_decay=0.0,
        optimizer__param_groups=_weight_groups(module, plan.alpha),
        lr=plan.learning_rate,
        iterator_train=Batches,
        iterator_train__batch_size=plan.batch_size,
        iterator_train__device=plan.device,
        iterator_train__encoder=_encoder(plan, rows, plan.batch_size),
        iterator_train__order=randomness.order,
        iterator_train__training=True,
        iterator_valid=Batches,
        iterator_valid__batch_size=rows_per_pass,
        iterator_valid__device=plan.device,
        iterator_valid__encoder=_encoder(plan, rows, rows_per_pass),
        train_split=None if held_out is None else predefined_split(held_out),
        callbacks=callbacks,
        device=plan.device,
        verbose=0,
    )
    net.schedule = SCHEDULES[plan.schedule]
    net.n_epochs_in_all = plan.max_epochs
    net.largest_norm = plan.gradient_clipping
    net.mixed_precision = plan.mixed_precision
    net.kept_dtype = rows.X.dtype
    net.initialize()
    if start.optimizer:
        moments_from_arrays(net.optimizer_, net.module_, start.optimizer)
    return net


def _weight_groups(module: Perceptron, alpha: float) -> list[tuple[str, dict[str, float]]]:
    """What AdamW is told of the weights, the first of these that fits a name; not of biases."""
    decayed = {"weight_decay": alpha}
    if not isinstance(module.input_scaling, OverallScaling):
        return [("*.weight", decayed)]
    eps = _EPS * module.input_scaling.size.item()
    return [("layers.0.weight", decayed | {"eps": eps}), ("*.weight", decayed)]


def _encoder(plan: TrainingPlan, rows: Rows, batch_size: int) -> TargetEncoder:
    batch_rows = min(batch_size, len(rows))
    return TargetEncoder(
        plan.loss,
        batch_rows,
        plan.dtype,
        plan.device,
        plan.label_weight,
        label_counts(plan.loss, rows.targets, rows.sample_weight, plan.device),
    )


def _make_module(
    plan: TrainingPlan, start: TrainingState, rows: Rows, randomness: EpochRandomness
) -> Perceptron:
    dropout = Dropout(plan.dropout, randomness.dropout_generator) if plan.dropout > 0 else None
    module = Perceptron(
        plan.architecture,
        torch_dtype(plan.dtype),
        dropout=dropout,
        input_dtype=torch_dtype(rows.X.dtype),
    )
    if start.weights:
        weights_from_arrays(module, start.weights)
    else:
        initialise(module, randomness.weight_generator())
        start_from_rows(module, rows, plan.loss)
    return module


def _state_of(net: PerceptronNet, start: TrainingState, keep_optimizer: bool) -> TrainingState:
    moments = moments_to_arrays(net.optimizer_, net.module_) if keep_optimizer else {}
    n_epochs = start.n_epochs + len(net.history)
    return TrainingState(net_weights(net), moments, start.seed, n_epochs)


def net_weights(net: PerceptronNet) -> Arrays:
    """Weights of a net in training, in the precision of X, in which it will predict."""
    return weights_to_arrays(net.module_, net.kept_dtype)


def compute_scores(
    architecture: Architecture, weights: Mapping[str, np.ndarray], X: Any, device: torch.device
) -> np.ndarray:
    """Scores ``(n, n_outputs)`` of validated rows, in the weights' precision.

    Parameters
    ----------
    architecture : Architecture
        Of the perceptron.
    weights : mapping of str to ndarray
        Its weights, by name.
    X : ndarray or CSR matrix of shape (n, d)
        Rows.
    device : torch.device
        Where to compute.

    Returns
    -------
    ndarray of shape (n, n_outputs)
        Scores.
    """
    module = predictor(architecture, weights, device)
    dtype = next(iter(weights.values())).dtype
    scores = np.empty((X.shape[0], architecture.n_outputs), dtype=dtype)
    step = _rows_per_pass(architecture, X)
    with torch.inference_mode():
        for start in range(0, X.shape[0], step):
            part = X[start : start + step].astype(dtype, copy=False)
            scores[start : start + step] = module(features(part, device)).cpu().numpy()
    return scores


def _rows_per_pass(architecture: Architecture, X: Any) -> int:
    widths = architecture.sizes[1:] if issparse(X) else architecture.sizes
    return max(1, _ENTRIES_PER_PASS // max(widths))
