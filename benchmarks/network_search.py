"""The search behind the defaults of MLCEMLP: what one change of them at a time does."""

import numpy as np

from .environment import fingerprint
from .network_search_space import CANDIDATES, KEPT, SETS, candidates, judge
from .report import Table, cells
from .store import Job, Store, measure

FIGURES = {"micro": "micro-F1 at 0", "macro": "macro-F1 at 0", "tuned": "micro-F1 tuned"}


def run(store: Store, names, threads: int, seeds=None, say=print) -> None:
    """Measure what is still missing.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    names : sequence of str
        Sets; those that are not in `SETS` are passed over.
    threads : int
        That the measuring process has.
    seeds : int or None, default=None
        Of folds and networks; None is 1.
    say : callable, default=print
        Told the progress.
    """
    mark = fingerprint("network search", threads)
    for name in (name for name in names if name in SETS):
        jobs = {
            candidate: Job(
                lambda seed, n=name, c=candidate: judge(n, c, seed), seeds or 1, mark, seeded=True
            )
            for candidate in candidates(name)
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
        One for each figure: the candidates less what is kept, on each set and in the mean.
    """
    done = [name for name in SETS if set(store.groups.get(name, {})) >= set(candidates(name))]
    if not done:
        return []
    found = [_differences(store, key, title, done) for key, title in FIGURES.items()]
    rows = ", ".join(f"{name} {SETS[name] or 'all'}" for name in done)
    found[0].note(
        f"Three folds of the training rows, pooled; no test row was used. Rows: {rows}. The kept "
        "defaults' own figures, and below them what one change adds to them; the mean is over the "
        "sets that the change is for."
    )
    return found


def _figures(store, candidate, key, names):
    """Means over the seeds, NaN for a set that the candidate is not for."""
    rows = (store.samples(name, candidate) for name in names)
    return np.array(
        [np.mean([row[key] for row in of_set]) if of_set else np.nan for of_set in rows]
    )


def _differences(store, key, title, names):
    result = Table(title, ("candidate", *names, "mean", "time, x kept"))
    kept = _figures(store, KEPT, key, names)
    seconds = _figures(store, KEPT, "fit_s", names)
    result.add(KEPT, *cells(kept, ".3f"), *cells([kept.mean()], ".3f"), "1")
    gains = {c: _figures(store, c, key, names) - kept for c in CANDIDATES if c != KEPT}
    gains = {c: gain for c, gain in gains.items() if not np.isnan(gain).all()}
    for candidate, gain in sorted(gains.items(), key=lambda item: -np.nanmean(item[1])):
        ratios = _figures(store, candidate, "fit_s", names) / seconds
        ratio = np.exp(np.nanmean(np.log(ratios)))
        shown = (*cells(gain, "+.3f"), *cells([np.nanmean(gain)], "+.4f"))
        result.add(candidate, *shown, f"{ratio:.2f}")
    return result
