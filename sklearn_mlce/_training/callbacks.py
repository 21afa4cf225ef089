"""What happens at the beginning and at the end of an epoch, as skorch callbacks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from skorch.callbacks import Callback

from sklearn_mlce._training.randomness import EpochRandomness


class SeedEpochs(Callback):
    """Seed each epoch by its number, counted over all calls that trained these weights."""

    def __init__(self, randomness: EpochRandomness, n_epochs_before: int) -> None:
        self.randomness = randomness
        self.n_epochs_before = n_epochs_before

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Seed the epoch that begins."""
        self.randomness.start_epoch(self.n_epochs_before + len(net.history))


class RefuseNonFinite(Callback):
    """Fail where the loss of an epoch is infinite or NaN."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Check the epoch that ended."""
        last = net.history[-1]
        losses = {"training": last["train_loss"], "validation": last.get("valid_loss", 0.0)}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise ValueError(
                    f"the {name} loss is {loss} after epoch {last['epoch']} with "
                    f"learning_rate_init={net.lr:g}; expected a finite number. Set a smaller "
                    "learning_rate_init, or scale the features, for instance with StandardScaler"
                )


class KeepBest(Callback):
    """Keep the state of the epoch of lowest validation loss; stop when that is long past."""

    def __init__(self, patience: int, snapshot: Callable[[Any], Any]) -> None:
        self.patience = patience
        self.snapshot = snapshot
        self.best_loss_, self.best_epoch_ = math.inf, 0
        self.best_: Any = None

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Compare the epoch that ended with the best one."""
        epoch, loss = net.history[-1, ("epoch", "valid_loss")]
        if loss < self.best_loss_:
            self.best_loss_, self.best_epoch_ = loss, epoch
            self.best_ = self.snapshot(net)
        elif epoch - self.best_epoch_ >= self.patience:
            net.stop_asked = True


class NotifyMonitor(Callback):
    """Tell the monitor, and through it scikit-learn's callbacks, of each epoch."""

    def __init__(self, monitor: Any) -> None:
        self.monitor = monitor

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Announce the epoch."""
        self.monitor.begin()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Hand over the net; stop where a callback asks for it."""
        if self.monitor.end(net):
            net.stop_asked = True
