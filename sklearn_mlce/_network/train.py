"""Training loop of the network: skorch's, over our batches, from one state to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from glob import escape
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.helper import predefined_split
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from sklearn_mlce._network.array_archive import Header
from sklearn_mlce._network.batches import Batches, BatchTargets, Rows, SparseBatch
from sklearn_mlce._network.callbacks import BestEpochTracker, training_callbacks
from sklearn_mlce._network.checkpoint import TrainingState
from sklearn_mlce._network.input_scaling import OverallScaling
from sklearn_mlce._network.members import initialise_perceptron, make_perceptron
from sklearn_mlce._network.optimizer import FusedAdamW, moments_from_arrays, moments_to_arrays
from sklearn_mlce._network.perceptron import (
    Arrays,
    Dropout,
    Network,
    Perceptron,
    rows_per_pass,
    start_from_rows,
    torch_dtype,
    weights_from_arrays,
    weights_to_arrays,
)
from sklearn_mlce._network.plan import SCHEDULES, TrainingPlan
from sklearn_mlce._network.process_group import ALONE, SingleProcess
from sklearn_mlce._network.randomness import EpochRandomness, global_generators_seeded
from sklearn_mlce._network.user_network import UserNetwork, make_module
from sklearn_mlce._objectives.objective import Objective
from sklearn_mlce._objectives.prepared_targets import TargetPreparer
from sklearn_mlce._targets.targets import LabelCounts
from sklearn_mlce._utils.optional import import_torch

# Added to the root of AdamW's mean squares for the weights of features of which few rows have each,
# per unit of their entries, as gradients grow with these. Without it a feature that one row has
# moves as far as a common one, and rows are learned by heart.
_EPS = 1e-3


def train(
    plan: TrainingPlan,
    start: TrainingState,
    rows: Rows,
    held_out: Rows | None = None,
    *,
    member_weight: np.ndarray | None = None,
    score: Callable[[Arrays], float] | None = None,
    callbacks: Sequence[Any] = (),
    monitor: Any = None,
    save: Callable[[TrainingState], None] | None = None,
    processes: SingleProcess = ALONE,
) -> TrainingState:
    """Train a network.

    Parameters
    ----------
    plan : TrainingPlan
        Its parameters.
    start : TrainingState
        Where to begin, or where an earlier run of this very training stopped.
    rows : Rows
        Training rows.
    held_out : Rows, default=None
        Rows to stop early on.
    member_weight : ndarray of shape (n_members, n), default=None
        Weight of each training row in the loss of each member, where there are several.
    score : callable, default=None
        Scores weights, greater is better; None takes minus the loss on the held-out rows.
    callbacks : sequence of Callback, default=()
        The user's, copied.
    monitor : FitMonitor, default=None
        Told of each epoch, with the net.
    save : callable, default=None
        Writes the state after each epoch.
    processes : SingleProcess, default=ALONE
        Those that train together, in the same state and with the same rows.

    Returns
    -------
    TrainingState
        After the last epoch, of one at least, or after the last one before an error or an
        interruption, which it holds. Of its networks the best is up to date.

    Raises
    ------
    MemoryError
        If a batch of the first epoch does not fit in memory.
    Exception, KeyboardInterrupt
        What ended the training before the end of its first epoch.
    """
    if start.finished:
        return start
    import_torch("MLCEMLP.fit", "torch._dynamo")  # torch's optimisers do at their first step
    tracker = BestEpochTracker(start, plan.patience, plan.keep_moments, plan.averaged_epochs)
    scored = held_out is not None or score is not None
    of_net = training_callbacks(
        tracker,
        plan.max_epochs,
        users=callbacks,
        scored=scored,
        score=score,
        monitor=monitor,
        save=save,
        processes=processes,
    )
    may_stop = [entry[1] if isinstance(entry, tuple) else entry for entry in callbacks]
    net = _make_net(
        plan, start, rows, held_out, member_weight, processes, callbacks=of_net, may_stop=may_stop
    )
    try:
        net.train(rows, epochs=plan.max_epochs - start.n_epochs)
        if callbacks and not scored:  # which may have changed it at the end of the training
            tracker.keep(net, tracker.state)
    except (Exception, KeyboardInterrupt) as error:
        stopped_by = _too_little_memory(plan, error) if _is_out_of_memory(error) else error
        processes.explain(stopped_by)
        if tracker.state.n_epochs == 0:
            raise stopped_by from stopped_by.__cause__
        return replace(tracker.state, stopped_by=stopped_by)
    return tracker.state


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python, could not allocate what it needed."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in words)


def _too_little_memory(plan: TrainingPlan, cause: BaseException) -> MemoryError:
    """Error that says what to make smaller."""
    smaller = max(1, plan.batch_size // 4)
    error = MemoryError(
        f"a batch of batch_size={plan.batch_size} rows did not fit in the memory of "
        f"{plan.device} ({cause!s:.200}). Set batch_size={smaller} or less, smaller "
        "hidden_layer_sizes, or end what else holds memory there"
    )
    error.__cause__ = cause
    return error


def _make_net(
    plan: TrainingPlan,
    start: TrainingState,
    rows: Rows,
    held_out: Rows | None,
    member_weight: np.ndarray | None,
    processes: SingleProcess,
    **of_loop: Any,
) -> PerceptronNet:
    """Make an initialised net in a state."""
    held_out_rows = rows_per_pass(plan.architecture, rows.X)
    randomness = EpochRandomness(start.seed, plan.device)
    module = _make_module(plan, start, rows, randomness)
    net = PerceptronNet(
        module,
        Criterion(),
        optimizer=FusedAdamW,
        optimizer__weight_decay=0.0,
        optimizer__param_groups=_weight_groups(module, plan.alpha),
        lr=plan.learning_rate,
        **_training_batches(plan, rows, member_weight, processes, randomness),
        **_batches_options("valid", plan, rows, held_out_rows, processes),
        train_split=None if held_out is None else predefined_split(held_out),
        device=plan.device,
        verbose=0,
        processes=processes,
        randomness=randomness,
        n_epochs_before=start.n_epochs_before,
        schedule=SCHEDULES[plan.schedule],
        n_epochs_in_all=plan.max_epochs,
        largest_norm=plan.gradient_clipping,
        mixed_precision=plan.mixed_precision,
        kept_dtype=rows.X.dtype,
        **of_loop,
    )
    net.initialize()
    if start.moments:
        moments_from_arrays(net.optimizer_, net.module_, start.moments)
    _begin_history(net, start)
    return net


def _training_batches(
    plan: TrainingPlan,
    rows: Rows,
    member_weight: np.ndarray | None,
    processes: SingleProcess,
    randomness: EpochRandomness,
) -> dict[str, Any]:
    """Parameters of skorch for the batches to train on."""
    return _batches_options(
        "train",
        plan,
        rows,
        plan.batch_size,
        processes,
        order=randomness.order,
        member_weight=member_weight,
        # Transposed rows are for the perceptron's sparse product; one row has no variance for
        # BatchNorm.
        training=plan.factory is None,
        fewest_rows=1 if plan.factory is None else 2,
    )


def _batches_options(
    role: str,
    plan: TrainingPlan,
    rows: Rows,
    batch_size: int,
    processes: SingleProcess,
    **options: Any,
) -> dict[str, Any]:
    """Parameters of skorch for the batches of the rows of a role, "train" or "valid"."""
    options |= {
        "batch_size": batch_size,
        "device": plan.device,
        "encoder": _encoder(plan, rows, batch_size),
        "processes": processes,
    }
    name = f"iterator_{role}"
    return {name: Batches} | {f"{name}__{option}": value for option, value in options.items()}


def _weight_groups(module: Network, alpha: float) -> list[tuple[str, dict[str, float]]]:
    """Options of AdamW for the weights, the first of these that fits a name; not for biases."""
    decayed = {"weight_decay": alpha}
    groups, of_features = [("*.weight", decayed)], module.weight_of_features
    if isinstance(module, UserNetwork):
        groups = [(escape(name), decayed) for name, w in module.named_parameters() if w.ndim > 1]
    if not isinstance(module.input_scaling, OverallScaling) or of_features is None:
        return groups
    eps = _EPS * module.input_scaling.size.item()
    return [(escape(of_features), decayed | {"eps": eps}), *groups]


def _encoder(plan: TrainingPlan, rows: Rows, batch_size: int) -> TargetPreparer:
    batch_rows = min(batch_size, len(rows))
    return TargetPreparer(
        plan.objective,
        batch_rows * plan.architecture.n_members,
        plan.dtype,
        plan.device,
        plan.label_weight,
        _counts_if_needed(plan.objective, rows),
    )


def _counts_if_needed(objective: Objective, rows: Rows) -> LabelCounts | None:
    if not objective.needs_label_counts:
        return None
    return LabelCounts.of(rows.targets, rows.sample_weight)


def _make_module(
    plan: TrainingPlan, start: TrainingState, rows: Rows, randomness: EpochRandomness
) -> Network:
    dtype, input_dtype = torch_dtype(plan.dtype), torch_dtype(rows.X.dtype)
    if plan.factory is not None:
        of_user = make_module(plan.factory, plan.architecture, start.seed)
        network = UserNetwork(of_user, plan.architecture, dtype, input_dtype)
        if start.weights:
            weights_from_arrays(network, start.weights)
        else:
            start_from_rows(network, rows, plan.objective, plan.label_weight)
        return network
    dropout = Dropout(plan.dropout, randomness.dropout_generator) if plan.dropout > 0 else None
    module = make_perceptron(plan.architecture, dtype, dropout=dropout, input_dtype=input_dtype)
    if start.weights:
        weights_from_arrays(module, start.weights)
    else:
        initialise_perceptron(module, randomness.weight_generator())
        start_from_rows(module, rows, plan.objective, plan.label_weight)
    return module


def weight_headers(plan: TrainingPlan, kept_dtype: np.dtype, seed: int) -> dict[str, Header]:
    """Shapes and dtypes of the arrays that are kept of a network, by name."""
    dtype = torch_dtype(plan.dtype)
    network: Network
    if plan.factory is not None:
        of_user = make_module(plan.factory, plan.architecture, seed)
        network = UserNetwork(of_user, plan.architecture, dtype, torch_dtype(kept_dtype))
    else:
        network = make_perceptron(plan.architecture, dtype, device="meta")  # allocates nothing
    return {
        name: Header(tuple(part.shape), np.dtype(_kept(part, kept_dtype)))
        for name, part in network.state_dict().items()
    }


def _kept(part: Tensor, kept_dtype: np.dtype) -> Any:
    """Dtype of the array that is kept of a tensor."""
    if part.is_floating_point():
        return kept_dtype
    return torch.empty(0, dtype=part.dtype).numpy().dtype


def _begin_history(net: PerceptronNet, start: TrainingState) -> None:
    """Write the epochs that an earlier run made into a net's history."""
    for epoch, loss in enumerate(start.losses):
        net.history.new_epoch()
        net.history.record("epoch", epoch + 1)
        net.history.record("train_loss", loss)
        if start.validation_losses:
            net.history.record("valid_loss", start.validation_losses[epoch])
        if start.scores:
            net.history.record("valid_score", start.scores[epoch])


