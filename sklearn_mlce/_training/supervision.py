"""What watches a training: scores of held-out rows, callbacks, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from skorch.callbacks import Callback

from sklearn_mlce._training.callbacks import NotifyMonitor
from sklearn_mlce._training.checkpoint import Checkpoint, CheckpointFile, WriteCheckpoints
from sklearn_mlce._training.progress import KeepProgress, Progress
from sklearn_mlce._training.rows import Rows
from sklearn_mlce._training.state import Arrays, TrainingState
from sklearn_mlce._training.validation import RefuseNonFinite, ScoreEpochs


@dataclass
class Supervision:
    """What watches a training.

    Parameters
    ----------
    held_out : Rows, default=None
        What to stop early on.
    score : callable, default=None
        Scores weights on them, greater is better; None takes minus the loss on them.
    callbacks : sequence of Callback, default=()
        The user's, copied.
    monitor : FitMonitor, default=None
        Told of each epoch; its states are the arguments of ``net_weights``.
    file : CheckpointFile, default=None
        Where to write a checkpoint after each epoch.
    identity : dict, default={}
        What to write into it to tell this fit from others.
    resumed : Checkpoint, default=None
        Where an earlier run of this very fit stopped.
    """

    held_out: Rows | None = None
    score: Callable[[Arrays], float] | None = None
    callbacks: Sequence[Any] = ()
    monitor: Any = None
    file: CheckpointFile | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    resumed: Checkpoint | None = None

    def all_callbacks(
        self, keeper: KeepProgress, snapshot: Callable[[Any], TrainingState], max_epochs: int
    ) -> list[Any]:
        """The callbacks of a net, in the order in which they see the end of an epoch."""
        callbacks: list[Callback] = [RefuseNonFinite()]
        if self.held_out is not None:
            callbacks.append(ScoreEpochs(self.score))
        # The user's see the score; what an interruption in the monitor leaves is this epoch.
        callbacks += [*self.callbacks, keeper]
        if self.monitor is not None:
            callbacks.append(NotifyMonitor(self.monitor))
        if self.file is not None:
            callbacks.append(
                WriteCheckpoints(self.file, self.identity, keeper, snapshot, max_epochs)
            )
        return callbacks

    @property
    def users(self) -> list[Any]:
        """The user's callbacks without their names."""
        return [entry[1] if isinstance(entry, tuple) else entry for entry in self.callbacks]

    @property
    def progress(self) -> Progress:
        """Where to begin."""
        return Progress() if self.resumed is None else self.resumed.progress
