"""The skorch net whose loop trains the perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor

from sklearn_mlce._training.batches import BatchTargets, Rows
from sklearn_mlce._training.sparse import SparseBatch


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
        return self.module_(x)

    def get_loss(
        self, y_pred: Tensor, y_true: BatchTargets, X: Any = None, training: bool = False
    ) -> Tensor:
        """Mean loss of a batch."""
        return self.criterion_(y_pred, y_true)

    def run_single_epoch(
        self,
        iterator: Iterable | None,
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
        losses, weights = [], []
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            losses.append(step["loss"].detach())
            weights.append(batch[1].total_weight)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        mean = float(_mean(losses, weights))
        if training and not math.isfinite(mean):
            self.first_bad_batch = 1 + int(torch.stack(losses).isfinite().int().argmin())
        self.history.record(f"{prefix}_loss", mean)


def _mean(losses: list[Tensor], weights: list[float]) -> Tensor:
    """Weighted mean of the losses of batches, where they are."""
    weight = torch.tensor(weights, dtype=torch.float64, device=losses[0].device)
    return torch.stack(losses).double() @ (weight / weight.sum())
