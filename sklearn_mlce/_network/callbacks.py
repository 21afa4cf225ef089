"""Scores of each epoch on the held-out rows, and the test that losses are finite."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from skorch.callbacks import Callback, LRScheduler

from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.checkpoint import Checkpoint, CheckpointFile, WriteCheckpoints
from sklearn_mlce._network.state import (
    Arrays,
    KeepProgress,
    Progress,
    TrainingState,
    weights_to_arrays,
)
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


class Diverged(ValueError):
    """A loss or a weight is not finite."""


class RefuseNonFinite(Callback):
    """Fail where the loss of an epoch is infinite or NaN, or a weight after its last step."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Check the epoch that ended."""
        last = net.history[-1]
        where = f"epoch {last['epoch']}"
        losses = {"training": last["train_loss"], "validation": last.get("valid_loss", 0.0)}
        for name, loss in losses.items():
            if not math.isfinite(loss):
                if name == "training":
                    where = f"batch {net.first_bad_batch} of {where}"
                raise Diverged(f"the {name} loss is {loss} in {where} {_advice(net)}")
        # Each parameter is read in one pass, and the device once.
        if not math.isfinite(sum(weight.detach().sum() for weight in net.module_.parameters())):
            raise Diverged(f"weights are not finite after the last batch of {where} {_advice(net)}")


def _advice(net: Any) -> str:
    return (
        f"with learning_rate_init={net.lr:g}; expected finite numbers. Set a smaller "
        "learning_rate_init, or scale the features, for instance with StandardScaler"
    )


class ScoreEpochs(Callback):
    """Record the score of each epoch, greater is better, as ``valid_score``.

    Parameters
    ----------
    score : callable, default=None
        Makes a number of the weights; None takes minus the mean loss of the held-out rows.
    """

    def __init__(self, score: Callable[[Arrays], float] | None = None) -> None:
        self.score = score

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score the epoch that ended."""
        if self.score is None:
            score = -net.history[-1, "valid_loss"]
        else:
            score = self.score(weights_to_arrays(net.module_, net.kept_dtype))
        net.history.record("valid_score", score)


def user_callbacks(callbacks: Iterable[Any], learning_rate: str, resume: bool) -> list[Any]:
    """The user's callbacks as a fit takes them: copies, whose attributes are its own.

    The copies are shallow, as a callback may hold a file or another thing of which there is one.

    Raises
    ------
    TypeError
        If one is not a skorch callback, or a pair of a name and one.
    ValueError
        If one sets the step size, and `learning_rate` would set it again at each step, or the fit
        is to be resumed.
    """
    copies: list[Any] = []
    for entry in callbacks:
        named = isinstance(entry, tuple) and len(entry) == 2
        callback = copy.copy(entry[1] if named else entry)
        if not isinstance(callback, Callback):
            raise TypeError(
                f"callbacks holds {entry!r}; expected instances of skorch.callbacks.Callback, or "
                "pairs of a name and one. Pass scikit-learn's callbacks to set_callbacks"
            )
        if isinstance(callback, LRScheduler):
            _check_scheduler(learning_rate, resume)
        copies.append((entry[0], callback) if named else callback)
    return copies


def _check_scheduler(learning_rate: str, resume: bool) -> None:
    if learning_rate != "constant":
        raise ValueError(
            f"callbacks holds an LRScheduler, but learning_rate={learning_rate!r} sets the step "
            "size anew at each step. Set learning_rate='constant', and the callback alone changes "
            "it"
        )
    if resume:
        raise ValueError(
            "resume=True, but callbacks holds an LRScheduler, and a checkpoint does not know how "
            "far that has come. Use learning_rate='one_cycle' instead of it, or set resume=False"
        )
