"""What the tables of tuned thresholds say together: the bars that the project has set itself."""

import numpy as np

from .linear_summary import QUALITY_SETS, figures
from .report import Table, cells, holds, mean
from .store import Store

OURS = ("auto_global", "auto_per_label", "auto_macro", "auto_cv_3")
AVERAGES = ("micro", "macro", "samples")
#: Of ours, which thresholds are for which average.
TUNED_FOR = {"micro": "auto_per_label", "macro": "auto_macro", "samples": "auto_per_label"}
FOR_THE_AVERAGE = "for the average"
AT_ZERO = tuple(f"{average}_zero" for average in AVERAGES)
PEERS = ("lml_1vsrest", "lml_thresholding", "lml_cost_sensitive")
PEER_SETS = ("yeast", "birds", "bibtex", "cooking", "goemotions", "delicious")
#: The least difference to LinearSVC, in the mean over sets: of micro-F1, and of LRAP.
SVC_BARS = {"micro": 0.005, "lrap": 0.0}
#: How near squared hinge has to come to LinearSVC on each set.
HINGE_BAR = 0.005
#: On how many sets to be ahead of LibMultiLabel in all averages.
PEER_BAR = 5
#: The most that our whole fit may take of `train_thresholding`'s.
TIME_BAR = 0.2
#: The mean distance from tuned to zero that is aimed at.
ZERO_AIM = 0.03


def tables(store: Store, peers: Store) -> list[Table]:
    """Lay out what both stores hold.

    Parameters
    ----------
    store : Store
        Samples of `benchmarks.tuned.run`.
    peers : Store
        Samples of `benchmarks.tuned.run_peers`.

    Returns
    -------
    list of Table
    """
    found = [_against_svc(store), _hinges(store), _against_peers(store, peers)]
    found += [_times(store, peers), _zero(store)]
    return found


def _against_svc(store):
    measures = {"micro": "micro-F1", "lrap": "LRAP"}
    titles = [f"{title}, {name} -" for title in measures.values() for name in OURS]
    columns = ("set", "LinearSVC micro-F1", "LinearSVC LRAP", *titles)
    result = Table("Tuned MLCE minus tuned LinearSVC", columns)
    grids = [figures(store, ["linear_svc", *OURS], key, QUALITY_SETS) for key in measures]
    theirs = np.column_stack([grid[:, 0] for grid in grids])
    gains = np.hstack([grid[:, 1:] - grid[:, :1] for grid in grids])
    rows = zip((*QUALITY_SETS, "mean"), (*theirs, mean(theirs)), (*gains, mean(gains)), strict=True)
    for name, svc, gain in rows:
        result.add(name, *cells(svc, ".3f"), *cells(gain, "+.3f"))
    bars = np.repeat([SVC_BARS[key] for key in measures], len(OURS))
    result.add("at least", "", "", *cells(bars, "+.3f"))
    result.add("holds", "", "", *map(holds, mean(gains), bars))
    result.note("LinearSVC and ours are tuned by the same tuner on the same folds.")
    return result


def _hinges(store):
    columns = ("set", "squared hinge", "LinearSVC", "difference", "within")
    result = Table('Micro-F1 of loss="squared_hinge" beside LinearSVC, both tuned', columns)
    for name in store.groups:
        ours, theirs = figures(store, ["squared_hinge", "linear_svc"], "micro", [name])[0]
        gain = ours - theirs
        verdict = "yes, ahead" if gain > HINGE_BAR else holds(gain, -HINGE_BAR)
        result.add(name, *cells((ours, theirs), ".3f"), *cells([gain], "+.4f"), verdict)
    result.note(f"Within {HINGE_BAR}: ours has free intercepts, LinearSVC penalises its own.")
    return result


def _against_peers(store, peers):
    columns = ("set", "thresholds", *(f"{average}-F1 -" for average in AVERAGES), "ahead in all")
    result = Table("Tuned MLCE minus the best of LibMultiLabel's three methods", columns)
    for ours in (*OURS, FOR_THE_AVERAGE):
        taken = TUNED_FOR if ours == FOR_THE_AVERAGE else dict.fromkeys(AVERAGES, ours)
        ahead = []
        for name in PEER_SETS:
            gains = [_gain(store, peers, recipe, of, name) for of, recipe in taken.items()]
            verdict = "" if np.isnan(gains).any() else holds(min(gains), 0.0)
            ahead.append(verdict == "yes")
            result.add(name, ours, *cells(gains, "+.3f"), verdict)
        verdict = "yes" if sum(ahead) >= PEER_BAR else "NO"
        count = f"{sum(ahead)} of {len(PEER_SETS)}, at least {PEER_BAR}: {verdict}"
        result.add("all", ours, "", "", "", count)
    result.note(
        "LibMultiLabel's best method is taken for each average by itself. Of ours the rows named "
        f"{FOR_THE_AVERAGE!r} do the same: thresholds per label tuned for micro-F1 for the micro "
        "and the samples average, tuned for macro-F1 for the macro average. The peers' figures: "
        "python -m benchmarks peers_tuned, once."
    )
    return result


def _gain(store, peers, ours, average, name):
    theirs = figures(peers, PEERS, average, [name])[0]
    return figures(store, [ours], average, [name])[0, 0] - theirs.max()


def _times(store, peers):
    columns = ("set", *OURS, "its seconds")
    result = Table("Whole fit, thresholds included, as a fraction of train_thresholding's", columns)
    ours = figures(store, OURS, "fit_s", PEER_SETS)
    both = figures(peers, ["lml_thresholding", "lml_thresholding_m"], "fit_s", PEER_SETS)
    theirs = np.fmin(both[:, :1], both[:, 1:])
    fractions = ours / theirs
    for name, row, seconds in zip(PEER_SETS, fractions, theirs[:, 0], strict=True):
        result.add(name, *cells(row, ".3f"), *cells([seconds], ".3g"))
    whole = np.exp(mean(np.log(fractions)))
    result.add("geometric mean", *cells(whole, ".3f"), "")
    result.add("at most", *[f"{TIME_BAR:.2f}"] * len(OURS), "")
    result.add("holds on each set", *(holds(-x, -TIME_BAR) for x in fractions.max(axis=0)), "")
    result.note(
        "Of its runs with one thread and with all, where there are both, the faster one. Where the "
        "tables of the sets mark it as old, its seconds are those of another run, perhaps on a "
        "faster machine."
    )
    return result


def _zero(store):
    titles = ("MLCE at 0", "MLCE tuned", "short", "LinearSVC at 0", "LinearSVC tuned", "short")
    columns = ("set", *(f"{title}" for title in titles))
    result = Table("Micro-F1 at the threshold zero beside one tuned threshold", columns)
    at_zero, tuned = (
        figures(store, ["auto_global", "linear_svc"], key, QUALITY_SETS)
        for key in ("micro_zero", "micro")
    )
    grid = np.stack([at_zero, tuned, tuned - at_zero], axis=2).reshape(len(QUALITY_SETS), -1)
    for name, row in zip((*QUALITY_SETS, "mean"), (*grid, mean(grid)), strict=True):
        result.add(name, *cells(row, ".3f"))
    aims = ["", "", f"{ZERO_AIM:.3f}", "", "", ""]
    result.add("aimed at", *aims)
    result.note("LinearSVC at its own best C, which is chosen for the tuned threshold.")
    return result
