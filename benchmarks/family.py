"""Every loss in both models, on the public sets."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from . import datasets
from .environment import fingerprint
from .family_recipes import HELD_OUT, MODELS, MOST_EPOCHS, RECIPES
from .methods import mlce_classifier
from .report import Table
from .store import Job, Store, measure

SETS = tuple(name for name in datasets.NAMES if name != "cellcycle_go")
#: Seeds of the networks; the linear models, which draw little, have one.
SEEDS = 3
SEARCH_SET = "bibtex"
SEARCH = {"loss": ["auto", "bce", "squared_hinge", "focal"], "C": [0.3, 1.0, 3.0, 10.0]}
FIGURES = {
    "micro_zero": "micro at 0",
    "macro_zero": "macro at 0",
    "samples_zero": "samples at 0",
    "micro": "micro tuned",
    "macro": "macro tuned",
    "samples": "samples tuned",
    "head": "head",
    "medium": "medium",
    "tail": "tail",
    "lrap": "LRAP",
    "ece": "ECE",
}


def run(store: Store, name: str, threads: int, seeds=None, say=print) -> None:
    """Measure what is still missing on one set.

    Parameters
    ----------
    store : Store
        Holds the samples, one group a set.
    name : str
        The set.
    threads : int
        That the measuring process has.
    seeds : int or None, default=None
        Of the networks; None takes `SEEDS`.
    say : callable, default=print
        Told the progress.
    """
    dataset, mark = datasets.load(name), fingerprint("family mlce", threads)
    jobs = {
        recipe.name: Job(
            lambda seed, recipe=recipe: recipe.run(dataset, seed),
            1 if recipe.model == "linear" else seeds or SEEDS,
            mark,
            seeded=True,
        )
        for recipe in RECIPES
    }
    measure(store, name, jobs, say)
    if name == SEARCH_SET:
        job = Job(lambda: _search(dataset), 1, mark)
        measure(store, "search", {"search": job}, say)


def _search(dataset):
    """Mean micro-F1 of three folds, of each loss and C."""
    search = GridSearchCV(mlce_classifier(random_state=0), SEARCH, scoring="f1_micro", cv=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(dataset.X_train.astype(np.float32), dataset.Y_train)
    results = search.cv_results_
    points = zip(results["params"], results["mean_test_score"], strict=True)
    return {f"{at['loss']} {at['C']:g}": float(score) for at, score in points}


def tables(store: Store) -> list[Table]:
    """Lay out what the store holds.

    Parameters
    ----------
    store : Store

    Returns
    -------
    list of Table
        For each model, the means over the sets that all losses have been run on; the search; and
        a table for each set.
    """
    done = [name for name in SETS if store.groups.get(name)]
    means = [_means(store, model, done) for model in MODELS]
    return [*means, _search_table(store), *(_table(store, name) for name in done)]


def _means(store, model, names):
    """Figures in the mean over the sets where each loss has a sample."""
    recipes = [recipe for recipe in RECIPES if recipe.model == model]
    names = [n for n in names if all(store.samples(n, recipe.name) for recipe in recipes)]
    title = f"The {model} model: means over sets"
    result = Table(title, ("loss", *FIGURES.values(), "fit s / that of auto"))
    for recipe in recipes:
        rows = [_average(store.samples(name, recipe.name)) for name in names]
        times = [
            store.medians(name, recipe.name)["fit_s"]
            / store.medians(name, recipes[0].name)["fit_s"]
            for name in names
        ]
        cells = [_mean_of(rows, figure) for figure in FIGURES]
        result.add(recipe.loss, *cells, f"{np.exp(np.mean(np.log(times))):.2f}" if times else "")
    result.note(f"Over {', '.join(names) if names else 'no set yet'}. {_HOW[model]}")
    return result


_HOW = {
    "linear": (
        "C is the best of three around the default (auto, mlce) or of 0.1, 1, 10, 100 (others) in "
        "micro-F1 with one threshold on three folds, which is the tuned one. pairwise predicts as "
        "many labels a row as the training rows have in the mean."
    ),
    "network": (
        f"MLCEMLP() with the loss; the threshold is tuned on a held-out fraction of {HELD_OUT:g}. "
        "At most "
        + ", ".join(f"{epochs} epochs on {name}" for name, epochs in MOST_EPOCHS.items())
        + "."
    ),
}


def _average(samples):
    return {key: float(np.mean([row[key] for row in samples])) for key in samples[0]}


def _mean_of(rows, figure):
    values = [row[figure] for row in rows if not np.isnan(row.get(figure, np.nan))]
    return f"{np.mean(values):.3f}" if values else ""


def _search_table(store):
    columns = ("loss", *(f"C = {C:g}" for C in SEARCH["C"]))
    result = Table(f"GridSearchCV over loss and C on {SEARCH_SET}: micro-F1 at zero", columns)
    row = store.medians("search", "search")
    for loss in SEARCH["loss"] if row else ():
        result.add(loss, *(f"{row[f'{loss} {C:g}']:.3f}" for C in SEARCH["C"]))
    result.note("Means of three folds of the training rows.")
    return result


def _table(store, name):
    columns = ("model and loss", *FIGURES.values(), "fit s", "seeds")
    result = Table(f"{name} ({datasets.load(name).size})", columns)
    for recipe in RECIPES:
        rows = store.samples(name, recipe.name)
        if rows:
            cells = [_mean_of([_average(rows)], figure) for figure in FIGURES]
            seconds = store.medians(name, recipe.name)["fit_s"]
            result.add(recipe.name, *cells, f"{seconds:.3g}", str(len(rows)))
    result.note(
        "head, medium, tail: macro-F1 at the tuned threshold of labels with more than 100, 20 to "
        "100, and fewer training rows. ECE: calibration error of predict_proba over all cells."
    )
    result.note(store.loads(name))
    return result
