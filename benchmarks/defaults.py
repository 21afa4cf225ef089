"""The search that the default options of MLCEClassifier come from."""

import numpy as np

from .defaults_search import KEPT, KEPT_SHIFT, SETS, SHIFTS, candidates, judge
from .environment import fingerprint
from .report import Table
from .store import Job, Store, measure


def run(store: Store, names, threads: int, say=print) -> None:
    """Measure what is still missing.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    names : sequence of str
        Sets; those that are not in `SETS` are passed over.
    threads : int
        That the measuring process has.
    say : callable, default=print
        Told the progress.
    """
    mark = fingerprint("defaults", threads)
    for name in (name for name in names if name in SETS):
        jobs = {
            candidate.name: Job(lambda n=name, c=candidate: judge(n, c), 1, mark)
            for candidate in candidates()
        }
        measure(store, name, jobs, say)


def tables(store: Store) -> list[Table]:
    """Lay out what the store holds.

    Parameters
    ----------
    store : Store

    Returns
    -------
    list of Table
        The candidates in the mean over sets, the best first, and the kept one on each set.
    """
    done = [name for name in SETS if len(store.groups.get(name, {})) == len(candidates())]
    return [_of_candidates(store, done), _of_sets(store, done)] if done else []


def _shift(d):
    return f"shift {d:g}"


def _means(store, candidate, names):
    rows = [store.medians(name, candidate.name) for name in names]
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _of_candidates(store, names):
    columns = ("loss", "scale", "C factor", "best shift", "micro-F1 at it")
    columns = (*columns, f"micro-F1 at {KEPT_SHIFT:g}", "micro-F1 tuned", "LRAP")
    result = Table("Mean over sets", columns)
    found = []
    for candidate in candidates():
        means = _means(store, candidate, names)
        best = max(SHIFTS, key=lambda d, means=means: means[_shift(d)])
        found.append((means[_shift(best)], best, candidate, means))
    for at_best, best, candidate, means in sorted(found, key=lambda row: -row[0]):
        mark = " (kept)" if candidate == KEPT else ""
        result.add(
            f"{candidate.loss}{mark}",
            f"{candidate.scale:g}",
            f"{candidate.factor:g}",
            f"{best:g}",
            f"{at_best:.4f}",
            *(f"{means[key]:.4f}" for key in (_shift(KEPT_SHIFT), "tuned", "lrap")),
        )
    rows = ", ".join(f"{name} {SETS[name] or 'all'}" for name in names)
    result.note(
        "Three folds of the training rows, pooled; no test row was used. The shift is added to the "
        "scores of margin 1 and is the same for all sets, except where tuned: the best of each "
        f"set. The penalty is the same for all columns. Rows: {rows}. Labels that these rows do "
        "not carry are left out."
    )
    result.note(_why(found))
    return result


def _why(found):
    kept = next(row for row in found if row[2] == KEPT)
    ranks = [1 + sum(row[3][key] > kept[3][key] for row in found) for key in ("tuned", "lrap")]
    at_best = 1 + sum(row[0] > kept[0] for row in found)
    return (
        f"Kept: the loss {KEPT.loss!r} with scale {KEPT.scale:g} and factor {KEPT.factor:g} is "
        f"number {at_best} of {len(found)} at the best constant shift, {ranks[0]} with tuned "
        f"thresholds and {ranks[1]} in LRAP. Its margins are (1 - {KEPT_SHIFT:g}, "
        f"1 + {KEPT_SHIFT:g})."
    )


def _of_sets(store, names):
    titles = (*(f"shift {d:g}" for d in SHIFTS), "tuned", "LRAP")
    result = Table("The kept one on each set: micro-F1 by shift", ("set", *titles))
    for name in names:
        row = store.medians(name, KEPT.name)
        keys = (*(_shift(d) for d in SHIFTS), "tuned", "lrap")
        result.add(name, *(f"{row[key]:.3f}" for key in keys))
    means = _means(store, KEPT, names)
    result.add("mean", *(f"{means[key]:.3f}" for key in (*map(_shift, SHIFTS), "tuned", "lrap")))
    return result
