"""Peak memory of the loss, read from the kernel in a process of its own.

``python -m benchmarks.loss_memory CASE ROWS LABELS`` prints the extra bytes of one case.
"""

import subprocess
import sys
from pathlib import Path

import torch

from .datasets import ROOT
from .loss_cases import LOSSES, make_problem, step
from .report import Table

SHAPE = (4096, 4000)
LIMIT = 1.0

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")

#: Cases whose need is known beforehand: they show that the measurement can be trusted.
CHECKS = {"check: keep 1 copy": 1, "check: keep 2 copies": 2, "check: copy and drop, twice": 1}


def _check(case, scores):
    if case == "check: copy and drop, twice":
        scores.detach().clone()
        scores.detach().clone()
        return []
    return [scores.detach().clone() for _ in range(CHECKS[case])]


def kernel_bytes(field: str) -> int:
    """What the kernel says of this process, in bytes.

    Parameters
    ----------
    field : str
        ``"VmRSS"``, the resident memory of now, or ``"VmHWM"``, the highest so far.

    Returns
    -------
    int

    Raises
    ------
    RuntimeError
        If the kernel does not say it.
    """
    for line in STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"{STATUS} has no line {field}")


def extra_bytes(case: str, n: int, n_labels: int) -> int:
    """Highest resident memory during one call, less what was resident before it.

    Parameters
    ----------
    case : str
        A key of `LOSSES` or `CHECKS`.
    n, n_labels : int
        Rows and labels, float32.

    Returns
    -------
    int
        For a loss, less the gradient that it leaves in ``scores.grad`` too.
    """
    problem = make_problem(n, n_labels)
    small = make_problem(8, 16)
    for loss in LOSSES.values():
        step(loss, small)
    before = kernel_bytes("VmRSS")
    RESET.write_text("5")
    kept = _check(case, problem.scores) if case in CHECKS else step(LOSSES[case], problem)
    extra = kernel_bytes("VmHWM") - before
    del kept
    return extra if case in CHECKS else extra - problem.scores.grad.nbytes


def buffers(case: str, n: int, n_labels: int, threads: int) -> float:
    """`extra_bytes` in a fresh process, in units of one float32 array the size of the scores.

    Parameters
    ----------
    case : str
    n, n_labels : int
    threads : int
        That torch may use there.

    Returns
    -------
    float

    Raises
    ------
    RuntimeError
        If the process fails.
    """
    command = [sys.executable, "-m", __spec__.name, case, str(n), str(n_labels), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return int(done.stdout) / (4 * n * n_labels)


def table(threads: int, shape=SHAPE) -> Table:
    """Measure and lay out.

    Parameters
    ----------
    threads : int
    shape : tuple of int, default=SHAPE
        Rows and labels.

    Returns
    -------
    Table
    """
    result = Table(
        f"Peak extra memory at {shape[0]} x {shape[1]} float32",
        ("case", "score-sized buffers beside the gradient", "at most", "holds"),
    )
    if not RESET.exists():
        result.note("Not measured: this needs Linux, whose kernel tells a process its peak memory.")
        return result
    for case in [*CHECKS, *LOSSES]:
        used = buffers(case, *shape, threads)
        bounded = case.startswith("mlce")
        holds = ("yes" if used <= LIMIT else "NO") if bounded else ""
        expected = f"(is {CHECKS[case]})" if case in CHECKS else ""
        result.add(case, f"{used:.2f}", f"{LIMIT:.2f}" if bounded else expected, holds)
    return result


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[4]))
    print(extra_bytes(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
