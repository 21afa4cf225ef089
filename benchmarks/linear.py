"""Quality beside time of the linear methods, on the public sets."""

from . import datasets, linear_summary
from .environment import fingerprint
from .methods import METHODS, Method
from .report import Table
from .store import Job, Store, measure

BASELINE = "auto"
#: How often a method is fitted, in turns with the others; elsewhere three times.
REPEATS = {"yeast": 5, "birds": 5}
#: Methods without randomness, and where one fit of them is enough.
ONCE = {
    "logistic": {"delicious", "cooking", "asklibrarian_yso", "cellcycle_go"},
    "linear_svc": {"asklibrarian_yso", "cellcycle_go"},
    "lml_1vsrest": {"asklibrarian_yso", "cellcycle_go"},
    "lml_thresholding": set(datasets.NAMES),
    "lml_thresholding_m": set(datasets.NAMES),
    "lml_cost_sensitive": set(datasets.NAMES),
}
QUICK_SETS = tuple(name for name in datasets.NAMES if name != "cellcycle_go")

COLUMNS = (
    "method",
    "fit, x MLCE",
    "predict, x MLCE",
    "micro-F1",
    "macro-F1",
    "samples-F1",
    "LRAP",
    "P@1",
    "fit s",
    "predict s",
    "runs",
)


def run(store: Store, name: str, methods, threads: int, full: bool, say=print) -> None:
    """Measure what is still missing on one set.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    name : str
        The set.
    methods : sequence of Method
    threads : int
        That the measuring process has.
    full : bool
        Run the slow methods too.
    say : callable, default=print
        Told the progress.
    """
    dataset = datasets.load(name)
    chosen = [method for method in methods if full or name not in method.slow_on]
    jobs = {method.name: _job(method, dataset, threads) for method in chosen}
    measure(store, name, jobs, say)


def _job(method: Method, dataset, threads):
    once = dataset.name in ONCE.get(method.name, ())
    repeats = 1 if once else REPEATS.get(dataset.name, 3)
    mark = fingerprint(method.kind, threads)
    return Job(lambda seed: method.run(dataset, threads, seed), repeats, mark, seeded=True)


def tables(store: Store, names, threads: int) -> list[Table]:
    """Lay out what the store holds, what all sets together say first and then one table a set.

    Parameters
    ----------
    store : Store
    names : sequence of str
        Sets.
    threads : int
        That the measuring process has; figures taken otherwise are marked.

    Returns
    -------
    list of Table
    """
    done = [name for name in names if store.groups.get(name)]
    return [*linear_summary.tables(store), *(_table(store, name, threads) for name in done)]


def _table(store, name, threads):
    dataset = datasets.load(name)
    result = Table(f"{name} ({dataset.size})", COLUMNS)
    base = store.medians(name, BASELINE)
    for method in METHODS:
        row = store.medians(name, method.name)
        if row:
            current = store.is_current(name, method.name, fingerprint(method.kind, threads))
            title = method.title + _marks(row, current)
            result.add(title, *_cells(row, base), str(len(store.samples(name, method.name))))
    _add_notes(result)
    result.note(store.loads(name))
    return result


def _marks(row, current):
    return (" *" if row["unconverged"] else "") + ("" if current else " (old)")


def _cells(row, base):
    ratios = [
        f"{row[key] / base[key]:.2f}" if base.get(key) else "" for key in ("fit_s", "predict_s")
    ]
    quality = [f"{row[key]:.3f}" for key in ("micro", "macro", "samples", "lrap", "p1")]
    return [*ratios, *quality, f"{row['fit_s']:.3g}", f"{row['predict_s']:.3g}"]


def _add_notes(result):
    titles = [cells[0] for cells in result.rows]
    if any("*" in title for title in titles):
        result.note("\\* stopped at its iteration limit before it converged.")
    if any("(old)" in title for title in titles):
        result.note("(old): measured with other versions, source or threads than today's.")
