"""MLCE on a shortlist of each row's negatives, beside all of them and beside the default loss.

A row's shortlist holds its positives, the negatives that a fit of the default loss scores highest,
and a fresh uniform sample of the rest, whose exponentials are multiplied by the number of the rest
over the number of the sample, so that the sum inside the logarithm is right in the mean.

``python -m benchmarks shortlist`` measures and writes ``results/shortlist.md``.
"""

import sys
import time
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
import torch

from sklearn_mlce import MLCEClassifier
from sklearn_mlce._kernels.mlce import LogitTransform, loss_and_gradient
from sklearn_mlce._objectives.target_tensors import entries_or_matrix
from sklearn_mlce._solvers import sgd
from sklearn_mlce._utils.tensors import csr_tensor
from sklearn_mlce.metrics import precision_at_k

from .datasets import load
from .environment import describe, limited_threads
from .report import Table, command_parser, write

SETS = ("delicious", "cooking", "asklibrarian_yso")
#: Of all fits alike: ten passes in small batches.
SHARED = {"solver": "sgd", "max_iter": 10, "random_state": 0}
#: Best negatives, and sampled ones, of a row.
SIZES = ((20, 20), (100, 100))
THRESHOLDS = np.linspace(-3, 1.5, 46)
#: Labels of the timed steps, on batches of so many rows with so many of the features.
N_LABELS, N_ROWS, N_STORED, N_FEATURES = (1_000, 4_000, 30_000), 64, 60, 5_000
N_CANDIDATES, REPEATS = 40, 20


class ShortlistLoss:
    """MLCE of batches whose rows come in a known order, each with a shortlist.

    Parameters
    ----------
    order : ndarray of shape (n,)
        Numbers of the rows, batch after batch.
    best : ndarray of shape (n, m)
        Labels of each row that are always in.
    n_sampled : int
        Labels drawn for each row.
    """

    def __init__(self, order: np.ndarray, best: np.ndarray, n_sampled: int) -> None:
        self._order, self._best, self._n_sampled = order, torch.from_numpy(best), n_sampled
        self._generator = torch.Generator().manual_seed(int(order[0]))

    def value_and_gradient(self, scores, targets, weight):
        """Losses ``(n,)`` of the next rows, and the gradient of their sum."""
        rows, self._order = np.split(self._order, [len(scores)])
        entries = entries_or_matrix(targets, scores.shape[1])
        transform = LogitTransform(log_weight=self._log_weights(scores, entries, rows))
        return loss_and_gradient(scores, entries, weight, transform=transform)

    def _log_weights(self, scores, entries, rows):
        n_rows, n_labels = scores.shape
        drawn = torch.randint(n_labels, (n_rows, self._n_sampled), generator=self._generator)
        always = torch.zeros(n_rows, n_labels, dtype=torch.bool)
        always.view(-1)[entries.flat_index] = True
        always.scatter_(1, self._best[rows], True)
        sampled = torch.zeros_like(always).scatter_(1, drawn, True) & ~always
        ratio = (~always).sum(dim=1) / sampled.sum(dim=1).clamp(min=1)
        weights = torch.where(sampled, ratio[:, None].to(scores.dtype), always.to(scores.dtype))
        return weights.log_()


def fit_shortlist(X, Y, best: np.ndarray, n_sampled: int) -> MLCEClassifier:
    """Fit MLCE, by the passes and the steps of the whole, with the losses of shortlists.

    Parameters
    ----------
    X : csr_matrix of shape (n, d)
    Y : csr_matrix of shape (n, L)
    best : ndarray of shape (n, m)
        Labels that are in, by their places among the labels that are trained.
    n_sampled : int

    Returns
    -------
    MLCEClassifier
    """

    class Descent(sgd.StochasticDescent):
        def epoch(self, batches, order, l2):
            self._loss = ShortlistLoss(order, best, n_sampled)
            return super().epoch(batches, order, l2)

    with patch.object(sgd, "StochasticDescent", Descent):
        return MLCEClassifier(loss="mlce", **SHARED).fit(X, Y)


def best_negatives(model, X, Y, m: int) -> np.ndarray:
    """The `m` negatives ``(n, m)`` of each row that a model scores highest."""
    counts = np.asarray(Y.sum(axis=0)).ravel()
    trained = np.flatnonzero((counts > 0) & (counts < Y.shape[0]))
    found = np.empty((X.shape[0], m), np.int64)
    for start in range(0, X.shape[0], 1000):
        rows = slice(start, start + 1000)
        scores = model.decision_function(X[rows])[:, trained]
        scores[Y[rows][:, trained].toarray() > 0] = -np.inf
        found[rows] = np.argpartition(-scores, m, axis=1)[:, :m]
    return found


