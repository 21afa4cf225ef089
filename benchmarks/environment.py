"""Which machine, which versions and which source a figure belongs to."""

import hashlib
import os
import platform
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from .datasets import ROOT

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "skorch")
# What decides a figure; the modules that only print it do not.
MEASURING = ("datasets.py", "quality.py")
OF_A_KIND = {
    "mlce": ("methods.py", "objective.py", "calibration.py"),
    "sklearn": ("methods.py", "calibration.py"),
    "peer": ("peers.py", "peers_runner.py"),
    "tuned mlce": ("methods.py", "tuned_recipes.py"),
    "tuned sklearn": ("methods.py", "tuned_recipes.py"),
    "defaults": ("defaults_search.py",),
    "default c": ("methods.py", "family_recipes.py", "default_c.py"),
    "coupling": ("methods.py", "defaults_search.py", "datasets.py", "coupling.py"),
    "mean f1": ("methods.py", "threshold_shrinkage.py", "mean_f1.py"),
    "pruning": ("methods.py", "datasets.py", "scale.py", "pruning.py"),
    "ranking": ("methods.py", "datasets.py", "ranking.py"),
    "label weight": ("methods.py", "defaults_search.py", "label_weight.py"),
    "label ratios": (
        "methods.py",
        "defaults_search.py",
        "label_weight.py",
        "label_ratios.py",
    ),
    "association": (
        "methods.py",
        "defaults_search.py",
        "label_weight.py",
        "association.py",
    ),
    "column scaling": ("methods.py", "datasets.py", "column_scaling.py"),
    "tables": ("methods.py", "datasets.py", "tables.py"),
    "tables sklearn": ("datasets.py", "tables.py"),
    "preparation": ("methods.py", "datasets.py", "preparation.py"),
    "solver choice": ("methods.py", "datasets.py", "solver_choice.py"),
    "outputs": ("methods.py", "output_sets.py", "outputs.py"),
    "forest leaves": ("methods.py", "datasets.py", "tables.py", "forest_leaves.py"),
    "ordinal levels": ("methods.py", "datasets.py", "ordinal_levels.py"),
    "network speed": ("network_speed.py", "network_point.py"),
    "growth": ("growth_data.py", "growth_point.py"),
    "network mlce": ("methods.py", "network_methods.py"),
    "network sklearn": ("network_methods.py",),
    "family mlce": ("methods.py", "calibration.py", "family_recipes.py"),
    "calibrators": ("methods.py", "calibration.py", "calibrators.py"),
    "scale": ("scale.py", "scale_wrappers.py"),
    "many labels": ("scale.py", "many_labels.py", "requirements-trees.txt"),
    "network search": ("network_search_space.py", "network_variants.py"),
}
#: Of our own source, by kind; the tuner's for what it tunes, else all of it.
OUR_SOURCE = {
    "sklearn": (),
    "peer": (),
    "network sklearn": (),
    "tables sklearn": ("sklearn_mlce/model_selection",),
    "tuned sklearn": ("sklearn_mlce/model_selection",),
}
PEER_REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")


def versions() -> dict[str, str]:
    """Version of each package that a figure depends on, ``"absent"`` where it is not installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def cpu_name() -> str:
    """Processor model, from the kernel where it says so."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def digest(*paths: Path) -> str:
    """Short hash of the files' bytes, in the order of their names."""
    whole = hashlib.sha256()
    for file in sorted(file for path in paths for file in _sources(path)):
        whole.update(file.read_bytes())
    return whole.hexdigest()[:12]


def _sources(path):
    return [path] if path.is_file() else path.rglob("*.py")


def fingerprint(kind: str, threads: int) -> str:
    """Say in one string all that would make an earlier figure of a method incomparable.

    Parameters
    ----------
    kind : str
        A key of `OF_A_KIND`: whose figure it is, or which part's. Ours hangs on our source too, a
        peer's on its own pinned environment.
    threads : int
        Threads that the measuring process may use.

    Returns
    -------
    str
    """
    here = Path(__file__).parent
    measuring = digest(*(here / name for name in (*MEASURING, *OF_A_KIND[kind])))
    parts = [cpu_name(), str(os.cpu_count()), str(threads), measuring]
    parts += [f"{name} {number}" for name, number in versions().items()]
    parts.append(digest(*(ROOT / path for path in OUR_SOURCE.get(kind, ("sklearn_mlce",)))))
    if kind == "peer":
        parts.append(digest(PEER_REQUIREMENTS))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def describe(threads: int) -> list[str]:
    """Lines that head every table: versions, processor, threads."""
    listed = ", ".join(f"{name} {number}" for name, number in versions().items())
    return [
        f"- versions: {listed}",
        f"- machine: {cpu_name()}, {os.cpu_count()} CPUs, {platform.system()}",
        f"- threads: {threads} in the measuring process (torch, BLAS)",
    ]


def load_average() -> float:
    """How many processes wanted a CPU during the last minute; NaN where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


@contextmanager
def limited_threads(threads: int):
    """Give torch and the BLAS libraries this many threads, and put things back afterwards.

    Parameters
    ----------
    threads : int
        At least 1.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)
