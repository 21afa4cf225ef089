"""Where coupling the labels of a row pays: the published loss and the sum over labels, each tuned.

Both losses get a scale, margins and, by the model, C or a learning rate and a number of epochs of
their own. The public sets are judged on their training rows alone.
"""

from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import scipy.sparse as sp
from sklearn.metrics import f1_score, label_ranking_average_precision_score
from sklearn.model_selection import KFold

from . import datasets
from .defaults_search import best_micro_f1
from .environment import fingerprint
from .methods import mlce_classifier, timed_fit
from .report import Table, cells
from .store import Job, Store

#: Public sets, and how many of their training rows are enough.
PUBLIC = {
    "yeast": None,
    "birds": None,
    "flags": None,
    "foodtruck": None,
    "cal500": None,
    "bibtex": 3000,
    "films": 2000,
    "goemotions": 4000,
    "delicious": 1500,
    "cooking": 2000,
}
#: Made sets, in which labels exclude or repeat each other, or positives are missing.
MADE = ("exclusive", "repeated", "missing positives", "many labels")
SETS = (*PUBLIC, *MADE)
LOSSES = ("bce", "mlce")
#: Added to the scores of margins (1, 1): a shift d stands for the margins (1 - d, 1 + d).
SHIFTS = tuple(round(0.1 * step, 1) for step in range(-4, 21))
#: Shift of the margins that the fits have: networks start at the best constant scores for it.
FITTED_SHIFT = 0.8
#: Of the loss of a row, whose slope is one for all negatives together and not for each.
FACTORS = {"bce": (0.3, 1.0, 3.0), "mlce": (3.0, 10.0, 30.0, 100.0)}
SCALES = (2.0, 4.0, 8.0, 16.0)
KEPT_SCALE = 8.0
#: One change at a time of the network's defaults, whose scale is the kept one.
CHANGES = {
    "defaults": {},
    "step 0.001": {"learning_rate_init": 1e-3},
    "step 0.006": {"learning_rate_init": 6e-3},
    "10 epochs": {"max_epochs": 10},
    "40 epochs": {"max_epochs": 40},
    "weight decay 1": {"alpha": 1.0},
    "dropout 0.3": {"dropout": 0.3},
}


@dataclass(frozen=True)
class Candidate:
    """Options of a fit.

    Attributes
    ----------
    model : {"linear", "network"}
    loss : {"bce", "mlce"}
    scale : float
    change : float or str
        Factor of C of the linear model, or one of `CHANGES`.
    """

    model: str
    loss: str
    scale: float
    change: float | str

    @property
    def options(self) -> str:
        """The scale and the change in words."""
        change = f"C factor {self.change:g}" if self.model == "linear" else self.change
        return f"scale {self.scale:g}, {change}"

    @property
    def name(self) -> str:
        """Key of the stored samples."""
        return f"{self.model} {self.loss} {self.options}"


def candidates(model: str, loss: str) -> list[Candidate]:
    """Those of a model and a loss: scales beside factors, or beside one change at a time."""
    if model == "linear":
        crossed = [(scale, factor) for scale in SCALES[1:3] for factor in FACTORS[loss]]
    else:
        crossed = [(KEPT_SCALE, change) for change in CHANGES]
        crossed += [(scale, "defaults") for scale in SCALES if scale != KEPT_SCALE]
    return [Candidate(model, loss, *options) for options in crossed]


@cache
def rows_of(name: str):
    """Float32 rows and the labels that they carry."""
    if name in MADE:
        X, Y = made_rows(name)
    else:
        dataset, n_rows = datasets.load(name), PUBLIC[name]
        X, Y = dataset.X_train[:n_rows], dataset.Y_train[:n_rows]
    used, carried = (np.asarray(abs(entries).sum(axis=0)).ravel() > 0 for entries in (X, Y))
    return X[:, used].astype(np.float32), Y[:, carried]