def quality(name: str) -> dict:
    """Fit all losses to a set, and return the figures of its test rows by their names."""
    data = load(name)
    X, Y = data.X_train.astype(np.float32), data.Y_train
    X_test, Y_test = data.X_test.astype(np.float32), data.Y_test
    first = MLCEClassifier(**SHARED).fit(X, Y)
    found = {"auto": _figures(first, X_test, Y_test)}
    exact = MLCEClassifier(loss="mlce", **SHARED).fit(X, Y)
    found["mlce"] = _figures(exact, X_test, Y_test)
    del exact
    for m, n_sampled in SIZES:
        best = best_negatives(first, X, Y, m)
        model = fit_shortlist(X, Y, best, n_sampled)
        found[f"mlce, {m} best + {n_sampled} sampled"] = _figures(model, X_test, Y_test)
    return found


def _figures(model, X, Y):
    scores, truth = model.decision_function(X), Y.toarray()
    n_positive, of_positives = truth.sum(), scores[truth > 0]
    at = {
        threshold: 2 * (of_positives > threshold).sum() / ((scores > threshold).sum() + n_positive)
        for threshold in (0.0, *THRESHOLDS)
    }
    ranks = (precision_at_k(truth, scores, k=k) for k in (1, 5))
    return (*ranks, at[0.0], max(at.values()))


def step_seconds(n_labels: int) -> tuple[float, float]:
    """Seconds of a batch's scores and step, of all labels and of `N_CANDIDATES` of each row.

    Medians of the processor's time, by turns, without the loss.
    """
    generator = torch.Generator().manual_seed(0)
    weights = torch.zeros(N_FEATURES, n_labels)
    shape = (N_ROWS, N_STORED)
    columns = (N_FEATURES * torch.rand(shape, generator=generator) ** 2).long()
    values = torch.rand(shape, generator=generator)
    candidates = torch.randint(n_labels, (N_ROWS, N_CANDIDATES), generator=generator)
    ends = np.arange(0, columns.numel() + 1, N_STORED)
    stored = (values.ravel().numpy(), columns.ravel().numpy(), ends)
    rows = csr_tensor(sp.csr_matrix(stored, shape=(N_ROWS, N_FEATURES)), weights.device)
    present, places = columns.unique(return_inverse=True)
    dense = torch.zeros(len(present), N_ROWS)
    dense[places, torch.arange(N_ROWS)[:, None]] = values

    def of_all():
        scores = rows @ weights
        weights.index_add_(0, present, dense @ scores)

    def of_candidates():
        cells = columns[:, :, None] * n_labels + candidates[:, None, :]
        scores = torch.einsum("rs,rsc->rc", values, weights.take(cells))
        weights.view(-1).index_add_(
            0, cells.ravel(), (values[:, :, None] * scores[:, None, :]).ravel()
        )

    seconds = [[_seconds(step) for step in (of_all, of_candidates)] for _ in range(REPEATS)]
    of_all_labels, of_shortlist = np.median(seconds, axis=0)
    return float(of_all_labels), float(of_shortlist)


def _seconds(step):
    start = time.process_time()
    step()
    return time.process_time() - start


def main(arguments=None) -> None:
    """Measure and write the tables."""
    parser = command_parser("shortlist", __doc__)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    options = parser.parse_args(arguments)
    figures = Table(
        "Quality on test rows, ten passes each",
        ("set", "loss", "P@1", "P@5", "micro-F1 at 0", "micro-F1 at the best threshold"),
    )
    steps = Table(
        "Milliseconds of the processor for the scores and the step of a batch, without the loss",
        ("labels", "all", f"{N_CANDIDATES} of each row"),
    )
    figures.note(
        "The best threshold is the best one for all labels on the test rows themselves: the most "
        "that tuning could reach. The coefficients are one array of features by labels with and "
        "without shortlists, and a shortlist needs the fit of the default loss before."
    )
    steps.note(
        f"{N_ROWS} sparse rows of {N_STORED} out of {N_FEATURES:,} features; the cells of a "
        "shortlist are taken and added to one by one."
    )
    title = "The published loss on shortlists of negatives"
    with limited_threads(1):
        for n_labels in N_LABELS:
            steps.add(f"{n_labels:,}", *(f"{1000 * s:.1f}" for s in step_seconds(n_labels)))
        for name in options.sets:
            for loss, row in quality(name).items():
                figures.add(name, loss, *(f"{value:.3f}" for value in row))
                print(figures.rows[-1], file=sys.stderr, flush=True)
            write(options.out, "shortlist", title, describe(1), [figures, steps])


if __name__ == "__main__":
    main()
