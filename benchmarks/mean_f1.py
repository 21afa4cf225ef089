"""Thresholds per label for a weighted mean of micro- and macro-F1, beside LibMultiLabel's."""

from functools import partial

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score

from . import datasets, peers
from .environment import fingerprint
from .methods import METHODS, mlce_classifier
from .report import Table, cells
from .store import Job, Store
from .threshold_shrinkage import held_out_and_test_scores
from .tuned import PEER_SETS

SETS = (*PEER_SETS, "films")
#: Draws of the folds; one where a fit takes longer.
SEEDS = {name: 1 if name in ("cooking", "delicious") else 3 for name in SETS}
#: Weight of macro-F1 where that of micro-F1 is 1.
MACRO_WEIGHTS = (0, 0.5, 1, 2, 4, 8)
#: Positives at which a label's own threshold and the global one weigh the same.
SHRINKAGES = (0, 3, 10, 30, 100)
AVERAGES = ("micro", "macro", "samples")
FIGURES = (*AVERAGES, "tail")
#: What is compared on the test rows.
RECIPES = {
    "f1_micro": "MLCEClassifier(), for micro-F1",
    "f1_macro": "MLCEClassifier(), for macro-F1",
    "equal": "MLCEClassifier(), for the mean, weights 1 and 1",
    "four": "MLCEClassifier(), for the mean, weights 1 and 4",
}
SCORINGS = {
    "equal": {"f1_micro": 1, "f1_macro": 1},
    "four": {"f1_micro": 1, "f1_macro": 4},
}
PEERS = {
    "lml_1vsrest": "LibMultiLabel 1vsrest",
    "lml_thresholding": "LibMultiLabel thresholding",
    "lml_cost_sensitive": "LibMultiLabel cost-sensitive",
}
COST_SENSITIVE = "lml_cost_sensitive"


def judge(Y, predicted, rare) -> dict[str, float]:
    """F1 by its averages, and that of rare labels.

    Parameters
    ----------
    Y, predicted : ndarray of shape (n, L)
        Labels, and those predicted.
    rare : ndarray of bool of shape (L,)

    Returns
    -------
    dict
        ``micro``, ``macro``, ``samples``, and ``tail``, macro-F1 of the rare labels.
    """
    found = {
        average: float(f1_score(Y, predicted, average=average, zero_division=0))
        for average in AVERAGES
    }
    tail = f1_score(Y[:, rare], predicted[:, rare], average="macro", zero_division=0)
    return found | {"tail": float(tail)}


