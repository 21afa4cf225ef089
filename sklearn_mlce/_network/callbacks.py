"""Callbacks of the training loop: checks, scores, the best epoch, checkpoints, a user's own."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from skorch.callbacks import Callback, LRScheduler

from sklearn_mlce._network.checkpoint import TrainingState
from sklearn_mlce._network.perceptron import Arrays
from sklearn_mlce._network.process_group import ALONE, SingleProcess


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
    processes : SingleProcess, default=ALONE
        Those that train together, of which the first calls it.
    """

    def __init__(
        self,
        score: Callable[[Arrays], float] | None = None,
        processes: SingleProcess = ALONE,
    ) -> None:
        self.score, self.processes = score, processes

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Score the epoch that ended."""
        if self.score is None:
            score = -net.history[-1, "valid_loss"]
        else:
            score = self.processes.call_on_first(partial(self.score, net.weights()))
        net.history.record("valid_score", score)


class BestEpochTracker(Callback):
    """Keep the network of the best epoch, or of the last; stop when the best one is long past.

    Parameters
    ----------
    state : TrainingState
        Where the training begins.
    patience : int
        Epochs without a better score after which to stop.
    with_moments : bool
        Whether to keep the optimiser's moments as well.
    averaged_epochs : int, default=1
        An epoch is as good as the mean score of so many epochs, of which it is the last.
    """

    def __init__(
        self, state: TrainingState, patience: int, with_moments: bool, averaged_epochs: int = 1
    ) -> None:
        self.state = state
        self.patience = patience
        self.with_moments = with_moments
        self.averaged_epochs = averaged_epochs

    def keep(self, net: Any, state: TrainingState) -> None:
        """Set the state, with the present network as its best one."""
        moments = net.moments() if self.with_moments else {}
        self.state = replace(state, best_weights=net.weights(), best_moments=moments)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Add the epoch that ended to the state at once: a Ctrl-C may come at any time."""
        last, before = net.history[-1], self.state
        after = replace(before, losses=(*before.losses, last["train_loss"]))
        if "valid_loss" in last:
            losses = (*before.validation_losses, last["valid_loss"])
            after = replace(after, validation_losses=losses)
        if "valid_score" in last:
            after = replace(after, scores=(*before.scores, last["valid_score"]))
        if not after.scores or self._is_best(after.scores):
            self.keep(net, replace(after, best_epoch=after.n_epochs))
            return
        if after.n_epochs - after.best_epoch >= self.patience:
            net.stop_asked = True
        self.state = after

    def _is_best(self, scores: Sequence[float]) -> bool:
        """Whether the last epoch is better than all before."""
        ends = range(1, len(scores) + 1)
        *before, last = (fmean(scores[max(0, end - self.averaged_epochs) : end]) for end in ends)
        # The first one is, whatever its score: a mean log-loss may be -inf.
        return not before or last > max(before)


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


class AgreeToStop(Callback):
    """Let all processes stop where a callback of one of them asks for it.

    Parameters
    ----------
    processes : SingleProcess
        Those that train together.
    """

    def __init__(self, processes: SingleProcess) -> None:
        self.processes = processes

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Ask the others, after all callbacks that may ask to stop."""
        net.stop_asked = self.processes.any(net.stop_asked)


class SaveState(Callback):
    """Save the state after each epoch, as the last of the callbacks.

    Parameters
    ----------
    save : callable
        Writes a TrainingState.
    tracker : BestEpochTracker
        Knows the state but for the network, which is the net's.
    max_epochs : int
        Of the fit.
    """

    def __init__(
        self, save: Callable[[TrainingState], None], tracker: BestEpochTracker, max_epochs: int
    ) -> None:
        self.save, self.tracker, self.max_epochs = save, tracker, max_epochs

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Save the epoch that ended."""
        state = self.tracker.state
        finished = net.stop_asked or state.n_epochs == self.max_epochs
        self.save(replace(state, weights=net.weights(), moments=net.moments(), finished=finished))


def training_callbacks(
    tracker: BestEpochTracker,
    max_epochs: int,
    *,
    users: Sequence[Any] = (),
    scored: bool = False,
    score: Callable[[Arrays], float] | None = None,
    monitor: Any = None,
    save: Callable[[TrainingState], None] | None = None,
    processes: SingleProcess = ALONE,
) -> list[Any]:
    """Callbacks of a net, in the order in which they see the end of an epoch.

    Parameters
    ----------
    tracker : BestEpochTracker
        Of the best epoch.
    max_epochs : int
        Of the fit.
    users : sequence of Callback, default=()
        The user's, from :func:`copy_callbacks`.
    scored : bool, default=False
        Whether epochs are scored.
    score : callable, default=None
        Makes the score of the weights; None takes minus the loss.
    monitor : FitMonitor, default=None
        Told of each epoch, with the net.
    save : callable, default=None
        Writes a TrainingState after each epoch.
    processes : SingleProcess, default=ALONE
        Those that train together.

    Returns
    -------
    list of Callback
        Or of pairs of a name and one.
    """
    callbacks: list[Any] = [RefuseNonFinite()]
    if scored:
        callbacks.append(ScoreEpochs(score, processes))
    # The user's see the score; what an interruption in the monitor leaves is this epoch.
    callbacks += [*users, tracker]
    if monitor is not None:
        callbacks.append(NotifyMonitor(monitor))
    if processes is not ALONE:
        callbacks.append(AgreeToStop(processes))
    if save is not None:
        callbacks.append(SaveState(save, tracker, max_epochs))
    return callbacks


def copy_callbacks(callbacks: Iterable[Any], learning_rate: str, resume: bool) -> list[Any]:
    """Copy a user's callbacks for a fit, so that their attributes are its own.

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
            "resume=True, but callbacks holds an LRScheduler, and a checkpoint does not store "
            "its progress. Use learning_rate='one_cycle' instead, or set resume=False"
        )
