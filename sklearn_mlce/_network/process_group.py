"""Processes that train one network together: which part is whose, and what they agree on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from inspect import signature
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

# A process that waits so long for the gradients of another gives up. It waits as long as torch
# lets it, half an hour, where the others may be busy: before the first step, and between epochs.
_LONGEST_STEP = timedelta(seconds=45)
_OF_A_LAUNCHER = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

Value = TypeVar("Value")


class Share(NamedTuple):
    """Rows of a batch that one process computes."""

    rows: slice  # of the batch
    n_rows: int  # of the batch
    counts: bool  # False where rows are too few: these are another's, and weigh nothing


class SingleProcess:
    """One process that trains alone; base of several that train together."""

    rank = 0
    size = 1

    def replicate(self, module: nn.Module, device: torch.device, *, optional: bool) -> nn.Module:
        """Module that computes as this one, and averages its gradients over the processes.

        With `optional` parameters, a step may leave some of them without a gradient.
        """
        return module

    def broadcast(self, value: Value) -> Value:
        """Value that the first process has."""
        return value

    def call_on_first(self, function: Callable[[], Value]) -> Value:
        """Call a function in the first process alone; all have its result, or raise its error."""
        return function()

    def gather(self, value: Value) -> list[Value]:
        """Values of all processes, by rank."""
        return [value]

    def any(self, flag: bool) -> bool:
        """Whether a flag is set in any process."""
        return flag

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes of a tensor, in float64 on the CPU; alone, the tensor itself."""
        return values

    def explain(self, error: BaseException) -> None:
        """Note in an error of torch that another process may be its cause."""

    def copy_buffers(self, module: nn.Module) -> None:
        """Set the buffers of a module to those of the first process."""


ALONE = SingleProcess()