class Criterion(nn.Module):
    """Weighted mean over a batch's rows of the loss, divided by the scale.

    The division lets the learning rate keep its meaning as the scale grows. The targets know
    their loss (:mod:`sklearn_mlce._objectives.prepared_targets`), computed in float32 at least.
    """

    def forward(self, scores: Tensor, targets: BatchTargets) -> Tensor:
        """Loss of scores ``(n, n_outputs)`` and the targets of their rows; a constant."""
        return self.loss_and_gradient(scores, targets)[0]

    def loss_and_gradient(self, scores: Tensor, targets: BatchTargets) -> tuple[Tensor, Tensor]:
        """Loss of scores and targets, and its gradient in the scores.

        A backward pass may start from the scores with this gradient: the loss itself needs no
        graph.
        """
        values = scores.detach()  # what is computed from it has no graph either
        if scores.dtype in (torch.bfloat16, torch.float16):
            values = values.float()
        if targets.sample_weight is None:
            weight = values.new_full((1,), 1 / targets.total_weight)
        else:
            weight = (targets.sample_weight / targets.total_weight).to(values.dtype)
        loss, gradient = targets.encoded.evaluate(values, weight)
        if targets.share is not None and not targets.share.counts:
            loss, gradient = torch.zeros_like(loss), torch.zeros_like(gradient)
        return loss, gradient if values.dtype == scores.dtype else gradient.to(scores.dtype)


