"""Linear models on tables as they ship, and on the same tables prepared."""

from functools import partial

from . import datasets
from .environment import fingerprint
from .methods import METHODS
from .report import Table
from .store import Job, Store

SETS = ("yeast", "birds", "flags", "foodtruck", "cal500", "bibtex")
CHOSEN = [m for m in METHODS if m.name in ("auto", "mlce", "linear_svc", "logistic")]
#: How the features of a set are made.
PREPARED = {False: "prepared", True: "as shipped"}


def judge(name: str, as_shipped: bool, threads: int) -> dict[str, float]:
    """Micro-F1 of the test rows at the threshold zero, by method.

    Parameters
    ----------
    name : str
        Of `SETS`.
    as_shipped : bool
        Whether rows and columns are left in their units.
    threads : int
        That a method may use.

    Returns
    -------
    dict
        By the methods' names, and by ``"<name> unconverged"`` how many of its models are.
    """
    dataset, found = datasets.load(name, as_shipped), {}
    for method in CHOSEN:
        figures = method.run(dataset, threads)
        found[method.name] = figures["micro"]
        found[f"{method.name} unconverged"] = figures["unconverged"]
    return found


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by how its features are made."""
    mark = fingerprint("preparation", threads)
    return {
        title: Job(partial(judge, name, as_shipped, threads), 1, mark)
        for as_shipped, title in PREPARED.items()
    }


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: a row for each set in each preparation."""
    result = Table("Micro-F1 at the threshold zero", ("set", "features", *_titles()))
    for name in (name for name in names if store.groups.get(name)):
        for title in PREPARED.values():
            result.add(name, title, *_cells(store.medians(name, title)))
    result.note(
        "Prepared: dense columns standardised, sparse rows divided by their norm. As shipped: only "
        "missing values replaced by the mean. Nominal columns are one-hot in both, and their "
        "columns standardised with the rest where it says prepared."
    )
    result.note("\\* stopped at its iteration limit before it converged.")
    return [result]


def _titles():
    return [method.title for method in CHOSEN]


def _cells(row):
    marks = ["*" if row[f"{method.name} unconverged"] else "" for method in CHOSEN]
    return [f"{row[m.name]:.3f}{mark}" for m, mark in zip(CHOSEN, marks, strict=True)]
