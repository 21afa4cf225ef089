"""How much memory is free, as far as the system says."""

from __future__ import annotations

import contextlib
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def free_memory() -> int | None:
    """Bytes that this process can still take; None where the system does not say.

    It is what Linux calls available, swap included, or what the process's control group leaves.
    """
    limits = [limit for limit in (_of_machine(), _of_control_group()) if limit is not None]
    return min(limits, default=None)


def in_gigabytes(n_bytes: float) -> str:
    """A size as people read it."""
    return f"{n_bytes / 1e9:.3g} GB"


def _of_machine() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
        return 1024 * (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0))
    except (OSError, ValueError, IndexError, KeyError):
        return None


def _of_control_group() -> int | None:
    with contextlib.suppress(OSError, ValueError):  # no limit is the word "max"
        limit, used = (int((_CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        return max(0, limit - used)
    return None
