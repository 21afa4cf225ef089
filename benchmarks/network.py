"""Quality and time of networks, on the public sets."""

from . import datasets
from .environment import fingerprint
from .network_methods import METHODS
from .store import Job, Store, measure

SETS = ("yeast", "birds", "bibtex", "films", "goemotions", "delicious")
#: Sets on which MLPClassifier's grid is searched.
GRID_SETS = ("yeast", "birds", "bibtex")
#: Seeds, by set; `SEEDS` elsewhere. A network of scikit-learn's takes minutes on these.
SEEDS_ON = {"bibtex": 3, "films": 1, "goemotions": 1, "delicious": 1}
SEEDS = 5


def run(store: Store, name: str, kind: str, threads: int, seeds=None, say=print) -> None:
    """Measure what is still missing on one set.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    name : str
        The set.
    kind : {"network mlce", "network sklearn"}
        Whose networks to measure.
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
