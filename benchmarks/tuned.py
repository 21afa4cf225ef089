"""Quality and time of linear models with tuned thresholds, on the public sets."""

from . import datasets, tuned_summary
from .environment import fingerprint
from .methods import METHODS
from .report import Table
from .store import Job, Store, measure
from .tuned_recipes import RECIPES

SETS = tuple(name for name in datasets.NAMES if name != "cellcycle_go")
#: Seeds, of folds and models, on the sets where a run takes minutes; elsewhere `SEEDS`.
SEEDS_ON = {"cooking": 1, "delicious": 1, "asklibrarian_yso": 1}
SEEDS = 3
#: Sets of the peers that tune for themselves, and how often they are run.
PEER_SETS = {"yeast": 3, "birds": 3, "bibtex": 3, "cooking": 1, "goemotions": 1, "delicious": 1}
PEERS = tuple(method for method in METHODS if method.kind == "peer")

COLUMNS = (
    "method",
    "C",
    "micro-F1",
    "its range",
    "macro-F1",
    "samples-F1",
    "LRAP",
    "micro at 0",
    "macro at 0",
    "samples at 0",
    "whole fit s",
    "x MLCE",
    "seeds",
)
BASELINE = "auto_global"


def run(store: Store, name: str, recipes, threads: int, full: bool, seeds=None, say=print) -> None:
    """Measure what is still missing on one set.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    name : str
        The set.
    recipes : sequence of Recipe
    threads : int
        That the measuring process has.
    full : bool
        Run the slow recipes too.
    seeds : int or None, default=None
        None takes `SEEDS`, or what `SEEDS_ON` says of the set.
    say : callable, default=print
        Told the progress.
    """
    dataset = datasets.load(name)
    repeats = seeds or SEEDS_ON.get(name, SEEDS)
    jobs = {
        recipe.name: Job(
            lambda seed, recipe=recipe: recipe.run(dataset, threads, seed),
            repeats,
            fingerprint(f"tuned {recipe.kind}", threads),
            seeded=True,
        )
        for recipe in recipes
        if full or name not in recipe.slow_on
    }
    measure(store, name, jobs, say)


def run_peers(store: Store, name: str, threads: int, full: bool, say=print) -> None:
    """Measure LibMultiLabel's three methods on one set, once and for all versions of ours.

    Parameters
    ----------
    store : Store
        Another one than that of `run`.
    name : str
        The set; one that is not in `PEER_SETS` is passed over.
    threads : int
        That the peers get.
    full : bool
        Run its thresholding with ``-m`` on the large sets too.
    say : callable, default=print
        Told the progress.
    """
    if name not in PEER_SETS:
        return
    dataset, mark = datasets.load(name), fingerprint("peer", threads)
    jobs = {
        method.name: Job(
            lambda seed, method=method: method.run(dataset, threads, seed),
            PEER_SETS[name],
            mark,
            seeded=True,
        )
        for method in PEERS
        if full or not (method.name == "lml_thresholding_m" and name in method.slow_on)
    }
    measure(store, name, jobs, say)


def tables(store: Store, peers: Store, threads: int) -> list[Table]:
    """Lay out what both stores hold: what all sets together say, and then one table a set.

    Parameters
    ----------
    store : Store
        Samples of `run`.
    peers : Store
        Samples of `run_peers`.
    threads : int
        That the measuring process has; figures taken otherwise are marked.

    Returns
    -------
    list of Table
    """
    done = [name for name in datasets.NAMES if store.groups.get(name) or peers.groups.get(name)]
    return [
        *tuned_summary.tables(store, peers),
        *(_table(store, peers, name, threads) for name in done),
    ]


def _table(store, peers, name, threads):
    dataset = datasets.load(name)
    result = Table(f"{name} ({dataset.size})", COLUMNS)
    base = store.medians(name, BASELINE).get("fit_s")
    kinds = {recipe: f"tuned {recipe.kind}" for recipe in RECIPES}
    sources = [*((r, store, kinds[r]) for r in RECIPES), *((p, peers, "peer") for p in PEERS)]
    for method, source, kind in sources:
        rows = source.samples(name, method.name)
        if rows:
            current = source.is_current(name, method.name, fingerprint(kind, threads))
            title = method.title + ("" if current else " (old)")
            result.add(title, *_cells(source.medians(name, method.name), rows, base))
    if any("(old)" in cells[0] for cells in result.rows):
        result.note("(old): measured with other versions, source or threads than today's.")
    for source in (store, peers):
        if source.groups.get(name):
            result.note(source.loads(name))
    return result


def _cells(row, rows, base):
    spread = [sample["micro"] for sample in rows]
    quality = [f"{row[key]:.3f}" for key in ("macro", "samples", "lrap")]
    zero = [f"{row[key]:.3f}" if key in row else "" for key in tuned_summary.AT_ZERO]
    return [
        f"{row['C']:.3g}" if "C" in row else "1",
        f"{row['micro']:.3f}",
        f"{max(spread) - min(spread):.3f}",
        *quality,
        *zero,
        f"{row['fit_s']:.3g}",
        f"{row['fit_s'] / base:.2f}" if base else "",
        str(len(rows)),
    ]
