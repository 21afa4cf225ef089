"""Checkpoints: one file that is always whole, of arrays and JSON, without pickle."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from skorch.callbacks import Callback

from sklearn_mlce._network.fingerprint import differences
from sklearn_mlce._network.state import KeepProgress, Progress, TrainingState

_FORMAT = 2  # of the file; another one is refused


class Checkpoint(NamedTuple):
    """What a checkpoint holds."""

    progress: Progress
    last: TrainingState  # after the last epoch, moments included
    identity: dict[str, Any]  # what tells its fit from others


class CheckpointFile:
    """The checkpoint of a fit.

    Parameters
    ----------
    directory : str or path
        Where it is or will be, as ``checkpoint.npz``.
    """

    def __init__(self, directory: Any) -> None:
        self.path = Path(directory) / "checkpoint.npz"

    def prepare(self) -> None:
        """Make the directory, and clear it of what a kill in the middle of a write left."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.parent.glob(".checkpoint-*.partial"):
            leftover.unlink(missing_ok=True)

    def write(self, checkpoint: Checkpoint) -> None:
        """Replace the file by another: whoever reads it sees the old one or the new one whole."""
        progress, last, identity = checkpoint
        assert progress.kept is not None
        arrays = _flat("last", last)
        if progress.kept.n_epochs != last.n_epochs:
            arrays |= _flat("kept", progress.kept)
        about = {
            "format": _FORMAT,
            "identity": identity,
            "seed": last.seed,
            "n_epochs": {"last": last.n_epochs, "kept": progress.kept.n_epochs},
            "kept_has_moments": bool(progress.kept.optimizer),
            "progress": {name: getattr(progress, name) for name in _IN_JSON},
        }
        arrays["about"] = np.array(json.dumps(about))
        name = f".checkpoint-{os.getpid()}-{threading.get_ident()}.partial"
        partial = self.path.with_name(name)
        try:
            with open(partial, "wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, self.path)
        finally:
            partial.unlink(missing_ok=True)
        _sync_directory(self.path.parent)

    def read(self) -> Checkpoint | None:
        """What was written, or None where there is no file.

        Raises
        ------
        ValueError
            If the file is not a checkpoint of this version of the package.
        """
        try:
            with open(self.path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                arrays = {name: file[name] for name in file.files if name != "about"}
        except FileNotFoundError:
            return None
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise ValueError(self._unusable("is not a checkpoint, or is damaged")) from error
        seen = about.get("format") if isinstance(about, dict) else None
        if seen != _FORMAT:
            raise ValueError(self._unusable(f"has format {seen}, this version reads {_FORMAT}"))
        last = _state("last", arrays, about)
        if about["n_epochs"]["kept"] != last.n_epochs:
            kept = _state("kept", arrays, about)
        else:
            kept = last if about["kept_has_moments"] else replace(last, optimizer={})
        values = about["progress"]
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return Checkpoint(Progress(kept=kept, **values), last, about["identity"])

    def resumable(self, identity: dict[str, Any], start: TrainingState) -> Checkpoint | None:
        """The checkpoint that a fit goes on from, or None to begin at the start.

        Raises
        ------
        ValueError
            If there is a checkpoint of another fit, or none that can be read.
        """
        saved = self.read()
        if saved is None:
            return None
        differs = differences(saved.identity, identity)
        if not differs:
            return saved
        kept = saved.progress.kept
        ended_here = kept is not None and (kept.seed, kept.n_epochs) == (start.seed, start.n_epochs)
        if saved.progress.finished and start.weights and ended_here:
            return None  # warm_start, and that fit is the one that ended where this one starts
        raise ValueError(
            f"{self.path} is the checkpoint of another fit: {'; '.join(differs)}. Fit with "
            "the same parameters and data to resume it, set another checkpoint_dir, or set "
            "resume=False to start anew, which overwrites it"
        )

    def _unusable(self, what: str) -> str:
        return f"{self.path} {what}. Delete it or set resume=False to start anew"


_IN_JSON = ("best_epoch", "losses", "validation_losses", "scores", "finished")


def _flat(prefix: str, state: TrainingState) -> dict[str, np.ndarray]:
    arrays = {f"{prefix}/weights/{name}": array for name, array in state.weights.items()}
    for name, moments in state.optimizer.items():
        arrays |= {f"{prefix}/moments/{name}/{key}": array for key, array in moments.items()}
    return arrays


def _state(prefix: str, arrays: dict[str, np.ndarray], about: dict[str, Any]) -> TrainingState:
    weights: dict[str, np.ndarray] = {}
    moments: dict[str, dict[str, np.ndarray]] = {}
    for path, array in arrays.items():
        owner, what, name = path.split("/", 2)
        if owner == prefix and what == "weights":
            weights[name] = array
        elif owner == prefix:
            weight, key = name.rsplit("/", 1)
            moments.setdefault(weight, {})[key] = array
    return TrainingState(weights, moments, about["seed"], about["n_epochs"][prefix])


def _sync_directory(directory: Path) -> None:
    """Make the new name last through a power cut; some systems cannot and need not."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class WriteCheckpoints(Callback):
    """Write a checkpoint after each epoch, as the last of the callbacks.

    Parameters
    ----------
    file : CheckpointFile
        Where to.
    identity : dict
        What tells this fit from others, as JSON has it.
    keeper : KeepProgress
        Whose progress to write.
    snapshot : callable
        Makes a TrainingState of the net, moments included.
    max_epochs : int
        Of the fit.
    """

    def __init__(
        self,
        file: CheckpointFile,
        identity: dict[str, Any],
        keeper: KeepProgress,
        snapshot: Callable[[Any], TrainingState],
        max_epochs: int,
    ) -> None:
        self.file, self.identity, self.keeper = file, identity, keeper
        self.snapshot, self.max_epochs = snapshot, max_epochs

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the epoch that ended."""
        progress = self.keeper.progress
        finished = net.stop_asked or progress.n_epochs == self.max_epochs
        progress = replace(progress, finished=finished)
        self.file.write(Checkpoint(progress, self.snapshot(net), self.identity))
