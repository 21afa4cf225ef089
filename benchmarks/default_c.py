"""The factor of C by which each loss is best at threshold zero, on tables and a sparse set."""

from functools import partial

import numpy as np
from sklearn.metrics import f1_score

from . import datasets
from .environment import fingerprint
from .family_recipes import parameters
from .methods import mlce_classifier, timed_fit
from .report import Table, cells
from .store import Job, Store

SPARSE = "bibtex"
SETS = ("yeast", "birds", SPARSE, *datasets.SMALL)
#: Losses, and the factor that their default C has.
KEPT = dict.fromkeys(
    (
        "mlce",
        "pairwise",
        "bce",
        "focal",
        "class_balanced_focal",
        "distribution_balanced",
        "asymmetric",
    ),
    100.0,
) | {"squared_hinge": 1.0}
#: Of C, times one over the squared distance of the rows from their mean.
FACTORS = (1.0, 10.0, 100.0, 1000.0)
PLAIN = "C = 1"


def judge(name: str, loss: str) -> dict[str, float]:
    """Micro-F1 of the test rows at threshold zero, by C.

    Parameters
    ----------
    name : str
        A set.
    loss : str
        A key of `KEPT`.

    Returns
    -------
    dict
        By ``f"{factor:g}"`` of `FACTORS`, and by `PLAIN`.
    """
    dataset = datasets.load(name, as_shipped=name != SPARSE)
    X, X_test = (rows.astype(np.float32) for rows in (dataset.X_train, dataset.X_test))
    # The default loss has a margin, so that its C is that of factor 1.
    default = timed_fit(mlce_classifier(max_iter=1), X, dataset.Y_train)[1]
    # Sparse rows as they are: "association" is refused by most of these losses.
    unit, scaling = default.C_, None if name == SPARSE else default.input_scaling_
    choices = {f"{factor:g}": (factor * unit, scaling) for factor in FACTORS}
    found = {}
    for key, (C, input_scaling) in (choices | {PLAIN: (1.0, None)}).items():
        options = {"C": C, "input_scaling": input_scaling, **parameters(loss, dataset)}
        model = mlce_classifier(random_state=0, **options)
        predicted = timed_fit(model, X, dataset.Y_train)[1].predict(X_test)
        found[key] = float(f1_score(dataset.Y_test, predicted, average="micro", zero_division=0))
    return found


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by loss."""
    mark = fingerprint("default c", threads)
    return {loss: Job(partial(judge, name, loss), 1, mark) for loss in KEPT}


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: the means over sets, and the sets."""
    done = store.complete(names, KEPT)
    return [_means(store, done), *(_of_loss(store, done, loss) for loss in KEPT)] if done else []


def _grid(store, names, loss):
    """Micro-F1 ``(n_sets, n_choices)``."""
    keys = (*(f"{factor:g}" for factor in FACTORS), PLAIN)
    return store.grid([(name, loss) for name in names], keys)


def _columns(first):
    return (first, *(f"factor {factor:g}" for factor in FACTORS), PLAIN)


def _means(store, names):
    titles = ("kept factor", "its rank", "short of the best factor")
    result = Table("Mean micro-F1 over sets", (*_columns("loss"), *titles))
    for loss, kept in KEPT.items():
        means = _grid(store, names, loss).mean(axis=0)
        of_factors = means[: len(FACTORS)]
        value = of_factors[FACTORS.index(kept)]
        rank = 1 + int((of_factors > value).sum())
        short = f"{of_factors.max() - value:.3f}"
        result.add(loss, *cells(means, ".3f"), f"{kept:g}", str(rank), short)
    result.note(
        f"Micro-F1 of the test rows at threshold zero over {', '.join(names)}. C is the factor "
        "over the squared distance of the rows from their mean. Tables are as they ship; their "
        f"columns are divided by their sizes as by default, but for {PLAIN}. Columns of sparse "
        "rows are left as they are, for all losses. pairwise predicts as many labels a row as the "
        "training rows have in the mean."
    )
    return result


def _of_loss(store, names, loss):
    result = Table(f"{loss}: micro-F1 on each set", _columns("set"))
    for name, row in zip(names, _grid(store, names, loss), strict=True):
        result.add(name, *cells(row, ".3f"))
    return result
