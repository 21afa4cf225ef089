"""Repeated measurements that survive a killed run."""

import json
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .environment import load_average


@dataclass(frozen=True)
class Job:
    """One thing to measure.

    Attributes
    ----------
    run : callable
        Does it once and returns a dict of numbers; `measure` adds ``load``, the load average. A
        `seeded` one is passed how often it was done before.
    repeats : int
        How often to do it. Jobs of one group that are repeated take turns.
    fingerprint : str
        A stored sample with another fingerprint is not comparable and is measured again.
    seeded : bool, default=False
        Whether something in it is drawn at random, from the seed that `run` is passed.
    shown : int or None, default=None
        Characters that `measure` shows of the line of a sample; None shows all.
    """

    run: Callable[..., dict]
    repeats: int
    fingerprint: str
    seeded: bool = False
    shown: int | None = None


class Store:
    """Samples in one JSON file, by group (a data set, say) and name (a method).

    Parameters
    ----------
    path : Path
        The file. It is written after every sample.
    fresh : bool, default=False
        Forget what the file holds.
    """

    def __init__(self, path: Path, fresh: bool = False):
        self.path = path
        self.groups = {} if fresh or not path.is_file() else json.loads(path.read_text())

    def samples(self, group: str, name: str) -> list[dict]:
        """Samples so far, oldest first."""
        return self.groups.get(group, {}).get(name, {}).get("samples", [])

    def medians(self, group: str, name: str) -> dict:
        """Median of each number over the samples; empty when there are none."""
        rows = self.samples(group, name)
        return {key: float(np.median([row[key] for row in rows])) for key in (rows or [{}])[0]}

    def is_current(self, group: str, name: str, fingerprint: str) -> bool:
        """Whether the samples were taken under this fingerprint; true where there are none."""
        record = self.groups.get(group, {}).get(name, {})
        return record.get("fingerprint", fingerprint) == fingerprint

    def complete(self, groups, names) -> list[str]:
        """Those of the groups in which each of the names has a sample."""
        return [group for group in groups if all(self.samples(group, name) for name in names)]

    def pairs(self, groups) -> list[tuple[str, str]]:
        """Each of the groups with each name that has a sample in it."""
        return [(group, name) for group in groups for name in self.groups.get(group, {})]

    def grid(self, pairs, keys) -> np.ndarray:
        """Medians of numbers, ``(n_pairs, n_keys)``, of pairs of a group and a name."""
        rows = [self.medians(group, name) for group, name in pairs]
        return np.array([[row[key] for key in keys] for row in rows])

    def loads(self, group: str) -> str:
        """How busy the machine was when each sample of the group was begun, as a sentence."""
        records = self.groups.get(group, {}).values()
        values = [row["load"] for record in records for row in record["samples"]]
        middle, highest = np.median(values), np.max(values)
        return f"Load average before a run: {middle:.1f} in the median, {highest:.1f} at most."

    def add(self, group: str, name: str, sample: dict, fingerprint: str) -> None:
        """Append one sample and write the file; a kill leaves the old file or the new one."""
        record = self.groups.setdefault(group, {}).setdefault(name, {"samples": []})
        record["fingerprint"] = fingerprint
        record["samples"].append(sample)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.groups, indent=1))
        os.replace(partial, self.path)

    def drop_stale(self, group: str, jobs: dict[str, Job]) -> None:
        """Forget samples that cannot stand beside what will be measured now.

        Times that took turns are only comparable with each other: where one repeated job has to be
        measured again, all repeated jobs of its group are.
        """
        kept = self.groups.get(group, {})
        stale = {
            name for name, job in jobs.items() if not self.is_current(group, name, job.fingerprint)
        }
        if any(jobs[name].repeats > 1 for name in stale):
            stale |= {name for name, job in jobs.items() if job.repeats > 1}
        for name in stale:
            kept.pop(name, None)


def measure(store: Store, group: str, jobs: dict[str, Job], say=print) -> None:
    """Run the jobs of a group in turns until each has its samples.

    Parameters
    ----------
    store : Store
        Where samples are kept, and which says what is left to do.
    group : str
        Name of the group.
    jobs : dict of str to Job
        What to measure. Each round begins one further down, so that nobody always follows the same.
    say : callable, default=print
        Told one line per sample.
    """
    store.drop_stale(group, jobs)
    order = deque(jobs)
    for turn in range(max((job.repeats for job in jobs.values()), default=0)):
        for name in order:
            job = jobs[name]
            if len(store.samples(group, name)) > turn or turn >= job.repeats:
                continue
            load = load_average()
            sample = job.run(*([turn] if job.seeded else [])) | {"load": load}
            store.add(group, name, sample, job.fingerprint)
            numbers = ", ".join(f"{key} {value:.4g}" for key, value in sample.items())
            say(f"[{group}] {name} {turn + 1}/{job.repeats}: {numbers}"[: job.shown])
        order.rotate(-1)