def made_rows(name: str, n_rows: int = 1500, n_features: int = 40, seed: int = 0):
    """Normal features and 0/1 labels that follow from noisy linear utilities.

    Parameters
    ----------
    name : {"exclusive", "repeated", "missing positives", "many labels"}
        "exclusive": one label of 20 in each of 5 groups. "repeated": 8 labels, each there five
        times with a tenth of its positives missing. "missing positives": 30 labels of a tenth of
        the rows, and half of their positives missing. "many labels": the 3 best of 1000.
    n_rows, n_features : int
    seed : int, default=0

    Returns
    -------
    X : ndarray of shape (n_rows, n_features)
    Y : csr_matrix of int64
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features))

    def utilities(n):
        return X @ rng.normal(size=(n_features, n)) + 3 * rng.normal(size=(n_rows, n))

    if name == "exclusive":
        of_groups = utilities(100).reshape(n_rows, 5, 20)
        labels = of_groups == of_groups.max(axis=2, keepdims=True)
    elif name == "repeated":
        found = utilities(8)
        latent = found > np.quantile(found, 0.85, axis=0)
        labels = np.repeat(latent, 5, axis=1) & (rng.random((n_rows, 40)) > 0.1)
    elif name == "missing positives":
        found = utilities(30)
        labels = (found > np.quantile(found, 0.9, axis=0)) & (rng.random(found.shape) > 0.5)
    else:
        found = utilities(1000) - 4 * np.log(np.arange(1, 1001))
        labels = found >= np.sort(found, axis=1)[:, [-3]]
    return X, sp.csr_matrix(labels.reshape(n_rows, -1).astype(np.int64))


def judge(name: str, candidate: Candidate, seed: int = 0) -> dict[str, float]:
    """Out-of-fold figures of a candidate on one set.

    Parameters
    ----------
    name : str
        One of `SETS`.
    candidate : Candidate
    seed : int, default=0
        Of the three folds, and of the network.

    Returns
    -------
    dict
        Micro-F1 at each of `SHIFTS` (``"shift 0.8"``); ``tuned``, that at the best threshold;
        ``lrap``; ``macro``, macro-F1 at the best shift.
    """
    X, Y = rows_of(name)
    scores = np.empty(Y.shape, np.float32)
    for train, test in KFold(3, shuffle=True, random_state=seed).split(X):
        model = timed_fit(_make(candidate, name, seed), X[train], Y[train])[1]
        scores[test] = model.decision_function(X[test]) - FITTED_SHIFT
    truth = Y.toarray()
    found = {
        f"shift {d:g}": float(f1_score(truth, scores > -d, average="micro", zero_division=0))
        for d in SHIFTS
    }
    best = max(SHIFTS, key=lambda d: found[f"shift {d:g}"])
    return found | {
        "macro": float(f1_score(truth, scores > -best, average="macro", zero_division=0)),
        "tuned": best_micro_f1(truth, scores),
        "lrap": float(label_ranking_average_precision_score(truth, scores)),
    }


def _make(candidate, name, seed):
    """The estimator of a candidate."""
    margin = (round(1 - FITTED_SHIFT, 1), round(1 + FITTED_SHIFT, 1))
    options = {"loss": candidate.loss, "scale": candidate.scale, "margin": margin}
    if candidate.model == "linear":
        C = candidate.change * _unit_C(name)
        return mlce_classifier(C=C, random_state=seed, **options)
    from sklearn_mlce import MLCEMLP

    return MLCEMLP(random_state=seed, **options, **CHANGES[candidate.change])


@cache
def _unit_C(name):
    """C of factor 1: that of the default loss."""
    return timed_fit(mlce_classifier(max_iter=1), *rows_of(name))[1].C_


def jobs(name: str, threads: int) -> dict[str, Job]:
    """Jobs of one set, by the name of each candidate."""
    mark = fingerprint("coupling", threads)
    return {c.name: Job(partial(judge, name, c), 1, mark) for c in _all_candidates()}


def _all_candidates():
    return [
        c for model in ("linear", "network") for loss in LOSSES for c in candidates(model, loss)
    ]


def tables(store: Store, names) -> list[Table]:
    """Lay out what the store holds: the best of each loss side by side, and all candidates."""
    done = store.complete(names, [candidate.name for candidate in _all_candidates()])
    public = [name for name in done if name in PUBLIC]
    if not public:
        return []
    found = [_side_by_side(store, done, public, model) for model in ("linear", "network")]
    return found + [_means(store, public, model) for model in ("linear", "network")]


def _grid(store, names, candidate):
    """Micro-F1 ``(n_sets, n_shifts)``."""
    return store.grid([(name, candidate.name) for name in names], [f"shift {d:g}" for d in SHIFTS])


def _best(store, names, model, loss):
    """Candidate and shift of the highest mean micro-F1 over the sets."""
    means = {c: _grid(store, names, c).mean(axis=0) for c in candidates(model, loss)}
    best = max(means, key=lambda c: means[c].max())
    return best, int(means[best].argmax())


def _side_by_side(store, names, public, model):
    """The best constant options of each loss, on each set."""
    chosen = {loss: _best(store, public, model, loss) for loss in LOSSES}
    figures = ("micro-F1", "tuned micro-F1", "LRAP")
    columns = [f"{figure}, {loss}" for figure in figures for loss in LOSSES]
    result = Table(f"The {model} model: each loss with options of its own", ("set", *columns))
    measured = {}
    for name in names:
        of_losses = []
        for candidate, shift in chosen.values():
            row = store.medians(name, candidate.name)
            of_losses.append((row[f"shift {SHIFTS[shift]:g}"], row["tuned"], row["lrap"]))
        measured[name] = np.array(of_losses).T.ravel()
        result.add(name, *cells(measured[name], ".3f"))
    result.add("public, mean", *cells(np.mean([measured[n] for n in public], axis=0), ".4f"))
    for loss, (candidate, shift) in chosen.items():
        result.note(
            f"{loss}: {candidate.options}, margins ({1 - SHIFTS[shift]:.1f}, "
            f"{1 + SHIFTS[shift]:.1f}), the best in the mean over the public sets."
        )
    rows = ", ".join(f"{name} {PUBLIC[name] or 'all'}" for name in public)
    result.note(
        f"Three folds of the training rows, pooled; no test row was used. Rows: {rows}. Tuned: the "
        "best threshold of each set."
    )
    return result


def _means(store, public, model):
    """All candidates in the mean over the public sets, each at its best constant margins."""
    result = Table(
        f"The {model} model: all options, means over the public sets",
        ("loss", "options", "best margins", "micro-F1", "tuned micro-F1", "LRAP"),
    )
    for loss in LOSSES:
        for candidate in candidates(model, loss):
            means = _grid(store, public, candidate).mean(axis=0)
            at = SHIFTS[int(means.argmax())]
            rows = [store.medians(name, candidate.name) for name in public]
            others = (np.mean([row[key] for row in rows]) for key in ("tuned", "lrap"))
            margins = f"({1 - at:.1f}, {1 + at:.1f})"
            figures = cells([means.max(), *others], ".4f")
            result.add(loss, candidate.options, margins, *figures)
    return result