class _StopTraining(Exception):
    """Raised where an epoch would begin after training was asked to stop."""


class PerceptronNet(NeuralNet):
    """skorch's net over our batches, without what a fit does not need.

    Batches arrive as tensors on the device, so nothing is converted on the way to the module and
    the criterion. The history holds the mean loss of each epoch, weighted by the rows' weights,
    and nothing per batch; nothing is timed or printed. A callback ends the training after the
    present epoch by setting `stop_asked`.

    Parameters
    ----------
    *args, **kwargs
        Those of :class:`skorch.NeuralNet`.
    processes : SingleProcess, default=ALONE
        Those that train together. Callbacks see the module; its `replica` computes the gradients.
    randomness : EpochRandomness
        Seeded at the beginning of each epoch by the number of the epoch.
    n_epochs_before : int, default=0
        Epochs that trained the weights before the first one of the history.
    schedule : callable, default=None
        Factor of the step size, of the number of a step and of all steps; None keeps the size.
    n_epochs_in_all : int, default=0
        Epochs that the schedule is made for.
    largest_norm : float, default=None
        Of a step's gradient, over all weights.
    mixed_precision : bool, default=False
        Whether to multiply matrices in bfloat16.
    kept_dtype : dtype, default=float32
        Of the arrays that are kept of the weights: the one to predict in.
    may_stop : sequence of Callback, default=()
        The user's, whose KeyboardInterrupt at the end of an epoch asks to stop.
    """

    stop_asked = False
    first_bad_batch = 0  # of the epoch, from 1, where its loss was not finite
    replica: nn.Module
    _parameters: list[nn.Parameter]

    def __init__(
        self,
        *args: Any,
        processes: SingleProcess = ALONE,
        randomness: EpochRandomness,
        n_epochs_before: int = 0,
        schedule: Callable[[int, int], float] | None = None,
        n_epochs_in_all: int = 0,
        largest_norm: float | None = None,
        mixed_precision: bool = False,
        kept_dtype: Any = np.float32,
        may_stop: Sequence[Any] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.processes = processes
        self.randomness, self.n_epochs_before = randomness, n_epochs_before
        self.schedule, self.n_epochs_in_all = schedule, n_epochs_in_all
        self.largest_norm, self.mixed_precision = largest_norm, mixed_precision
        self.kept_dtype, self.may_stop = kept_dtype, may_stop

    @property
    def _default_callbacks(self) -> list:
        return []

    def initialize(self) -> PerceptronNet:
        """Make the module, its replica and the optimiser."""
        super().initialize()
        replica = self.processes.replicate(
            self.module_,
            torch.device(self.device),
            optional=isinstance(self.module_, UserNetwork),
        )
        object.__setattr__(self, "replica", replica)  # skorch would count it as another module
        return self

    def get_params_for_optimizer(self, *args: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Groups of the weights, those with the same options in one: each takes a kernel."""
        (groups,), options = super().get_params_for_optimizer(*args)
        merged: dict[str, dict[str, Any]] = {}
        for group in groups:
            key = str({name: value for name, value in group.items() if name != "params"})
            merged.setdefault(key, group | {"params": []})["params"] += group["params"]
        return (list(merged.values()),), options

    def weights(self) -> Arrays:
        """Copy the weights into arrays, in the precision in which the estimator predicts."""
        return weights_to_arrays(self.module_, self.kept_dtype)

    def moments(self) -> dict[str, Arrays]:
        """Copy the optimiser's moments into arrays."""
        return moments_to_arrays(self.optimizer_, self.module_)

    def train(self, rows: Rows, epochs: int) -> None:
        """Run skorch's loop on the initialised net. Exceptions, interruptions too, pass on."""
        self.notify("on_train_begin", X=rows, y=None)
        with suppress(_StopTraining):
            self.fit_loop(rows, epochs=epochs)
        self.notify("on_train_end", X=rows, y=None)

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call all callbacks; skorch's own ask to stop by a KeyboardInterrupt at an epoch's end."""
        if method_name != "on_epoch_end":
            super().notify(method_name, **kwargs)
            return
        self.on_epoch_end(self, **kwargs)
        for _, callback in self.callbacks_:
            try:
                callback.on_epoch_end(self, **kwargs)
            except KeyboardInterrupt:
                if not any(callback is one for one in self.may_stop):
                    raise
                self.stop_asked = True

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin an epoch, unless a callback asked to stop at the end of the last one."""
        if self.stop_asked:
            raise _StopTraining
        super().on_epoch_begin(net, **kwargs)
        self.randomness.start_epoch(self.n_epochs_before + len(self.history))

    def infer(self, x: Tensor | SparseBatch, **fit_params: Any) -> Tensor:
        """Scores of a batch."""
        return self._scores(self.module_, x)

    def _scores(self, module: nn.Module, x: Tensor | SparseBatch) -> Tensor:
        if not self.mixed_precision:
            return module(x)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            return module(x)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Make one step of the optimiser.

        The backward pass starts from the scores with the gradient that comes with the loss.
        """
        x, targets = batch
        if targets.share is not None and isinstance(self.module_, Perceptron):
            self.module_.take_share(targets.share)
        for parameter in self._parameters:
            parameter.grad = None
        scores = self._scores(self.replica, x)
        loss, gradient = self.criterion_.loss_and_gradient(scores, targets)
        torch.autograd.backward(scores, gradient)
        if self.largest_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.largest_norm)
        if self._listens_to("on_grad_computed"):
            named = TeeGenerator(self.module_.named_parameters())
            self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.optimizer_.step()
        return {"loss": loss, "y_pred": scores}

    def get_loss(
        self, y_pred: Tensor, y_true: BatchTargets, X: Any = None, training: bool = False
    ) -> Tensor:
        """Mean loss of a batch."""
        return self.criterion_(y_pred, y_true)

    def run_single_epoch(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable,
        **fit_params: Any,
    ) -> None:
        """Pass once over the batches and record their mean loss.

        The losses are kept on the device and read once, as each reading waits for a GPU.
        """
        if iterator is None:
            return
        self._set_training(training)
        if training and isinstance(self.module_, UserNetwork):  # whose dropout draws from these
            device = torch.device(self.device)
            seed = self.randomness.epoch_seed + self.processes.rank
            with global_generators_seeded(seed, device):
                self._run_batches(iterator, training, prefix, step_fn, **fit_params)
            self.processes.copy_buffers(self.module_)
        else:
            self._run_batches(iterator, training, prefix, step_fn, **fit_params)

    def _run_batches(
        self,
        iterator: Any,
        training: bool,
        prefix: str,
        step_fn: Callable,
        **fit_params: Any,
    ) -> None:
        self._parameters = list(self.module_.parameters())
        told = self._listens_to("on_batch_begin") or self._listens_to("on_batch_end")
        losses, weights = [], []
        for number, batch in enumerate(iterator):
            if training and self.schedule is not None:
                step = (len(self.history) - 1) * len(iterator) + number
                self._scale_step(self.schedule(step, self.n_epochs_in_all * len(iterator)))
            if told:
                self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"])
            weights.append(batch[1].total_weight)
            if told:
                self.notify("on_batch_end", batch=batch, training=training, **step)
        of_batches = self.processes.mean(torch.stack(losses))
        mean = float(_mean(of_batches, weights))
        if training and not math.isfinite(mean):
            self.first_bad_batch = 1 + int(of_batches.isfinite().int().argmin())
        self.history.record(f"{prefix}_loss", mean)

    def _scale_step(self, factor: float) -> None:
        for group in self.optimizer_.param_groups:
            group["lr"] = factor * self.lr

    def _listens_to(self, event: str) -> bool:
        """Whether a callback does something at an event that comes with every batch."""
        ours = getattr(Callback, event)
        # Of the instance: its own attribute may stand in for the method of its class.
        told = (getattr(callback, event) for _, callback in self.callbacks_)
        return any(getattr(method, "__func__", method) is not ours for method in told)


def _mean(losses: Tensor, weights: list[float]) -> Tensor:
    """Weighted mean of the losses of batches, where they are."""
    weight = torch.tensor(weights, dtype=torch.float64, device=losses.device)
    return losses.double() @ (weight / weight.sum())
