"""How far a fit has come: what an interruption leaves, and what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from skorch.callbacks import Callback

from sklearn_mlce._training.state import TrainingState


@dataclass(frozen=True)
class Progress:
    """A fit after its last finished epoch; epochs count from 1 at its beginning."""

    kept: TrainingState | None = None  # of `best_epoch`; None before the end of the first epoch
    best_epoch: int = 0  # of the best score, or the last one where nothing is scored
    losses: tuple[float, ...] = ()
    validation_losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()  # on the held-out rows, greater is better
    finished: bool = False  # whether no further epoch was to come

    @property
    def n_epochs(self) -> int:
        """Epochs finished."""
        return len(self.losses)


class KeepProgress(Callback):
    """Keep the state of the epoch of the best score, or of the last; stop when it is long past.

    Parameters
    ----------
    progress : Progress
        Where to begin.
    patience : int
        Epochs without a better score after which to stop.
    snapshot : callable
        Makes a TrainingState of the net.
    """

    def __init__(
        self, progress: Progress, patience: int, snapshot: Callable[[Any], TrainingState]
    ) -> None:
        self.progress = progress
        self.patience = patience
        self.snapshot = snapshot

    def keep(self, net: Any) -> None:
        """Keep the present state as that of the last epoch."""
        self.progress = replace(self.progress, kept=self.snapshot(net))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Take the epoch that ended into account, as a whole: a Ctrl-C may come at any time."""
        last, before = net.history[-1], self.progress
        after = replace(before, losses=(*before.losses, last["train_loss"]))
        if "valid_score" in last:
            after = replace(
                after,
                validation_losses=(*before.validation_losses, last["valid_loss"]),
                scores=(*before.scores, last["valid_score"]),
            )
        if not after.scores or after.n_epochs == 1 or after.scores[-1] > max(before.scores):
            after = replace(after, kept=self.snapshot(net), best_epoch=after.n_epochs)
        elif after.n_epochs - after.best_epoch >= self.patience:
            net.stop_asked = True
        self.progress = after


def begin_history(net: Any, progress: Progress) -> None:
    """Write the epochs that an earlier run made into a net's history."""
    for epoch, loss in enumerate(progress.losses):
        net.history.new_epoch()
        net.history.record("epoch", epoch + 1)
        net.history.record("train_loss", loss)
        if progress.scores:
            net.history.record("valid_loss", progress.validation_losses[epoch])
            net.history.record("valid_score", progress.scores[epoch])
