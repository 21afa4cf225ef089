"""The skorch net whose loop trains the perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from skorch.utils import TeeGenerator
from torch import Tensor, nn

from sklearn_mlce._network.batches import BatchTargets, Rows, SparseBatch


class Criterion(nn.Module):
    """Weighted mean over a batch's rows of the loss, divided by the scale.

    The division lets the learning rate keep its meaning as the scale grows. The targets know
    their loss (:mod:`sklearn_mlce._objectives.prepared_targets`), computed in float32 at least.
    """

    def forward(self, scores: Tensor, targets: BatchTargets) -> Tensor:
        """Loss of scores ``(n, n_outputs)`` and the targets of their rows; a constant."""
        return self.loss_and_gradient(scores, targets)[0]

    def loss_and_gradient(self, scores: Tensor, targets: BatchTargets) -> tuple[Tensor, Tensor]:
        """The loss, and its gradient in the scores.

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
        return loss, gradient if values.dtype == scores.dtype else gradient.to(scores.dtype)


class _StopTraining(Exception):
    """Raised where an epoch would begin after training was asked to stop."""


class PerceptronNet(NeuralNet):
    """skorch's net over our batches, without what a fit does not need.

    Batches arrive as tensors on the device, so nothing is converted on the way to the module and
    the criterion. The history holds the mean loss of each epoch, weighted by the rows' weights,
    and nothing per batch; nothing is timed or printed. A callback ends the training after the
    present epoch by setting `stop_asked`.
    """

    stop_asked = False
    first_bad_batch = 0  # of the epoch, from 1, where its loss was not finite
    may_stop: Sequence[Any] = ()  # the user's callbacks
    schedule: Callable[[int, int], float] | None = None  # factor of the step size
    n_epochs_in_all = 0  # that the schedule is made for
    largest_norm: float | None = None  # of a step's gradient
    mixed_precision = False
    kept_dtype: Any = None  # of the arrays that are kept of its weights
    _parameters: list[nn.Parameter]

    @property
    def _default_callbacks(self) -> list:
        return []

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

    def infer(self, x: Tensor | SparseBatch, **fit_params: Any) -> Tensor:
        """Scores of a batch."""
        if not self.mixed_precision:
            return self.module_(x)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16):
            return self.module_(x)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Make one step of the optimiser.

        The backward pass starts from the scores with the gradient that comes with the loss.
        """
        x, targets = batch
        for parameter in self._parameters:
            parameter.grad = None
        scores = self.infer(x)
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
        mean = float(_mean(losses, weights))
        if training and not math.isfinite(mean):
            self.first_bad_batch = 1 + int(torch.stack(losses).isfinite().int().argmin())
        self.history.record(f"{prefix}_loss", mean)

    def _scale_step(self, factor: float) -> None:
        for group in self.optimizer_.param_groups:
            group["lr"] = factor * self.lr

    def _listens_to(self, event: str) -> bool:
        """Whether a callback does something at an event that comes with every batch."""
        ours = getattr(Callback, event)
        return any(getattr(type(callback), event) is not ours for _, callback in self.callbacks_)


def _mean(losses: list[Tensor], weights: list[float]) -> Tensor:
    """Weighted mean of the losses of batches, where they are."""
    weight = torch.tensor(weights, dtype=torch.float64, device=losses[0].device)
    return torch.stack(losses).double() @ (weight / weight.sum())
