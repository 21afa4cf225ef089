"""Training state, and the file that keeps it: always whole, of arrays and JSON, without pickle."""

from __future__ import annotations

import json
import os
import threading
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sklearn_mlce._network.fingerprint import fingerprint_diff
from sklearn_mlce._network.perceptron import Arrays

_FORMAT = 3  # of the file; another one is refused


@dataclass(frozen=True)
class TrainingState:
    """State of a fit before its first epoch or after one; epochs count from 1 at its beginning.

    Training goes on from `weights` and `moments`. What it gives back are the best ones, of the
    epoch with the best score, or of the last one where nothing is scored.
    """

    seed: int
    n_epochs_before: int = 0  # that trained the weights before this fit
    weights: Arrays = field(default_factory=dict)  # by name; empty to draw them
    moments: dict[str, Arrays] = field(default_factory=dict)  # by weight; empty to begin at 0
    best_weights: Arrays = field(default_factory=dict)  # empty before the first epoch has ended
    best_moments: dict[str, Arrays] = field(default_factory=dict)  # empty where not wanted
    best_epoch: int = 0
    losses: tuple[float, ...] = ()
    validation_losses: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()  # on the held-out rows, greater is better
    finished: bool = False  # whether no further epoch was to come
    stopped_by: BaseException | None = None  # what ended the training before its time

    @property
    def n_epochs(self) -> int:
        """Epochs of this fit that have ended."""
        return len(self.losses)

    @property
    def n_epochs_of_best(self) -> int:
        """Epochs that trained the best weights, those before this fit included."""
        return self.n_epochs_before + self.best_epoch


_IN_JSON = (
    "seed",
    "n_epochs_before",
    "best_epoch",
    "losses",
    "validation_losses",
    "scores",
    "finished",
)


class CheckpointFile:
    """File ``checkpoint.npz`` with the state of a fit and the fingerprint of the fit.

    Parameters
    ----------
    directory : str or path
        Where it is or will be.
    """

    def __init__(self, directory: Any) -> None:
        self.path = Path(directory) / "checkpoint.npz"

    def prepare(self) -> None:
        """Make the directory, and clear it of what a kill in the middle of a write left."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in self.path.parent.glob(".checkpoint-*.partial"):
            leftover.unlink(missing_ok=True)

    def write(self, state: TrainingState, fingerprint: dict[str, Any]) -> None:
        """Replace the file by another: whoever reads it sees the old one or the new one whole."""
        arrays = _flat("last", state.weights, state.moments)
        if state.best_epoch != state.n_epochs:
            arrays |= _flat("best", state.best_weights, state.best_moments)
        about = {
            "format": _FORMAT,
            "fingerprint": fingerprint,
            "best_has_moments": bool(state.best_moments),
            "state": {name: getattr(state, name) for name in _IN_JSON},
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

    def read(self) -> tuple[TrainingState, dict[str, Any]] | None:
        """State and fingerprint that were written, or None where there is no file.

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
        values = about["state"]
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        weights, moments = _nested("last", arrays)
        state = TrainingState(weights=weights, moments=moments, **values)
        if state.best_epoch != state.n_epochs:
            weights, moments = _nested("best", arrays)
        elif not about["best_has_moments"]:
            moments = {}
        return replace(state, best_weights=weights, best_moments=moments), about["fingerprint"]

    def resumable(self, fingerprint: dict[str, Any], start: TrainingState) -> TrainingState:
        """State that a fit goes on from: the saved one, or `start` where there is none.

        Raises
        ------
        ValueError
            If there is a checkpoint of another fit, or none that can be read.
        """
        saved = self.read()
        if saved is None:
            return start
        state, differs = saved[0], fingerprint_diff(saved[1], fingerprint)
        if not differs:
            return state
        ended_here = (state.seed, state.n_epochs_of_best) == (start.seed, start.n_epochs_before)
        if state.finished and start.weights and ended_here:
            return start  # warm_start, and that fit is the one that ended where this one starts
        raise ValueError(
            f"{self.path} is the checkpoint of another fit: {'; '.join(differs)}. Fit with "
            "the same parameters and data to resume it, set another checkpoint_dir, or set "
            "resume=False to start anew, which overwrites it"
        )

    def _unusable(self, what: str) -> str:
        return f"{self.path} {what}. Delete it or set resume=False to start anew"


def open_checkpoint(
    directory: Any, start: TrainingState, *, resume: bool, seed_is_drawn: bool
) -> tuple[CheckpointFile | None, TrainingState]:
    """Return the file of a directory, and the state with the seed that the file may hold.

    Parameters
    ----------
    directory : str, path or None
        None makes no file.
    start : TrainingState
        Where the fit would begin.
    resume : bool
        Whether it is to go on where an earlier one stopped.
    seed_is_drawn : bool
        Whether the operating system gave the seed, which it will not give again.

    Raises
    ------
    ValueError
        If a fit is to be resumed without a directory, or from a file that is no checkpoint.
    """
    if directory is None:
        if resume:
            raise ValueError(
                "resume=True goes on from a checkpoint, but checkpoint_dir is None. Set it to "
                "the directory of the fit to resume, or set resume=False"
            )
        return None, start
    file = CheckpointFile(directory)
    file.prepare()
    if resume and seed_is_drawn and not start.weights:
        saved = file.read()
        start = start if saved is None else replace(start, seed=saved[0].seed)
    return file, start


def _flat(prefix: str, weights: Arrays, moments: dict[str, Arrays]) -> Arrays:
    """Arrays of a network by the names that they have in the file."""
    arrays = {f"{prefix}/weights/{name}": array for name, array in weights.items()}
    for name, of_weight in moments.items():
        arrays |= {f"{prefix}/moments/{name}/{key}": array for key, array in of_weight.items()}
    return arrays


def _nested(prefix: str, arrays: Arrays) -> tuple[Arrays, dict[str, Arrays]]:
    """Weights and moments of the arrays in a file."""
    weights: Arrays = {}
    moments: dict[str, Arrays] = {}
    for path, array in arrays.items():
        owner, what, name = path.split("/", 2)
        if owner == prefix and what == "weights":
            weights[name] = array
        elif owner == prefix:
            weight, key = name.rsplit("/", 1)
            moments.setdefault(weight, {})[key] = array
    return weights, moments


def _sync_directory(directory: Path) -> None:
    """Make the new name last through a power cut; some systems cannot and need not."""
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
