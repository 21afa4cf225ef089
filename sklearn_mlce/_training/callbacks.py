"""What happens at the beginning and at the end of an epoch, as skorch callbacks."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback

from sklearn_mlce._utils.random import EpochRandomness


class SeedEpochs(Callback):
    """Seed each epoch by its number, counted over all calls that trained these weights."""

    def __init__(self, randomness: EpochRandomness, n_epochs_before: int) -> None:
        self.randomness = randomness
        self.n_epochs_before = n_epochs_before

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Seed the epoch that begins."""
        self.randomness.start_epoch(self.n_epochs_before + len(net.history))


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