class ProcessGroup(SingleProcess):
    """All processes of torch's default group.

    They talk over groups of their own: one on the CPU for agreements, and one for gradients on
    the device of the network, by gloo on a CPU and nccl on a GPU. :meth:`close` ends both.
    """

    def __init__(self, backend: str | None) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._agreements = dist.new_group(backend="gloo")
        self._backend_on_gpus = backend
        self._gradients: Any = None
        self._replica: DistributedDataParallel | None = None

    def explain(self, error: BaseException) -> None:
        """Note in an error of torch that another process may be its cause."""
        note = (
            f"Raised in rank {self.rank} of {self.size}, which train together with "
            "data_parallel=True. Where it says that a connection was closed or reset, or that "
            "it timed out, another rank has ended, and its own error says why"
        )
        if isinstance(error, RuntimeError) and note not in getattr(error, "__notes__", ()):
            error.add_note(note)

    def close(self) -> None:
        """End the groups; no process waits for another."""
        if self._replica is not None:
            # The last owner of a group waits for its threads. These may need the interpreter's
            # lock, which torch lets go of in a group's own destructor, not in the reducer's.
            del self._replica.reducer, self._replica.logger
        for group in (self._gradients, self._agreements):
            if group is not None:
                dist.destroy_process_group(group)

    def replicate(self, module: nn.Module, device: torch.device, *, optional: bool) -> nn.Module:
        dist.barrier(self._agreements)  # which waits for longer than the gradients' group
        backend = "gloo" if device.type == "cpu" else self._backend_on_gpus
        self._gradients = dist.new_group(backend=backend, timeout=_LONGEST_STEP)
        # Buffers of the perceptron never change: they need no copying before each pass.
        known = signature(DistributedDataParallel).parameters
        name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        options: dict[str, Any] = {name: optional, "find_unused_parameters": optional}
        self._replica = DistributedDataParallel(module, process_group=self._gradients, **options)
        return self._replica

    def share(self, n_rows: int, fewest: int) -> Share:
        """Share of this process in a batch, of no less than `fewest` rows where it has as many."""
        n_shares = max(1, min(self.size, n_rows // fewest))
        if self.rank >= n_shares:
            return Share(slice(0, min(fewest, n_rows)), n_rows, counts=False)
        start, stop = (n_rows * rank // n_shares for rank in (self.rank, self.rank + 1))
        return Share(slice(start, stop), n_rows, counts=True)

    def broadcast(self, value: Value) -> Value:
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self._agreements)
        return values[0]

    def call_on_first(self, function: Callable[[], Value]) -> Value:
        result: Any = None
        error: Exception | None = None
        if self.rank == 0:
            try:
                result = function()
            except Exception as raised:
                error = raised
        result, error = self.broadcast((result, error))
        if error is not None:
            raise error
        return result

    def gather(self, value: Value) -> list[Value]:
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self._agreements)
        return values

    def any(self, flag: bool) -> bool:
        return any(self.gather(flag))

    def mean(self, values: Tensor) -> Tensor:
        total = values.detach().to("cpu", torch.float64, copy=True)
        dist.all_reduce(total, group=self._agreements)
        return total / self.size

    def copy_buffers(self, module: nn.Module) -> None:
        for buffer in module.buffers():
            dist.broadcast(buffer, src=0, group=self._gradients)


def device_of_process(device: torch.device) -> torch.device:
    """Device on which this process computes: of GPUs without a number its own.

    Raises
    ------
    ValueError
        If processes cannot train together on such a device.
    """
    if device.type not in ("cpu", "cuda"):
        raise ValueError(
            f"data_parallel=True trains on CPUs, by gloo, or on CUDA GPUs, by nccl; got "
            f"device={device.type!r}. Set device='cpu', or data_parallel=False"
        )
    if device != torch.device("cuda") or "LOCAL_RANK" not in os.environ:
        return device
    # A launcher may show each process one GPU.
    index = int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count()
    return torch.device("cuda", index)


@contextmanager
def join_group(data_parallel: bool) -> Iterator[SingleProcess]:
    """Join the processes that a launcher started, for the time of a block; alone without them.

    Parameters
    ----------
    data_parallel : bool
        Whether to train together. Without it no process group is looked at.

    Yields
    ------
    SingleProcess
        A :class:`ProcessGroup` where they train together.

    Raises
    ------
    ValueError
        If there is neither a process group nor a launcher.
    """
    if not data_parallel:
        yield ALONE
        return
    ours = not dist.is_initialized()
    hook = sys.excepthook
    if ours:
        _join_default_group()
    try:
        # In a user's group the gradients take the user's way.
        group = ProcessGroup("nccl" if ours else None)
        try:
            yield group
        except RuntimeError as error:
            group.explain(error)
            raise
        finally:
            group.close()
    finally:
        if ours:
            dist.destroy_process_group()
            sys.excepthook = hook  # the group had put its own in front


def _join_default_group() -> None:
    """Make torch's default process group of the processes that a launcher started."""
    missing = [name for name in _OF_A_LAUNCHER if name not in os.environ]
    if missing:
        raise ValueError(
            "data_parallel=True trains in the processes that a launcher starts, but there is no "
            f"process group of torch, and the environment lacks {', '.join(missing)}. Type "
            "torchrun --nproc-per-node 2 script.py to run the script that calls fit, or set "
            "data_parallel=False"
        )
    store, rank, size = _launcher_store()
    # The group of each fit needs names of its own in the store, which outlives the groups.
    attempt = f"sklearn_mlce/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    fit = (store.add(f"{attempt}/joined", 1) - 1) // size
    dist.init_process_group(
        "gloo", store=dist.PrefixStore(f"{attempt}/{fit}", store), rank=rank, world_size=size
    )


@cache
def _launcher_store() -> tuple[Any, int, int]:
    """Store in which the processes find each other, with the rank and the number of processes.

    It stays open: a process that begins its next fit early could find one that is just closing.
    """
    return next(iter(dist.rendezvous("env://")))
