"""Quality and time of networks, on the public sets."""

from . import datasets, network_summary
from .environment import fingerprint
from .network_methods import FEW_EPOCHS, FOLDED, METHODS
from .network_summary import GRID_SETS, SETS
from .report import Table, mean_and_spread
from .store import Job, Store, measure

#: Seeds, by set; `SEEDS` elsewhere. A network of scikit-learn's takes minutes on these.
SEEDS_ON = {"bibtex": 3, "films": 1, "goemotions": 1, "delicious": 1}
SEEDS = 5
KINDS = ("network sklearn", "network mlce")
FIGURES = {
    "micro_zero": "micro at 0",
    "macro_zero": "macro at 0",
    "samples_zero": "samples at 0",
    "micro": "micro tuned",
    "macro": "macro tuned",
    "samples": "samples tuned",
    "lrap": "LRAP",
}


def run(store: Store, name: str, kind: str, threads: int, seeds=None, say=print) -> None:
    """Measure what is still missing on one set.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    name : str
        The set.
    kind : str
        One of `KINDS`: whose networks to measure.
    threads : int
        That the measuring process has.
    seeds : int or None, default=None
        None takes `SEEDS`, or what `SEEDS_ON` says of the set.
    say : callable, default=print
        Told the progress.
    """
    dataset, mark = datasets.load(name), fingerprint(kind, threads)
    jobs = {
        method.name: Job(
            lambda seed, method=method: method.run(dataset, seed),
            seeds or SEEDS_ON.get(name, SEEDS),
            mark,
            seeded=True,
        )
        for method in METHODS
        if method.kind == kind and (method.name != "sklearn_grid" or name in GRID_SETS)
    }
    measure(store, name, jobs, say)


def tables(store: Store, threads: int) -> list[Table]:
    """Lay out what the store holds: the bars, and then one table a set.

    Parameters
    ----------
    store : Store
    threads : int
        That the measuring process has; figures taken otherwise are marked.

    Returns
    -------
    list of Table
    """
    done = [name for name in SETS if store.groups.get(name)]
    return [*network_summary.tables(store), *(_table(store, name, threads) for name in done)]


def _table(store, name, threads):
    columns = ("method", *FIGURES.values(), "fit s", "epochs", "seeds")
    result = Table(f"{name} ({datasets.load(name).size})", columns)
    for method in METHODS:
        rows = store.samples(name, method.name)
        if rows:
            current = store.is_current(name, method.name, fingerprint(method.kind, threads))
            title = method.title + ("" if current else " (old)")
            shown = [mean_and_spread([row[key] for row in rows]) for key in FIGURES]
            medians = store.medians(name, method.name)
            last = f"{medians['fit_s']:.3g}", f"{medians['epochs']:.0f}", str(len(rows))
            result.add(title, *shown, *last)
    result.note(_how(name))
    if any("(old)" in cells[0] for cells in result.rows):
        result.note("(old): measured with other versions, source or threads than today's.")
    result.note(store.loads(name))
    return result


def _how(name):
    rows = "three folds" if name in FOLDED else "one held-out fifth"
    few = f"; MLPClassifier gets {FEW_EPOCHS[name]} epochs" if name in FEW_EPOCHS else ""
    return f"Mean and standard deviation over the seeds. Threshold tuned on {rows}{few}."