def rarest_third(Y) -> np.ndarray:
    """Mask of the third of the labels with positives that have the fewest of them."""
    positives = np.asarray(Y.sum(axis=0)).ravel().astype(float)
    order = np.argsort(np.where(positives > 0, positives, np.inf), kind="stable")
    rare = np.zeros(len(positives), dtype=bool)
    rare[order[: (positives > 0).sum() // 3]] = True
    return rare


def judge_ours(name: str, seed: int) -> dict[str, float]:
    """Figures of each recipe on the test rows, and of all options on held-out rows.

    For these, the thresholds come from half of the rows that were scored out of fold, and are
    judged on the other half, in turn.

    Parameters
    ----------
    name : str
        Of `SETS`.
    seed : int
        Of the folds and of the halves.

    Returns
    -------
    dict
        By ``"<recipe> <figure>"``, ``"test <shrinkage> <figure>"`` of weights 1 and 4, and, on
        held-out rows, ``"<weight of macro-F1> <shrinkage> <figure>"``.
    """
    from sklearn_mlce.model_selection import MultilabelStratifiedKFold
    from sklearn_mlce.model_selection._f_measure import f_measure_of
    from sklearn_mlce.model_selection._sweep import resolve_shrinkage, tune

    dataset = datasets.load(name)
    folds = MultilabelStratifiedKFold(3, shuffle=True, random_state=seed)
    X_train, X_test = (X.astype(np.float32) for X in (dataset.X_train, dataset.X_test))
    model = mlce_classifier(random_state=seed)
    held_out, scores = held_out_and_test_scores(model, X_train, dataset.Y_train, X_test, folds)
    truth, rare = dataset.Y_test.toarray(), rarest_third(dataset.Y_train)
    found = {}
    for recipe in RECIPES:
        of_recipe = f_measure_of(SCORINGS.get(recipe, recipe), "per_label")
        shrinkage = resolve_shrinkage("auto", "per_label", of_recipe)
        thresholds, _ = tune(held_out, of_recipe, "per_label", 0.0, shrinkage)
        for figure, value in judge(truth, scores > thresholds, rare).items():
            found[f"{recipe} {figure}"] = value
    for k in SHRINKAGES:
        thresholds, _ = tune(
            held_out, f_measure_of(SCORINGS["four"], "per_label"), "per_label", 0.0, k
        )
        for figure, value in judge(truth, scores > thresholds, rare).items():
            found[f"test {k} {figure}"] = value
    return found | _by_options(held_out, rare, seed)


def _by_options(held_out, rare, seed):
    """Figures of each weight and shrinkage, in the mean over both halves."""
    from sklearn_mlce.model_selection._f_measure import HeldOut, f_measure_of
    from sklearn_mlce.model_selection._sweep import tune

    rows = np.random.default_rng(seed).permutation(len(held_out.scores))
    halves, found = np.array_split(rows, 2), {}
    for learned, judged in (halves, halves[::-1]):
        half = HeldOut(held_out.scores[learned], sp.csr_array(held_out.positives[learned]))
        truth = held_out.positives[judged].toarray()
        for weight in MACRO_WEIGHTS:
            scoring = {"f1_micro": 1, "f1_macro": weight} if weight else {"f1_micro": 1}
            of_weight = f_measure_of(scoring, "per_label")
            for k in SHRINKAGES:
                thresholds, _ = tune(half, of_weight, "per_label", 0.0, k)
                predicted = held_out.scores[judged] > thresholds
                for figure, value in judge(truth, predicted, rare).items():
                    found.setdefault(f"{weight:g} {k} {figure}", []).append(value)
    return {key: float(np.mean(values)) for key, values in found.items()}


def judge_peer(name: str, method: str, threads: int) -> dict[str, float]:
    """Figures of one of LibMultiLabel's methods on the test rows.

    Parameters
    ----------
    name : str
        Of `SETS`.
    method : str
        Of `PEERS`.
    threads : int

    Returns
    -------
    dict
        See `judge`.
    """
    dataset = datasets.load(name)
    function = {each.name: each.function for each in METHODS if each.kind == "peer"}[method]
    _, _, predicted, _ = peers.run(dataset, function, threads)
    return judge(dataset.Y_test.toarray(), predicted, rarest_third(dataset.Y_train))


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set: ``ours``, and LibMultiLabel's by method."""
    ours, theirs = fingerprint("mean f1", threads), fingerprint("peer", threads)
    found = {"ours": Job(partial(judge_ours, name), SEEDS[name], ours, seeded=True)}
    for method in PEERS:
        found[method] = Job(partial(judge_peer, name, method, threads), 1, theirs)
    return found


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds."""
    done = store.complete(names, ("ours", *PEERS))
    if not done:
        return []
    found = [_against_peers(store, done), _options(store, done)]
    found += [_shrinkages(store, done), _test_shrinkages(store, done)]
    return found + [_of_figure(store, done, figure) for figure in FIGURES]


def _mean(store, name, recipe, figure):
    """Mean over the seeds."""
    if recipe in PEERS:
        return store.medians(name, recipe)[figure]
    return float(np.mean([row[f"{recipe} {figure}"] for row in store.samples(name, "ours")]))


def _against_peers(store, names):
    result = Table(
        "Test F1 minus that of LibMultiLabel",
        ("set", "weights", *AVERAGES, "ahead in all", "rarest third", "of cost-sensitive"),
    )
    for recipe in RECIPES:
        n_ahead = 0
        for name in names:
            gains = [
                _mean(store, name, recipe, figure)
                - max(_mean(store, name, peer, figure) for peer in PEERS)
                for figure in FIGURES
            ]
            tail = _mean(store, name, recipe, "tail")
            ahead = min(gains[: len(AVERAGES)]) > 0
            n_ahead += ahead
            result.add(
                name,
                recipe,
                *cells(gains[: len(AVERAGES)], "+.3f"),
                "yes" if ahead else "no",
                *cells([gains[-1], tail - _mean(store, name, COST_SENSITIVE, "tail")], "+.3f"),
            )
        result.add("all", recipe, "", "", "", f"{n_ahead} of {len(names)}", "", "")
    result.note(
        "Minus the best of its methods one-vs-rest, thresholding and cost-sensitive, taken for "
        "each column by itself; the last column is beside its cost-sensitive method alone. micro, "
        "macro, samples: F1 by average. rarest third: macro-F1 of the third of the labels with the "
        "fewest positives. equal, four: thresholds per label for "
        'scoring={"f1_micro": 1, "f1_macro": w} '
        f"with w of 1 and 4; f1_micro, f1_macro: for that one. Mean of {max(SEEDS.values())} draws "
        "of the folds, on cooking and delicious of one; LibMultiLabel once."
    )
    return result


def _options(store, names):
    result = Table(
        "Held-out rows: weights of macro-F1 and shrinkages, means over the sets",
        ("weight of macro-F1", "shrinkage", *AVERAGES, "rarest third"),
    )
    for weight in MACRO_WEIGHTS:
        for k in SHRINKAGES:
            values = [
                np.mean([_mean(store, name, f"{weight:g} {k}", figure) for name in names])
                for figure in FIGURES
            ]
            result.add(f"{weight:g}", f"{k}", *cells(values, ".4f"))
    result.note(
        "Training rows alone, scored out of fold: thresholds from one half, F1 on the other, in "
        "turn. The weight of micro-F1 is 1. Micro-, macro- and samples-F1, and macro-F1 of the "
        f"third of the labels with the fewest positives. Sets: {', '.join(names)}."
    )
    return result


def _shrinkages(store, names):
    result = Table(
        "Held-out rows: the mean with weights 1 and 4, by shrinkage", ("shrinkage", *names)
    )
    for k in SHRINKAGES:
        parts = [[_mean(store, name, f"4 {k}", a) for a in ("micro", "macro")] for name in names]
        result.add(f"{k}", *cells(np.average(parts, axis=1, weights=(1, 4)), ".4f"))
    return result


def _test_shrinkages(store, names):
    result = Table(
        "Test rows: weights 1 and 4, by shrinkage, means over the sets",
        ("shrinkage", *AVERAGES, "rarest third"),
    )
    for k in SHRINKAGES:
        values = [[_mean(store, name, f"test {k}", figure) for figure in FIGURES] for name in names]
        result.add(f"{k}", *cells(np.mean(values, axis=0), ".4f"))
    result.note(
        "Of the fit of all rows, whose scores differ a little from those that the thresholds were "
        "found on."
    )
    return result


def _of_figure(store, names, figure):
    measured = "macro-F1 of the rarest third" if figure == "tail" else f"{figure}-F1"
    result = Table(f"Test rows: {measured}", ("method", *names, "mean"))
    for method, title in (RECIPES | PEERS).items():
        values = [_mean(store, name, method, figure) for name in names]
        result.add(title, *cells(values, ".3f"), *cells([np.mean(values)], ".3f"))
    return result
