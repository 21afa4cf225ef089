"""Training state, and the file that keeps it: always whole, of arrays and JSON, without pickle."""

from __future__ import annotations

import json
import os
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from sklearn_mlce._network.array_archive import (
    ArrayArchive,
    Damaged,
    Header,
    differences,
    open_regular,
    write_archive,
)
from sklearn_mlce._network.fingerprint import fingerprint_diff
from sklearn_mlce._network.perceptron import Arrays

_FORMAT = 4  # of the file; another one is refused
_ABOUT = "about"  # the name of its JSON
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")  # of AdamW
_PAUSES = (0.05, 0.2, 1.0)  # seconds before a move is tried again
_NOTHING: tuple[int, ...] = ()  # the identity of no file


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


class NotSaved(OSError):
    """A checkpoint that cannot be written, in the middle of a training."""


class CheckpointFile:
    """File ``checkpoint.npz`` with the state of a fit and the fingerprint of the fit.

    Parameters
    ----------
    directory : str or path
        Where it is or will be.
    """

    def __init__(self, directory: Any) -> None:
        self.path = Path(directory) / "checkpoint.npz"
        self._seen = _NOTHING  # the file that this fit found or wrote
        self._given_up = False

    def prepare(self) -> None:
        """Make the directory, and clear it of what a kill in the middle of a write left.

        Raises
        ------
        OSError
            If nothing can be written there.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.parent.glob(".checkpoint-*.partial"):
                leftover.unlink(missing_ok=True)
            stream, partial = _new_file(self.path.parent)
            stream.close()
            partial.unlink()
        except OSError as error:
            raise OSError(
                f"checkpoint_dir={str(self.path.parent)!r} is no directory that can be written to "
                f"({error}); expected one. Set checkpoint_dir to another, or to None"
            ) from error
        self._seen = _identity(self.path)

    def write(self, state: TrainingState, fingerprint: dict[str, Any]) -> None:
        """Replace the file by another: whoever reads it sees the old one or the new one whole.

        Nothing is written any more once another fit has written there, of which a warning tells.

        Raises
        ------
        NotSaved
            If it cannot be written.
        """
        if self._given_up:
            return
        if _identity(self.path) not in (self._seen, _NOTHING):
            self._given_up = True
            warnings.warn(
                f"{self.path} was written by another fit meanwhile; this one goes on without "
                "checkpoints. Give each fit a checkpoint_dir of its own",
                UserWarning,
                stacklevel=2,
            )
            return
        arrays = _flat("last", state.weights, state.moments)
        if state.best_epoch != state.n_epochs:
            arrays |= _flat("best", state.best_weights, state.best_moments)
        about = {
            "format": _FORMAT,
            "fingerprint": fingerprint,
            "best_has_moments": bool(state.best_moments),
            "state": {name: getattr(state, name) for name in _IN_JSON},
        }
        arrays[_ABOUT] = np.array(json.dumps(about))
        try:
            self._replace(arrays)
        except OSError as error:
            raise NotSaved(
                f"{self.path} cannot be written after epoch {state.n_epochs} ({error}); the "
                "earlier checkpoint is intact. Free or mount the disk, or set another "
                "checkpoint_dir, and fit with resume=True"
            ) from error
        self._seen = _identity(self.path)

    def _replace(self, arrays: Arrays) -> None:
        """Write a new file beside the old one, and put it in its place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)  # which may have vanished
        stream, partial = _new_file(self.path.parent)
        try:
            with stream:
                write_archive(stream, arrays)
            _move(partial, self.path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        _sync_directory(self.path.parent)

    def read_about(self) -> dict[str, Any] | None:
        """What the file says of its fit, or None where there is no file.

        Raises
        ------
        ValueError
            If the file is not a checkpoint of this version of the package.
        """
        return self._read(self._checked_about)

    def read(self, expected: Mapping[str, Header]) -> TrainingState | None:
        """State that was written, or None where there is no file.

        Parameters
        ----------
        expected : mapping of str to Header
            Of the weights.

        Raises
        ------
        ValueError
            If the file is not a checkpoint of this version of the package, or of other weights.
        """
        return self._read(lambda archive: self._state(archive, expected))

    def _read(self, take: Callable[[ArrayArchive], Any]) -> Any:
        try:
            with open_regular(self.path) as stream:
                return take(ArrayArchive(stream))
        except FileNotFoundError:
            return None
        except Damaged as error:
            raise self._unusable(f"is not a checkpoint, or is damaged: {error}") from error

    def _checked_about(self, archive: ArrayArchive) -> dict[str, Any]:
        """The JSON of a file, of whose entries each has the type that it was written with."""
        header = archive.headers.get(_ABOUT)
        if header is None or header.shape != () or header.dtype.kind != "U":
            raise Damaged("it does not name the fit that wrote it")
        try:
            about = json.loads(str(archive.load(_ABOUT)))
        except (ValueError, RecursionError) as error:
            raise Damaged(str(error)) from error
        seen = about.get("format") if isinstance(about, dict) else None
        if seen != _FORMAT:
            raise self._unusable(f"has format {seen!r:.20}, this version reads {_FORMAT}")
        if not _is_about(about):
            raise Damaged("its entries are not those of a checkpoint")
        return about

    def _state(self, archive: ArrayArchive, expected: Mapping[str, Header]) -> TrainingState:
        about = self._checked_about(archive)
        values = about["state"]
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        state = TrainingState(**values)
        prefixes = ["last"] if state.best_epoch == state.n_epochs else ["last", "best"]
        headers = {name: header for name, header in archive.headers.items() if name != _ABOUT}
        found = differences(headers, _wanted(headers, expected, prefixes))
        if found:
            raise Damaged(f"it holds {'; '.join(found[:3])}")
        arrays = {name: archive.load(name) for name in headers}
        weights, moments = _nested("last", arrays)
        state = replace(state, weights=weights, moments=moments)
        if "best" in prefixes:
            weights, moments = _nested("best", arrays)
        elif not about["best_has_moments"]:
            moments = {}
        return replace(state, best_weights=weights, best_moments=moments)

    def resumable(
        self,
        fingerprint: dict[str, Any],
        start: TrainingState,
        expected: Callable[[], Mapping[str, Header]],
    ) -> TrainingState:
        """State that a fit goes on from: the saved one, or `start` where there is none.

        Parameters
        ----------
        fingerprint : dict
            Of the fit.
        start : TrainingState
            Where it would begin.
        expected : callable
            Gives the headers of its weights.

        Raises
        ------
        ValueError
            If there is a checkpoint of another fit, or none that can be read.
        """
        about = self.read_about()
        if about is None:
            return start
        differs = fingerprint_diff(about["fingerprint"], fingerprint)
        if not differs:
            saved = self.read(expected())
            return start if saved is None else saved
        of_state = about["state"]
        ended = (of_state["seed"], of_state["n_epochs_before"] + of_state["best_epoch"])
        if of_state["finished"] and start.weights and ended == (start.seed, start.n_epochs_before):
            return start  # warm_start, and that fit is the one that ended where this one starts
        raise ValueError(
            f"{self.path} is the checkpoint of another fit: {'; '.join(differs)}. Fit with "
            "the same parameters and data to resume it, set another checkpoint_dir, or set "
            "resume=False to start anew, which overwrites it"
        )

    def _unusable(self, what: str) -> ValueError:
        return ValueError(f"{self.path} {what}. Delete it or set resume=False to start anew")


def _is_about(about: dict[str, Any]) -> bool:
    """Whether the entries of a file of this format have their types, and fit each other."""
    state, numbers = about.get("state"), ("seed", "n_epochs_before", "best_epoch")
    curves = ("losses", "validation_losses", "scores")
    if not (isinstance(about.get("fingerprint"), dict) and isinstance(state, dict)):
        return False
    if state.keys() != set(_IN_JSON) or not isinstance(about.get("best_has_moments"), bool):
        return False
    if not all(type(state[name]) is int and 0 <= state[name] < 2**64 for name in numbers):
        return False
    if not all(isinstance(state[name], list) for name in curves):
        return False
    if not all(isinstance(value, float | int) for name in curves for value in state[name]):
        return False
    n_epochs, n_scores = len(state["losses"]), len(state["scores"])
    # The rows that members leave out have a score, and no loss.
    fits = len(state["validation_losses"]) in (0, n_scores) and n_scores in (0, n_epochs)
    return fits and 1 <= state["best_epoch"] <= n_epochs and isinstance(state["finished"], bool)


def _wanted(
    headers: Mapping[str, Header], expected: Mapping[str, Header], prefixes: list[str]
) -> dict[str, Header]:
    """Headers that a file of some weights has; moments are those of a weight, or a count."""
    wanted = {
        f"{prefix}/weights/{name}": header
        for prefix in prefixes
        for name, header in expected.items()
    }
    for path, header in headers.items():
        owner, _, rest = path.partition("/moments/")
        name, _, key = rest.rpartition("/")
        if owner in prefixes and name in expected and key in _MOMENTS and header.dtype.kind == "f":
            shape = () if key == "step" else expected[name].shape
            wanted[path] = Header(shape, header.dtype)
    return wanted


def _identity(path: Path) -> tuple[int, ...]:
    """What tells a file from another that takes its place."""
    try:
        status = os.stat(path)
    except OSError:
        return _NOTHING
    return status.st_ino, status.st_mtime_ns, status.st_size


def _new_file(directory: Path) -> tuple[IO[bytes], Path]:
    """Open a new file of a name that nobody can guess, with the rights that new files have."""
    path = directory / f".checkpoint-{secrets.token_hex(16)}.partial"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "wb"), path


def _move(source: Path, target: Path) -> None:
    """Put a file in the place of another, which Windows refuses while somebody reads that one."""
    for pause in _PAUSES:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            time.sleep(pause)
    os.replace(source, target)


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
        about = file.read_about()
        start = start if about is None else replace(start, seed=about["state"]["seed"])
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
