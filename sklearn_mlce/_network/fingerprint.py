"""Fingerprint of a fit, of its plan and its data, and how two of them differ."""

from __future__ import annotations

import dataclasses
import json
import zlib
from mmap import mmap
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import nn

from sklearn_mlce._network.batches import Rows
from sklearn_mlce._network.plan import TrainingPlan
from sklearn_mlce._network.process_group import SingleProcess
from sklearn_mlce._network.user_network import without_addresses
from sklearn_mlce._objectives.objective import Objective

# They change no weight: where to compute, and what is kept in memory at the end.
_NOT_COMPARED = ("device", "keep_moments", "averaged_epochs")

# Fields of the plan that users know by another name.
_PARAMETERS = {
    "learning_rate": "learning_rate_init",
    "schedule": "learning_rate",
    "dtype": "precision of the weights",
    "mixed_precision": "mixed precision",
    "patience": "n_iter_no_change",
    "objective": "loss, scale and margin",
    "factory": "module",
}

# Bytes of X in memory up to which all of it is read, at a gigabyte a second or so; of more, and of
# memory maps, so many rows are.
_BYTES_READ, _ROWS_READ = 2**32, 1024


def fingerprint(
    plan: TrainingPlan,
    rows: Rows,
    held_out: Rows | None,
    *,
    seed: int,
    n_epochs_before: int,
    scoring: Any,
) -> dict[str, Any]:
    """Describe a fit by all that another one must share to go on where it stopped.

    Parameters
    ----------
    plan : TrainingPlan
        How to train.
    rows, held_out : Rows
        Training rows and, unless None, the rows to score.
    seed : int
        Of the fit.
    n_epochs_before : int
        Epochs that trained the weights before the fit.
    scoring : str or callable
        The estimator's parameter.

    Returns
    -------
    dict
        Plain values by names that users know; equal to itself after a passage through JSON.
    """
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(plan):
        value = getattr(plan, field.name)
        if field.name == "architecture":
            fields |= {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
        elif field.name not in _NOT_COMPARED:
            fields[_PARAMETERS.get(field.name, field.name)] = value
    fields |= {
        "random_state": seed,
        "epochs before this fit": n_epochs_before,
        "training data": _rows(rows),
        "validation data": None if held_out is None else _rows(held_out),
        "scoring": None if held_out is None else name_of(scoring),
    }
    return json.loads(json.dumps(fields, default=_plain))


def check_same_fit(of_fit: dict[str, Any], processes: SingleProcess) -> None:
    """Raise ValueError unless all processes were given the same parameters and data."""
    for rank, other in enumerate(processes.gather(of_fit)):
        differs = fingerprint_diff(other, of_fit)  # there, here
        if differs:
            raise ValueError(
                f"data_parallel=True, but rank {rank} and rank {processes.rank} "
                f"differ: {'; '.join(differs)}. Give all ranks the same parameters and the whole "
                "X and y: each takes its part of every batch"
            )


def fingerprint_diff(saved: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Sentences, one for each entry in which two fingerprints differ."""
    found: list[str] = []
    for name in {**saved, **now}:
        there, here = saved.get(name), now.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            found += [f"{name}, {part}" for part in fingerprint_diff(there, here)]
        elif there != here:
            found.append(f"{name}: {_short(there)} there, {_short(here)} here")
    return found


def _short(value: Any) -> str:
    return "given" if isinstance(value, dict) else str(value)


def name_of(value: Any) -> str:
    """Name of a function or another object, the same in every process."""
    if isinstance(value, str):
        return value
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", None)
    # scikit-learn's scorers show what they are made of; other objects show their address.
    return f"{module}.{name}" if name else without_addresses(str(value))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist() if value.size <= 16 else _checksum(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, nn.Module):
        return _module(value)
    if isinstance(value, Objective):
        return value.fingerprint
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: getattr(value, field.name)  # not asdict, which would copy arrays
            for field in dataclasses.fields(value)
        }
    return name_of(value)


def _module(module: nn.Module) -> dict[str, Any]:
    """Classes of a module's parts, their plain attributes, and the checksums of their tensors."""
    found: dict[str, Any] = {}
    for name, part in module.named_modules(prefix="module"):
        found[name] = f"{type(part).__module__}.{type(part).__qualname__}"
        plain = {key: value for key, value in vars(part).items() if not key.startswith("_")}
        found |= {f"{name}.{key}": name_of(value) for key, value in plain.items()}
    tensors = {name: part.cpu().to(torch.float64) for name, part in module.state_dict().items()}
    return found | {name: _checksum(part.numpy()) for name, part in tensors.items()}


def _rows(rows: Rows) -> dict[str, Any]:
    """Shape and checksums: of all labels and weights, and of X, or of some rows of it."""
    X, targets, weight = rows.X, rows.targets, rows.sample_weight
    if _is_read_whole(X):
        name = "checksum of features"
    else:
        name = "checksum of some features"
        X = X[np.linspace(0, X.shape[0] - 1, min(_ROWS_READ, X.shape[0])).astype(int)]
    encoded = (targets.codes, targets.positives, targets.dense)
    return {
        "shape": list(rows.X.shape),
        "dtype": str(X.dtype),
        "sparse": sp.issparse(X),
        name: _checksum(X),
        "kind": targets.kind,
        "checksum of classes": _checksum(np.array([str(label) for label in targets.classes])),
        "checksum of labels": [_checksum(part) for part in encoded if part is not None],
        "checksum of sample_weight": None if weight is None else _checksum(weight),
    }


def _is_read_whole(X: Any) -> bool:
    """Whether features lie in memory, and are not too large to be read for a checksum."""
    parts = (X.data, X.indices, X.indptr) if sp.issparse(X) else (X,)
    return not any(map(_is_mapped, parts)) and sum(part.nbytes for part in parts) <= _BYTES_READ


def _is_mapped(array: Any) -> bool:
    """Whether an array is a view of a memory map."""
    while array is not None:
        if isinstance(array, np.memmap | mmap):
            return True
        array = getattr(array, "base", None)
    return False


def _checksum(array: Any) -> str:
    if sp.issparse(array):
        parts = (array.data, array.indices.astype(np.int64), array.indptr.astype(np.int64))
        return "-".join(map(_checksum, parts))
    return f"{zlib.crc32(np.ascontiguousarray(array).data.cast('B')):08x}"
